//! What tells tasks apart.

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells tasks apart: a number that is never used twice in a process. A plain thread can have one, too, from the upper half of the
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// The first of `count` numbers that the caller alone has.
    pub(crate) fn reserve(count: u64) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(count, Ordering::Relaxed)
    }

    /// One of those.
    pub(crate) fn from_reserved(number: u64) -> Self {
        TaskId(NonZeroU64::new(number).expect("2^64 tasks"))
    }

    /// The calling thread's own, as if it were a task; made when it first asks. In a task this is not the task's id.
    #[doc(hidden)]
    #[inline(never)]
    pub fn of_thread() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
        thread_local! {
            static ID: Cell<u64> = const { Cell::new(0) };
        }
        if ID.get() == 0 {
            ID.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        TaskId::from_reserved(ID.get())
    }

    /// The number, as dumps and messages show it.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A worker fetches so many at a time.
pub(crate) const AT_A_TIME: u64 = 64;
