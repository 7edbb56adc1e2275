//! What the actors of one epoch share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use event_channel::Runtime;

use crate::post::Mailbox;

/// Tasks that block their thread and wait for another task. Two threads each are not as many as there may be
/// (`epoch::MAX_THREADS`): otherwise what they wait for might never begin, as the pool's documentation says.
const PERMITS: usize = 22;

pub struct World {
    pub runtime: Arc<Runtime>,
    /// When actors are to end.
    pub end: Instant,
    /// A server that sends back what it gets.
    pub echo: SocketAddr,
    pub boxes: Vec<Mailbox>,
    /// A lock of std's that is held across suspensions; it counts how often.
    pub lock: Mutex<u64>,
    pub locked: AtomicU64,
    /// Tasks that nobody joins and that have not ended.
    pub detached: AtomicU64,
    /// Values that tasks have made in their thread-locals, and those of them that were dropped.
    pub locals: AtomicU64,
    /// There is one further runtime at most.
    pub other_pool: AtomicBool,
    permits: AtomicUsize,
}

impl World {
    pub fn new(runtime: Arc<Runtime>, end: Instant, echo: SocketAddr, boxes: Vec<Mailbox>) -> World {
        World {
            runtime,
            end,
            echo,
            boxes,
            lock: Mutex::new(0),
            locked: AtomicU64::new(0),
            detached: AtomicU64::new(0),
            locals: AtomicU64::new(0),
            other_pool: AtomicBool::new(false),
            permits: AtomicUsize::new(PERMITS),
        }
    }

    pub fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// The right to block a thread until another task does something. `None`: enough do already.
    pub fn permit(&self) -> Option<Permit<'_>> {
        let one_less = |permits: usize| permits.checked_sub(1);
        let got = self.permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        got.is_ok().then_some(Permit(&self.permits))
    }
}

pub struct Permit<'a>(&'a AtomicUsize);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
