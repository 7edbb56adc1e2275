//! A counted notification: the event that an application posts for itself.
//!
//! A waiter is a small shared record in one first-in-first-out queue. `post` takes the first one out
//! and marks it under the queue's lock, and wakes it afterwards; with nobody in the queue it counts a
//! token. A waiter whose time is over takes itself out under the same lock, unless it has been
//! marked by then: so a post goes to a waiter that leaves with it, or to the next one, or into the count.
//! A task that was abandoned in its wait cannot take itself out; the next post does so and looks further.

use ec_pool::wait;
use ec_tasks::{Task, Tokens, WaitKind};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static NOTIFICATION: WaitKind = WaitKind {
    name: "notification",
    cancel: None,
    describe: |_, address| format!("notification at {address:#x}"),
};

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
    waiters: VecDeque<Arc<Waiter>>,
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
        Self { inner: Mutex::new(Inner { tokens: 0, waiters: VecDeque::new() }) }
    }

    /// Returns with the next post: suspends the task or blocks the thread until there is one.
    /// It cannot fail, so it is not a cancellation point.
    pub fn wait(&self) {
        self.wait_deadline(None);
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
        self.wait_deadline(Instant::now().checked_add(timeout))
    }

    /// Takes a post if one is there, without waiting.
    pub fn try_wait(&self) -> bool {
        self.inner.lock().take()
    }

    /// Lets one waiter return: the one that has waited longest, or else the next one to come. Never blocks.
    pub fn post(&self) {
        let mut inner = self.inner.lock();
        let Some(waiter) = inner.next() else {
            inner.tokens = inner.tokens.checked_add(1).expect("more posts than a counter can hold");
            return;
        };
        waiter.mark();
        drop(inner);
        waiter.wake();
    }

    /// Lets all return that wait at this moment, and does nothing for those who come later. Never blocks.
    pub fn post_all(&self) {
        let waiters = {
            let mut inner = self.inner.lock();
            inner.waiters.iter().for_each(|waiter| waiter.mark());
            std::mem::take(&mut inner.waiters)
        };
        waiters.iter().for_each(|waiter| waiter.wake());
    }

    fn wait_deadline(&self, deadline: Option<Instant>) -> bool {
        let task = ec_tasks::current();
        let who = task.map_or_else(|| Who::Thread(Mutex::new(()), Condvar::new()), Who::Task);
        let waiter = {
            let mut inner = self.inner.lock();
            if inner.take() {
                return true;
            }
            let waiter = Arc::new(Waiter { posted: AtomicBool::new(false), who });
            inner.waiters.push_back(waiter.clone());
            waiter
        };
        waiter.wait(self.address(), deadline) || self.give_up(&waiter)
    }

    /// The time is over: out of the queue, unless a post has come first. That one must be taken then.
    fn give_up(&self, waiter: &Arc<Waiter>) -> bool {
        let mut inner = self.inner.lock();
        if waiter.is_marked() {
            return true;
        }
        inner.waiters.retain(|other| !Arc::ptr_eq(other, waiter));
        false
    }

    fn address(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }
}

impl Inner {
    /// Takes out the first waiter that can return.
    fn next(&mut self) -> Option<Arc<Waiter>> {
        std::iter::from_fn(|| self.waiters.pop_front()).find(|waiter| !waiter.is_gone())
    }

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

    /// Until it is marked (`true`) or `deadline` has come.
    fn wait(&self, address: u64, deadline: Option<Instant>) -> bool {
        let (lock, bell) = match &self.who {
            // Without a point nothing but the mark and the deadline ends the wait.
            Who::Task(_) => {
                return wait::until(&NOTIFICATION, address, deadline, false, &self.posted).unwrap_or(false);
            }
            Who::Thread(lock, bell) => (lock, bell),
        };
        let mut guard = lock.lock();
        while !self.is_marked() {
            match deadline {
                None => bell.wait(&mut guard),
                Some(at) if bell.wait_until(&mut guard, at).timed_out() => return self.is_marked(),
                Some(_) => (),
            }
        }
        true
    }
}

impl Default for Notification {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("Notification")
            .field("posts", &inner.tokens)
            .field("waiters", &inner.waiters.len())
            .finish()
    }
}
