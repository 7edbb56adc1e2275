//! How a wrapper waits: the one place where a task and the event channel meet.
//!
//! [`attempt`] puts an operation on the task's stack. It hands it to the port of the core that the task runs on, suspends, and gives
//! back what came of it. [`until`] waits for a condition that another task or thread brings about, with a timer if there is a deadline.
//!
//! **Cancel.** `cancel()` sets the task's flag, and then wakes the task with the token SYNC. The token stays in the park word until it is
//! consumed. The waiter looks at the flag after each SYNC, and before it suspends for the first time. So it misses none. It then cancels
//! its own request by id, and goes on waiting for the completion. Only a completion ends the wait. If data won the race, the data is
//! returned, and the cancel waits for the next point.
//!
//! **Deadlines.** A waiter's deadline is the earliest of its own and of those of the surrounding `time::timeout`s that have not been
//! delivered yet (`scopes.rs`, which also has the groups of cancel tokens, and the shields that keep all of this off).
//!
//! **Dedicated tasks** wait for a time by themselves, and for an operation as all others, as long as the pool runs (`dedicated.rs`).
//!
//! A [`Stop`] says why nothing came of a call. [`Stop::deliver`] makes an error of it, and uses it up. A caller that already has a part
//! of its result returns that, and lets the stop be.

#![allow(unsafe_code)]
pub(crate) mod blocking;
mod callers;
pub(crate) mod cancel;
mod dedicated;
pub(crate) mod elapsed;
pub(crate) mod get_event;
pub(crate) mod interruptible;
mod pauses;
pub(crate) mod scopes;
pub(crate) mod sleeper;

use crate::wait::cancel::Cancelled;
use crate::wait::elapsed::Elapsed;
use crate::wait::scopes::Surroundings;
use crate::worker::context;
use crate::worker::current::{current_port, with_channel};
use ec_channel::raw::{Op, OpId, Operation, RawOp, Registration, Timer};
use ec_tasks::{End, Kind, Tokens, WaitKind};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use crate::wait::interruptible::{group_cancelled, on_thread};
pub use crate::wait::pauses::{
    park_cancellable, park_until, sleep_until, sleep_until_cancellable, sleep_until_stopped,
};
pub use crate::wait::scopes::{
    Inherited, Members, earliest, is_cancelled_around, is_shielded, scope_deadline, shield, with_deadline,
    with_group,
};
pub use crate::wait::sleeper::{Look, Sleeper, look, some_may_be_gone};

/// A deadline of the call's own (a read timeout), with the errno it gives when it comes first.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// When it comes.
    pub at: Instant,
    /// What it gives.
    pub errno: i32,
}

/// Why a call came to nothing.
#[derive(Debug)]
#[must_use = "a stop that is not delivered keeps pending"]
pub enum Stop {
    /// The operation's own error, or its own limit.
    Os(i32),
    /// The task was cancelled.
    Cancel,
    /// A `timeout` around the call came to its end; the instant is that of its deadline.
    Scope(Instant),
}

impl Stop {
    /// The error to return. A cancel or a deadline counts as delivered from here on.
    pub fn deliver(self) -> io::Error {
        let is_of_scope = !matches!(self, Stop::Os(_));
        let error = match self {
            Stop::Os(errno) => io::Error::from_raw_os_error(errno),
            Stop::Cancel if scopes::take_cancel() => Cancelled.into(),
            Stop::Cancel => io::Error::from_raw_os_error(libc::ECANCELED),
            Stop::Scope(at) => {
                // The innermost of those that have expired by now: the others have their turn outside it.
                scopes::deliver(at.max(Instant::now()));
                Elapsed.into()
            }
        };
        if is_of_scope {
            // What is delivered ends no further call.
            interruptible::changed();
        }
        error
    }
}

/// Whether the caller is a task. Otherwise (plain threads, handlers, a fork's child) the wrappers block.
pub fn in_task() -> bool {
    ec_tasks::with_current(|task| task.is_some())
}

/// A cancellation point: fails if a cancel or an expired deadline has not been delivered yet.
#[inline]
pub fn checkpoint() -> io::Result<()> {
    pending().map_or(Ok(()), |stop| Err(stop.deliver()))
}

#[inline]
fn pending() -> Option<Stop> {
    // (Mostly there is nothing around it, and no cancel.)
    if ec_tasks::is_left_alone() { None } else { pending_around() }
}

#[cold]
fn pending_around() -> Option<Stop> {
    if scopes::cancel_pending() {
        return Some(Stop::Cancel);
    }
    let at = scope_deadline()?;
    (at <= Instant::now()).then_some(Stop::Scope(at))
}

/// In a task: posts the operation, suspends until it is complete, and returns its result (0 or more).
/// With `point`, a cancel or the deadline of a surrounding `timeout` gives the operation up.
///
/// # Safety
/// What the operation points to stays valid, and untouched by others, until the call returns; the
/// descriptor stays open so long.
pub unsafe fn attempt(
    operation: impl Operation,
    kind: &'static WaitKind,
    detail: u64,
    limit: Option<Limit>,
    point: bool,
) -> Result<i32, Stop> {
    // SAFETY: the caller's promise.
    unsafe { attempt_unless(operation, kind, detail, limit, point, Before::default(), || false) }
}

/// What has been done for an operation before it is posted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before<'a> {
    /// The caller has just tried it by a system call that does not wait, in vain.
    pub tried: bool,
    /// Its descriptor is [registered](register) so.
    pub registration: Option<&'a Registration>,
}

/// In a task: registers a descriptor with the port of the core that it runs on; see [`EventChannel::register`](ec_channel::EventChannel::register).
/// `None` also in a dedicated task, which may have to look after its port itself, and if the descriptor is not of such a kind, which is
/// asked only where it is of use.
///
/// # Safety
/// As there.
pub unsafe fn register(fd: BorrowedFd<'_>, is_of_a_kind: impl FnOnce() -> bool) -> Option<Registration> {
    let (_, false) = this_task()? else { return None };
    let port = current_port();
    with_channel(|channel| {
        let channel = channel.filter(|channel| channel.registers() && is_of_a_kind())?;
        // SAFETY: by contract.
        unsafe { channel.register(port, fd.as_raw_fd()) }
    })
}

/// As [`attempt`], a cancellation point, with what was done before.
///
/// # Safety
/// As for [`attempt`].
pub unsafe fn attempt_later(
    operation: impl Operation,
    kind: &'static WaitKind,
    detail: u64,
    limit: Option<Limit>,
    before: Before<'_>,
) -> Result<i32, Stop> {
    // SAFETY: the caller's promise.
    unsafe { attempt_unless(operation, kind, detail, limit, true, before, || false) }
}

/// As [`attempt`], but given up (ECANCELED) when `unless` says so. Whoever makes it true wakes the task with [`Tokens::SYNC`]
/// afterwards. Only with `point`. It does not wait itself, as in [`until_token`].
///
/// # Safety
/// As for [`attempt`].
#[inline(always)]
pub(crate) unsafe fn attempt_unless(
    operation: impl Operation,
    kind: &'static WaitKind,
    detail: u64,
    limit: Option<Limit>,
    point: bool,
    before: Before<'_>,
    unless: impl Fn() -> bool,
) -> Result<i32, Stop> {
    let worker = context::worker_if_forced();
    let (task, alone) = this_task().expect("only a task can be suspended");
    let around = Surroundings::of(point);
    let deadline = earliest(limit.map(|limit| limit.at), around.deadline);
    let mut op = Op::new(operation, wake_task, task);
    op.set_deadline(deadline);
    op.set_tried(before.tried);
    // SAFETY: the operation lies on this stack, and what it points to is the caller's promise; both stay until `run_op` has seen the
    // completion.
    let result = unsafe {
        run_op(
            op.raw(),
            kind,
            detail,
            point.then_some(around),
            alone,
            before.registration.filter(|_| !alone),
            &unless,
        )
    };
    context::migrate_if_forced(worker);
    match (-result, deadline) {
        (..=0, _) => Ok(result),
        (libc::ETIME, Some(at)) => match limit {
            Some(limit) if limit.at == at => Err(Stop::Os(limit.errno)),
            _ => Err(Stop::Scope(at)),
        },
        (libc::ECANCELED, _) if around.are_cancelled() => Err(Stop::Cancel),
        (errno, _) => Err(Stop::Os(errno)),
    }
}

/// In a task: suspends until `flag` is set. Whoever sets it (with [`Release`](Ordering::Release)) wakes the task with
/// [`Tokens::SYNC`] afterwards; wake-ups for nothing do no harm. `Ok(false)`: `deadline` came first.
///
/// # Panics
/// Outside a task.
// (Each of its few callers has it to itself: there is no deadline in some, no point in others.)
#[inline(always)]
pub fn until(
    kind: &'static WaitKind,
    detail: u64,
    deadline: Option<Instant>,
    point: bool,
    flag: &AtomicBool,
) -> Result<bool, Stop> {
    until_token(kind, [0, detail], deadline, point, Tokens::SYNC, |_| flag.load(Ordering::Acquire))
}

/// As [`until`], for the end of a task.
///
/// # Panics
/// Outside a task.
pub fn until_ended(end: &End<'_>, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
    until_token(end.kind(), [end.task(), 0], deadline, point, Tokens::SYNC, |_| end.is_there())
}

/// As [`until`], for any token and condition, and announced with both words that a kind describes: `ready` is told which tokens ended the last
/// suspension. It runs while a timer of this wait may be in flight: it does not wait itself (it would take the timer's completion for its
/// own), and a panic in it ends the process.
#[inline(always)]
pub(crate) fn until_token(
    kind: &'static WaitKind,
    [says, detail]: [u64; 2],
    deadline: Option<Instant>,
    point: bool,
    token: Tokens,
    mut ready: impl FnMut(Tokens) -> bool,
) -> Result<bool, Stop> {
    let (task, alone) = this_task().expect("only a task can be suspended");
    let worker = context::worker_if_forced();
    let around = Surroundings::of(point);
    let at = earliest(deadline, around.deadline);
    if let (true, Some(at)) = (alone, at) {
        return match dedicated::until(kind, [says, detail], at, around, token, ready) {
            Ok(false) if Some(at) != deadline => Err(Stop::Scope(at)),
            verdict => verdict,
        };
    }
    let mut op = at.map(|_| Op::new(Timer, wake_task, task));
    let armed = AbortOnUnwind(IN_FLIGHT);
    let timer = op.as_mut().map(|op| {
        op.set_deadline(at);
        // SAFETY: the timer lies on this stack, which stays until the wait below has seen its
        // completion; nothing can unwind past it (`armed`).
        unsafe { submit(op.raw(), None) }
    });
    let mut in_flight = timer.is_some();
    ec_tasks::begin_wait(kind, says, detail);
    let mut got = Tokens::NONE;
    let verdict = loop {
        if ready(got) {
            break Ok(true);
        }
        if around.are_cancelled() {
            break Err(Stop::Cancel);
        }
        if timer.is_some() && !in_flight {
            break if at == deadline { Ok(false) } else { Err(Stop::Scope(at.unwrap_or_else(Instant::now))) };
        }
        let mut accept = token;
        if in_flight {
            accept = accept | Tokens::OP;
        }
        if around.can_be_cancelled() {
            accept = accept | Tokens::SYNC;
        }
        // SAFETY: `OP` is there only as long as the timer is in flight, which is the task's one operation: `ready` does not wait.
        got = unsafe { ec_tasks::suspend_for_op(accept) };
        if got.contains(Tokens::OP) {
            in_flight = false;
        }
    };
    if let (true, Some(id)) = (in_flight, timer) {
        cancel(id);
        // SAFETY: as above.
        unsafe { wait_for_op(false) };
    }
    ec_tasks::end_wait();
    std::mem::forget(armed);
    context::migrate_if_forced(worker);
    verdict
}

/// Waits for the end of `op`, whose waker is that of the calling task (`alone`: a dedicated one). Gives its result.
///
/// # Safety
/// It stays in place, and what it points to valid, until this returns.
unsafe fn run_op(
    op: *mut RawOp,
    kind: &'static WaitKind,
    detail: u64,
    point: Option<Surroundings>,
    alone: bool,
    registration: Option<&Registration>,
    unless: &dyn Fn() -> bool,
) -> i32 {
    let armed = AbortOnUnwind(IN_FLIGHT);
    // SAFETY: by contract, until `wait_for_op` has seen the completion; nothing can unwind past it (`armed`).
    let id = unsafe { submit(op, registration) };
    ec_tasks::begin_wait(kind, id.as_u64(), detail);
    let mut open = point;
    loop {
        if open.is_some_and(|around| around.are_cancelled() || unless()) {
            cancel(id);
            open = None;
        }
        if open.is_none() {
            // SAFETY: as below.
            unsafe { wait_for_op(alone) };
            break;
        }
        // SAFETY: the operation is in flight, and the task's only one: no code of others runs before its end.
        if unsafe { suspend_for_op(alone, Tokens::OP | Tokens::SYNC) }.contains(Tokens::OP) {
            break;
        }
    }
    ec_tasks::end_wait();
    std::mem::forget(armed);
    // SAFETY: complete, so it is ours alone again; the wake-up orders its result before this read.
    unsafe { (*op).result() }
}

/// # Safety
/// As for `suspend_for_op`.
unsafe fn wait_for_op(alone: bool) {
    // SAFETY: the caller's promise.
    while !unsafe { suspend_for_op(alone, Tokens::OP) }.contains(Tokens::OP) {}
}

/// # Safety
/// As for [`ec_tasks::suspend_for_op`].
#[inline(always)]
unsafe fn suspend_for_op(alone: bool, accept: Tokens) -> Tokens {
    if alone {
        // SAFETY: the caller's promise.
        unsafe { dedicated::suspend_for_op(accept) }
    } else {
        // SAFETY: the caller's promise.
        unsafe { ec_tasks::suspend_for_op(accept) }
    }
}

/// # Safety
/// As for `submit_raw`; the wake word is the current task.
unsafe fn submit(op: *mut RawOp, registration: Option<&Registration>) -> OpId {
    with_channel(|channel| {
        let channel = channel.expect("a task belongs to a pool");
        let registered = registration.and_then(|it| Some((it, channel.port_of(it)?)));
        let port = match registered {
            Some((registration, port)) => {
                // SAFETY: it is the caller's, until it is submitted.
                unsafe { (*op).set_registration(registration) };
                port
            }
            None => current_port(),
        };
        // SAFETY: by contract.
        unsafe { channel.submit_raw(port, op) }
    })
}

fn cancel(id: OpId) {
    with_channel(|channel| {
        // SAFETY: the id is of an operation of the task that calls, which alone knows it.
        unsafe { channel.expect("a task belongs to a pool").cancel_raw(id) }
    });
}

/// The word of the calling task, and whether it is a dedicated one.
fn this_task() -> Option<(usize, bool)> {
    ec_tasks::with_current(|task| task.map(|task| (task.as_ptr() as usize, task.kind() == Kind::Dedicated)))
}

/// The wake function of every operation that a task waits for.
///
/// # Safety
/// `word` is a task that waits for exactly one completion and cannot end before it.
unsafe fn wake_task(word: usize) {
    // SAFETY: the task is suspended until this very call (or about to be): it is alive.
    unsafe { ec_tasks::wake_raw(word as *const (), Tokens::OP) }
}

const IN_FLIGHT: &str = "an operation in flight";

/// What is on its way (an operation, or somebody who tells a waiter) writes into this stack: rather no process than one that unwinds it.
#[doc(hidden)]
pub struct AbortOnUnwind(pub &'static str);

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        crate::quietly!(error, "unwinding past {}", self.0);
        std::process::abort();
    }
}
