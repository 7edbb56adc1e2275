//! A worker's right to its core, and how it is taken away while the worker is inside user code.
//!
//! ```text
//!                 enter_user_code()                        take(): somebody else's now
//!   in the loop ─────────────────► inside user code ──────────────────────────────► nothing held
//!        ▲                            │        ▲                                        │
//!        └──── leave_user_code() ─────┘        └── with(): back for one crossing        │
//!        └────────────────────────────── give(): a core again ──────────────────────────┘
//! ```
//! The worker enters and leaves user code at each switch of tasks. So it does this with plain writes. The one who takes does so once in a
//! while. So it pays for the order between the two, with a barrier in all threads. Each side first writes, and then reads what the other has written:
//!
//! * The worker writes "I am in the runtime" (`out` is [`IN`]), then looks whether it has been `recalled`.
//! * The taker writes `recalled`, then looks whether the worker is `out`.
//!
//! At least one of them sees the other. If the taker sees the worker inside user code, the core is the taker's. The worker will see the
//! recall when it comes back. If it sees the worker in the runtime, it lets it keep the core. A worker that sees a recall waits for the taker's
//! verdict (`turn`). `tests/lease_model.rs` checks this with loom against this very file.
//!
//! **Two forms.** As long as the kernel makes the worker pass a barrier when somebody takes, the worker's side is plain. Once the kernel
//! has refused, the worker passes a fence each time (`sync/fence.rs`). The worker decides as it enters user code in which of the two forms
//! it will come back, and leaves that behind in `out`. The taker looks at it after the order was made. From a worker that has entered in
//! the plain form it takes the core only if the barrier has just succeeded. A worker that has entered before the refusal keeps its core
//! until it has come back once.
//!
//! This file has `unsafe` in it: what is leased is read and taken without a lock.

#![allow(unsafe_code)]

use crate::sync::{
    AtomicBool, AtomicU8, Crossing, Form, Ordering, SpinLock, UnsafeCell, barrier, form, heavy_fence,
    light_fence,
};
use std::cell::Cell;
use std::sync::Arc;

/// The holder is in the runtime.
const IN: u8 = 0;
/// It is inside user code, and will come back in this form.
const OUT_PLAIN: u8 = 1;
const OUT_FENCED: u8 = 2;

struct Lease<T> {
    /// Where the holder is.
    out: AtomicU8,
    /// Somebody takes, or has taken.
    recalled: AtomicBool,
    /// Of whoever takes, and of a holder who has seen that.
    turn: SpinLock<()>,
    held: UnsafeCell<Option<T>>,
}

// SAFETY: `held` is used by one thread at a time, as the protocol above says; so it travels between threads but is not shared.
unsafe impl<T: Send> Sync for Lease<T> {}

/// The worker's side. It belongs to one thread.
pub(crate) struct Holder<T> {
    lease: Arc<Lease<T>>,
    /// How it comes back, when it is out.
    form: Cell<Form>,
    /// Somebody uses what is held.
    used: Cell<bool>,
}

/// The side of those who take.
pub(crate) struct Taker<T>(Arc<Lease<T>>);

impl<T> Clone for Taker<T> {
    fn clone(&self) -> Self {
        Taker(self.0.clone())
    }
}

/// A lease of nothing yet.
pub(crate) fn lease<T>() -> (Holder<T>, Taker<T>) {
    let lease = Arc::new(Lease {
        out: AtomicU8::new(IN),
        recalled: AtomicBool::new(false),
        turn: SpinLock::new(()),
        held: UnsafeCell::new(None),
    });
    let form = Cell::new(Form::Fenced);
    (Holder { lease: lease.clone(), form, used: Cell::new(false) }, Taker(lease))
}

impl<T> Holder<T> {
    /// Holds `value` from now on. Not inside user code.
    pub(crate) fn give(&mut self, value: T) {
        let _turn = self.lease.turn.lock();
        self.lease.recalled.store(false, Ordering::Relaxed);
        // SAFETY: the holder is not out, so nobody takes; and nobody borrows, since `self` is borrowed exclusively.
        self.lease.held.with_mut(|held| unsafe { *held = Some(value) });
    }

    /// Gives up what is held. Not inside user code.
    pub(crate) fn leave(&mut self) -> Option<T> {
        // SAFETY: as in `give`.
        self.lease.held.with_mut(|held| unsafe { (*held).take() })
    }

    /// Inside user code: takes what is held away from itself. What is left is as after a recall.
    pub(crate) fn give_away(&self) -> Option<T> {
        let _turn = self.lease.turn.lock();
        debug_assert!(self.is_in_user_code(), "inside user code");
        self.lease.recalled.store(true, Ordering::Relaxed);
        // SAFETY: others take under `turn` only, and this thread, being out, does not use it.
        self.lease.held.with_mut(|held| unsafe { (*held).take() })
    }

    /// User code begins: what is held may be taken.
    #[inline]
    pub(crate) fn enter_user_code(&self) {
        let form = form();
        self.form.set(form);
        let out = match form {
            Form::Plain => OUT_PLAIN,
            Form::Fenced => OUT_FENCED,
        };
        // Release: who takes sees what was done with it.
        self.lease.out.store(out, Ordering::Release);
    }

    /// User code is over. False: nothing is held (any more).
    #[inline]
    pub(crate) fn leave_user_code(&self) -> bool {
        self.lease.out.store(IN, Ordering::Relaxed);
        light_fence(self.form.get());
        if self.lease.recalled.load(Ordering::Relaxed) {
            self.wait_for_verdict();
        }
        // SAFETY: not out, and no verdict is pending: nobody else touches it.
        self.lease.held.with(|held| unsafe { (*held).is_some() })
    }

    /// Inside user code?
    pub(crate) fn is_in_user_code(&self) -> bool {
        // (Only this thread writes it.)
        self.lease.out.load(Ordering::Relaxed) != IN
    }

    /// Set if what was held has been taken, or just may be; not set if it has not.
    #[inline]
    pub(crate) fn recalled(&self) -> &AtomicBool {
        &self.lease.recalled
    }

    #[cold]
    fn wait_for_verdict(&self) {
        drop(self.lease.turn.lock());
    }

    /// Lets `f` use what is held, from the loop or in a crossing from user code; `None` if nothing is. `f` runs no foreign
    /// code: that might come here again, in the middle of a change, or suspend. A debug build watches.
    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        /// And whether it has come from user code.
        struct Use<'a, T>(&'a Holder<T>, bool);
        impl<T> Drop for Use<'_, T> {
            fn drop(&mut self) {
                if cfg!(debug_assertions) {
                    self.0.used.set(false);
                }
                if self.1 {
                    self.0.enter_user_code();
                }
            }
        }
        let _watched = Crossing::enter("a crossing into the pool");
        debug_assert!(!self.used.replace(true), "what is held is used by one at a time");
        let here = Use(self, self.is_in_user_code());
        if here.1 && !self.leave_user_code() {
            return None;
        }
        // SAFETY: not out, so nobody takes it; and `leave` and `give` want `self` exclusively.
        self.lease.held.with(|held| unsafe { (*held).as_ref() }.map(f))
    }
}

impl<T> Taker<T> {
    /// Takes what the worker holds, if it is inside user code.
    pub(crate) fn take(&self) -> Option<T> {
        let lease = &*self.0;
        let _turn = lease.turn.lock();
        // (Who was recalled has nothing, and is not to be told otherwise if this comes in vain.)
        let out = lease.out.load(Ordering::Acquire);
        if out == IN || lease.recalled.load(Ordering::Relaxed) {
            return None;
        }
        if out == OUT_PLAIN && form() == Form::Fenced {
            // The kernel has refused before: the worker is to come back first.
            return None;
        }
        lease.recalled.store(true, Ordering::Relaxed);
        heavy_fence();
        let ordered = out == OUT_PLAIN && barrier();
        // What it is now may be in the other form, which is good only if the order was made for that, too.
        let takes = match lease.out.load(Ordering::Acquire) {
            IN => false,
            OUT_PLAIN => ordered,
            _ => true,
        };
        if takes {
            // SAFETY: the holder is out, and when it comes back it sees the recall and waits for `turn`.
            return lease.held.with_mut(|held| unsafe { (*held).take() });
        }
        lease.recalled.store(false, Ordering::Relaxed);
        None
    }

    /// Is the worker inside user code in the form that only a barrier orders?
    pub(crate) fn needs_barrier(&self) -> bool {
        self.0.out.load(Ordering::Acquire) == OUT_PLAIN
    }

    /// Is the worker inside user code?
    pub(crate) fn is_in_user_code(&self) -> bool {
        self.0.out.load(Ordering::Acquire) != IN
    }
}
