//! For programs whose global allocator keeps a heap for each thread.
//!
//! glibc's malloc, the default, needs nothing: its caches stay with the worker threads. mimalloc, jemalloc and others
//! keep thread-locals of their own. Tasks have their own thread-locals, so these allocators would set up a heap for
//! each *task*. With thousands of tasks that is gigabytes. [`OnThread`] runs them on the threads' thread-locals.
//!
//! ```
//! use event_channel::alloc::OnThread;
//! # use std::alloc::System as MiMalloc;
//!
//! #[global_allocator]
//! static ALLOCATOR: OnThread<MiMalloc> = OnThread(MiMalloc); // `mimalloc::MiMalloc`
//!
//! assert_eq!(event_channel::run(|| vec![1; 1000].len()), 1000);
//! ```

use std::alloc::{GlobalAlloc, Layout};

/// An allocator that runs on the thread-locals of the thread, also in a task: see the [module](self).
///
/// In a task a call costs about as much more as a switch of the task does (two writes of a register); elsewhere
/// nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnThread<A>(pub A);

// SAFETY: the inner allocator is one, and each call is handed to it as it is. By `GlobalAlloc`'s contract it does
// not unwind.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OnThread<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, handed on; it does not unwind.
        unsafe { ec_tasks::on_thread_for_allocator(|| self.0.alloc(layout)) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { ec_tasks::on_thread_for_allocator(|| self.0.alloc_zeroed(layout)) }
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { ec_tasks::on_thread_for_allocator(|| self.0.dealloc(place, layout)) }
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { ec_tasks::on_thread_for_allocator(|| self.0.realloc(place, layout, size)) }
    }
}
