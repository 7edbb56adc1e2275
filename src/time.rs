//! Sleeping and deadlines, for tasks and plain threads alike.
//!
//! A task that sleeps suspends on a timer of its core's port. A plain thread sleeps in the kernel.
//!
//! A [`timeout`] is a note on the stack. The calls inside it look at the note and give their own operation that
//! deadline. Nobody else acts on it, so nothing is ever broken off from outside.

mod interval;

use crate::twins::after;
use ec_pool::wait;
use ec_tasks::WaitKind;
use std::io;

pub use interval::{Interval, MissedTicks, interval, interval_at};
pub use std::time::{Duration, Instant, SystemTime, SystemTimeError, TryFromFloatSecsError, UNIX_EPOCH};

static SLEEP: WaitKind = WaitKind { name: "sleep", cancel: None, describe: |_, _| String::new() };

/// Sleeps for at least `duration`, as [`std::thread::sleep`].
///
/// A task suspends, and yields once if `duration` is zero; a plain thread blocks. It cannot fail, so
/// it is not a cancellation point, and a surrounding [`timeout`] does not shorten it: see [`sleep_cancellable`].
///
/// ```
/// use event_channel::time::{sleep, Duration, Instant};
///
/// let start = Instant::now();
/// sleep(Duration::from_millis(5));
/// assert!(start.elapsed() >= Duration::from_millis(5));
/// ```
pub fn sleep(duration: Duration) {
    if !wait::in_task() {
        std::thread::sleep(duration);
    } else if duration.is_zero() {
        ec_tasks::yield_now();
    } else {
        wait::sleep_until(after(duration), &SLEEP);
    }
}

/// As [`sleep`], and a [cancellation point](crate::task#cancellation).
///
/// # Errors
/// A cancel, or the deadline of a surrounding [`timeout`] that comes before.
///
/// ```
/// use event_channel::time::{sleep_cancellable, Duration};
/// use event_channel::{is_cancelled, task};
///
/// let sleeper = task::spawn(|| sleep_cancellable(Duration::from_secs(3600)));
/// sleeper.cancel();
/// assert!(is_cancelled(&sleeper.join().unwrap().unwrap_err()));
/// ```
pub fn sleep_cancellable(duration: Duration) -> io::Result<()> {
    if duration.is_zero() {
        return yield_cancellable();
    }
    wait::sleep_until_cancellable(after(duration), &SLEEP)
}

/// Sleeps until `deadline`; returns at once (a task yields) if it has passed. Otherwise as [`sleep`].
///
/// ```
/// use event_channel::time::{sleep_until, Duration, Instant};
///
/// let deadline = Instant::now() + Duration::from_millis(5);
/// sleep_until(deadline);
/// assert!(Instant::now() >= deadline);
/// ```
pub fn sleep_until(deadline: Instant) {
    let now = Instant::now();
    if !wait::in_task() {
        std::thread::sleep(deadline.saturating_duration_since(now));
    } else if deadline <= now {
        ec_tasks::yield_now();
    } else {
        wait::sleep_until(Some(deadline), &SLEEP);
    }
}

/// As [`sleep_until`], and a [cancellation point](crate::task#cancellation).
///
/// # Errors
/// A cancel, or the deadline of a surrounding [`timeout`] that comes before.
pub fn sleep_until_cancellable(deadline: Instant) -> io::Result<()> {
    if deadline <= Instant::now() {
        return yield_cancellable();
    }
    wait::sleep_until_cancellable(Some(deadline), &SLEEP)
}

fn yield_cancellable() -> io::Result<()> {
    wait::checkpoint()?;
    sleep(Duration::ZERO);
    Ok(())
}

/// Runs `f` to its end and returns what it returns. When `duration` is over while it runs, the
/// first call in it that suspends and returns an [`io::Result`] fails, **once**, with
/// [`TimedOut`](std::io::ErrorKind::TimedOut) ([`is_deadline`](crate::is_deadline) tells it from others): the call that waits at that moment, or else
/// the next one. What `f` makes of the error is up to `f`. [Which calls those are](crate::task#cancellation).
///
/// * A call whose data has arrived when the deadline comes returns the data; the next call fails.
/// * Calls that cannot fail (`sleep`, `Notification::wait`) take no notice, and neither does computing. They have twins that do
///   ([`sleep_cancellable`]), and computing has [`task::check`](crate::task::check).
/// * It is for the tasks of a [`scope`](crate::task::scope()) in `f` as well, and for what [`run`](crate::run) runs, but for no others that
///   `f` starts.
/// * Inside of a [`shield`](crate::task::shield) those around it wait for its end.
/// * A deadline that was not delivered dies with `f`.
/// * They nest; each deadline is delivered once, the innermost of those that have expired first.
/// * It is for what `f` calls, and for nothing else: if `f` runs in a coroutine of another crate that is suspended meanwhile, what is
///   called outside of the coroutine has nothing to do with this deadline, and the time goes on. What a coroutine calls is in the timeouts that
///   it has entered itself, and in those around the call that has resumed it. Such coroutines may begin and end in any order.
///   (From one coroutine to the one that has resumed it the way is the unwinder's: where the crate's switch, or the whole program, has no
///   unwind tables, a timeout that was entered in a coroutine counts for none that this one resumes. One that was entered outside of
///   coroutines always counts.)
/// * On a plain thread it works for the wrappers too (they poll(2) before they read).
/// * A call that std or a C library makes takes no notice, but in [`interruptible`](crate::task::interruptible).
///
/// ```
/// use event_channel::net::UdpSocket;
/// use event_channel::time::{timeout, Duration};
/// use std::io::ErrorKind;
///
/// # fn main() -> std::io::Result<()> {
/// let socket = UdpSocket::bind("127.0.0.1:0")?;
/// let result = timeout(Duration::from_millis(5), || socket.recv(&mut [0; 16]));
/// assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
/// # Ok(())
/// # }
/// ```
pub fn timeout<T>(duration: Duration, f: impl FnOnce() -> T) -> T {
    wait::with_deadline(after(duration), f)
}
