//! What drivers ask of an operation.

#![allow(unsafe_code)]

use crate::sys::futex::End;
use io_uring::squeue;
use std::os::fd::RawFd;
use std::sync::Arc;

/// One kind of operation: how each driver carries it out, and what its results mean. (The kinds are those of this crate: what a driver
/// needs to know of one is private.)
pub trait Operation: Carry {}

impl<T: Carry> Operation for T {}

/// See [`Operation`]. The file of each kind implements it.
///
/// # Safety
/// What [`entry`](Self::entry) and [`attempt`](Self::attempt) do touches what the operation's fields point to, and nothing else.
pub unsafe trait Carry: Send + 'static {
    /// Is there something to be done by a driver? Else its deadline comes, or it is complete as it is posted; and is not judged.
    fn needs_driver(&self) -> bool {
        true
    }

    /// What a readiness driver waits for before it attempts it. `None`: no descriptor says when it can go on, so it is
    /// [blocking](Self::blocking), or it needs no driver, or it is between two [steps](Self::steps).
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    /// What the ring is asked for. `None`: it has no such operation, or is not to have it, since an operation whose submitter exits may
    /// have to be submitted twice, or since the call may block whoever drives the ring. Then the ring awaits what it
    /// [waits for](Self::waits_for), and it [goes on](Self::go_on); or it is [blocking](Self::blocking).
    fn entry(&self) -> Option<squeue::Entry> {
        None
    }

    /// How it is carried out by a thread that it may block: a helper of the channel's, where the driver cannot do it.
    fn blocking(&self) -> Option<&dyn Blocking> {
        None
    }

    /// It goes by steps, which the port takes itself: a driver has nothing to do for it but to say when a descriptor is ready.
    fn steps(&self) -> Option<&dyn Steps> {
        None
    }

    /// Is it complete at once as a rule, so that it pays to try it by a [call](Blocking::at_once) before the ring is asked?
    fn is_worth_a_try(&self) -> bool {
        false
    }

    /// May this be what the ring makes of it if its submitter has exited by the time that it could go on, in place of what it would come to?
    /// (Said only by what does no harm if it is done again, which a helper does then.)
    ///
    /// # Safety
    /// As for [`attempt`](Self::attempt).
    unsafe fn may_be_lost(&self, _result: i32) -> bool {
        false
    }

    /// One attempt by system call that does not wait, after poll(2) has said `revents` (0: it has not been asked). `None`: it would wait.
    /// (What waits for no descriptor is not attempted.)
    ///
    /// # Safety
    /// The pointers in it, and its descriptor, are valid.
    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        None
    }

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

    /// Its [last attempt](Self::last_attempt) is made on the ring, too, when the kernel has given it up: what has come by then the kernel has
    /// not looked at, or has only said that it is there, to a thread that had no time to hear it.
    fn is_attempted_at_last(&self) -> bool {
        self.is_woken_alone()
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

    /// Where it takes what it needs to go on, and may lack.
    fn supply(&self) -> Option<&dyn Supply> {
        None
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

/// What goes by steps, each of which does what can be done without waiting.
///
/// While one waits [`Carry::waits_for`] says for what, and at other times for nothing.
///
/// # Safety
/// As for [`Carry`].
pub unsafe trait Steps {
    /// Goes on as far as it can: at first, when what it has awaited is ready (or was not heard of to the end), after a rest, and when a helper
    /// has done what is [blocking](Carry::blocking), which came to `helped`.
    ///
    /// # Safety
    /// As for [`Carry::attempt`].
    unsafe fn step(&self, helped: Option<i32>) -> Step;
}

/// How it is after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Complete, with this result.
    Done(i32),
    /// It goes on when this descriptor is ready for that.
    Await(RawFd, i16),
    /// What it has awaited was ready in vain: it goes on after a rest.
    Rest,
    /// It goes on when a helper has done what is blocking.
    Help,
}

/// What may block the thread that does it.
///
/// # Safety
/// As for [`Carry`].
pub unsafe trait Blocking {
    /// As much as can be done without blocking, if that is all of it. `None`: a thread is to be blocked for it.
    ///
    /// # Safety
    /// As for [`Carry::attempt`].
    unsafe fn at_once(&self) -> Option<i32> {
        None
    }

    /// Is it not to be called where a port is driven, whatever the driver is? The program's own code is not, nor what would be missed if it
    /// were ended after a moment and begun anew.
    fn is_for_helpers(&self) -> bool {
        false
    }

    /// Is it known, without waiting, that it lasts for as long as others wish? Then it waits for no helper that is busy with what does not.
    fn lasts(&self) -> bool {
        false
    }

    /// Does it. No other thread uses the operation meanwhile.
    ///
    /// # Safety
    /// As for [`Carry::attempt`].
    unsafe fn call(&self, caller: &dyn Caller) -> i32;
}

/// Who makes a blocking call.
pub trait Caller {
    /// Makes a call that may last for as long as others wish. Gives its result, or minus its errno. The call is ended by a signal, with
    /// `-EINTR`, when the operation is given up; then this gives `-ECANCELED`.
    ///
    /// That takes a signal which the program leaves alone. So it is for what nothing else ends: rather [`until`](Self::until).
    fn at_length(&self, call: &mut dyn FnMut() -> i32) -> i32;

    /// Asks again and again, for as long as others wish, until there is a result. Each time it may wait for a while, and has to be back soon
    /// when the end comes that it is told of: the operation is given up. If there is no result then, this gives `-ECANCELED`.
    fn until(&self, ask: &mut dyn FnMut(&End) -> Option<i32>) -> i32;
}

/// Where operations take what they need when they can go on, and others give it back.
pub trait Supply {
    /// No other one has it.
    fn number(&self) -> usize;

    /// The port is told when something comes back, once. False: there is something.
    fn tell(&self, port: &Arc<dyn Supplied>) -> bool;

    /// The port lacks nothing of it any more, and is not told.
    fn forget(&self, port: &Arc<dyn Supplied>);
}

/// A port with requests that lack something.
pub trait Supplied: Send + Sync {
    /// It has come back.
    fn supplied(&self);
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
    /// It could go on, and lacks something: once more when its [supply](Carry::supply) has that.
    Lacks,
    /// The ring does not do it after all: a helper does.
    Help,
}

/// How an operation goes on whose descriptor is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoOn {
    /// The ring is asked for it.
    Call,
    /// It is complete.
    Final(i32),
    /// It is not ready after all, and there is no telling when.
    NotYet,
    /// It is not ready any more: what it waits for is awaited once more.
    Await,
    /// It could, and lacks something: see [`Verdict::Lacks`].
    Lacks,
}

impl GoOn {
    /// What is to be done then, and the result of what ends with this one unless it has another.
    pub(crate) fn verdict(self, result: i32) -> (Verdict, i32) {
        match self {
            GoOn::Call => (Verdict::Again, result),
            GoOn::Final(end) => (Verdict::Final, end),
            GoOn::NotYet => (Verdict::Rest, result),
            GoOn::Await => (Verdict::Await, result),
            GoOn::Lacks => (Verdict::Lacks, result),
        }
    }
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
