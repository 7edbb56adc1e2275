//! The ends of tasks.
//!
//! This file has `unsafe` in it: the contract of `ec_tasks::Watcher`.

#![allow(unsafe_code)]

use super::super::base::first::{Among, Arm, Stood};
use super::super::base::said::{Kind, What};
use super::{Operation, Sealed};
use crate::task::{JoinHandle, JoinSet, ScopedJoinHandle};
use crate::waiter::Waiter;
use ec_tasks::Watcher;
use std::sync::Arc;
use std::thread;

/// Comes with the end of the task, and gives its result: as `join`. Of a [`JoinHandle`] or a [`ScopedJoinHandle`]; the handle remains, and
/// gives its result once.
///
/// # Panics
/// In the task itself, which would wait for its own end; and if the handle has given its result before.
///
/// ```
/// use event_channel::sync::select;
/// use event_channel::task;
/// use event_channel::time::Duration;
///
/// let mut answer = task::spawn(|| 6 * 7);
/// let answer = select! {
///     join(&mut answer) -> result => result.unwrap(),
///     sleep(Duration::from_secs(60)) => 0,
/// }?;
/// assert_eq!(answer, 42);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn join<H: Handle>(handle: &mut H) -> impl Operation<Output = thread::Result<H::Result>> + '_ {
    Join::new(handle)
}

/// Comes with the end of one of the tasks of the set, takes it out and gives its result: as [`JoinSet::join_next`]. If the set is empty it
/// comes at once, with `None`.
///
/// # Panics
/// In a task of the set, which would wait for its own end.
///
/// ```
/// use event_channel::sync::select;
/// use event_channel::task::JoinSet;
/// use event_channel::time::{Duration, Instant};
///
/// let limit = Instant::now() + Duration::from_secs(60);
/// let mut set = JoinSet::new();
/// (0..3).for_each(|number| _ = set.spawn(move || number));
/// let mut sum = 0;
/// while !set.is_empty() {
///     select! {
///         join_next(&mut set) -> result => sum += result.unwrap().unwrap(),
///         sleep_until(limit) => panic!("too slow"),
///     }?;
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn join_next<T>(set: &mut JoinSet<T>) -> impl Operation<Output = Option<thread::Result<T>>> + '_ {
    Join::new(set)
}

/// What [`join`] waits for.
pub trait Handle: Ends<Output = thread::Result<Self::Result>> {
    /// What the task gives.
    type Result;
}

/// Something that ends, and says so.
#[doc(hidden)]
pub trait Ends {
    type Output;

    /// What has come of it, if it has ended.
    fn ended(&mut self, _: Sealed) -> Option<Self::Output>;

    /// For a dump.
    fn what(&self, _: Sealed) -> What;

    /// Has this one told of the end. False: it has ended.
    fn tell(&mut self, waiter: &Arc<Waiter>, _: Sealed) -> bool;

    /// Nobody is told any more.
    fn untell(&mut self, _: Sealed);
}

// SAFETY: it makes a task ready or notifies a thread.
unsafe impl Watcher for Waiter {
    fn ended(self: Arc<Self>, _: u32, _: bool) {
        self.tell();
    }
}

struct Join<'a, H: Ends> {
    handle: &'a mut H,
    output: Option<H::Output>,
    /// Made at the first wait.
    waiter: Option<Arc<Waiter>>,
}

impl<'a, H: Ends> Join<'a, H> {
    fn new(handle: &'a mut H) -> Self {
        Join { handle, output: None, waiter: None }
    }
}

impl<H: Ends> Arm for Join<'_, H> {
    fn attempt(&mut self) -> bool {
        self.output = self.handle.ended(Sealed);
        self.output.is_some()
    }

    fn what(&self) -> Option<What> {
        Some(self.handle.what(Sealed))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        let waiter = self.waiter.get_or_insert_with(|| Waiter::of(among.sleeper().clone()));
        waiter.take();
        if self.handle.tell(waiter, Sealed) {
            inner(&among.with(&|| waiter.is_told()));
            self.handle.untell(Sealed);
        }
        if waiter.is_told() { Stood::Told } else { Stood::Idle }
    }
}

impl<H: Ends> Operation for Join<'_, H> {
    type Output = H::Output;

    fn output(&mut self) -> Option<H::Output> {
        self.output.take()
    }
}

impl<T> Ends for JoinHandle<T> {
    type Output = thread::Result<T>;

    fn ended(&mut self, _: Sealed) -> Option<thread::Result<T>> {
        self.try_join()
    }

    fn what(&self, _: Sealed) -> What {
        What::new(Kind::Join, self.task().id().as_u64())
    }

    fn tell(&mut self, waiter: &Arc<Waiter>, _: Sealed) -> bool {
        self.tell(waiter.clone(), 0)
    }

    fn untell(&mut self, _: Sealed) {
        self.untell();
    }
}

impl<T> Handle for JoinHandle<T> {
    type Result = T;
}

impl<T> Ends for ScopedJoinHandle<'_, T> {
    type Output = thread::Result<T>;

    fn ended(&mut self, _: Sealed) -> Option<thread::Result<T>> {
        self.try_join()
    }

    fn what(&self, _: Sealed) -> What {
        What::new(Kind::Join, self.task().id().as_u64())
    }

    fn tell(&mut self, waiter: &Arc<Waiter>, _: Sealed) -> bool {
        self.inner().tell(waiter.clone(), 0)
    }

    fn untell(&mut self, _: Sealed) {
        self.inner().untell();
    }
}

impl<T> Handle for ScopedJoinHandle<'_, T> {
    type Result = T;
}

impl<T> Ends for JoinSet<T> {
    type Output = Option<thread::Result<T>>;

    fn ended(&mut self, _: Sealed) -> Option<Self::Output> {
        self.assert_caller_is_no_member();
        if self.is_empty() { Some(None) } else { self.try_join_next().map(Some) }
    }

    fn what(&self, _: Sealed) -> What {
        What::new(Kind::JoinNext, self.len() as u64)
    }

    fn tell(&mut self, waiter: &Arc<Waiter>, _: Sealed) -> bool {
        self.wait_unless_due(waiter)
    }

    fn untell(&mut self, _: Sealed) {
        self.do_not_wait();
    }
}
