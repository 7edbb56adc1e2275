//! What is known of a thread that enters sections. There is one record for each such thread of the process, in one list. A record is never
//! freed: when its thread is gone another one gets it. In a forked child those of the parent are nobody's (`process.rs`); also the thread that
//! has forked gets another one there.

use super::plan::NEVER;
use super::process::Process;
use super::word::{Seen, Word};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use ec_channel::interrupt;
use ec_tasks::{GROUPS, Stay};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32};

/// See the module.
pub(crate) struct Record {
    process: &'static Process,
    pub(crate) word: Word,
    /// The task that is in the section, as a number to compare; 0: none.
    task: AtomicUsize,
    /// Its own cancel counts.
    cancel: AtomicBool,
    /// The groups whose cancels do.
    groups: [AtomicUsize; GROUPS],
    /// When its calls are to be ended, by the sections' clock.
    deadline: AtomicU64,
    /// By which signal. Whoever sends changes it, if the program has taken that one meanwhile.
    signal: AtomicI32,
    /// The one that the thread has let through as it entered.
    let_through: AtomicI32,
    /// It keeps that out, but for the section.
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
    fn new(process: &'static Process) -> Record {
        Record {
            process,
            word: Word::new(),
            task: AtomicUsize::new(0),
            cancel: AtomicBool::new(false),
            groups: [const { AtomicUsize::new(0) }; GROUPS],
            deadline: AtomicU64::new(NEVER),
            signal: AtomicI32::new(0),
            let_through: AtomicI32::new(0),
            keeps_out: AtomicBool::new(false),
            thread: AtomicI32::new(0),
            in_use: AtomicBool::new(true),
            sent_in: AtomicU64::new(0),
            count: AtomicU32::new(0),
            next: OnceLock::new(),
        }
    }

    /// One that nobody uses, of this process. (It may allocate.) `None`, and the log is told why: there can be none.
    fn find() -> Option<&'static Record> {
        let process = Process::here_or_new()?;
        let free = |record: &&Record| {
            record.in_use.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        Some(process.records().find(free).unwrap_or_else(|| {
            let new: &'static Record = Box::leak(Box::new(Record::new(process)));
            let mut place = &process.first;
            while place.set(new).is_err() {
                if let Some(other) = place.get() {
                    place = &other.next;
                }
            }
            new
        }))
    }

    /// The one behind this.
    pub(super) fn next(&self) -> Option<&'static Record> {
        self.next.get().copied()
    }

    /// Is it of this process? Otherwise this is a forked child, and it is nobody's any more.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.process.is_here()
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
        self.let_through.store(signal, Ordering::Relaxed);
        self.keeps_out.store(interrupt::unblock(signal), Ordering::Relaxed);
        self.word.enter();
        self.process.entered(deadline);
    }

    /// The calling thread, whose record this is, is in no section any more: it waits for whoever sends to it, and has handled what was sent when
    /// this returns. Gives what was noted of the section.
    pub(crate) fn leave(&self) -> Stay {
        let was_inside = self.word.seen().is_some();
        // (Who was about to send when the process forked is not there in the child.)
        let was_sent = was_inside && self.word.leave(|| !self.is_here());
        let signal = self.signal.load(Ordering::Relaxed);
        if was_inside {
            let let_through = self.let_through.load(Ordering::Relaxed);
            // What was sent has reached the thread, which handles it as this call returns. (The section's code may have kept it out.)
            let was_kept_out = was_sent && interrupt::unblock(signal);
            if was_kept_out && signal != let_through {
                interrupt::block(signal);
            }
            if self.keeps_out.load(Ordering::Relaxed) || was_kept_out && signal == let_through {
                interrupt::block(let_through);
            }
        }
        Stay {
            deadline: self.deadline.load(Ordering::Relaxed),
            signal,
            cancel: self.cancel.load(Ordering::Relaxed),
            groups: std::array::from_fn(|place| self.groups[place].load(Ordering::Relaxed)),
        }
    }

    /// In a child that `task` has forked, on that thread: what the thread lets through for its section is put back. (The task may have been
    /// on another thread, with another record, when it entered it.)
    pub(crate) fn leave_of_parent(&self, task: *const ()) {
        let is_its = |record: &&Record| {
            record.word.seen().is_some() && record.task.load(Ordering::Relaxed) == task as usize
        };
        self.process.records().find(is_its).into_iter().for_each(|record| _ = record.leave());
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
        self.process.ring();
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
        let is_taken = interrupt::is_taken(signal);
        if is_taken
            && self.sent_in.load(Ordering::Relaxed) == seen.stay()
            && self.count.load(Ordering::Relaxed) == count
        {
            // It could not take it yet. A second one would be queued behind it.
            return;
        }
        // (The program may have taken the signal. Then it is another one.)
        let signal = if is_taken { Some(signal) } else { super::another_signal(thread, signal) };
        let Some(signal) = signal else { return };
        if !self.word.begin_send(seen) {
            return;
        }
        self.signal.store(signal, Ordering::Relaxed);
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
        Found::find().into_iter().for_each(|found| kept.keep(found));
        kept
    }

    /// (Not that which it had in the process that this one was forked from.)
    pub(crate) fn get(&self) -> Option<&'static Record> {
        self.0.get().filter(|record| record.is_here())
    }

    /// The calling thread's, from now on, unless it has one.
    pub(crate) fn keep(&self, found: Found) {
        if self.get().is_none() {
            let record = found.0;
            std::mem::forget(found);
            record.thread.store(interrupt::this_thread(), Ordering::Relaxed);
            self.0.set(Some(record));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(record) = self.get() {
            record.leave();
            drop(Found(record));
        }
    }
}

/// A record that is no thread's.
pub(crate) struct Found(&'static Record);

impl Found {
    /// It may allocate. `None`, and the log is told why: there can be none.
    pub(crate) fn find() -> Option<Found> {
        Record::find().map(Found)
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        self.0.in_use.store(false, Ordering::Release);
    }
}
