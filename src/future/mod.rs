//! Futures, both ways: a task or a thread waits for a future of `async` code, and `async` code awaits a task.
//!
//! * [`wait`] drives any future to its end. It brings no reactor: a future that needs that of another runtime (tokio's sockets, say) is
//!   to be polled inside of that runtime's.
//! * A [`JoinHandle`](crate::task::JoinHandle) is a future itself.
//! * With the feature `futures-io`: `Async` has the traits `AsyncRead` and `AsyncWrite` for a `TcpStream` of this crate, and `Blocking` has
//!   std's `Read` and `Write` for whatever has those.
//!
//! A task that waits so suspends, and a plain thread blocks. The future is polled on the caller, always, so that it need not be `Send` and
//! may borrow.

mod slot;
#[cfg(feature = "futures-io")]
mod streams;

pub(crate) use slot::WakerSlot;
#[cfg(feature = "futures-io")]
pub use streams::{Async, Blocking};

use crate::waiter::Waiter;
use ec_pool::wait::{self as pool, Stop};
use ec_tasks::WaitKind;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

static FUTURE: WaitKind = WaitKind { name: "future", cancel: None, describe: |_, _| String::new() };

/// Drives `future` to its end, and gives what it gives. Between polls it suspends the task or blocks the thread, until the future's waker is
/// woken. Not a cancellation point: see [`wait_cancellable`].
///
/// The future is polled where the caller is, and pinned there. Its polls may do whatever the caller may: suspend, block, call `wait` again.
/// A future that wakes itself in a poll is polled again after others have had their turn ([`yield_now`](crate::task::yield_now)). The
/// waker may be kept beyond the end, woken and dropped on any thread: then it wakes nobody.
///
/// # Panics
/// With the future's own panic.
///
/// ```
/// use event_channel::future::wait;
/// use event_channel::task;
///
/// async fn sum(parts: Vec<task::JoinHandle<u32>>) -> u32 {
///     let mut sum = 0;
///     for part in parts {
///         sum += part.await.unwrap();
///     }
///     sum
/// }
///
/// let parts = (1..=3).map(|n| task::spawn(move || n * n)).collect();
/// assert_eq!(wait(sum(parts)), 14);
/// ```
pub fn wait<F: IntoFuture>(future: F) -> F::Output {
    match drive(pin!(future.into_future()), false) {
        Ok(output) => output,
        Err(_) => unreachable!("it is no cancellation point"),
    }
}

/// As [`wait`], and a cancellation point: a cancel of the task, or the deadline of a surrounding [`timeout`](crate::time::timeout), ends it.
/// The future has been dropped when this returns. One that is ready at its poll is returned, and the cancel is left for the next point.
///
/// # Errors
/// [`Cancelled`](crate::Cancelled), or [`TimedOut`](io::ErrorKind::TimedOut).
///
/// # Panics
/// With the future's own panic.
///
/// ```
/// use event_channel::future::wait_cancellable;
/// use event_channel::time::{Duration, timeout};
/// use std::io::ErrorKind;
///
/// let result = timeout(Duration::from_millis(5), || wait_cancellable(std::future::pending::<()>()));
/// assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
/// ```
pub fn wait_cancellable<F: IntoFuture>(future: F) -> io::Result<F::Output> {
    // (Delivered first: what the future's destructor waits for is not stopped by the same.)
    drive(pin!(future.into_future()), true)
}

/// Polls until it is ready, or (with `point`) is to stop.
fn drive<F: Future>(mut future: Pin<&mut F>, point: bool) -> io::Result<F::Output> {
    /// Also if a poll panics: its wakers find nothing from then on.
    struct Here(Arc<Waiter>);
    impl Drop for Here {
        fn drop(&mut self) {
            self.0.leave();
        }
    }
    loop {
        let here = Here(Waiter::here());
        let waker = Waker::from(here.0.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Ok(output);
            }
            if !here.0.is_here() {
                // The poll has switched between coroutines of another crate, and is back elsewhere.
                break;
            }
            if here.0.take() {
                if point {
                    pool::checkpoint()?;
                }
                crate::task::yield_now();
            } else {
                here.0.wait(&FUTURE, 0, None, point).map_err(Stop::deliver)?;
                here.0.take();
            }
        }
    }
}
