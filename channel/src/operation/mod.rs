//! Operations: what lies beneath events, for callers that suspend.
//!
//! An [`Op`] is what is to be done ([`Recv`](crate::raw::Recv), say), with a head that is the same for all: a [`RawOp`]. It lies
//! wherever its owner put it (a task's stack frame, a task's record, a boxed event). It must stay there, untouched, until it is
//! complete. Then:
//!
//! 1. The port that drives it writes the result into its head and hands it back in a batch.
//! 2. Whoever drove the port calls the operation's wake function: once, with its one word, under no lock.
//!
//! Nothing is allocated for an operation. Ports and drivers know it by the address of its head, and what they ask of it they ask
//! through [`Carry`]: so they know none of the kinds.

#![allow(unsafe_code)]

mod carry;

pub use crate::id::OpId;
use crate::registrar::Registration;
pub(crate) use carry::is_interrupted;
pub use carry::{AtExit, Blocking, Caller, Carry, Class, GoOn, Line, Operation, Readiness, Verdict};
use io_uring::squeue;
use std::time::Instant;

/// The head of an operation: until when, and whom to tell. See the module.
#[repr(C)]
pub struct RawOp {
    /// What is to be done, in place.
    what: *const dyn Carry,
    pub(crate) deadline: Option<Instant>,
    wake: unsafe fn(usize),
    word: usize,
    result: i32,
    pub(crate) owner: Owner,
    pub(crate) tried: bool,
    /// Its descriptor is registered with the port by this number; 0: not that its owner knows.
    pub(crate) registration: u32,
}

// SAFETY: what it points to is `Send`, and is used by one thread at a time: its owner, or from `submit_raw` until it is complete the port.
unsafe impl Send for RawOp {}

impl RawOp {
    pub(crate) fn new(wake: unsafe fn(usize), word: usize) -> Self {
        Self {
            what: &raw const TIMER,
            deadline: None,
            wake,
            word,
            result: 0,
            owner: Owner::Somebody,
            tried: false,
            registration: 0,
        }
    }

    /// The operation is given up with `-ETIME` at `deadline` (a [`Timer`](crate::raw::Timer): completed).
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Its owner has just tried it by a system call that does not wait, in vain. A driver that waits for readiness does not
    /// try it once more before it waits.
    pub fn set_tried(&mut self, tried: bool) {
        self.tried = tried;
    }

    /// Its descriptor is that of `registration`, so it need not be armed. It is to be submitted to the
    /// [port](crate::EventChannel::port_of) of that.
    pub fn set_registration(&mut self, registration: &Registration) {
        self.registration = registration.number;
    }

    /// What came of it: 0 or more as the system call of its name gives, or minus an errno.
    /// `-ETIME`: its own deadline came first. `-ECANCELED`: it was cancelled.
    pub fn result(&self) -> i32 {
        self.result
    }

    pub(crate) fn set_result(&mut self, result: i32) {
        self.result = result;
    }

    /// It does `what`, which stays where it is until the operation is complete.
    pub(crate) fn set_what(&mut self, what: *const dyn Carry) {
        self.what = what;
    }

    /// What operation `op` does.
    ///
    /// # Safety
    /// `op` is the head of an operation in flight: in place, with what it does, as long as what comes back is used.
    pub(crate) unsafe fn what<'a>(op: *const RawOp) -> &'a dyn Carry {
        // SAFETY: by contract.
        unsafe { &*(*op).what }
    }
}

/// Whose an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Whoever submitted it.
    Somebody,
    /// An event. It is the head of a boxed body.
    Event,
    /// An event that many others come before.
    Stream,
    /// One of those. (It is never in flight itself.)
    Item,
}

/// Completes with 0 when its deadline comes; at once if it has none. (And what an operation does before that is known.)
#[derive(Clone, Copy, Debug)]
pub struct Timer;

pub(crate) static TIMER: Timer = Timer;

// SAFETY: it touches nothing.
unsafe impl Carry for Timer {
    fn needs_driver(&self) -> bool {
        false
    }

    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    fn entry(&self) -> Option<squeue::Entry> {
        None
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        Some(0)
    }

    fn judge(&self, _result: i32) -> Verdict {
        Verdict::Final
    }
}

/// An operation with its head, to be put where it may stay until it is complete.
#[repr(C)]
pub struct Op<T> {
    head: RawOp,
    what: T,
}

impl<T: Operation> Op<T> {
    /// An operation that calls `wake(word)` once when it is complete, on the thread that drives the port.
    pub fn new(what: T, wake: unsafe fn(usize), word: usize) -> Self {
        Self { head: RawOp::new(wake, word), what }
    }

    /// Its head, as [`submit_raw`](crate::EventChannel::submit_raw) wants it. From here on it must not be moved.
    pub fn raw(&mut self) -> *mut RawOp {
        let me: *mut Self = self;
        // SAFETY: both are parts of what was borrowed mutably.
        unsafe { (*me).head.what = &raw const (*me).what };
        me.cast()
    }
}

impl<T> std::ops::Deref for Op<T> {
    type Target = RawOp;

    fn deref(&self) -> &RawOp {
        &self.head
    }
}

impl<T> std::ops::DerefMut for Op<T> {
    fn deref_mut(&mut self) -> &mut RawOp {
        &mut self.head
    }
}

/// A completed operation on its way back to its owner.
#[must_use = "an operation that is not delivered never wakes its owner"]
pub struct RawCompletion {
    wake: unsafe fn(usize),
    word: usize,
}

impl RawCompletion {
    /// # Safety
    /// `op` is complete and still in place; from `deliver` on its owner may do with it what it likes.
    pub(crate) unsafe fn of(op: *const RawOp) -> Self {
        // SAFETY: by contract.
        let op = unsafe { &*op };
        Self { wake: op.wake, word: op.word }
    }

    /// Calls the operation's wake function.
    pub fn deliver(self) {
        // SAFETY: `submit_raw`'s caller promised that the function may be called once with this word,
        // and a completion exists once.
        unsafe { (self.wake)(self.word) }
    }
}
