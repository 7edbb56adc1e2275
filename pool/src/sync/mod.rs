//! The few primitives that `sleep/idle.rs`, `core/lease.rs`, `core/run_queue/`, `size/spares.rs` and `spin.rs` stand on. The model tests
//! bring the same names from loom. So the production source itself is what is checked (`tests/*_model.rs`).
pub(crate) mod fence;
mod spin;

pub(crate) use crate::sync::fence::{Form, barrier, form, heavy_fence, light_fence};
pub(crate) use crate::sync::spin::SpinLock;
pub(crate) use crossbeam::utils::CachePadded;
pub(crate) use ec_tasks::Crossing;
pub(crate) use ec_tasks::lock::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

/// `std`'s, with loom's face.
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

/// What is in an [`UnsafeCell`], while nobody else uses it.
pub(crate) struct MutPtr<T>(*mut T);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn get_mut(&self) -> MutPtr<T> {
        MutPtr(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

impl<T> MutPtr<T> {
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0)
    }
}

/// One turn of a wait for somebody who needs a few instructions: `turns` so far. Runs nothing of anybody's.
#[cold]
pub(crate) fn snooze(turns: &mut u32) {
    *turns = turns.saturating_add(1);
    match *turns {
        0..=32 => std::hint::spin_loop(),
        33..=64 => std::thread::yield_now(),
        _ => std::thread::sleep(std::time::Duration::from_micros(50)),
    }
}
