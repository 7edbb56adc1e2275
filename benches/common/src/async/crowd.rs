//! Many tasks that are called together, each by a channel of its own, and run.

use crate::rt;
use common::{LastOf, ns};
use std::sync::Arc;
use std::time::Instant;

const END: u64 = u64::MAX;

/// The side of the one that calls.
pub struct Crowd {
    bells: Vec<rt::Tx>,
    last: Arc<LastOf>,
    done: rt::Tx,
    all_ran: rt::Rx,
}

/// A task's side.
pub struct Seat {
    bell: rt::Rx,
    last: Arc<LastOf>,
    done: rt::Tx,
}

impl Crowd {
    /// For `n` tasks, each with a [`seat`](Self::seat).
    pub fn new(n: usize) -> Crowd {
        let (done, all_ran) = rt::chan();
        Crowd { bells: Vec::with_capacity(n), last: Arc::new(LastOf::new(n)), done, all_ran }
    }

    pub fn seat(&mut self) -> Seat {
        let (tx, bell) = rt::chan();
        self.bells.push(tx);
        Seat { bell, last: self.last.clone(), done: self.done.clone() }
    }

    /// Calls all; the nanoseconds until the last has run.
    pub async fn call(&mut self, number: u64) -> u64 {
        let t = Instant::now();
        for bell in &self.bells {
            rt::send(bell, number).await;
        }
        rt::recv(&mut self.all_ran).await;
        ns(t)
    }

    pub async fn end(mut self) {
        self.call(END).await;
    }
}

impl Seat {
    /// Waits for a call, and for the end.
    pub async fn called(&mut self) -> Option<u64> {
        let number = rt::recv(&mut self.bell).await;
        if number != END {
            return Some(number);
        }
        self.ran().await;
        None
    }

    /// The last one to run says so to the caller.
    pub async fn ran(&self) {
        if self.last.is_me() {
            rt::send(&self.done, 0).await;
        }
    }
}
