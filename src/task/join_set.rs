//! A set of tasks that are joined in the order of their ends.
//!
//! The handles lie in the set, each in a place of its own. A task that ends puts the number of its place into a queue, and tells the
//! one that waits in the set, if there is one. The queue always has room for the places of all members, since whoever adds one makes it.
//! So nothing is looked for, and nothing is allocated where a task ends.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::Watcher`.

use super::{Builder, JoinHandle, TaskId};
use crate::twins::{NO_DEADLINE, after, no_point, point};
use crate::waiter::Waiter;
use ec_pool::wait::Stop;
use ec_tasks::lock::{ForkMutex, Forked};
use ec_tasks::room::{Room, lock_with_room};
use ec_tasks::{WaitKind, Watcher};
use std::collections::{TryReserveError, VecDeque};
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

static JOIN_NEXT: WaitKind = WaitKind {
    name: "join_next",
    cancel: None,
    describe: |_, tasks| format!("the end of one of {tasks} tasks"),
};

/// Tasks that are joined in the order of their ends.
///
/// A panic of a task is the error of its [`join_next`](Self::join_next), and concerns no other one. A task that ended stays in the set
/// until it is joined. **Dropping the set cancels all its tasks and detaches them**: it does not wait for them.
/// [`detach_all`](Self::detach_all) lets them go on.
///
/// Adding and joining one take the same time however many there are.
///
/// ```
/// use event_channel::task::JoinSet;
/// use event_channel::time::{Duration, sleep};
///
/// let mut set = JoinSet::new();
/// for pause in [30, 1, 15] {
///     set.spawn(move || {
///         sleep(Duration::from_millis(pause));
///         pause
///     });
/// }
/// let mut ended = Vec::new();
/// while let Some(result) = set.join_next() {
///     ended.push(result.unwrap());
/// }
/// assert_eq!(ended.len(), 3);
/// assert_eq!(ended[2], 30);
/// ```
pub struct JoinSet<T> {
    ends: Arc<Ends>,
    /// The handles, each in its place.
    places: Vec<Option<JoinHandle<T>>>,
    free: Vec<u32>,
    /// The task that was looked for among them last, in vain.
    stranger: Option<TaskId>,
}

/// One that was taken out.
type Joined<T> = (TaskId, thread::Result<T>);

/// What the members' ends come to.
#[derive(Default)]
struct Ends(ForkMutex<State>);

#[derive(Default)]
struct State {
    ended: Ended,
    waiter: Option<Arc<Waiter>>,
}

/// (In a forked child nobody looks: all members are the parent's.)
impl Forked for State {
    fn left_half() -> Self {
        State::default()
    }
}

/// The places of those who have ended, the first one first. There is room for all members.
#[derive(Default)]
struct Ended {
    places: VecDeque<u32>,
    /// Those who have a place, ended or not.
    members: usize,
}

impl Room for Ended {
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        VecDeque::try_with_room_for(count).map(|places| Ended { places, members: 0 })
    }

    fn filled(&self) -> (usize, usize) {
        (self.members, self.places.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.places.append(&mut other.places);
        self.members = other.members;
    }
}

impl Ends {
    /// `waiter` is told of the next end. False: there is one.
    fn wait_unless_due(&self, waiter: &Arc<Waiter>) -> bool {
        let waiter = waiter.clone();
        let mut state = self.0.lock();
        let waits = state.ended.places.is_empty();
        // (What is left over is dropped without the lock.)
        let left_over = if waits { state.waiter.replace(waiter) } else { Some(waiter) };
        drop(state);
        drop(left_over);
        waits
    }

    /// Nobody is told any more.
    fn do_not_wait(&self) {
        let waiter = self.0.lock().waiter.take();
        drop(waiter);
    }
}

// SAFETY: it writes a number into a list that has room, and makes a task ready or notifies a thread.
unsafe impl Watcher for Ends {
    fn ended(self: Arc<Self>, place: u32, _: bool) {
        let waiter = {
            let mut state = self.0.lock();
            state.ended.places.push_back(place);
            state.waiter.take()
        };
        waiter.into_iter().for_each(|waiter| waiter.tell());
    }
}

/// No task of the set has ended in time: see [`JoinSet::join_next_timeout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no task of the set has ended in time")
    }
}

impl std::error::Error for TimedOut {}

impl<T> JoinSet<T> {
    /// An empty set. It allocates nothing but a few words.
    pub fn new() -> JoinSet<T> {
        JoinSet { ends: Arc::default(), places: Vec::new(), free: Vec::new(), stranger: None }
    }

    /// Adds a task that was spawned elsewhere: in another runtime, or before. One that has ended already counts as ending now.
    ///
    /// # Panics
    /// If it is the task that calls, which would wait for its own end.
    ///
    /// ```
    /// use event_channel::task::{self, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// set.add(task::Builder::new().dedicated().spawn(|| 7)?);
    /// assert_eq!(set.join_next().unwrap().unwrap(), 7);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add(&mut self, mut handle: JoinHandle<T>) {
        let place = self.free.last().map_or(self.places.len(), |&place| place as usize);
        let number = u32::try_from(place).expect("fewer than 2^32 tasks");
        // (In a forked child they are all the parent's: `take_ended` sees to that.)
        if !ec_tasks::forked() {
            // (Counted in vain, if the next line panics: then there is room for one more.)
            lock_with_room(&self.ends.0, |state| &mut state.ended).ended.members += 1;
            if !handle.tell(self.ends.clone(), number) {
                self.ends.clone().ended(number, true);
            }
        }
        if self.stranger == Some(handle.id()) {
            self.stranger = None;
        }
        if self.free.pop().is_none() {
            self.places.push(None);
        }
        self.places[place] = Some(handle);
    }

    /// Waits until a task of the set has ended, takes it out, and gives its result: of those that nobody has joined the one that ended
    /// first. `None` if the set is empty. Suspends in a task, blocks on a plain thread. Not a cancellation point.
    ///
    /// Tasks that a [shutdown](crate::Runtime::shutdown) has abandoned never end, but for those of which [`JoinHandle::join`] says that they go on. If no
    /// others are left it never returns.
    ///
    /// # Errors
    /// The inner ones of [`JoinHandle::join`].
    ///
    /// # Panics
    /// In a task of the set itself, which would wait for its own end. So do its twins.
    pub fn join_next(&mut self) -> Option<thread::Result<T>> {
        self.join_next_with_id().map(|(_, result)| result)
    }

    /// As [`join_next`](Self::join_next), with the task's id, which [`spawn`](Self::spawn) gave.
    ///
    /// # Errors
    /// As there.
    pub fn join_next_with_id(&mut self) -> Option<(TaskId, thread::Result<T>)> {
        no_point(|is| self.next(None, is)).expect(NO_DEADLINE)
    }

    /// As [`join_next`](Self::join_next), and a cancellation point. The set stays as it is if there is an error.
    ///
    /// # Errors
    /// [`Cancelled`](crate::Cancelled), or [`TimedOut`](io::ErrorKind::TimedOut) of a surrounding [`timeout`](crate::time::timeout); the
    /// inner ones of [`JoinHandle::join`].
    ///
    /// ```
    /// use event_channel::task::{self, JoinSet};
    /// use event_channel::time::{Duration, timeout};
    /// use std::io::ErrorKind;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn(task::park);
    /// let result = timeout(Duration::from_millis(5), || set.join_next_cancellable());
    /// assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
    /// assert_eq!(set.len(), 1);
    /// ```
    pub fn join_next_cancellable(&mut self) -> io::Result<Option<thread::Result<T>>> {
        Ok(self.join_next_with_id_cancellable()?.map(|(_, result)| result))
    }

    /// As [`join_next_with_id`](Self::join_next_with_id), and a cancellation point. The set stays as it is if there is an error.
    ///
    /// # Errors
    /// As [`join_next_cancellable`](Self::join_next_cancellable).
    ///
    /// ```
    /// use event_channel::task::JoinSet;
    ///
    /// let mut set = JoinSet::new();
    /// let id = set.spawn(|| 7);
    /// let (who, result) = set.join_next_with_id_cancellable()?.unwrap();
    /// assert_eq!((who, result.unwrap()), (id, 7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_next_with_id_cancellable(&mut self) -> io::Result<Option<(TaskId, thread::Result<T>)>> {
        Ok(point(|is| self.next(None, is))?.expect(NO_DEADLINE))
    }

    /// As [`join_next`](Self::join_next), for at most `timeout`. Not a cancellation point.
    ///
    /// # Errors
    /// None has ended in time; the inner ones of [`JoinHandle::join`].
    pub fn join_next_timeout(&mut self, timeout: Duration) -> Result<Option<thread::Result<T>>, TimedOut> {
        no_point(|is| self.next(after(timeout), is)).map(|next| next.map(|(_, result)| result))
    }

    /// As [`join_next_timeout`](Self::join_next_timeout), and a cancellation point. The set stays as it is if there is an error.
    ///
    /// # Errors
    /// Of the outer result: as [`join_next_cancellable`](Self::join_next_cancellable). Of the inner one: as
    /// [`join_next_timeout`](Self::join_next_timeout).
    ///
    /// ```
    /// use event_channel::task::{self, JoinSet};
    /// use event_channel::time::Duration;
    ///
    /// let mut set = JoinSet::new();
    /// set.spawn(task::park);
    /// assert!(set.join_next_timeout_cancellable(Duration::from_millis(5))?.is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn join_next_timeout_cancellable(
        &mut self,
        timeout: Duration,
    ) -> io::Result<Result<Option<thread::Result<T>>, TimedOut>> {
        let next = point(|is| self.next(after(timeout), is))?;
        Ok(next.map(|next| next.map(|(_, result)| result)))
    }

    /// The result of the task that ended first, if one has ended that nobody has joined. Neither suspends nor blocks.
    ///
    /// # Errors
    /// The inner ones of [`JoinHandle::join`].
    pub fn try_join_next(&mut self) -> Option<thread::Result<T>> {
        self.take_ended().map(|(_, result)| result)
    }

    /// So many tasks are in the set, those that have ended and were not joined among them.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks all tasks of the set to stop: see [`JoinHandle::cancel`]. They stay in the set, and are to be joined.
    pub fn cancel_all(&self) {
        self.places.iter().flatten().for_each(JoinHandle::cancel);
    }

    /// Takes all tasks out of the set, and lets them go on by themselves.
    pub fn detach_all(&mut self) {
        // (Who is just ending may still write into the list that there was.)
        self.ends = Arc::default();
        self.free.clear();
        self.places.clear();
    }

    /// # Panics
    /// If one of them is the task that calls.
    pub(crate) fn assert_caller_is_no_member(&mut self) {
        let caller = ec_tasks::with_current(|task| task.map(ec_tasks::Task::id));
        let Some(caller) = caller.filter(|caller| self.stranger != Some(*caller)) else { return };
        let is_in = self.places.iter().flatten().any(|handle| handle.id() == caller);
        assert!(!is_in, "a task cannot join the set that it is in: it would wait for its own end");
        self.stranger = Some(caller);
    }

    /// `waiter` is told of the next end. False: there is one.
    pub(crate) fn wait_unless_due(&self, waiter: &Arc<Waiter>) -> bool {
        ec_tasks::forked() || self.ends.wait_unless_due(waiter)
    }

    /// Nobody is told any more.
    pub(crate) fn do_not_wait(&self) {
        self.ends.do_not_wait();
    }

    /// Until one has ended, or `deadline` has come.
    fn next(
        &mut self,
        deadline: Option<Instant>,
        point: bool,
    ) -> Result<Result<Option<Joined<T>>, TimedOut>, Stop> {
        self.assert_caller_is_no_member();
        loop {
            let ended = self.take_ended();
            if ended.is_some() || self.is_empty() {
                return Ok(Ok(ended));
            }
            let waiter = Waiter::here();
            if !self.ends.wait_unless_due(&waiter) {
                continue;
            }
            let verdict = waiter.wait(&JOIN_NEXT, self.len() as u64, deadline, point);
            if !matches!(verdict, Ok(true)) {
                self.ends.do_not_wait();
                return verdict.map(|_| Err(TimedOut));
            }
        }
    }

    /// The one that ended first.
    fn take_ended(&mut self) -> Option<Joined<T>> {
        let place = if ec_tasks::forked() {
            // All are the parent's: they have ended or never will, which `join` finds out.
            self.places.iter().rposition(Option::is_some)? as u32
        } else {
            let mut state = self.ends.0.lock();
            let place = state.ended.places.pop_front()?;
            state.ended.members -= 1;
            place
        };
        let handle = self.places[place as usize].take().expect("who ends is in the set, once");
        self.free.push(place);
        Some((handle.id(), handle.join()))
    }
}

impl<T: Send + 'static> JoinSet<T> {
    /// Starts a task as [`spawn`](super::spawn()) does, and adds it. Gives its id.
    ///
    /// # Panics
    /// As there.
    pub fn spawn<F>(&mut self, f: F) -> TaskId
    where
        F: FnOnce() -> T + Send + 'static,
    {
        self.spawn_with(Builder::new(), f).expect("failed to spawn task")
    }

    /// Starts a task as [`Builder::spawn`] does, and adds it. Gives its id.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    ///
    /// ```
    /// use event_channel::task::{self, JoinSet};
    ///
    /// let mut set = JoinSet::new();
    /// let id = set.spawn_with(task::Builder::new().name("reader".into()), || 7)?;
    /// let (who, result) = set.join_next_with_id().unwrap();
    /// assert_eq!((who, result.unwrap()), (id, 7));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn_with<F>(&mut self, builder: Builder, f: F) -> io::Result<TaskId>
    where
        F: FnOnce() -> T + Send + 'static,
    {
        let handle = builder.spawn(f)?;
        let id = handle.id();
        self.add(handle);
        Ok(id)
    }
}

impl<T> Drop for JoinSet<T> {
    fn drop(&mut self) {
        self.cancel_all();
    }
}

// A set is whole after whatever a panic may have come out of. (As with `JoinHandle`.)
impl<T> UnwindSafe for JoinSet<T> {}
impl<T> RefUnwindSafe for JoinSet<T> {}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ended = self.ends.0.lock().ended.places.len();
        f.debug_struct("JoinSet").field("tasks", &self.len()).field("ended", &ended).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Between the look whether one has ended and the wait one may end.
    #[test]
    fn nobody_waits_for_an_end_that_there_is() {
        let ends = Arc::<Ends>::default();
        let (early, waits) = (Waiter::here(), Waiter::here());
        let guard = lock_with_room(&ends.0, |state| &mut state.ended);
        drop(guard);
        assert!(ends.wait_unless_due(&early));
        ends.do_not_wait();
        ends.clone().ended(7, true);
        assert!(!ends.wait_unless_due(&waits));
        assert_eq!((Arc::strong_count(&early), Arc::strong_count(&waits)), (1, 1));
        assert!(!early.take(), "who does not wait is not told");
        assert_eq!(ends.0.lock().ended.places, [7]);
    }
}
