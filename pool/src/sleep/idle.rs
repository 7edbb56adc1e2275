//! Who sleeps, who searches, and whom to wake: at most one wake-up per unit of work.
//!
//! ```text
//!            found work, or none anywhere
//!   working ◄──────────── searching ◄─────────┐ woken by `notify` (already counted as searching)
//!      │  └──────────────►    │               │
//!      │   begin_search       │ fall_asleep   │
//!      └───────────────► asleep ──────────────┘
//!        fall_asleep          └──► working: woken by its port (a completion)
//! ```
//!
//! Whoever makes work visible calls [`Idle::notify`]. It wakes nobody while some worker is searching. That worker will find the work, or
//! see it when it stops to search. Else `notify` takes one sleeper off the list, and counts it as searching at once. So a second `notify`
//! that comes close behind does not wake a second one.
//!
//! A worker that is alone awake may [call a partner](Idle::call_partner), which counts as awake from then on. It does not count as
//! searching, although it will search: others might keep it from the CPU meanwhile. (What for: `conversation.rs`.)
//!
//! No wake-up is lost. Both sides put a sequentially consistent fence between their write and their read. The one who queues work writes
//! the queue, and then reads the counts. The one who goes to sleep, or stops to search, writes the counts, and then looks at the queues.
//! `tests/idle_model.rs` checks this with loom against this very file.

use crate::sync::{AtomicU64, AtomicUsize, Ordering, SpinLock, fence};

/// One searching worker, in the packed word: the low half counts the awake, the high half the searching.
const SEARCHING: usize = 1 << (usize::BITS / 2);
const AWAKE_MASK: usize = SEARCHING - 1;

/// What woke a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody who had work for it: it is already counted as searching.
    ByNotify,
    /// Somebody who was alone awake, so that it stays for a while.
    AsPartner,
    /// Its port, or nobody.
    ByPort,
}

/// The sleepers of one pool.
pub(crate) struct Idle {
    counts: AtomicUsize,
    sleepers: SpinLock<Sleepers>,
    cores: usize,
    wakeups: AtomicU64,
    partners: AtomicU64,
}

struct Sleepers {
    /// Those who fell asleep last are last.
    asleep: Vec<usize>,
    /// Woken as a partner, and not up yet. (Nobody else is: that one and who asks would be two.)
    partner: Option<usize>,
}

impl Idle {
    /// For `cores` workers, all of them awake.
    pub(crate) fn new(cores: usize) -> Idle {
        Idle {
            counts: AtomicUsize::new(cores),
            sleepers: SpinLock::new(Sleepers { asleep: Vec::with_capacity(cores), partner: None }),
            cores,
            wakeups: AtomicU64::new(0),
            partners: AtomicU64::new(0),
        }
    }

    /// Called after work was made visible: the sleeper to wake for it, if one is needed. The
    /// caller wakes it; it is already off the list and counted as searching.
    pub(crate) fn notify(&self) -> Option<usize> {
        // Pairs with the fence in `fall_asleep` and `end_search`.
        fence(Ordering::SeqCst);
        let index = self.take_sleeper(|counts| self.needs_one(counts), SEARCHING + 1, Woken::ByNotify)?;
        self.wakeups.fetch_add(1, Ordering::Relaxed);
        Some(index)
    }

    /// Called by a worker that is not searching: the sleeper to wake so that it is not alone awake. It is already off the
    /// list and counted as awake. None if it is not alone, or nobody is there.
    pub(crate) fn call_partner(&self) -> Option<usize> {
        // One worker is awake, and does not search.
        let index = self.take_sleeper(|counts| counts == 1, 1, Woken::AsPartner)?;
        self.partners.fetch_add(1, Ordering::Relaxed);
        Some(index)
    }

    /// Takes a sleeper off the list and counts it, if it is `wanted` as the counts are.
    fn take_sleeper(&self, wanted: impl Fn(usize) -> bool, counted: usize, woken: Woken) -> Option<usize> {
        if !wanted(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        // Again under the lock: of several that call at once, one wakes.
        if !wanted(self.counts.load(Ordering::SeqCst)) {
            return None;
        }
        // The last to fall asleep is woken first: its caches are the warmest.
        let index = sleepers.asleep.pop()?;
        if woken == Woken::AsPartner {
            sleepers.partner = Some(index);
        }
        self.counts.fetch_add(counted, Ordering::SeqCst);
        Some(index)
    }

    fn needs_one(&self, counts: usize) -> bool {
        counts / SEARCHING == 0 && (counts & AWAKE_MASK) < self.cores
    }

    /// A worker without work asks to search the others' queues. Refused when half of the workers
    /// search already: more of them would only get into each other's way.
    pub(crate) fn begin_search(&self) -> bool {
        let counts = self.counts.load(Ordering::SeqCst);
        if 2 * (counts / SEARCHING) >= self.cores {
            return false;
        }
        self.counts.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// A searching worker has found work, or gives up for the moment. After this the caller looks whether more work
    /// is visible, and if so calls [`notify`](Idle::notify) or sees to it itself: those who queued it while somebody
    /// was searching woke nobody.
    pub(crate) fn end_search(&self) {
        self.counts.fetch_sub(SEARCHING, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// Worker `index` goes to sleep. After this, and before it really sleeps, it looks once more
    /// for work: what was queued a moment ago has not woken it.
    pub(crate) fn fall_asleep(&self, index: usize, searching: bool) {
        let mut sleepers = self.sleepers.lock();
        let gone = if searching { SEARCHING + 1 } else { 1 };
        self.counts.fetch_sub(gone, Ordering::SeqCst);
        sleepers.asleep.push(index);
        drop(sleepers);
        fence(Ordering::SeqCst);
    }

    /// Worker `index` is up again, whatever woke it.
    pub(crate) fn wake_up(&self, index: usize) -> Woken {
        let mut sleepers = self.sleepers.lock();
        if let Some(at) = sleepers.asleep.iter().position(|&i| i == index) {
            sleepers.asleep.remove(at);
            self.counts.fetch_add(1, Ordering::SeqCst);
            return Woken::ByPort;
        }
        match sleepers.partner.take_if(|&mut partner| partner == index) {
            Some(_) => Woken::AsPartner,
            None => Woken::ByNotify,
        }
    }

    /// Do the workers of all cores sleep?
    pub(crate) fn all_asleep(&self) -> bool {
        self.counts().0 == self.cores
    }

    /// Do the workers of all cores but the caller's sleep?
    pub(crate) fn others_sleep(&self) -> bool {
        self.counts().0 + 1 >= self.cores
    }

    /// Workers asleep, and workers searching, at this moment.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let counts = self.counts.load(Ordering::Relaxed);
        (self.cores - (counts & AWAKE_MASK).min(self.cores), counts / SEARCHING)
    }

    /// How often a worker was woken for work that somebody queued.
    pub(crate) fn wakeups(&self) -> u64 {
        self.wakeups.load(Ordering::Relaxed)
    }

    /// How often a worker was woken as a partner.
    pub(crate) fn partners(&self) -> u64 {
        self.partners.load(Ordering::Relaxed)
    }
}
