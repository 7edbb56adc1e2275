//! Sections in which a cancel or a deadline ends the system call that the caller makes. Who does so, and how: `interrupt/`.
//!
//! A section is the task's (or the plain thread's). The outermost call of [`interruptible`] begins it and ends it. While the task is on a thread
//! in it, that thread's record says so. What is in the record (which task, which deadline) does not change during a stay. So if that changes, since
//! a `timeout` (a shield, a group) begins or ends in the section, or a stop was delivered, the thread leaves and enters again ([`changed`]). And so it is when the task
//! suspends, and goes on.
//!
//! A coroutine of another crate may leave the section's frame in another place than where it was entered. Then the stay there is ended by who
//! leaves (of a thread), or when that task suspends or ends.

#![allow(unsafe_code)]

use crate::interrupt::{self, Found, Kept, Record, Seen, Who};
use crate::wait::scopes::{self, Members};
use crate::worker::context;
use crate::worker::current::with_shared;
use ec_channel::interrupt::keeping_errno;
use ec_tasks::{GROUPS, Interrupter, Kind, Stay, Task};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

thread_local! {
    /// Of a thread that is no worker.
    static KEPT: Kept = const { Kept::new() };
}

/// There was a section in this process, ever.
static EVER: AtomicBool = AtomicBool::new(false);

/// Calls `f`. While it runs, a cancel of the task, and the deadline of a surrounding `timeout`, also ends the system call in which the caller blocks,
/// with `EINTR`. See `event_channel::task::interruptible`.
pub fn interruptible<R>(f: impl FnOnce() -> R) -> R {
    let _inside = Inside::enter();
    f()
}

/// The section is there, until this is dropped.
enum Inside {
    /// There is one around it, or none can be had.
    Nothing,
    /// With a record of the process, on whose thread it was entered.
    OfTask(Task, &'static Record),
    OfThread(&'static Record, Seen),
}

impl Inside {
    fn enter() -> Inside {
        if !EVER.load(Ordering::Acquire) {
            // (One installed before stays: it is this one.)
            // SAFETY: it does what it says, and calls nobody else's code.
            let _ = unsafe { ec_tasks::set_interrupter(&ENDS) };
            EVER.store(true, Ordering::Release);
        }
        let task = ec_tasks::current();
        let is_inside = match task {
            Some(_) => ec_tasks::in_section(),
            // (Also in a task's section, in what that has run on its thread.)
            None => record(|record| record.word.seen().is_some()) == Some(true),
        };
        let is_there = || record(|_| ()).is_some() || find_record();
        if is_inside || !is_there() {
            return Inside::Nothing;
        }
        let Some(signal) = signal() else { return Inside::Nothing };
        come(stay(signal));
        match (task, record(|record| (record, record.word.seen()))) {
            (Some(task), Some((record, _))) => Inside::OfTask(task, record),
            (None, Some((record, Some(seen)))) => Inside::OfThread(record, seen),
            (_, _) => Inside::Nothing,
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        keeping_errno(|| match self {
            Inside::Nothing => {}
            // (In a child that was forked in the section: only what it lets through is to be put back.)
            Inside::OfTask(task, there) if !there.is_here() => {
                if task.runs_here() {
                    there.leave_of_parent(task.as_ptr());
                }
            }
            Inside::OfTask(task, _) => {
                if ec_tasks::with_current(|here| here == Some(task)) {
                    leave();
                }
                task.end_section();
            }
            Inside::OfThread(there, seen) => {
                let is_here = !there.is_here()
                    || ec_tasks::with_current(|task| task.is_none())
                        && record(|record| ptr::eq(record, *there)) == Some(true);
                if is_here { _ = there.leave() } else { _ = there.word.leave_stay(*seen) }
            }
        });
    }
}

/// Calls `f` with the record of this thread, if it has one.
fn record<R>(f: impl FnOnce(&'static Record) -> R) -> Option<R> {
    let of_worker = context::here(|context| context.map(|context| context.interrupts.get()));
    let record = match of_worker {
        Some(of_worker) => of_worker,
        None => record_of_own_thread(),
    };
    record.map(f)
}

// Never inlined: the address of a thread-local must not be kept across a suspension of the caller.
#[inline(never)]
fn record_of_own_thread() -> Option<&'static Record> {
    if is_on_own_thread() { KEPT.try_with(Kept::get).ok().flatten() } else { None }
}

/// Of the tasks that no worker of a pool runs only dedicated ones are bound to a thread.
fn is_on_own_thread() -> bool {
    ec_tasks::with_current(|task| task.is_none_or(|task| task.kind() == Kind::Dedicated))
}

/// This thread, which is no worker, has a record from now on. False: none can be had, since its thread-locals are gone, or the log is told why.
#[cold]
#[inline(never)]
fn find_record() -> bool {
    let keep = |kept: &Kept| Found::find().map(|found| kept.keep(found));
    is_on_own_thread() && KEPT.try_with(keep).ok().flatten().is_some()
}

/// The signal for what the caller does.
fn signal() -> Option<i32> {
    interrupt::signal(with_shared(|shared| shared.and_then(|shared| shared.interrupt_signal)))
}

/// Notes that the caller is in a section, on this thread, from now on. Nobody else's code runs in here.
fn come(stay: Stay) {
    let task = ec_tasks::with_current(|task| task.map_or(ptr::null(), Task::as_ptr));
    record(|record| record.enter(task, stay));
    let mut pending = ec_tasks::enter_section() && stay.cancel;
    if stay.groups != [0; GROUPS] {
        // Pairs with the one in `group_cancelled`: one of the two sees the other.
        fence(Ordering::SeqCst);
        pending |= scopes::cancel_pending();
    }
    if pending {
        record(Record::want_here);
    }
}

/// The caller is about to leave this thread, or is in no section any more.
fn leave() -> Stay {
    record(Record::leave).unwrap_or_default()
}

/// The end of the calls by `signal` as the deadlines around the caller are now.
fn stay(signal: i32) -> Stay {
    let (cancel, groups) = scopes::who_may_cancel();
    Stay { deadline: interrupt::clock_at(scopes::scope_deadline()), signal, cancel, groups }
}

/// Which deadline counts for the caller has changed, or whether it is to stop.
#[inline]
pub(crate) fn changed() {
    #[cold]
    fn come_again() {
        let is_inside = || {
            ec_tasks::in_section()
                || ec_tasks::with_current(|task| task.is_none())
                    && record(Record::is_in_own_section) == Some(true)
        };
        if is_inside() {
            keeping_errno(|| {
                let Stay { signal, .. } = leave();
                come(stay(signal));
            });
        }
    }
    if EVER.load(Ordering::Relaxed) {
        come_again();
    }
}

/// As [`ec_tasks::on_thread`]. What is delivered in `f` ends no call in a section that the caller is in.
pub fn on_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            changed();
        }
    }
    let _back = Back;
    ec_tasks::on_thread(f)
}

/// `group` was cancelled, and `task` may be in it.
pub fn group_cancelled<M: Members>(task: &Task, group: &Arc<M>) {
    fence(Ordering::SeqCst);
    if task.is_in_section() && !ec_tasks::forked() {
        let group = Who::Group(scopes::address_of(group), scopes::ANY_GROUP);
        interrupt::cancelled(task.as_ptr(), group);
    }
}

struct Ends;

static ENDS: &dyn Interrupter = &Ends;

// SAFETY: none of it suspends or panics. What is called is the pool's own, and system calls.
unsafe impl Interrupter for Ends {
    fn leaves(&self) -> Stay {
        keeping_errno(leave)
    }

    fn is_back(&self, before: Stay) {
        if !ec_tasks::forked() {
            keeping_errno(|| come(before));
        }
    }

    fn cancelled(&self, task: &Task) {
        interrupt::cancelled(task.as_ptr(), Who::Itself);
    }
}
