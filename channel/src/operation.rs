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

pub use crate::id::OpId;
use crate::registrar::Registration;
use io_uring::squeue;
use std::os::fd::RawFd;
use std::time::Instant;

/// One kind of operation: how each driver carries it out, and what its results mean. (The kinds are those of this crate: what a driver
/// needs to know of one is private.)
pub trait Operation: Carry {}

impl<T: Carry> Operation for T {}

/// See [`Operation`]. The file of each kind implements it.
///
/// # Safety
/// What [`entry`](Self::entry) and [`attempt`](Self::attempt) do touches what the operation's fields point to, and nothing else.
pub unsafe trait Carry: Send + 'static {
    /// Is there something to be done by a driver? Else its deadline comes, or it is complete as it is posted.
    fn needs_driver(&self) -> bool {
        true
    }

    /// What a readiness driver waits for before it attempts it. `None`: nothing, it is attempted once.
    fn waits_for(&self) -> Option<Readiness>;

    /// What the ring is asked for.
    fn entry(&self) -> squeue::Entry;

    /// One attempt by system call that does not wait, after poll(2) has said `revents` (0: it has not been asked). `None`: it would wait.
    ///
    /// # Safety
    /// The pointers in it, and its descriptor, are valid.
    unsafe fn attempt(&self, revents: i16) -> Option<i32>;

    /// The attempt before anybody waits: what is done at once, and what can never work. While the descriptor is `resting` nobody says
    /// whether it is ready.
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn first_attempt(&self, _resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    /// An attempt when poll(2) has not been asked: its descriptor was ready the last time that somebody looked.
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn attempt_unasked(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    /// The attempt when it is to be given up: what has come by now is delivered, as the kernel itself would. `None`: nothing has.
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn last_attempt(&self) -> Option<i32> {
        None
    }

    /// The ring's kernel wakes one alone of those that wait for this: who was woken has to take it.
    fn is_woken_alone(&self) -> bool {
        false
    }

    /// What the ring's result, below 0, means.
    fn judge(&self, result: i32) -> Verdict {
        match -result {
            libc::EAGAIN => Verdict::Await,
            errno if is_interrupted(errno) => Verdict::Again,
            _ => Verdict::Final,
        }
    }

    /// What the ring's result, 0 or more, means.
    fn judge_success(&self, _result: i32) -> Verdict {
        Verdict::Final
    }

    /// The ring has awaited what it [waits for](Self::waits_for), or the operation is [ready](Verdict::Ready). `Call`: the ring is asked for
    /// the operation itself now.
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn go_on(&self) -> GoOn {
        GoOn::Call
    }

    /// What a call that blocks would end with where one that does not says EAGAIN, although poll(2) has said `revents` and nothing more
    /// will come. `None`: it would wait.
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn end_of_input(&self, _revents: i16) -> Option<i32> {
        None
    }

    /// What happens to it on io_uring when the process ends.
    fn at_exit(&self) -> AtExit {
        AtExit::Nothing
    }
}

/// Nobody asked for this end: its submitter exited, or a signal came. Nothing was done. (512 and on are the kernel's restart codes.)
pub(crate) fn is_interrupted(errno: i32) -> bool {
    matches!(errno, libc::ECANCELED | libc::EINTR | 512..=516)
}

/// What a readiness driver waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    pub fd: RawFd,
    /// What to poll for until the operation can go on.
    pub interest: i16,
    /// Those of equal lines wait one behind the other: if the first would block, so would the others.
    pub line: Line,
}

/// Which line of its descriptor an operation waits in.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub class: &'static Class,
    /// What else tells lines apart.
    pub flags: i32,
    /// Each is attempted, although one before it would block.
    pub each: bool,
    /// The first attempt is made although others wait in the line.
    pub barges: bool,
}

/// A static of the kind's: lines are alike if they name the same one.
#[derive(Debug)]
pub struct Class {
    /// (What takes no room need not have an address of its own.)
    _room: u8,
}

impl Class {
    pub(crate) const fn new() -> Self {
        Class { _room: 0 }
    }
}

impl Line {
    /// Where one waits behind the other.
    pub(crate) fn new(class: &'static Class, flags: i32) -> Self {
        Line { class, flags, each: false, barges: false }
    }
}

impl PartialEq for Line {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.class, other.class) && self.flags == other.flags
    }
}

impl Eq for Line {}

/// What a result of the ring means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the operation's.
    Final,
    /// Nothing was done: once more.
    Again,
    /// Its descriptor is polled for, and then it goes on.
    Await,
    /// Nothing was done, and now it [goes on](Carry::go_on), whatever was asked meanwhile.
    Ready,
    /// It has come for nothing: once more, after a rest.
    Rest,
}

/// How an operation goes on whose descriptor is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// The ring is asked for it.
    Call,
    /// It is complete.
    Final(i32),
    /// It is not ready after all.
    NotYet,
}

/// See [`Carry::at_exit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtExit {
    /// The kernel ends it.
    Nothing,
    /// It is taken back, for it would keep the port. From then on it is not begun.
    Accept,
    /// As an accept, if its descriptor keeps a port.
    IfKept(RawFd),
}

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

    fn entry(&self) -> squeue::Entry {
        io_uring::opcode::Nop::new().build()
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
