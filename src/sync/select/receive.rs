//! What is received, and posts.

use super::super::{Notification, channel, mpsc, oneshot};
use super::{Of, Operation, Sealed};
use std::rc::Rc;
use std::sync::Arc;

/// Comes with the next value, or with the end of the channel: gives what `recv` gives.
///
/// `from` is a [`channel::Receiver`](crate::sync::channel::Receiver), an [`mpsc::Receiver`](crate::sync::mpsc::Receiver) or a
/// [`oneshot::Receiver`](crate::sync::oneshot::Receiver); or an `Arc`, say, of one. The only error is that the channel is closed and empty;
/// it comes each time, at once.
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
    from.arm(Sealed)
}

/// What [`recv`] receives from; or what refers to that.
pub trait Receive {
    /// What is received.
    type Item;
    /// What there is no value for: the end.
    type Error;

    #[doc(hidden)]
    fn arm(&self, _: Sealed) -> impl Operation<Output = Result<Self::Item, Self::Error>> + '_;
}

impl<T> Receive for channel::Receiver<T> {
    type Item = T;
    type Error = channel::RecvError;

    fn arm(&self, _: Sealed) -> impl Operation<Output = Result<T, channel::RecvError>> + '_ {
        Of::new(self.as_arm(), |arm| Some(arm.taken()?.map_err(|_| channel::RecvError::Closed)))
    }
}

impl<T> Receive for mpsc::Receiver<T> {
    type Item = T;
    type Error = mpsc::RecvError;

    fn arm(&self, _: Sealed) -> impl Operation<Output = Result<T, mpsc::RecvError>> + '_ {
        Of::new(self.as_arm(), |arm| Some(arm.taken()?.map_err(|_| mpsc::RecvError)))
    }
}

macro_rules! receive_from_what_refers_to_it {
    ($($pointer:ty),+) => {$(
        impl<R: Receive> Receive for $pointer {
            type Item = R::Item;
            type Error = R::Error;

            fn arm(&self, sealed: Sealed) -> impl Operation<Output = Result<R::Item, R::Error>> + '_ {
                (**self).arm(sealed)
            }
        }
    )+};
}
receive_from_what_refers_to_it!(&R, Box<R>, Rc<R>, Arc<R>);

impl<T> Receive for oneshot::Receiver<T> {
    type Item = T;
    type Error = oneshot::RecvError;

    fn arm(&self, _: Sealed) -> impl Operation<Output = Result<T, oneshot::RecvError>> + '_ {
        Of::new(self.as_arm(), |arm| Some(arm.taken()?.map_err(|_| oneshot::RecvError::Closed)))
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
    Of::new(sender.as_arm(), |_| Some(()))
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
    Of::new(notification.as_arm(), |_| Some(()))
}
