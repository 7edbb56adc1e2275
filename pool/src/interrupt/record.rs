//! What is known of a thread that enters sections. There is one record for each such thread of the process, in one list. A record is never
//! freed: when its thread is gone another one gets it.

use super::plan::NEVER;
use super::word::{Seen, Word};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use ec_channel::interrupt;
use ec_tasks::{GROUPS, Stay};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32};

/// See the module.
pub(crate) struct Record {
    pub(crate) word: Word,
    /// The task that is in the section, as a number to compare; 0: none.
    task: AtomicUsize,
    /// Its own cancel counts.
    cancel: AtomicBool,
    /// The groups whose cancels do.
    groups: [AtomicUsize; GROUPS],
    /// When its calls are to be ended, by the sections' clock.
    deadline: AtomicU64,
    signal: AtomicI32,
    /// The thread keeps the signal out, but for the section.
    keeps_out: AtomicBool,
    /// The kernel's number of the thread.
    thread: AtomicI32,
    in_use: AtomicBool,
    // What follows is of the thread that sends.
    /// The stay in which a signal was sent last, and what the count of the thread's was before.
    sent_in: AtomicU64,
    count: AtomicU32,
    next: OnceLock<&'static Record>,
}

/// The first of all.
static FIRST: OnceLock<&'static Record> = OnceLock::new();

/// The records of all threads.
pub(super) fn all() -> impl Iterator<Item = &'static Record> {
    std::iter::successors(FIRST.get().copied(), |record| record.next.get().copied())
}

/// Whose cancel it is.
#[derive(Clone, Copy)]
pub(crate) enum Who {
    /// The task's own.
    Itself,
    /// Of this group; the other number stands for whatever group.
    Group(usize, usize),
}

/// What is to be done for a thread.
pub(super) enum Due {
    Nothing,
    At(u64),
    Now(Seen),
}

impl Record {
    fn new() -> Record {
        Record {
            word: Word::new(),
            task: AtomicUsize::new(0),
            cancel: AtomicBool::new(false),
            groups: [const { AtomicUsize::new(0) }; GROUPS],
            deadline: AtomicU64::new(NEVER),
            signal: AtomicI32::new(0),
            keeps_out: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            in_use: AtomicBool::new(true),
            sent_in: AtomicU64::new(0),
            count: AtomicU32::new(0),
            next: OnceLock::new(),
        }
    }

    /// One that nobody uses. (It may allocate.)
    fn find() -> &'static Record {
        let free = |record: &&Record| {
            record.in_use.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        all().find(free).unwrap_or_else(|| {
            let new: &'static Record = Box::leak(Box::new(Record::new()));
            let mut place = &FIRST;
            while place.set(new).is_err() {
                if let Some(other) = place.get() {
                    place = &other.next;
                }
            }
            new
        })
    }

    /// The calling thread, whose record this is, is in a section from now on, for this task, if it is one's.
    pub(crate) fn enter(&self, task: *const (), stay: Stay) {
        self.leave();
        let Stay { deadline, signal, cancel, groups } = stay;
        self.cancel.store(cancel, Ordering::Relaxed);
        std::iter::zip(&self.groups, groups).for_each(|(place, group)| place.store(group, Ordering::Relaxed));
        self.task.store(task as usize, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
        self.signal.store(signal, Ordering::Relaxed);
        self.keeps_out.store(interrupt::unblock(signal), Ordering::Relaxed);
        self.word.enter();
    }

    /// The calling thread, whose record this is, is in no section any more: it waits for whoever sends to it, and has handled what was sent when
    /// this returns. Gives what was noted of the section.
    pub(crate) fn leave(&self) -> Stay {
        let signal = self.signal.load(Ordering::Relaxed);
        let stay = Stay {
            deadline: self.deadline.load(Ordering::Relaxed),
            signal,
            cancel: self.cancel.load(Ordering::Relaxed),
            groups: std::array::from_fn(|place| self.groups[place].load(Ordering::Relaxed)),
        };
        if self.word.seen().is_none() {
            return stay;
        }
        let mut keeps_out = self.keeps_out.load(Ordering::Relaxed);
        if ec_tasks::forked() {
            self.word.forget();
        } else if self.word.leave() {
            // What was sent has reached the thread, which handles it as this call returns. (The section's code may have kept it out.)
            keeps_out |= interrupt::unblock(signal);
        }
        if keeps_out {
            interrupt::block(signal);
        }
        stay
    }

    /// Is the thread in a section that is no task's?
    pub(crate) fn is_in_own_section(&self) -> bool {
        self.word.seen().is_some() && self.task.load(Ordering::Relaxed) == 0
    }

    /// If `task` is in a section here, and `who` cancels it, it is sent signals from now on. False: it is not.
    pub(super) fn want(&self, task: *const (), who: Who) -> bool {
        let counts = || match who {
            Who::Itself => self.cancel.load(Ordering::Relaxed),
            Who::Group(group, any) => self.groups.iter().any(|place| {
                let noted = place.load(Ordering::Relaxed);
                noted == group || noted == any
            }),
        };
        self.word.seen().is_some_and(|seen| {
            self.task.load(Ordering::Relaxed) == task as usize && counts() && self.word.want(seen)
        })
    }

    /// The calling thread, whose record this is and which is in a section, is sent signals from now on.
    pub(crate) fn want_here(&self) {
        self.word.seen().into_iter().for_each(|seen| _ = self.word.want(seen));
    }

    pub(super) fn due(&self, now: u64) -> Due {
        let Some(seen) = self.word.seen() else { return Due::Nothing };
        match self.deadline.load(Ordering::Relaxed) {
            _ if seen.is_wanted() => Due::Now(seen),
            NEVER => Due::Nothing,
            deadline if deadline <= now => Due::Now(seen),
            deadline => Due::At(deadline),
        }
    }

    /// Sends the thread a signal, if it is as it was seen, and has handled the one before.
    pub(super) fn send(&self, seen: Seen) {
        let thread = self.thread.load(Ordering::Relaxed);
        let signal = self.signal.load(Ordering::Relaxed);
        let count = interrupt::count_of(thread);
        if self.sent_in.load(Ordering::Relaxed) == seen.stay() && self.count.load(Ordering::Relaxed) == count
        {
            // It could not take it yet. A second one would be queued behind it.
            return;
        }
        // (The program may have taken the signal. Then it is another one.)
        let signal =
            Some(signal).filter(|signal| interrupt::is_taken(*signal)).or_else(super::another_signal);
        let Some(signal) = signal else { return };
        if !self.word.begin_send(seen) {
            return;
        }
        let sent = interrupt::send(thread, signal);
        self.word.end_send(sent.is_err());
        if let Ok(true) = sent {
            self.count.store(count, Ordering::Relaxed);
            self.sent_in.store(seen.stay(), Ordering::Relaxed);
        }
    }
}

/// The record of a thread, if it has one, for as long as this lives. It is dropped on that thread.
pub(crate) struct Kept(Cell<Option<&'static Record>>);

impl Kept {
    pub(crate) const fn new() -> Kept {
        Kept(Cell::new(None))
    }

    /// The calling thread's. (It may allocate.)
    pub(crate) fn of_this_thread() -> Kept {
        let kept = Kept::new();
        kept.keep(Found::find());
        kept
    }

    pub(crate) fn get(&self) -> Option<&'static Record> {
        self.0.get()
    }

    /// The calling thread's, from now on, unless it has one.
    pub(crate) fn keep(&self, found: Found) {
        if self.0.get().is_none() {
            let record = found.0;
            std::mem::forget(found);
            record.thread.store(interrupt::this_thread(), Ordering::Relaxed);
            self.0.set(Some(record));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(record) = self.0.get() {
            record.leave();
            drop(Found(record));
        }
    }
}

/// A record that is no thread's.
pub(crate) struct Found(&'static Record);

impl Found {
    /// It may allocate.
    pub(crate) fn find() -> Found {
        Found(Record::find())
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        self.0.in_use.store(false, Ordering::Release);
    }
}
