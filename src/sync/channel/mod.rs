//! Channels between tasks and plain threads: many senders, many receivers, each value to one of them.
//!
//! [`bounded`] has places for so many values; a sender waits while there is none. `bounded(0)` has none: a sender waits for a receiver.
//! [`unbounded`] has as many as the memory. A task that waits is suspended, a plain thread is blocked.
//!
//! ```
//! use event_channel::sync::channel;
//! use event_channel::{run, task};
//!
//! run(|| {
//!     let (sender, receiver) = channel::bounded(16);
//!     let workers: Vec<_> = (0..4).map(|_| {
//!         let receiver = receiver.clone();
//!         task::spawn(move || receiver.iter().sum::<u64>())
//!     }).collect();
//!     drop(receiver);
//!     for job in 1..=100 {
//!         sender.send(job).unwrap();
//!     }
//!     drop(sender); // the workers' loops end when nothing is left
//!     let sum: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//!     assert_eq!(sum, 5050);
//! });
//! ```
//!
//! **The end.** A channel is closed when all its senders are gone, when all its receivers are gone, or when somebody calls `close`. From then
//! on nothing is sent; what lies in it can still be received. What lies in it when the last receiver goes is dropped then.
//!
//! **Nothing is lost.** A value is received by one receiver, or is given back to its sender in the error. A receiver that is cancelled, or
//! whose time is over, takes none with it. (What was sent stays in the channel until somebody receives it: if no receiver does, it is dropped.)
//! With `bounded(0)` a value that is sent while a receiver waits is that receiver's: nobody else receives it, and no close keeps it from that
//! one. Only if its runtime is shut down before it has run, and leaves it behind, others receive it.
//!
//! **Cancel.** The calls that wait are cancellation points, and honour a surrounding [`timeout`](crate::time::timeout): a cancel that is
//! pending is delivered before anything is sent or received. [`mpsc`](crate::sync::mpsc) has std's types.
//!
//! **Order and fairness.** Values of one sender come in the order in which they were sent. Those that wait are served in the order in which
//! they came. Who comes while there is something need not wait behind them, but if one of them has waited for half a millisecond and came too
//! late, all others wait behind it. A task that goes on for some dozens of values without waiting lets others run at times: to receive them,
//! or to send them to a bounded channel; to an unbounded one, if as many lie in it. (`try_send` and `try_recv` never do.)
//!
//! **Fork.** In a forked child only the task or thread that has forked is there: nobody sends or receives at the other ends. What
//! another one was just putting in or taking out is not in the child's channel. One of `bounded(0)` is closed there if another one was
//! just offering or taking; what a receiver of the parent's was sent, and has not returned yet, is for who receives in the child.

pub(super) mod arms;
pub(super) mod core;
mod errors;
mod iter;
mod meeting;
mod receiver;
mod sender;

pub(super) use self::core::Patience;
pub(super) use errors::Delivered;
pub use errors::{RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError};
pub(super) use iter::loops_over_receiver;
pub use iter::{IntoIter, Iter, TryIter};
pub use receiver::Receiver;
pub use sender::Sender;

use self::core::Core;
use super::base::names::Name;
use crate::twins::after;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A channel with places for so many values. With none, each value passes from a sender to a receiver while both are there.
///
/// Memory for all places is taken at once. Where the allocator has none the process ends, as with std's collections.
///
/// # Panics
/// If so many are more than any memory holds.
///
/// ```
/// use event_channel::sync::channel::{self, TrySendError};
///
/// let (sender, receiver) = channel::bounded(1);
/// sender.send("first").unwrap();
/// assert_eq!(sender.try_send("second"), Err(TrySendError::Full("second")));
/// assert_eq!(receiver.recv(), Ok("first"));
/// ```
pub fn bounded<T>(places: usize) -> (Sender<T>, Receiver<T>) {
    with(Some(places), Name::none())
}

/// A channel with as many places as the memory. To send never waits.
///
/// ```
/// use event_channel::sync::channel;
///
/// let (sender, receiver) = channel::unbounded();
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// drop(sender);
/// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    with(None, Name::none())
}

/// As [`bounded`], with a name that a [dump](crate::dump) shows of those who wait.
///
/// # Panics
/// As [`bounded`].
///
/// ```
/// use event_channel::sync::channel;
///
/// let (sender, _receiver) = channel::bounded_named::<u32>(8, "jobs");
/// assert_eq!(sender.name(), Some("jobs"));
/// ```
pub fn bounded_named<T>(places: usize, name: &'static str) -> (Sender<T>, Receiver<T>) {
    with(Some(places), Name::new(name))
}

/// As [`unbounded`], with a name that a [dump](crate::dump) shows of those who wait.
///
/// ```
/// use event_channel::sync::channel;
///
/// let (_sender, receiver) = channel::unbounded_named::<u32>("lines");
/// assert_eq!(receiver.name(), Some("lines"));
/// ```
pub fn unbounded_named<T>(name: &'static str) -> (Sender<T>, Receiver<T>) {
    with(None, Name::new(name))
}

fn with<T>(bound: Option<usize>, name: Name) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        core: Core::new(bound, name),
        senders: AtomicUsize::new(1),
        receivers: AtomicUsize::new(1),
    });
    (Sender::first(shared.clone()), Receiver::first(shared))
}

/// What both ends have a reference to.
struct Shared<T> {
    core: Core<T>,
    // How many ends there are. (A reference to this comes with each: that counts to its end first.)
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

impl<T> Shared<T> {
    fn sender_goes(&self) {
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.core.close();
        }
    }

    fn receiver_goes(&self) {
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.core.close();
            self.core.discard();
        }
    }
}

impl Patience {
    /// Of a cancellation point, and for so long.
    pub(super) fn point(timeout: Option<Duration>) -> Patience {
        Patience { point: true, ..Patience::no_point(timeout) }
    }

    pub(super) fn no_point(timeout: Option<Duration>) -> Patience {
        Patience { deadline: timeout.and_then(after), point: false }
    }

    /// What is pending is delivered.
    #[inline]
    fn check(&self) -> Result<(), Delivered> {
        if self.point { Ok(ec_pool::wait::checkpoint()?) } else { Ok(()) }
    }
}
