//! A counted notification: the event that an application posts for itself.
//!
//! Posts are a [`Stock`]: each wait takes one. So one that is abandoned before it has run has taken none, and it is for the next one.

use super::base::face::{Stop, WaitKind, let_others_run_at_times};
use super::base::names::{self, Name};
use super::base::said::Kind;
use super::base::stock::{Stock, StockArm};
use super::base::waiters::How;
use crate::twins::after;
use ec_pool::wait::checkpoint;
use std::fmt;
use std::io;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

static NOTIFICATION: WaitKind = WaitKind { name: "notification", cancel: None, describe: names::describe };

/// Lets one task or thread tell others that something has happened, any number of times.
///
/// **Counting:** every [`post`](Self::post) lets exactly one [`wait`](Self::wait) return, one that waits now
/// or the next one to come; posts are never merged and never lost. [`post_all`](Self::post_all) lets
/// those return that wait at that moment and leaves nothing behind. Waiters are served in the order
/// in which they came, tasks and plain threads in one queue. A task that its runtime's shutdown has
/// abandoned in `wait` waits no longer: posts after the shutdown are for the others. (Not so a
/// [dedicated](crate::task::Builder::dedicated) one, which goes on, as [`join`](crate::task::JoinHandle::join) says.) The same holds in a
/// forked child for all tasks of the parent.
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
    posts: Stock,
    name: Name,
}

// (No code of others runs while anything in it is changed.)
impl UnwindSafe for Notification {}
impl RefUnwindSafe for Notification {}

impl Notification {
    /// One that nothing has been posted to.
    pub const fn new() -> Self {
        Self { posts: Stock::new(0), name: Name::none() }
    }

    /// As [`new`](Self::new), with a name that a [dump](crate::dump) shows of those who wait for it.
    pub const fn named(name: &'static str) -> Self {
        Self { posts: Stock::new(0), name: Name::new(name) }
    }

    /// Returns with the next post: suspends the task or blocks the thread until there is one.
    /// It cannot fail, so it is not a cancellation point.
    ///
    /// A task that calls this, or a twin of it, again and again lets others run at times, also if there is a post each time: before it takes
    /// one. (Not so [`try_wait`](Self::try_wait).)
    pub fn wait(&self) {
        // Without a deadline, and no point.
        let _ = self.wait_until(None, false);
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
        self.wait_until(after(timeout), false).is_ok_and(|posted| posted)
    }

    /// As [`wait_timeout`](Self::wait_timeout), and a [cancellation point](crate::task#cancellation). One that fails has not taken any post.
    ///
    /// # Errors
    /// A cancel, or the deadline of a surrounding [`timeout`](crate::time::timeout).
    pub fn wait_timeout_cancellable(&self, timeout: Duration) -> io::Result<bool> {
        self.wait_point(after(timeout))
    }

    /// Takes a post if one is there, without waiting.
    pub fn try_wait(&self) -> bool {
        self.posts.try_take(1)
    }

    /// Lets one waiter return: the one that has waited longest, or else the next one to come. Never blocks.
    ///
    /// # Panics
    /// There are more than `usize::MAX / 2` posts that nobody has waited for.
    pub fn post(&self) {
        assert!(self.posts.add(1), "more posts than a counter can hold");
    }

    /// Lets all return that wait at this moment, and does nothing for those who come later. Never blocks.
    pub fn post_all(&self) {
        self.posts.dismiss_all();
    }

    /// The name that it was made with.
    pub fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    pub(super) fn as_arm(&self) -> StockArm<'_> {
        StockArm::new(&self.posts, &NOTIFICATION, (Kind::Notification, &self.name))
    }

    fn wait_point(&self, deadline: Option<Instant>) -> io::Result<bool> {
        checkpoint()?;
        self.wait_until(deadline, true).map_err(Stop::deliver)
    }

    /// `Ok(false)`: `deadline` came first.
    fn wait_until(&self, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        let_others_run_at_times();
        self.posts.take(1, || How { deadline, point, ..How::new(&NOTIFICATION, self.name.detail(self)) })
    }
}

impl Default for Notification {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (posts, waiters) = self.posts.state();
        let mut all = f.debug_struct("Notification");
        names::show(self.name(), &mut all);
        all.field("posts", &posts).field("waiters", &waiters).finish()
    }
}
