//! What is received, and posts.

use super::super::base::first::{Among, Arm, Stood};
use super::super::channel::{self, arms};
use super::super::oneshot::{self, core};
use super::super::{Notification, mpsc};
use super::Operation;

/// Comes with the next value, or with the end of the channel: gives what `recv` gives.
///
/// `from` is a [`channel::Receiver`](crate::sync::channel::Receiver), an [`mpsc::Receiver`](crate::sync::mpsc::Receiver) or a
/// [`oneshot::Receiver`](crate::sync::oneshot::Receiver). The only error is that the channel is closed and empty; it comes each time,
/// at once.
///
/// ```
/// use event_channel::sync::channel::{self, RecvError};
/// use event_channel::sync::select;
///
/// let (sender, receiver) = channel::unbounded::<u32>();
/// drop(sender);
/// let end = select! { recv(&receiver) -> value => value };
/// assert_eq!(end, Ok(Err(RecvError::Closed)));
/// ```
pub fn recv<R: Receive>(from: &R) -> impl Operation<Output = Result<R::Item, R::Error>> + '_ {
    from.arm(sealed::Sealed)
}

/// What [`recv`] receives from.
pub trait Receive {
    /// What is received.
    type Item;
    /// What there is no value for: the end.
    type Error;

    #[doc(hidden)]
    fn arm(&self, _: sealed::Sealed) -> impl Operation<Output = Result<Self::Item, Self::Error>> + '_;
}

pub(super) mod sealed {
    /// Nobody else can name it.
    pub struct Sealed;
}

/// An arm that receives; its only failure is the end.
struct Recv<A, E> {
    arm: A,
    end: E,
}

impl<A: Arm, E> Arm for Recv<A, E> {
    fn attempt(&mut self) -> bool {
        self.arm.attempt()
    }

    fn is_claimed(&self) -> bool {
        self.arm.is_claimed()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.arm.stand(among, inner)
    }

    fn pass_on(&mut self) {
        self.arm.pass_on();
    }
}

impl<T, E: Copy> Operation for Recv<arms::RecvArm<'_, T>, E> {
    type Output = Result<T, E>;

    fn output(&mut self) -> Option<Result<T, E>> {
        Some(self.arm.taken()?.map_err(|_| self.end))
    }
}

impl<T, E: Copy> Operation for Recv<core::RecvArm<'_, T>, E> {
    type Output = Result<T, E>;

    fn output(&mut self) -> Option<Result<T, E>> {
        Some(self.arm.taken()?.map_err(|_| self.end))
    }
}

impl<T> Receive for channel::Receiver<T> {
    type Item = T;
    type Error = channel::RecvError;

    fn arm(&self, _: sealed::Sealed) -> impl Operation<Output = Result<T, channel::RecvError>> + '_ {
        Recv { arm: self.as_arm(), end: channel::RecvError::Closed }
    }
}

impl<T> Receive for mpsc::Receiver<T> {
    type Item = T;
    type Error = mpsc::RecvError;

    fn arm(&self, _: sealed::Sealed) -> impl Operation<Output = Result<T, mpsc::RecvError>> + '_ {
        Recv { arm: self.as_arm(), end: mpsc::RecvError }
    }
}

impl<T> Receive for oneshot::Receiver<T> {
    type Item = T;
    type Error = oneshot::RecvError;

    fn arm(&self, _: sealed::Sealed) -> impl Operation<Output = Result<T, oneshot::RecvError>> + '_ {
        Recv { arm: self.as_arm(), end: oneshot::RecvError::Closed }
    }
}

/// Comes when the receiver of a [`oneshot`](crate::sync::oneshot) is gone, or has closed it: as [`closed`](oneshot::Sender::closed).
///
/// ```
/// use event_channel::sync::{oneshot, select};
/// use event_channel::time::Duration;
///
/// let (reply, answer) = oneshot::channel::<u32>();
/// drop(answer);
/// select! {
///     closed(&reply) => (), // nobody wants the answer any more
///     sleep(Duration::from_secs(60)) => unreachable!(),
/// }?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn closed<T>(sender: &oneshot::Sender<T>) -> impl Operation<Output = ()> + '_ {
    Plain(sender.as_arm())
}

/// Comes with a post, and takes it: as [`wait`](Notification::wait).
///
/// ```
/// use event_channel::sync::{Notification, select};
///
/// let ready = Notification::new();
/// let posted = || select! { wait(&ready) => true, default => false };
/// assert_eq!(posted(), Ok(false));
/// ready.post();
/// assert_eq!(posted(), Ok(true));
/// assert_eq!(posted(), Ok(false));
/// ```
pub fn wait(notification: &Notification) -> impl Operation<Output = ()> + '_ {
    Plain(notification.as_arm())
}

/// One that gives nothing.
struct Plain<A>(A);

impl<A: Arm> Arm for Plain<A> {
    fn attempt(&mut self) -> bool {
        self.0.attempt()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.0.stand(among, inner)
    }
}

impl<A: Arm> Operation for Plain<A> {
    type Output = ();

    fn output(&mut self) -> Option<()> {
        Some(())
    }
}
