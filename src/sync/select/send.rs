//! What is sent.

use super::super::base::first::{Among, Arm, Stood};
use super::super::channel::{self, arms};
use super::super::mpsc;
use super::Operation;
use super::receive::sealed::Sealed;

/// Comes when `value` is sent: there is a place for it, or a receiver. Or with the end of the channel: gives what `send` gives, and the only
/// error is that it is closed; the value is in it. **If it is not the first the value is dropped**: see [`send_from`].
///
/// `to` is a [`channel::Sender`](crate::sync::channel::Sender), an [`mpsc::Sender`](crate::sync::mpsc::Sender) or an
/// [`mpsc::SyncSender`](crate::sync::mpsc::SyncSender).
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
    to.arm(value, Sealed)
}

/// As [`send`], of what is in `slot`. If it is not the first, the value is there again afterwards. With `None` it never comes.
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
    let arm = slot.take().map(|value| to.arm(value, Sealed));
    SendFrom { arm, slot }
}

/// What [`send()`] sends to.
pub trait Send {
    /// What is sent.
    type Item;
    /// It was not sent, and is in the error.
    type Error;

    #[doc(hidden)]
    fn arm(&self, value: Self::Item, _: Sealed) -> impl Sending<Item = Self::Item, Error = Self::Error> + '_;
}

/// The operation, which can give the value back.
#[doc(hidden)]
pub trait Sending: Operation<Output = Result<(), Self::Error>> {
    type Item;
    type Error;

    fn value(&mut self) -> Option<Self::Item>;
}

struct Sends<'a, T, E> {
    arm: arms::SendArm<'a, T>,
    closed: fn(T) -> E,
}

impl<T, E> Arm for Sends<'_, T, E> {
    fn attempt(&mut self) -> bool {
        self.arm.attempt()
    }

    fn is_claimed(&self) -> bool {
        self.arm.is_claimed()
    }

    fn offers(&self) -> bool {
        self.arm.offers()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.arm.stand(among, inner)
    }

    fn pass_on(&mut self) {
        self.arm.pass_on();
    }
}

impl<T, E> Operation for Sends<'_, T, E> {
    type Output = Result<(), E>;

    fn output(&mut self) -> Option<Result<(), E>> {
        Some(self.arm.sent().map_err(self.closed))
    }
}

impl<T, E> Sending for Sends<'_, T, E> {
    type Item = T;
    type Error = E;

    fn value(&mut self) -> Option<T> {
        self.arm.value()
    }
}

/// Whatever happens to it, what was not sent is in the slot.
struct SendFrom<'a, A: Sending> {
    arm: Option<A>,
    slot: &'a mut Option<A::Item>,
}

impl<A: Sending> Arm for SendFrom<'_, A> {
    fn attempt(&mut self) -> bool {
        self.arm.attempt()
    }

    fn is_claimed(&self) -> bool {
        self.arm.is_claimed()
    }

    fn offers(&self) -> bool {
        self.arm.offers()
    }

    fn is_there(&self) -> bool {
        self.arm.is_there()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.arm.stand(among, inner)
    }

    fn pass_on(&mut self) {
        self.arm.pass_on();
    }
}

impl<A: Sending> Operation for SendFrom<'_, A> {
    type Output = A::Output;

    fn output(&mut self) -> Option<A::Output> {
        self.arm.as_mut()?.output()
    }
}

impl<A: Sending> Drop for SendFrom<'_, A> {
    fn drop(&mut self) {
        if let Some(value) = self.arm.as_mut().and_then(A::value) {
            *self.slot = Some(value);
        }
    }
}

impl<T> Send for channel::Sender<T> {
    type Item = T;
    type Error = channel::SendError<T>;

    fn arm(&self, value: T, _: Sealed) -> impl Sending<Item = T, Error = channel::SendError<T>> + '_ {
        Sends { arm: self.as_arm(value), closed: channel::SendError::Closed }
    }
}

impl<T> Send for mpsc::SyncSender<T> {
    type Item = T;
    type Error = mpsc::SendError<T>;

    fn arm(&self, value: T, _: Sealed) -> impl Sending<Item = T, Error = mpsc::SendError<T>> + '_ {
        Sends { arm: self.as_arm(value), closed: mpsc::SendError }
    }
}

impl<T> Send for mpsc::Sender<T> {
    type Item = T;
    type Error = mpsc::SendError<T>;

    fn arm(&self, value: T, _: Sealed) -> impl Sending<Item = T, Error = mpsc::SendError<T>> + '_ {
        Sends { arm: self.as_arm(value), closed: mpsc::SendError }
    }
}
