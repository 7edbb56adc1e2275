//! What is sent.

use super::super::channel::arms::{Kept, SendArm};
use super::super::{channel, mpsc};
use super::{Of, Operation, Sealed};
use std::rc::Rc;
use std::sync::Arc;

/// Comes when `value` is sent: there is a place for it, or a receiver. Or with the end of the channel: gives what `send` gives, and the only
/// error is that it is closed; the value is in it. **If it is not the first the value is dropped**: see [`send_from`].
///
/// `to` is a [`channel::Sender`](crate::sync::channel::Sender), an [`mpsc::Sender`](crate::sync::mpsc::Sender) or an
/// [`mpsc::SyncSender`](crate::sync::mpsc::SyncSender); or an `Arc`, say, of one.
///
/// ```
/// use event_channel::sync::{channel, select};
///
/// let (sender, receiver) = channel::bounded(1);
/// let send = |value| select! { send(&sender, value) -> sent => sent.is_ok(), default => false };
/// assert_eq!(send(1), Ok(true));
/// assert_eq!(send(2), Ok(false)); // there is no place
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub fn send<S: Send>(to: &S, value: S::Item) -> impl Operation<Output = Result<(), S::Error>> + '_ {
    sends(to, Kept::Here(Some(value)))
}

/// As [`send`], of what is in `slot`. If it is not the first, the value is there again afterwards; if the channel is closed it is in the
/// error, as ever. With `None` it never comes: it is as one that is left out by its condition.
///
/// ```
/// use event_channel::sync::{channel, select};
///
/// let (sender, receiver) = channel::bounded(1);
/// for value in [1, 2] {
///     let mut slot = Some(value);
///     select! { send_from(&sender, &mut slot) -> _ => (), default => () }?;
///     assert_eq!(slot.is_some(), value == 2);
/// }
/// # assert_eq!(receiver.recv(), Ok(1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn send_from<'a, S: Send>(
    to: &'a S,
    slot: &'a mut Option<S::Item>,
) -> impl Operation<Output = Result<(), S::Error>> + 'a {
    sends(to, Kept::There(slot))
}

fn sends<'a, S: Send>(
    to: &'a S,
    kept: Kept<'a, S::Item>,
) -> impl Operation<Output = Result<(), S::Error>> + 'a {
    Of::new(to.arm(kept, Sealed), |arm| Some(arm.sent().map_err(S::closed)))
}

/// What [`send()`] sends to; or what refers to that.
pub trait Send {
    /// What is sent.
    type Item;
    /// It was not sent, and is in the error.
    type Error;

    #[doc(hidden)]
    fn arm<'a>(&'a self, kept: Kept<'a, Self::Item>, _: Sealed) -> SendArm<'a, Self::Item>;

    #[doc(hidden)]
    fn closed(value: Self::Item) -> Self::Error;
}

impl<T> Send for channel::Sender<T> {
    type Item = T;
    type Error = channel::SendError<T>;

    fn arm<'a>(&'a self, kept: Kept<'a, T>, _: Sealed) -> SendArm<'a, T> {
        self.as_arm(kept)
    }

    fn closed(value: T) -> channel::SendError<T> {
        channel::SendError::Closed(value)
    }
}

macro_rules! send_to_what_refers_to_it {
    ($($pointer:ty),+) => {$(
        impl<S: Send> Send for $pointer {
            type Item = S::Item;
            type Error = S::Error;

            fn arm<'a>(&'a self, kept: Kept<'a, S::Item>, sealed: Sealed) -> SendArm<'a, S::Item> {
                (**self).arm(kept, sealed)
            }

            fn closed(value: S::Item) -> S::Error {
                S::closed(value)
            }
        }
    )+};
}
send_to_what_refers_to_it!(&S, Box<S>, Rc<S>, Arc<S>);

impl<T> Send for mpsc::SyncSender<T> {
    type Item = T;
    type Error = mpsc::SendError<T>;

    fn arm<'a>(&'a self, kept: Kept<'a, T>, _: Sealed) -> SendArm<'a, T> {
        self.as_arm(kept)
    }

    fn closed(value: T) -> mpsc::SendError<T> {
        mpsc::SendError(value)
    }
}

impl<T> Send for mpsc::Sender<T> {
    type Item = T;
    type Error = mpsc::SendError<T>;

    fn arm<'a>(&'a self, kept: Kept<'a, T>, _: Sealed) -> SendArm<'a, T> {
        self.as_arm(kept)
    }

    fn closed(value: T) -> mpsc::SendError<T> {
        mpsc::SendError(value)
    }
}
