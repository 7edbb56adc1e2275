//! Where a worker sits, and how the code that runs on it finds its core.
//!
//! Everything that crosses from a task (or a handler) into the pool comes through
//! [`here`]: `schedule`, `spawn`, `current_port`. Inside a task the seat is the context that
//! the worker gave to `Runnable::run_noting`; outside of one, in a handler or in the worker's own loop,
//! it is found through a thread-local of the worker. A crossing borrows the core for as long as it
//! takes to push or to read a number (`lease.rs`); whoever finds no core in the seat, because it was handed over
//! meanwhile, goes to the injector.

#![allow(unsafe_code)]

use crate::core::Core;
use crate::crew::Member;
use crate::lease::Holder;
use crate::ready::Ready;
use crate::run::Beginning;
use crate::shared::Shared;
use ec_tasks::Crossing;
use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

thread_local! {
    static SEAT: Cell<*const Seat> = const { Cell::new(ptr::null()) };
}

/// One worker's place in its pool.
pub(crate) struct Seat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) member: Arc<Member>,
    core: Holder<Core>,
    /// So many times over the worker is publishing a batch of completions: it looks itself whom to wake for them.
    publishing: Cell<u32>,
    /// The worker drives its port to sleep in it, and does not look at its queue before.
    pub(crate) asleep: Cell<bool>,
    /// It runs a task without a core.
    pub(crate) astray: Cell<Option<Beginning>>,
}

impl Seat {
    /// A seat whose worker holds no core yet.
    pub(crate) fn new(shared: Arc<Shared>, member: Arc<Member>, core: Holder<Core>) -> Seat {
        Seat {
            shared,
            member,
            core,
            publishing: Cell::new(0),
            asleep: Cell::new(false),
            astray: Cell::new(None),
        }
    }

    /// Lets `f` use the core; `None` if the seat has none (any more). `f` runs no user code.
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
    pub(crate) fn is_out(&self) -> bool {
        self.core.is_out()
    }

    /// The worker enters user code: from now on its core may be handed over.
    #[inline]
    pub(crate) fn go_out(&self) {
        self.core.go_out();
    }

    /// The worker is back. False: its core was handed over.
    #[inline]
    pub(crate) fn come_back(&self) -> bool {
        self.core.come_back()
    }

    /// Not set as long as the seat has the core it took.
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

    /// `f` runs with this thread known as the worker of this seat. A worker sits in one seat at a time.
    pub(crate) fn occupy(&self, f: impl FnOnce()) {
        struct Stand;
        impl Drop for Stand {
            fn drop(&mut self) {
                SEAT.set(ptr::null());
            }
        }
        // So what is put back is known: there is nothing to save.
        assert!(SEAT.get().is_null(), "a worker that sits already");
        SEAT.set(self);
        let _stand = Stand;
        f();
    }

    /// What `Runnable::run_noting` is given, and `ec_tasks::current_context` gives back inside.
    pub(crate) fn as_context(&self) -> *const () {
        ptr::from_ref(self).cast()
    }
}

/// Calls `f` with the seat of the worker that runs the caller, if a worker does. `f` runs no foreign code, which might
/// suspend: the caller's task would go on elsewhere with the seat of the worker it has left. A debug build watches.
pub(crate) fn here<R>(f: impl FnOnce(Option<&Seat>) -> R) -> R {
    let _watched = Crossing::enter("a look at the worker");
    // SAFETY: `f` does not suspend.
    unsafe { around(f) }
}

/// As [`here`] for code outside of tasks, a handler for instance, that runs foreign code: it cannot suspend. In a task: `None`.
pub(crate) fn outside_of_tasks<R>(f: impl FnOnce(Option<&Seat>) -> R) -> R {
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
unsafe fn around<R>(f: impl FnOnce(Option<&Seat>) -> R) -> R {
    if ec_tasks::forked() {
        return f(None);
    }
    let context: *const Seat = ec_tasks::current_context().cast();
    let seat = if context.is_null() { SEAT.get() } else { context };
    // SAFETY: both sources (the context by the contract of `Runnable::run_noting`) hold a pointer to a `Seat` only
    // while its worker is inside `Seat::occupy`, which borrows it; the worker does not go on while the caller runs on
    // it, and `f` cannot keep the reference.
    f(unsafe { seat.as_ref() })
}
