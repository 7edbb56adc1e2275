//! A counted notification: the event that an application posts for itself.
//!
//! A waiter is a small shared record in one first-in-first-out queue.
//!
//! * `post` takes the first waiter out and marks it under the queue's lock. It wakes the waiter afterwards. With nobody
//!   in the queue it counts a token.
//! * A waiter whose time is over, or that is cancelled, takes itself out under the same lock, unless it has been marked by then. So a post
//!   goes to a waiter that leaves with it, or to the next one, or into the count.
//! * A task that was abandoned in its wait cannot take itself out. The next post does so, and looks further.
//!
//! Nothing is allocated or freed under the lock, since an allocator may post here, too.

use crate::queue::Queue;
use ec_channel::line::Place;
use ec_pool::wait::{self, Stop};
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::room::lock_with_room;
use ec_tasks::{Task, Tokens, WaitKind};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static NOTIFICATION: WaitKind =
    WaitKind { name: "notification", cancel: None, describe: |_, address| format!("at {address:#x}") };

/// Lets one task or thread tell others that something has happened, any number of times.
///
/// **Counting:** every [`post`](Self::post) lets exactly one [`wait`](Self::wait) return, one that waits now
/// or the next one to come; posts are never merged and never lost. [`post_all`](Self::post_all) lets
/// those return that wait at that moment and leaves nothing behind. Waiters are served in the order
/// in which they came, tasks and plain threads in one queue. A task that its runtime's shutdown has
/// abandoned in `wait` waits no longer: posts after the shutdown are for the others. The same holds in a forked
/// child for all tasks of the parent.
///
/// What was written before a post is seen by whoever returns with it.
///
/// ```
/// use event_channel::sync::Notification;
///
/// static READY: Notification = Notification::new();
///
/// let other = std::thread::spawn(|| READY.wait());
/// READY.post();
/// other.join().unwrap();
/// ```
pub struct Notification {
    inner: Mutex<Inner>,
}

struct Inner {
    /// Posts that nobody has taken yet. Not zero only while nobody waits.
    tokens: usize,
    /// Each can leave from where it stands.
    waiters: Queue<Arc<Waiter>>,
}

struct Waiter {
    posted: AtomicBool,
    who: Who,
}

enum Who {
    Task(Task),
    Thread(Mutex<()>, Condvar),
}

impl Notification {
    /// One that nothing has been posted to.
    pub const fn new() -> Self {
        Self { inner: Mutex::new(Inner { tokens: 0, waiters: Queue::new() }) }
    }

    /// Returns with the next post: suspends the task or blocks the thread until there is one.
    /// It cannot fail, so it is not a cancellation point.
    pub fn wait(&self) {
        let _ = self.wait_deadline(None, false);
    }

    /// As [`wait`](Self::wait), and a [cancellation point](crate::task#cancellation). One that fails has not taken any post.
    ///
    /// # Errors
    /// A cancel, or the deadline of a surrounding [`timeout`](crate::time::timeout).
    ///
    /// ```
    /// use event_channel::sync::Notification;
    /// use event_channel::{is_deadline, time};
    /// use std::time::Duration;
    ///
    /// let notification = Notification::new();
    /// let error = time::timeout(Duration::from_millis(5), || notification.wait_cancellable()).unwrap_err();
    /// assert!(is_deadline(&error));
    /// ```
    pub fn wait_cancellable(&self) -> io::Result<()> {
        self.wait_point(None).map(drop)
    }

    /// Returns `true` with the next post, or `false` if there is none within `timeout`; a wait that
    /// returns `false` has not taken any. Not a cancellation point.
    ///
    /// ```
    /// use event_channel::sync::Notification;
    /// use std::time::Duration;
    ///
    /// let notification = Notification::new();
    /// assert!(!notification.wait_timeout(Duration::from_millis(5)));
    /// notification.post();
    /// assert!(notification.wait_timeout(Duration::ZERO));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        // A sum that no clock can show is for ever.
        self.wait_deadline(Instant::now().checked_add(timeout), false).unwrap_or(false)
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a [cancellation point](crate::task#cancellation). One that fails has not taken any post.
    ///
    /// # Errors
    /// A cancel, or the deadline of a surrounding [`timeout`](crate::time::timeout).
    pub fn wait_timeout_cancellable(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_point(Instant::now().checked_add(timeout))
    }

    /// Takes a post if one is there, without waiting.
    pub fn try_wait(&self) -> bool {
        self.inner.lock().take()
    }

    /// Lets one waiter return: the one that has waited longest, or else the next one to come. Never blocks.
    pub fn post(&self) {
        // (Those that are gone are dropped without the lock.)
        while let Some(waiter) = self.post_to_first() {
            if waiter.is_marked() {
                return waiter.wake();
            }
        }
    }

    /// Counts the post, if nobody waits; or takes out the first who does, marked if it can return.
    fn post_to_first(&self) -> Option<Arc<Waiter>> {
        let mut inner = self.inner.lock();
        let Some(waiter) = inner.waiters.pop() else {
            let Some(tokens) = inner.tokens.checked_add(1) else {
                drop(inner);
                panic!("more posts than a counter can hold");
            };
            inner.tokens = tokens;
            return None;
        };
        if !waiter.is_gone() {
            waiter.mark();
        }
        Some(waiter)
    }

    /// Lets all return that wait at this moment, and does nothing for those who come later. Never blocks.
    pub fn post_all(&self) {
        let waiters = {
            let mut inner = self.inner.lock();
            inner.waiters.iter().for_each(|waiter| waiter.mark());
            std::mem::replace(&mut inner.waiters, Queue::new())
        };
        waiters.iter().for_each(|waiter| waiter.wake());
    }

    fn wait_point(&self, deadline: Option<Instant>) -> io::Result<bool> {
        wait::checkpoint()?;
        self.wait_deadline(deadline, true).map_err(Stop::deliver)
    }

    fn wait_deadline(&self, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        if self.try_wait() {
            return Ok(true);
        }
        let task = ec_tasks::current();
        let who = task.map_or_else(|| Who::Thread(Mutex::new(()), Condvar::new()), Who::Task);
        let waiter = Arc::new(Waiter { posted: AtomicBool::new(false), who });
        let mine = waiter.clone();
        let place = {
            let mut inner = lock_with_room(&self.inner, |inner| &mut inner.waiters);
            if inner.take() {
                // (What was made in vain is dropped after the lock.)
                drop(inner);
                return Ok(true);
            }
            inner.waiters.join(mine)
        };
        match waiter.wait(self.address(), deadline, point) {
            Ok(true) => Ok(true),
            // (A stop that a post has outrun is not delivered here: it waits for the next point.)
            end => {
                if self.give_up(&waiter, place) {
                    Ok(true)
                } else {
                    end
                }
            }
        }
    }

    /// The time is over, or it is cancelled: out of the queue, unless a post has come first. That one must be taken then.
    fn give_up(&self, waiter: &Arc<Waiter>, place: Place) -> bool {
        let mut inner = self.inner.lock();
        // (Marked: the place is another's by now.)
        if waiter.is_marked() {
            return true;
        }
        let mine = inner.waiters.leave(place, |other| Arc::ptr_eq(other, waiter));
        drop(inner);
        drop(mine);
        false
    }

    fn address(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }
}

impl Inner {
    fn take(&mut self) -> bool {
        let any = self.tokens > 0;
        self.tokens -= usize::from(any);
        any
    }
}

impl Waiter {
    /// Under the queue's lock, as this takes the waiter out of the queue.
    fn mark(&self) {
        self.posted.store(true, Ordering::Release);
    }

    fn is_marked(&self) -> bool {
        self.posted.load(Ordering::Acquire)
    }

    /// Never to return from its wait, whatever is posted.
    fn is_gone(&self) -> bool {
        matches!(&self.who, Who::Task(task) if ec_pool::is_abandoned(task))
    }

    fn wake(&self) {
        match &self.who {
            Who::Task(_) if self.is_gone() => (),
            Who::Task(task) => task.wake(Tokens::SYNC),
            Who::Thread(lock, bell) => {
                // Between its look at the mark and its sleep the thread holds the lock.
                drop(lock.lock());
                bell.notify_one();
            }
        }
    }

    /// Until it is marked (`true`) or `deadline` has come; `point`: or until it is to stop.
    fn wait(&self, address: u64, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        let (lock, bell) = match &self.who {
            Who::Task(_) => return wait::until(&NOTIFICATION, address, deadline, point, &self.posted),
            Who::Thread(lock, bell) => (lock, bell),
        };
        let end = wait::earliest(deadline, if point { wait::scope_deadline() } else { None });
        let mut guard = lock.lock();
        while !self.is_marked() {
            match end {
                None => bell.wait(&mut guard),
                Some(at) if bell.wait_until(&mut guard, at) && !self.is_marked() => {
                    return if end == deadline { Ok(false) } else { Err(Stop::Scope(at)) };
                }
                Some(_) => (),
            }
        }
        Ok(true)
    }
}

impl Default for Notification {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (posts, waiters) = {
            let inner = self.inner.lock();
            (inner.tokens, inner.waiters.len())
        };
        f.debug_struct("Notification").field("posts", &posts).field("waiters", &waiters).finish()
    }
}
