//! What makes a thread a worker: its stock for tasks, and a signal stack on which an overflow can be reported.
//!
//! A thread may have several guards, and they may go in any order. So the guards of a thread form a list. Each takes
//! out what is its own:
//!
//! * its place in the list;
//! * its stock;
//! * its signal stack. That may be the one in force, or the one that a later guard is going to put back, or one that
//!   somebody else has set another one over.
//!
//! This file has `unsafe` in it: the list, the mapping, the system call.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::ptr;
use std::sync::Arc;

use super::{WorkerLocal, overflow};
use crate::here;
use crate::task::Scheduler;
use crate::util::foreign::drop_quietly;

/// Bytes of a worker's signal stack.
const SIGNAL_STACK: usize = 256 * 1024;
const PAGE_GUARD: usize = 64 * 1024;

/// A worker thread's provisions: see [`prepare_worker_thread`].
pub struct WorkerGuard {
    /// From a `Box`.
    place: *mut GuardNode,
    /// It belongs to its thread.
    _here: PhantomData<*mut ()>,
}

/// A guard in the list of its thread.
struct GuardNode {
    /// The guard made before this one, of those that are left.
    below: Cell<*const GuardNode>,
    /// From a `Box`: see `schedule`.
    local: *mut WorkerLocal,
    signal_stack: SignalStack,
    /// What was in force in place of that.
    before: Cell<libc::stack_t>,
}

thread_local! {
    /// The guard that was made last, of those that are left. (Without a destructor: guards may be dropped by one.)
    static LAST: Cell<*const GuardNode> = const { Cell::new(ptr::null()) };
}

/// Prepares this thread for running tasks: a signal stack of its own, of 256 KiB, on which an
/// overflow of a task's stack can be reported, and (once in the process) the handler. The guard keeps
/// `own`, the scheduler whose tasks this thread is going to run, so that waking one of them from here
/// need not count it; and the thread keeps the stack of the task that ended last for the next one.
///
/// The control bits of the floating-point unit that are in force now are the thread's from here on: what tasks set there
/// does not stay. What else the thread calls should leave them alone, or be called by [`keeping_float_control`](crate::keeping_float_control).
///
/// Dropping the guard restores the signal stack that the thread had before. A thread may have several guards; they are
/// dropped in any order, and the one made last, of those that are left, is what the thread works with.
///
/// # Errors
/// No memory for the signal stack.
///
/// # Panics
/// In a task.
///
/// # Safety
/// * The guard is dropped, if at all, where no task runs on this thread and no function of a scheduler is under way: not by what a task
///   does through [`on_thread`](crate::on_thread), for one. (What is in use then is leaked. The signal stack is not watched so closely.)
/// * The signal stack that is in force now stays mapped until the guard is gone; and who sets another one over the guard's
///   does not put that back any more after he has put it back once.
///
/// ```compile_fail,E0133
/// # use std::sync::Arc;
/// # fn work(scheduler: Arc<dyn ec_tasks::Scheduler>) {
/// // Not in safe code: it could have a task drop the guard of the thread that runs it.
/// let guard = ec_tasks::prepare_worker_thread(scheduler);
/// # }
/// ```
/// ```
/// # use std::sync::Arc;
/// # fn work(scheduler: Arc<dyn ec_tasks::Scheduler>) -> std::io::Result<()> {
/// // SAFETY: it is dropped at the end of this function, which no task calls; nothing in it sets a signal stack.
/// let guard = unsafe { ec_tasks::prepare_worker_thread(scheduler)? };
/// // .. run tasks ..
/// drop(guard);
/// # Ok(())
/// # }
/// ```
pub unsafe fn prepare_worker_thread(own: Arc<dyn Scheduler>) -> io::Result<WorkerGuard> {
    here::assert_outside_of_tasks();
    overflow::install_handler();
    let signal_stack = SignalStack::map()?;
    let local = Box::new(WorkerLocal::new(own));
    let below = Cell::new(LAST.get());
    let mut place =
        Box::new(GuardNode { below, local: ptr::null_mut(), signal_stack, before: Cell::new(nothing()) });
    // SAFETY: what the kernel is told of stays mapped until the guard's drop has found that nobody refers to it. (If the call
    // fails, the box takes it away.)
    if unsafe { libc::sigaltstack(&place.signal_stack.for_kernel(), place.before.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    place.local = Box::into_raw(local);
    // SAFETY: the guard's drop takes it back before it goes.
    unsafe { here::set_worker(place.local.cast_const().cast()) };
    let place = Box::into_raw(place);
    LAST.set(place);
    Ok(WorkerGuard { place, _here: PhantomData })
}

impl Drop for WorkerGuard {
    fn drop(&mut self) {
        // SAFETY: from a Box, and dropped here only; the guard cannot be sent, so that this is its thread and its list.
        unsafe {
            if !unlink(self.place) {
                return;
            }
            let last = LAST.get();
            here::set_worker(last.as_ref().map_or(ptr::null(), |last| last.local.cast_const().cast()));
            let mut place = Box::from_raw(self.place);
            if !give_up_signal_stack(&place) {
                // Somebody may put it back: rather leaked than gone under him.
                mem::forget(mem::replace(&mut place.signal_stack, SignalStack { mapping: 0 }));
            }
            // The last thing, as it may be the scheduler's last reference, whose own drop is somebody's code: that finds a
            // thread that is no worker, or another guard's. (Where a task runs on it, or it is in the midst of waking one, it is
            // leaked.)
            if !(*place.local).is_in_use() {
                drop_quietly(Box::from_raw(place.local));
            }
        }
    }
}

/// This thread's guards, the last one first.
fn all() -> impl Iterator<Item = &'static GuardNode> {
    let mut next = LAST.get();
    std::iter::from_fn(move || {
        // SAFETY: each takes itself out of the list before it is freed; the callers are in this file, call nobody's code
        // meanwhile and keep nothing.
        let place = unsafe { next.as_ref()? };
        next = place.below.get();
        Some(place)
    })
}

/// False: it is not in the list, which is none of this thread's then. Nothing is done.
fn unlink(gone: *const GuardNode) -> bool {
    let Some(place) = all().find(|place| ptr::eq(*place, gone)) else { return false };
    match all().find(|above| ptr::eq(above.below.get(), gone)) {
        Some(above) => above.below.set(place.below.get()),
        None => LAST.set(place.below.get()),
    }
    true
}

/// `gone` has been taken out of the list. True: it is certain that neither the kernel nor anybody else refers to its signal stack
/// any more.
fn give_up_signal_stack(gone: &GuardNode) -> bool {
    let is_ours = |stack: &libc::stack_t| {
        stack.ss_flags & libc::SS_DISABLE == 0 && stack.ss_sp == gone.signal_stack.for_kernel().ss_sp
    };
    let before = gone.before.get();
    let mut certain = false;
    // A later guard would put ours back. So that it puts back what was before us, nobody having set one in between.
    for later in all().filter(|later| is_ours(&later.before.get())) {
        later.before.set(before);
        certain = true;
    }
    let mut now = nothing();
    // SAFETY: a place for the answer; then the stack that was in force before ours. Refused if this runs on ours.
    unsafe {
        if libc::sigaltstack(ptr::null(), &mut now) != 0 {
            return false;
        }
        if is_ours(&now) {
            return libc::sigaltstack(&before, ptr::null_mut()) == 0;
        }
    }
    // If neither the kernel nor a guard has it, somebody has set another one over it, and may remember ours.
    certain
}

fn nothing() -> libc::stack_t {
    libc::stack_t { ss_sp: ptr::null_mut(), ss_flags: libc::SS_DISABLE, ss_size: 0 }
}

/// The mapping of a signal stack, with a guard at its low end. Unmapped when dropped.
struct SignalStack {
    /// 0: none.
    mapping: usize,
}

impl SignalStack {
    fn map() -> io::Result<SignalStack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, whose low end is made inaccessible.
        unsafe {
            let mapping = libc::mmap(ptr::null_mut(), PAGE_GUARD + SIGNAL_STACK, protection, flags, -1, 0);
            if mapping == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stack = SignalStack { mapping: mapping as usize };
            if libc::mprotect(mapping, PAGE_GUARD, libc::PROT_NONE) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(stack)
        }
    }

    fn for_kernel(&self) -> libc::stack_t {
        libc::stack_t {
            ss_sp: (self.mapping + PAGE_GUARD) as *mut libc::c_void,
            ss_flags: 0,
            ss_size: SIGNAL_STACK,
        }
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        if self.mapping != 0 {
            // SAFETY: made in `map`; whoever drops it knows that nobody refers to it.
            unsafe { libc::munmap(self.mapping as *mut _, PAGE_GUARD + SIGNAL_STACK) };
        }
    }
}
