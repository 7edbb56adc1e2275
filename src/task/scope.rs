//! Tasks that borrow from whoever starts them.
//!
//! All of it rests on one frame, [`enclose`]: tasks of a group borrow from its callers, and it is left when the group is empty. A child
//! counts in the group until its closure and its result are gone, or the result is its handle's; to leave the group is the last that
//! it does with it, and it has a counted reference of its own. Handles live in the frame, or in children. One that is leaked leaks its result.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::spawn_in_group`.

use super::{Builder, ScopedJoinHandle};
use crate::runtime;
use ec_pool::wait::{Inherited, is_shielded};
use ec_tasks::{Group, GroupNews};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

/// Calls `f`, in which tasks may be started that borrow what is around this call, and returns when they all have ended: as
/// [`std::thread::scope`], with tasks.
///
/// ```
/// use event_channel::{run, task};
///
/// run(|| {
///     let mut words = vec![String::from("these"), String::from("are"), String::from("borrowed")];
///     let longest = task::scope(|s| {
///         let longest = s.spawn(|| words.iter().map(String::len).max()); // by one task that only reads,
///         longest.join().unwrap()
///     });
///     task::scope(|s| {
///         for word in &mut words {
///             s.spawn(move || word.push('!')); // and by one for each word that changes it, wherever that runs
///         }
///     });
///     assert_eq!(longest, Some(8));
///     assert_eq!(words, ["these!", "are!", "borrowed!"]);
/// });
/// ```
///
/// A runtime of futures cannot offer this: a future may be forgotten while others still use what it has lent to them, and so what
/// is spawned may not borrow at all. tokio refuses the same program:
///
/// ```compile_fail,E0597
/// # mod tokio { pub fn spawn<F: Future<Output: Send + 'static> + Send + 'static>(_: F) {} }
/// async fn shout() {
///     let mut words = vec![String::from("these"), String::from("are"), String::from("borrowed")];
///     for word in &mut words {
///         tokio::spawn(async move { word.push('!') });
///     } // error[E0597]: `words` does not live long enough: argument requires that `words` is borrowed for `'static`
/// }
/// ```
///
/// Here the caller is a task on a stack of its own. Nobody can forget it: while it waits, the stack stays where it is.
///
/// # What it waits for
/// For the end of each child: its closure and its thread-locals are gone then, and so is its result, if the handle was dropped. `scope`
/// suspends a task and blocks a plain thread meanwhile. The wait is no cancellation point and does not fail. What would stop the caller
/// goes to the children instead:
///
/// * **A cancel of the caller** while it waits is handed on to the children, once; so is one that was delivered in `f`. The caller keeps it,
///   too: [`is_cancelled`](super::is_cancelled) stays true, and what was not delivered in `f` is at its next cancellation point.
/// * **A [`timeout`](crate::time::timeout) around the scope** is one for each child as well: when it is over their calls fail, once each,
///   with [`TimedOut`](io::ErrorKind::TimedOut), and `is_cancelled` is true in them. One that is only around the call of `spawn` is not
///   for the child.
/// * **The group of a [token](super::CancelToken)** that the scope is in is each child's as well, from its beginning to its end.
/// * **A [`shield`](super::shield) around the scope** keeps all of that off the children, too. What is theirs alone reaches them: a
///   [cancel](Scope::cancel) of the scope, a shutdown of their runtime.
///
/// What was delivered before the scope began is not the children's.
///
/// Children that end neither by that nor by themselves are waited for.
///
/// # Panics
/// If a child panics, the others are cancelled, once, and those that begin later begin cancelled. `scope` waits for all, and then panics
/// ("a scoped task panicked"), unless the panic was seen by a [`join`](ScopedJoinHandle::join). Then it does not count any more,
/// also not for children to come. A child that never began, because its runtime was shut down, counts as one that has failed.
///
/// If `f` panics, the children are cancelled and waited for, and the panic goes on.
///
/// # Where nobody comes back
/// A child that the shutdown of its runtime (which may be another one than the caller's) has abandoned never ends. What it borrows must stay,
/// so **`scope` does not return** then. It says so once, in the log (an error), or on stderr if that does not take it. One
/// that blocked its thread over the shutdown may still get to its end, and is waited for; one that had not begun is dropped.
///
/// In a [forked child](crate#fork) none of the parent's tasks is there. Nobody uses what they had borrowed, so `scope` returns without
/// them; and to spawn is an error.
///
/// A coroutine of another crate that is unwound while it is suspended in `f` ends as if `f` had panicked. Where frames are left in
/// a way that nothing in Rust can hold up (`pthread_exit`), the process aborts with a message.
///
/// # What must not compile
/// A child that borrows what does not live as long as the scope:
///
/// ```compile_fail,E0597
/// event_channel::task::scope(|s| {
///     let inside = String::from("goes with the closure");
///     s.spawn(|| println!("{inside}"));
/// });
/// ```
///
/// or that changes what somebody else has:
///
/// ```compile_fail,E0499
/// let mut count = 0;
/// event_channel::task::scope(|s| {
///     s.spawn(|| count += 1);
///     s.spawn(|| count += 1);
/// });
/// ```
///
/// or that takes to another thread what must stay:
///
/// ```compile_fail,E0277
/// let count = std::rc::Rc::new(1);
/// event_channel::task::scope(|s| {
///     s.spawn(|| println!("{count}"));
/// });
/// ```
///
/// And no handle leaves the scope:
///
/// ```compile_fail
/// let kept = event_channel::task::scope(|s| s.spawn(|| 7));
/// kept.join().unwrap();
/// ```
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let group = Arc::new(Group::new());
    let scope =
        Scope { group: group.clone(), inherited: Inherited::here(), scope: PhantomData, env: PhantomData };
    let result = enclose(&group, || f(&scope));
    if group.failures() > 0 {
        // (The payload is a `&str`, as std's.)
        if group.has_panicked() {
            panic!("a scoped task panicked");
        }
        panic!("a scoped task never began: its runtime was shut down");
    }
    result
}

/// Where [`scope`] starts tasks that borrow. It may be lent to the children, who start more.
pub struct Scope<'scope, 'env: 'scope> {
    group: Arc<Group>,
    inherited: Inherited,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a task that may borrow what lives as long as the scope. It belongs to the runtime that [`spawn`](super::spawn()) would take here.
    /// If the handle is dropped the scope still waits for the task, and the result is dropped at its end.
    ///
    /// # Panics
    /// As [`spawn`](super::spawn()); see [`Builder::spawn_scoped`] for an error instead.
    ///
    /// ```
    /// use event_channel::task;
    ///
    /// let numbers = [1, 2, 3, 4];
    /// let sum = task::scope(|s| {
    ///     let (left, right) = numbers.split_at(2);
    ///     let left = s.spawn(|| left.iter().sum::<i32>());
    ///     let right = s.spawn(|| right.iter().sum::<i32>());
    ///     left.join().unwrap() + right.join().unwrap()
    /// });
    /// assert_eq!(sum, 10);
    /// ```
    pub fn spawn<F, T>(&'scope self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f).expect("failed to spawn task")
    }

    /// Cancels all children, and those to come, once. See [`JoinHandle::cancel`](super::JoinHandle::cancel).
    ///
    /// ```
    /// use event_channel::net::UdpSocket;
    /// use event_channel::{Cancelled, task};
    ///
    /// let socket = UdpSocket::bind("127.0.0.1:0")?;
    /// let error = task::scope(|s| {
    ///     let child = s.spawn(|| socket.recv(&mut [0; 16]).unwrap_err());
    ///     s.cancel();
    ///     child.join().unwrap()
    /// });
    /// assert!(Cancelled::is(&error));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn cancel(&self) {
        self.group.cancel();
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("live", &self.group.live()).finish_non_exhaustive()
    }
}

impl Builder {
    /// Starts the task in a [`scope`]; as [`Scope::spawn`].
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn). The closure is dropped then, and the scope does not count it.
    ///
    /// # Panics
    /// If the name contains a NUL byte.
    ///
    /// ```
    /// use event_channel::task;
    ///
    /// let words = ["borrowed"];
    /// task::scope(|s| {
    ///     let reader = task::Builder::new().name("reader".into()).spawn_scoped(s, || words.len())?;
    ///     assert_eq!(reader.task().name(), Some("reader"));
    ///     assert_eq!(reader.join().unwrap(), 1);
    ///     Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn_scoped<'scope, 'env, F, T>(
        self,
        scope: &'scope Scope<'scope, 'env>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let group = scope.group.clone();
        let child = move || scope.inherited.around(f);
        // SAFETY: `child` and its result may go to another thread, and the task is no lean one: safe code has no such builder. What they
        // borrow outlives the scope's frame, which is not left before the group is empty.
        let inner = runtime::with_pool(|pool| unsafe { self.start(pool, Some(group.clone()), child) })?;
        Ok(ScopedJoinHandle::new(inner, scope.group.clone()))
    }
}

/// Calls `f`, in which tasks of `group` are started that borrow from this frame's callers, and comes back when they have ended, whatever
/// happens. A cancel of the caller is one of them as well, in whatever `f` is, but for what a shield around this keeps off. If `f` panics they
/// are cancelled. (Deadlines and groups are each task's own: [`Inherited`].)
///
/// No destructor waits: unwinding that is no panic ends the process (a destructor may be left out, or run in
/// the middle of another panic, and a task that waits in one could not be told from one that is stuck).
pub(super) fn enclose<R>(group: &Arc<Group>, f: impl FnOnce() -> R) -> R {
    let guard = NeverUnwind;
    let follows = if is_shielded() { None } else { group.follow() };
    let result = catch_unwind(AssertUnwindSafe(|| {
        let inside = NeverByForce;
        let result = f();
        std::mem::forget(inside);
        result
    }));
    if result.is_err() {
        group.cancel();
    }
    wait(group);
    drop(follows);
    std::mem::forget(guard);
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

fn wait(group: &Group) {
    let mut told = false;
    while let GroupNews::Abandoned(task) = group.wait() {
        if !told {
            told = true;
            tell_abandoned(&task);
        }
    }
}

#[cold]
fn tell_abandoned(task: &ec_tasks::Task) {
    say(&format!(
        "a scope waits for task '{}' (id {}), which the shutdown of its runtime has abandoned: unless that gets to its end without \
         suspending, the scope never returns",
        task.name().unwrap_or("<unnamed>"),
        task.id()
    ));
}

/// To the log, or if that does not take it to stderr, in one write. (Not by std's lock of stderr, which belongs to a thread.)
fn say(words: &str) {
    if ec_tasks::catch_quietly(|| log::log_enabled!(log::Level::Error)).unwrap_or(false) {
        ec_pool::quietly!(error, "{words}");
    } else {
        write(words);
    }
}

fn write(words: &str) {
    ec_tasks::write_to_stderr(format!("{words}\n").as_bytes());
}

/// What is dropped while no panic is under way is unwound by others' means (`pthread_exit`), which `catch_unwind` cannot stop for good. (A lean
/// task is not asked: the count of panics is its worker's.)
struct NeverByForce;

impl Drop for NeverByForce {
    fn drop(&mut self) {
        let is_lean =
            ec_tasks::with_current(|task| task.is_some_and(|task| task.kind() == ec_tasks::Kind::Lean));
        if !is_lean && !std::thread::panicking() {
            drop(NeverUnwind);
        }
    }
}

/// Leaving the frame that tasks borrow from would be worse than any end.
struct NeverUnwind;

impl Drop for NeverUnwind {
    fn drop(&mut self) {
        const WHY: &str =
            "unwinding out of a frame that tasks borrow from, before they have ended: the process aborts";
        ec_pool::quietly!(error, "{WHY}");
        write(WHY);
        std::process::abort();
    }
}
