//! What a worker's thread is for the code that runs on it: its pool, its core, what it is doing.
//!
//! Everything that crosses from a task (or a handler) into the pool comes through [`here`]: `schedule`, `spawn`, `current_port`.
//! Inside a task the context is what the worker gave to `Runnable::run_noting`. Outside of one, in a handler or in the worker's own
//! loop, it is found through a thread-local of the worker.
//!
//! A crossing borrows the core for as long as it takes to push, or to read a number (`core/lease.rs`). Who finds no core, because it
//! was handed over meanwhile, goes to the injector.

#![allow(unsafe_code)]

use crate::core::Core;
use crate::core::forced;
use crate::core::lease::Holder;
use crate::core::ready::Ready;
use crate::interrupt::Kept;
use crate::size::threads::WorkerThread;
use crate::worker::shared::Shared;
use ec_tasks::Crossing;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

thread_local! {
    static CONTEXT: Cell<*const Context> = const { Cell::new(ptr::null()) };
}

/// See the module. One for each worker thread.
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: Arc<WorkerThread>,
    core: Holder<Core>,
    /// So many times over the worker is publishing a batch of completions: it looks itself whom to wake for them.
    publishing: Cell<u32>,
    /// The worker drives its port to sleep in it, and does not look at its queue before.
    pub(crate) asleep: Cell<bool>,
    /// It runs a task without a core.
    pub(crate) without_core: Cell<Option<Beginning>>,
    /// What is known of the thread when it is in a section.
    pub(crate) interrupts: Kept,
}

/// When a run without a core began.
#[derive(Clone, Copy)]
pub(crate) struct Beginning {
    pub(crate) at: Instant,
    pub(crate) cpu: Duration,
    pub(crate) sleeps: i64,
}

impl Context {
    /// Of a worker that holds no core yet: the calling thread.
    pub(crate) fn new(shared: Arc<Shared>, worker: Arc<WorkerThread>, core: Holder<Core>) -> Context {
        Context {
            shared,
            worker,
            core,
            publishing: Cell::new(0),
            asleep: Cell::new(false),
            without_core: Cell::new(None),
            interrupts: Kept::of_this_thread(),
        }
    }

    /// Is it one of this pool's?
    pub(crate) fn is_of(&self, shared: &Shared) -> bool {
        ptr::eq(shared, Arc::as_ptr(&self.shared))
    }

    /// Lets `f` use the core; `None` if there is none (any more). `f` runs no foreign code.
    #[inline]
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(&Core) -> R) -> Option<R> {
        self.core.with(f)
    }

    /// Whether there is a core.
    pub(crate) fn has_core(&self) -> bool {
        self.core.with(|_| ()).is_some()
    }

    /// Takes a core over.
    pub(crate) fn take(&mut self, core: Core) {
        self.core.give(core);
    }

    /// Gives up the core.
    pub(crate) fn leave(&mut self) -> Option<Core> {
        self.core.leave()
    }

    /// Is the worker inside user code? (Code of the program's runs outside of it, too: a logger, say.)
    pub(crate) fn is_in_user_code(&self) -> bool {
        self.core.is_in_user_code()
    }

    /// The worker enters user code: from now on its core may be handed over.
    #[inline]
    pub(crate) fn enter_user_code(&self) {
        self.core.enter_user_code();
    }

    /// The worker is back. False: its core was handed over.
    #[inline]
    pub(crate) fn leave_user_code(&self) -> bool {
        self.core.leave_user_code()
    }

    /// Not set as long as it has the core that it took.
    #[inline]
    pub(crate) fn recalled(&self) -> &AtomicBool {
        self.core.recalled()
    }

    /// Inside user code: gives up the core for somebody else.
    pub(crate) fn give_away(&self) -> Option<Core> {
        self.core.give_away()
    }

    /// Puts `ready` into the run queue of the core.
    ///
    /// Gives it back if there is no core.
    #[inline]
    pub(crate) fn push(&self, ready: Ready) -> Result<(), Ready> {
        let mut ready = Some(ready);
        self.core.with(|core| ready.take().into_iter().for_each(|ready| core.push(ready)));
        ready.map_or(Ok(()), Err)
    }

    /// While `f` runs, pushes of this worker wake nobody.
    pub(crate) fn publishing<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Less<'a>(&'a Cell<u32>);
        impl Drop for Less<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.publishing.set(self.publishing.get() + 1);
        let _less = Less(&self.publishing);
        f()
    }

    pub(crate) fn is_publishing(&self) -> bool {
        self.publishing.get() > 0
    }

    /// `f` runs with this thread known as the worker of this context. A worker has one context at a time.
    pub(crate) fn enter(&self, f: impl FnOnce()) {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                CONTEXT.set(ptr::null());
            }
        }
        // So what is put back is known: there is nothing to save.
        assert!(CONTEXT.get().is_null(), "a worker that has a context already");
        CONTEXT.set(self);
        let _leave = Leave;
        f();
    }

    /// What `Runnable::run_noting` is given, and `ec_tasks::current_context` gives back inside.
    pub(crate) fn as_context(&self) -> *const () {
        ptr::from_ref(self).cast()
    }
}

/// Calls `f` with the context of the worker that runs the caller, if a worker does. `f` runs no foreign code, which might
/// suspend: the caller's task would go on elsewhere with the context of the worker it has left. A debug build watches.
pub(crate) fn here<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    let _watched = Crossing::enter("a look at the worker");
    // SAFETY: `f` does not suspend.
    unsafe { around(f) }
}

/// As [`here`] for code outside of tasks, a handler for instance, that runs foreign code: it cannot suspend. In a task: `None`.
pub(crate) fn outside_of_tasks<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    if ec_tasks::with_current(|task| task.is_some()) {
        return f(None);
    }
    // SAFETY: there is no task to suspend.
    unsafe { around(f) }
}

/// # Safety
/// `f` does not suspend.
// Never inlined: the address of a thread-local must not be kept across a suspension of the caller.
#[inline(never)]
unsafe fn around<R>(f: impl FnOnce(Option<&Context>) -> R) -> R {
    if ec_tasks::forked() {
        return f(None);
    }
    let context: *const Context = ec_tasks::current_context().cast();
    let context = if context.is_null() { CONTEXT.get() } else { context };
    // SAFETY: both sources (the context by the contract of `Runnable::run_noting`) hold a pointer to a `Context` only
    // while its worker is inside `Context::enter`, which borrows it; the worker does not go on while the caller runs on
    // it, and `f` cannot keep the reference.
    f(unsafe { context.as_ref() })
}

/// The port of the core that the caller runs on, if it runs on one.
pub(crate) fn port_here() -> Option<usize> {
    here(|context| context.and_then(|context| context.with_core(|core| core.index)))
}

/// The worker that runs the calling task, if its pool forces migration: for [`migrate_if_forced`], after the wait.
#[inline]
pub(crate) fn worker_if_forced() -> Option<usize> {
    if !forced::any() {
        return None;
    }
    here(|context| {
        let forcing = context.filter(|context| context.shared.forced.is_some());
        forcing.map(|context| context.worker.info.number)
    })
}

/// The calling task's wait is over: it goes elsewhere if it has not in the meantime.
#[inline]
pub(crate) fn migrate_if_forced(before: Option<usize>) {
    if before.is_some() && before == worker_if_forced() {
        ec_tasks::yield_now();
    }
}
