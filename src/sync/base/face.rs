//! The primitives of this folder, and of the types that stand on it; see `src/sync/base/mod.rs`.

pub(crate) use super::queues::{Queue, Ring};
pub(crate) use ec_channel::ring::{Refused, Taken};
pub(crate) use ec_pool::wait::{AbortOnUnwind, Look, Sleeper, Stop, look, some_may_be_gone};
pub(crate) use ec_tasks::WaitKind;
pub(crate) use ec_tasks::lock::{ForkMutex, Forked, MutexGuard};
pub(crate) use ec_tasks::room::lock_with_room;
pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::time::Instant;

use std::cell::Cell;
use std::time::Duration;

/// So often one tries again before one waits, each time after twice as long.
pub(crate) const TRIES: u32 = 6;

/// Who has waited for so long is not passed over any more.
const PATIENCE: Duration = Duration::from_micros(500);

pub(crate) fn has_waited_for_long(since: Instant) -> bool {
    since.elapsed() >= PATIENCE
}

/// Has one that comes too late time and again done so for long? (The first time it does not know: the clock is not read before.)
pub(crate) fn has_lost_for_long(since: &mut Option<Instant>) -> bool {
    match *since {
        Some(since) => has_waited_for_long(since),
        None => {
            *since = Some(Instant::now());
            false
        }
    }
}

/// The caller has just moved an end of a queue, and looks now whether anybody waits; or has said that it waits, and looks whether there is
/// something: in this order to all. (The step is [`SeqCst`](Ordering::SeqCst) itself, as is the look. In the model, which does not know that
/// order, this is a fence.)
#[inline(always)]
pub(crate) fn after_step() {}

/// A task that goes on for long without waiting lets others run. (Threads are the kernel's affair.)
#[cold]
pub(crate) fn let_others_run() {
    if ec_pool::wait::in_task() {
        ec_tasks::yield_now();
    }
}

/// So many calls of a task that may wait, and need not, lie between two of its rests.
const CALLS_TO_REST: u32 = 32;

/// The caller is about to ask for what it may find at once, again and again. Of a task's calls each thirty-second lets others run first:
/// before it has taken anything, for it might not run again.
#[inline]
pub(crate) fn let_others_run_at_times() {
    std::thread_local!(static CALLS: Cell<u32> = const { Cell::new(0) });
    let calls = CALLS.with(|calls| {
        calls.set(calls.get().wrapping_add(1));
        calls.get()
    });
    if calls.is_multiple_of(CALLS_TO_REST) {
        let_others_run();
    }
}

/// A function that a `static` can be made by. (Loom's primitives cannot be made so.)
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$meta])* $vis const fn $($rest)* };
}
pub(crate) use const_fn;
