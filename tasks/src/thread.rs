//! Stepping out of a task's own thread-locals.

#![allow(unsafe_code)]

use crate::own;
use crate::stack;

/// Whether tasks have thread-locals of their own in this process; if not, why. Then tasks of
/// [`Kind::Own`](crate::Kind::Own) are threads.
///
/// Finds out when first asked (or when the first task is spawned), which takes about a millisecond and starts
/// a few helper threads that end at once. The answer never changes; but asked from within that (by an allocator), or by the constructor of a
/// library that is being loaded, it may be that this is not known yet. A task that is spawned there is a thread.
///
/// ```
/// match ec_tasks::own_thread_locals() {
///     Ok(()) => println!("tasks migrate with their thread-locals"),
///     Err(why) => println!("tasks are threads: {why}"),
/// }
/// ```
pub fn own_thread_locals() -> Result<(), &'static str> {
    stack::own_thread_locals()
}

/// The facts that `EVENT_CHANNEL_OWN_TLS=break:FACT` falsifies. For tests.
#[doc(hidden)]
pub fn breakable_facts() -> &'static [&'static str] {
    own::FACTS
}

/// Runs `f` on the thread-locals of the thread that the task runs on at the moment, for code that
/// must not take the task for a thread: what asks the kernel about `pthread_self()`, changes the process's user
/// (`setuid` and its kin), or loads libraries behind `dlopen`'s back. In a plain thread, a dedicated and a lean task
/// it just calls `f`.
///
/// Inside, there is no current task: what would suspend blocks the thread. But a cancel of the calling task is delivered there, and its
/// [scopes](crate::with_scope_cell) are in force. A panic in `f` comes out.
///
/// To the language the call is one into another thread, hence the bounds: what belongs to the task must not be left
/// with the thread, nor the other way round.
///
/// ```compile_fail
/// thread_local!(static SHARED: std::rc::Rc<u32> = std::rc::Rc::new(1));
/// let of_the_thread = ec_tasks::on_thread(|| SHARED.with(std::rc::Rc::clone));
/// ```
/// ```
/// thread_local!(static NAME: std::cell::Cell<&'static str> = const { std::cell::Cell::new("nobody") });
/// assert_eq!(ec_tasks::on_thread(|| NAME.get()), "nobody");
/// ```
pub fn on_thread<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    own::on_thread(f)
}

/// As [`on_thread`], for allocators: no bounds, no panics caught. errno is the thread's.
///
/// # Safety
/// `f` does not unwind, and what it takes and gives does not depend on the thread.
#[inline]
pub unsafe fn on_thread_for_allocator<R>(f: impl FnOnce() -> R) -> R {
    // With libc's part, for allocators that sit on its malloc.
    own::step_out(f, true)
}
