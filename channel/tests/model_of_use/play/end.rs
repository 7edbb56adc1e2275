//! The end of a run.

use super::{Checked, KEPT, Play};
use crate::steps::{PAIRS, Step};
use proptest::{prop_assert, prop_assert_eq};
use std::io::Read;
use std::sync::atomic::Ordering;

impl Play<'_> {
    /// Lets streams go on for a moment, some of those that are held as well, cancels what is left, gets it, and looks into the sockets: what nobody has received is there.
    pub fn end(mut self) -> Checked {
        for pair in 0..PAIRS {
            self.step(&Step::Feed { pair, bytes: 1 })?;
        }
        while self.held.len() > KEPT / 2 {
            self.let_go(0, false)?;
        }
        self.streams_go_on()?;
        for at in 0..self.ids.len() {
            self.cancel(at)?;
        }
        while !self.flying.is_empty() {
            let before = (self.flying.len(), self.items);
            self.get(1, true)?;
            prop_assert!(
                (self.flying.len(), self.items) != before,
                "{:?}",
                self.flying.values().map(|it| it.ask).collect::<Vec<_>>()
            );
        }
        self.held.clear();
        self.get(1, false)?;
        let (m, n) = (self.channel.metrics(), self.posts as u64);
        prop_assert_eq!((m.posted, m.completed, m.in_flight, m.handlers_due), (n, n, 0, 0));
        prop_assert_eq!((m.items, m.cancelled), (self.items as u64, self.cancelled));
        // (What was given up was not run; the rest has been by now.)
        prop_assert_eq!(self.run.load(Ordering::SeqCst), self.done, "closures run");
        for pair in &mut self.pairs {
            pair.near.set_nonblocking(true).unwrap();
            let mut byte = [0];
            while let Ok(1) = (&*pair.near).read(&mut byte) {
                pair.receive(&byte)?;
            }
            prop_assert!(!pair.unreceived(), "what the peer has sent is lost");
            if !pair.is_closed() {
                pair.drain();
                prop_assert_eq!(pair.drained, pair.sent, "what was sent");
            }
        }
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.accept().is_ok() {
            self.accepted += 1;
        }
        let most = self.connected + self.connects;
        prop_assert!(
            (self.connected..=most).contains(&self.accepted),
            "a connection is lost, or one too many"
        );
        self.near.set_nonblocking(true).unwrap();
        while self.near.recv(&mut [0; 16]).is_ok() {
            self.datagrams_received += 1;
        }
        let most = self.datagrams + self.send_tos;
        prop_assert!(
            (self.datagrams..=most).contains(&self.datagrams_received),
            "a datagram is lost, or two"
        );
        Ok(())
    }
}
