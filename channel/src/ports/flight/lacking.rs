//! Requests that could go on, and lack what somebody else has to give back.
//!
//! They are with nobody, in the order of their coming. The port is told when something comes back, by its inbox, and gives it to the first.
//! So what comes back costs no more than it serves.

#![allow(unsafe_code)]

use super::{Drive, Home, Phase, Verdict};
use crate::fork;
use crate::id::OpId;
use crate::operation::{GoOn, RawOp, Supplied};
use crate::ports::inbox::{Message, PortShared};
use std::collections::VecDeque;
use std::sync::Arc;

impl Supplied for Home {
    fn supplied(&self) {
        if fork::is_child() {
            return;
        }
        let mut shared = PortShared::lock(&self.shared);
        if !shared.is_closed {
            shared.inbox.push(Message::Supplied);
            drop(shared);
            self.rope.call_if_asleep();
        }
    }
}

impl Drive {
    /// Request `id` lacks something.
    pub(super) fn lack(&mut self, id: u64) {
        let f = &mut self.flights[OpId::from_u64(id).slot() as usize];
        // SAFETY: a request in flight is in place.
        let Some(supply) = unsafe { RawOp::what(f.op) }.supply() else { return };
        f.phase = Phase::Lacking;
        let number = supply.number();
        self.lacking.requests.entry(number).or_default().push_back(id);
        self.supply(number);
    }

    /// Something has come back.
    pub(super) fn was_supplied(&mut self) {
        let numbers: Vec<usize> = self.lacking.requests.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.supply(number));
    }

    /// Those that lack this have what there is.
    fn supply(&mut self, number: usize) {
        while let Some(&id) = self.lacking.requests.get(&number).and_then(VecDeque::front) {
            // SAFETY: a request in flight is in place.
            let what = unsafe { RawOp::what(self.flights[OpId::from_u64(id).slot() as usize].op) };
            // SAFETY: what it points to is valid as long as it is in flight.
            let gone_on = unsafe { what.go_on() };
            if gone_on == GoOn::Lacks {
                let home = &self.home;
                let port = self.lacking.port.get_or_insert_with(|| Arc::new(home.clone()));
                // (If it has come back just now, once more.)
                if what.supply().is_none_or(|supply| supply.tell(port)) {
                    return;
                }
                continue;
            }
            self.lacks_no_more(id);
            match gone_on {
                GoOn::Final(end) => self.done.push((id, end)),
                _ => self.once_more(id, Verdict::Again),
            }
        }
    }

    /// Request `id` goes on, or is given up.
    pub(super) fn lacks_no_more(&mut self, id: u64) {
        let f = &mut self.flights[OpId::from_u64(id).slot() as usize];
        f.phase = Phase::Direct;
        // SAFETY: a request in flight is in place.
        let Some(supply) = unsafe { RawOp::what(f.op) }.supply() else { return };
        let number = supply.number();
        let Some(requests) = self.lacking.requests.get_mut(&number) else { return };
        if let Some(at) = requests.iter().position(|it| *it == id) {
            requests.remove(at);
        }
        if requests.is_empty() {
            self.lacking.requests.remove(&number);
            // (A pool may outlast the channel.)
            if let Some(port) = &self.lacking.port {
                supply.forget(port);
            }
        }
    }
}
