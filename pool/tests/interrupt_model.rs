//! The word under which a thread in a section is sent signals, and the plan of who sends them, model-checked by loom against the production
//! source.
//!
//! What the kernel does is a queue of signals: one that is sent is in it, and is handled when the thread makes a system call. None is to be there
//! when the thread has left the section, and none is to be missing when it is to stop.
#![cfg(loom)]

// The files under test are those the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/interrupt/plan.rs"]
mod plan;
#[allow(dead_code)]
#[path = "../src/interrupt/word.rs"]
mod word;
// Its bits, and where they lie, are a part of the protocol.
#[allow(dead_code)]
#[path = "../../tasks/src/task/cancel_flags.rs"]
mod cancel_flags;

mod model;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};

    pub(crate) fn snooze(_: &mut u32) {
        loom::thread::yield_now();
    }
}

use cancel_flags::CancelFlags;
use ec_test_support::limit;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use loom::thread;
use model::explore;
use plan::{NEVER, Plan};
use word::Word;

/// One thread, as others see it. (The numbers of tasks are 1 and 2.)
struct Seen {
    word: Word,
    /// Who is in the section.
    task: AtomicUsize,
    /// Signals in the kernel's queue.
    queued: AtomicUsize,
    /// For whom the last one was meant.
    meant: AtomicUsize,
}

impl Seen {
    fn new() -> Arc<Seen> {
        Arc::new(Seen {
            word: Word::new(),
            task: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            meant: AtomicUsize::new(0),
        })
    }

    fn enter(&self, task: usize) {
        self.task.store(task, Ordering::Relaxed);
        self.word.enter();
    }

    /// Gives how many signals have come.
    fn leave(&self) -> usize {
        let handled = if self.word.leave(|| false) { self.queued.swap(0, Ordering::Relaxed) } else { 0 };
        assert_eq!(self.queued.load(Ordering::Relaxed), 0, "the next task on the thread is interrupted");
        handled
    }

    fn cancel(&self, task: usize) -> bool {
        self.word.seen().is_some_and(|seen| self.task.load(Ordering::Relaxed) == task && self.word.want(seen))
    }

    /// The sender looks once. True: it has sent.
    fn look(&self) -> bool {
        let Some(seen) = self.word.seen() else { return false };
        // (Read where the sender reads the deadline.)
        let task = self.task.load(Ordering::Relaxed);
        if !seen.is_wanted() || !self.word.begin_send(seen) {
            return false;
        }
        self.meant.store(task, Ordering::Relaxed);
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.word.end_send(false);
        true
    }
}

/// Two tasks, one after the other; the first is cancelled. It gets the signal, or nobody does.
#[test]
fn the_next_task_on_the_thread_sees_no_signal() {
    limit(600, || {
        let ends = explore(4, || {
            let seen = Seen::new();
            let sender = thread::spawn({
                let seen = seen.clone();
                move || usize::from(seen.look()) + usize::from(seen.look())
            });
            let cancels = thread::spawn({
                let seen = seen.clone();
                move || seen.cancel(1)
            });
            seen.enter(1);
            let first = seen.leave();
            seen.enter(2);
            let second = seen.leave();
            let sent = sender.join().unwrap();
            cancels.join().unwrap();
            assert_eq!((first, second), (sent, 0));
            assert!(sent == 0 || seen.meant.load(Ordering::Relaxed) == 1);
            sent
        });
        assert_eq!(ends, [0, 1, 2]);
    });
}

/// In a forked child nobody goes on who was about to send.
#[test]
fn a_child_waits_for_nobody_who_was_about_to_send() {
    limit(600, || {
        let ends = explore(4, || {
            let seen = Seen::new();
            seen.enter(1);
            let begun = seen.word.begin_send(seen.word.seen().unwrap());
            let was_sent = seen.word.leave(|| true);
            assert!(begun && was_sent && seen.word.seen().is_none());
            was_sent
        });
        assert_eq!(ends, [true]);
    });
}

/// Who leaves from elsewhere (a coroutine has gone on there) ends no other stay.
#[test]
fn a_stay_that_is_left_elsewhere_is_the_only_one() {
    limit(600, || {
        let ends = explore(4, || {
            let seen = Seen::new();
            seen.enter(1);
            let stay = seen.word.seen().unwrap();
            let elsewhere = thread::spawn({
                let seen = seen.clone();
                move || _ = seen.word.leave_stay(stay)
            });
            seen.leave();
            seen.enter(2);
            elsewhere.join().unwrap();
            let is_inside = seen.word.seen().is_some();
            assert!(is_inside);
            is_inside
        });
        assert_eq!(ends, [true]);
    });
}

/// A task comes to its thread while it is cancelled: the one of both sees the other.
#[test]
fn no_cancel_is_missed() {
    limit(600, || {
        let ends = explore(4, || {
            let seen = Seen::new();
            let flags = Arc::new(CancelFlags::new());
            let cancels = thread::spawn({
                let (seen, flags) = (seen.clone(), flags.clone());
                move || flags.ask(false) && seen.cancel(1)
            });
            seen.enter(1);
            let pending = flags.enter_section();
            if pending {
                assert!(seen.cancel(1));
            }
            let found = cancels.join().unwrap();
            assert!(pending || found);
            assert!(seen.word.seen().unwrap().is_wanted());
            (pending, found)
        });
        assert_eq!(ends, [(false, true), (true, false)]);
    });
}

/// Somebody enters with a deadline: the sender looks before that, or has been woken.
#[test]
fn no_deadline_is_slept_through() {
    limit(600, || {
        let ends = explore(4, || {
            let seen = Seen::new();
            let deadline = Arc::new(AtomicU64::new(NEVER));
            let plan = Arc::new(Plan::new());
            let rung = Arc::new(AtomicBool::new(false));
            // The time has come for which it had planned before.
            plan.sleeps_until(10);
            let enters = thread::spawn({
                let (seen, deadline, plan, rung) =
                    (seen.clone(), deadline.clone(), plan.clone(), rung.clone());
                move || {
                    deadline.store(50, Ordering::Relaxed);
                    seen.enter(1);
                    if plan.is_late_for(50) {
                        rung.store(true, Ordering::Relaxed);
                    }
                }
            });
            plan.looks();
            let found = seen.word.seen().map_or(NEVER, |_| deadline.load(Ordering::Relaxed));
            plan.sleeps_until(found.min(100));
            enters.join().unwrap();
            let rung = rung.load(Ordering::Relaxed);
            assert!(found == 50 || rung);
            (found == 50, rung)
        });
        // (It may be woken for nothing.)
        assert_eq!(ends, [(false, true), (true, false), (true, true)]);
    });
}
