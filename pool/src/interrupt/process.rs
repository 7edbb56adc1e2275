//! What there is once in a process: the sender, with its plan and its bell; the list of records; the clock.
//!
//! A forked child has nothing of its parent's: not the thread that sends, and locks may be held by threads that are not there. So there all
//! begins anew with the first section, as in any process. What was the parent's stays as it was, for good: nobody looks at it, waits for it,
//! or frees it. (That this is a child is known from the [count of forks](ec_tasks::forks). It does not make the process one that had a
//! runtime.)

#![allow(unsafe_code)]

use super::clock::Clock;
use super::plan::{NEVER, Plan};
use super::record::{Due, Record};
use crate::quietly;
use ec_tasks::lock::{Condvar, Mutex};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Between two signals to one thread.
const AGAIN: Duration = Duration::from_millis(1);

/// See the module.
pub(crate) struct Process {
    /// It is the process after so many forks.
    forks: u32,
    pub(super) clock: Clock,
    plan: Plan,
    /// The sender is to look again.
    rung: Mutex<bool>,
    bell: Condvar,
    /// Of the sender.
    state: AtomicU8,
    /// The first of all records.
    pub(super) first: OnceLock<&'static Record>,
}

const NONE: u8 = 0;
const BEGINS: u8 = 1;
const RUNS: u8 = 2;

/// That of this process, or of one that it was forked from; null: none so far. What is put in here is never freed.
static LATEST: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());

impl Process {
    fn new(forks: u32) -> Process {
        Process {
            forks,
            clock: Clock::new(),
            plan: Plan::new(),
            rung: Mutex::new(false),
            bell: Condvar::new(),
            state: AtomicU8::new(NONE),
            first: OnceLock::new(),
        }
    }

    /// This one, if it has had a section.
    pub(super) fn here() -> Option<&'static Process> {
        // SAFETY: null, or never freed.
        let latest = unsafe { LATEST.load(Ordering::Acquire).as_ref() };
        latest.filter(|latest| latest.is_here())
    }

    /// This one. (It may allocate.) `None`, and the log is told why: a child could not know that it is one.
    pub(super) fn here_or_new() -> Option<&'static Process> {
        Process::here().or_else(Process::begin)
    }

    #[cold]
    fn begin() -> Option<&'static Process> {
        if !ec_tasks::count_forks() {
            quietly!(warn, "{WITHOUT}, since there is no memory to know of forks");
            return None;
        }
        loop {
            let latest = LATEST.load(Ordering::Acquire);
            if let Some(here) = Process::here() {
                return Some(here);
            }
            let new = Box::into_raw(Box::new(Process::new(ec_tasks::forks())));
            if LATEST.compare_exchange(latest, new, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // SAFETY: nobody else has it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    /// Is it this process? Otherwise this is a forked child.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        self.forks == ec_tasks::forks()
    }

    /// The records of all threads.
    pub(super) fn records(&self) -> impl Iterator<Item = &'static Record> {
        std::iter::successors(self.first.get().copied(), |record| record.next())
    }

    /// There is a sender. False, and the log is told why: none can be had.
    #[inline]
    pub(super) fn has_sender(&'static self) -> bool {
        // (Who finds that somebody else starts it just now goes on: it will look at all who are there.)
        if self.state.load(Ordering::Acquire) != NONE
            || self.state.compare_exchange(NONE, BEGINS, Ordering::AcqRel, Ordering::Acquire).is_err()
        {
            return true;
        }
        let begun = self.start_sender();
        self.state.store(if begun { RUNS } else { NONE }, Ordering::Release);
        begun
    }

    #[cold]
    fn start_sender(&'static self) -> bool {
        // In a child that was forked while some thread of the program began or ended, std could begin none.
        let begun = ec_tasks::start_plain_thread(c"ec-interrupts", || self.run());
        if let Err(error) = &begun {
            quietly!(warn, "{WITHOUT}, since no thread can do it: {error}");
        }
        begun.is_ok()
    }

    /// Somebody has entered a section, with this deadline: the sender is not to miss it.
    pub(super) fn entered(&self, deadline: u64) {
        if self.plan.is_late_for(deadline) {
            self.ring();
        }
    }

    /// The sender is to look.
    pub(super) fn ring(&self) {
        let rung = std::mem::replace(&mut *self.rung.lock(), true);
        if !rung {
            self.bell.notify_one();
        }
    }

    /// The sender.
    fn run(&self) -> ! {
        loop {
            self.plan.looks();
            let next = self.look();
            self.plan.sleeps_until(next);
            self.sleep(self.clock.time(next));
        }
    }

    /// Until somebody rings, or `end`.
    fn sleep(&self, end: Option<Instant>) {
        let mut rung = self.rung.lock();
        while !*rung {
            match end {
                None => self.bell.wait(&mut rung),
                Some(end) => {
                    if self.bell.wait_until(&mut rung, end) {
                        break;
                    }
                }
            }
        }
        *rung = false;
    }

    /// Sends to whom there is something to send, and gives the time of the next look.
    fn look(&self) -> u64 {
        let now = self.clock.now();
        let again = now.saturating_add(AGAIN.as_nanos() as u64);
        let mut next = NEVER;
        for record in self.records() {
            match record.due(now) {
                Due::Nothing => {}
                Due::At(deadline) => next = next.min(deadline),
                Due::Now(seen) => {
                    record.send(seen);
                    next = next.min(again);
                }
            }
        }
        next
    }
}

const WITHOUT: &str = "blocking calls in interruptible sections will not be interrupted";
