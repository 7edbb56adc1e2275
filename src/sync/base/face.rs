//! The primitives of this folder, and of the types that stand on it; see `src/sync/base/mod.rs`.

pub(crate) use ec_pool::wait::{Look, Sleeper, Stop, look};
pub(crate) use ec_tasks::WaitKind;
pub(crate) use ec_tasks::lock::{Mutex, MutexGuard};
pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
pub(crate) use std::time::Instant;

use std::time::Duration;

/// So often one tries again before one waits.
pub(crate) const TRIES: u32 = 60;

/// Who has waited for so long is not passed over any more.
const PATIENCE: Duration = Duration::from_micros(500);

pub(crate) fn has_waited_for_long(since: Instant) -> bool {
    since.elapsed() >= PATIENCE
}

/// A function that a `static` can be made by. (Loom's primitives cannot be made so.)
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$meta])* $vis const fn $($rest)* };
}
pub(crate) use const_fn;
