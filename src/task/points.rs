//! Cancellation points that belong to tasks, and the shield that keeps cancels off.

use crate::twins::after;
use ec_pool::wait;
use std::io;
use std::time::Duration;

/// A [cancellation point](super#cancellation) for computations: an error if a cancel of the calling task, or the deadline of a surrounding
/// [`timeout`](crate::time::timeout), has not been delivered yet. It never waits, and costs some nanoseconds (inside of a
/// [`timeout`](crate::time::timeout) a look at the clock).
///
/// # Errors
/// The cancel, or the deadline; once each. [`is_cancelled`](crate::is_cancelled) and [`is_deadline`](crate::is_deadline) tell them apart.
///
/// ```
/// use event_channel::{is_cancelled, task};
/// use std::io;
///
/// let task = task::spawn(|| -> io::Result<()> {
///     loop {
///         task::check()?; // and some more digits of pi
///     }
/// });
/// task.cancel();
/// assert!(is_cancelled(&task.join().unwrap().unwrap_err()));
/// ```
pub fn check() -> io::Result<()> {
    wait::checkpoint()
}

/// Runs `f`, which no cancel and no deadline reaches: for what must not be left half done. What would be delivered meanwhile is delayed to the
/// end of `f`, and delivered at the next [cancellation point](super#cancellation) outside: a cancel of the task or of a
/// [token](super::CancelToken), a [`timeout`](crate::time::timeout) around the shield, a shutdown's cancel. A deadline whose `timeout` ends
/// with the shield, without a point in between, is not delivered.
///
/// * What is entered *inside* of `f` counts there: a `timeout`, the group of a token. So does a socket's own timeout.
/// * [`is_cancelled`](super::is_cancelled()) says inside, too, that there was a cancel.
/// * A [shutdown](crate::Runtime::shutdown) waits no longer than its grace: a task that is still in a shield then is abandoned as ever.
/// * A [`scope`](super::scope()) in `f` does not hand on to its children what the shield keeps off, nor does a [`run`](crate::run). Children are
///   in no shield themselves.
/// * Shields nest. With coroutines of another crate the same holds as for a [`timeout`](crate::time::timeout): a shield is for what `f` calls,
///   as long as that stays in its task.
///
/// ```
/// use event_channel::sync::Notification;
/// use event_channel::{is_cancelled, task};
/// use std::sync::Arc;
///
/// let (begun, done) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
/// let (begins, end) = (begun.clone(), done.clone());
/// let task = task::spawn(move || {
///     task::shield(|| {
///         begins.post();
///         end.wait_cancellable() // say, a transaction
///     })?;
///     task::check()
/// });
/// begun.wait();
/// task.cancel();
/// done.post();
/// assert!(is_cancelled(&task.join().unwrap().unwrap_err()), "behind the shield");
/// # ;
/// ```
pub fn shield<T>(f: impl FnOnce() -> T) -> T {
    wait::shield(f)
}

/// As [`park`](super::park), and a [cancellation point](super#cancellation).
///
/// # Errors
/// A cancel, or the deadline of a surrounding [`timeout`](crate::time::timeout). An unpark that comes with it is kept for the next park. (std
/// does not say whether a plain thread was unparked. There the next park returns at once after a deadline, whether it was or not.)
///
/// ```
/// use event_channel::{is_deadline, task, time};
///
/// let error = time::timeout(time::Duration::from_millis(5), || task::park_cancellable()).unwrap_err();
/// assert!(is_deadline(&error));
/// ```
pub fn park_cancellable() -> io::Result<()> {
    wait::park_cancellable(None)
}

/// As [`park_timeout`](super::park_timeout), and a [cancellation point](super#cancellation).
///
/// # Errors
/// As [`park_cancellable`]. That `duration` is over is no error.
pub fn park_timeout_cancellable(duration: Duration) -> io::Result<()> {
    wait::park_cancellable(after(duration))
}

/// Was the calling task ever cancelled, or a [token](super::CancelToken) whose group the caller is in? Or, in a child of a
/// [`scope`](super::scope()), or in what [`run`](crate::run) calls, is a [`timeout`](crate::time::timeout) over that is around that? Stays true once the error was delivered. On
/// a plain thread only tokens count.
pub fn is_cancelled() -> bool {
    ec_tasks::was_cancelled() || wait::is_cancelled_around()
}
