//! The errors of channels.

use super::core::Failed;
use crate::{Cancelled, Elapsed};
use std::error::Error;
use std::fmt;
use std::io;

/// Why a call that waits came to nothing, besides what it waited for.
#[derive(Clone, Copy)]
enum Why {
    Full,
    Empty,
    Timeout,
    ClosedToSend,
    ClosedToRecv,
    Cancelled,
    TimedOut,
}

impl Why {
    fn words(self) -> &'static str {
        match self {
            Why::Full => "sending on a full channel",
            Why::Empty => "receiving on an empty channel",
            Why::Timeout => "the time for waiting on the channel is over",
            Why::ClosedToSend => "sending on a closed channel",
            Why::ClosedToRecv => "receiving on a closed and empty channel",
            Why::Cancelled => "the task was cancelled",
            Why::TimedOut => "the deadline of the surrounding timeout has come",
        }
    }

    fn into_io(self) -> io::Error {
        match self {
            Why::Full | Why::Empty | Why::Timeout => io::Error::new(io::ErrorKind::WouldBlock, self.words()),
            Why::ClosedToSend => io::Error::new(io::ErrorKind::BrokenPipe, self.words()),
            Why::ClosedToRecv => io::Error::new(io::ErrorKind::UnexpectedEof, self.words()),
            Why::Cancelled => Cancelled.into(),
            Why::TimedOut => Elapsed.into(),
        }
    }
}

/// An error of one that sends, which gives the value back.
macro_rules! of_senders {
    ($(#[$meta:meta])* $name:ident { $($(#[$of:meta])* $variant:ident => $why:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub enum $name<T> {
            $($(#[$of])* $variant(T),)*
        }

        impl<T> $name<T> {
            /// The value that was not sent.
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$variant(value) => value,)*
                }
            }

            fn why(&self) -> Why {
                match self {
                    $($name::$variant(_) => Why::$why,)*
                }
            }
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant(_) => f.write_str(concat!(stringify!($variant), "(..)")),)*
                }
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.why().words())
            }
        }

        impl<T> Error for $name<T> {}

        impl<T> From<$name<T>> for io::Error {
            /// (The value is dropped.)
            fn from(error: $name<T>) -> io::Error {
                error.why().into_io()
            }
        }
    };
}

/// An error of one that receives.
macro_rules! of_receivers {
    ($(#[$meta:meta])* $name:ident { $($(#[$of:meta])* $variant:ident => $why:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $variant,)*
        }

        impl $name {
            fn why(&self) -> Why {
                match self {
                    $($name::$variant => Why::$why,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.why().words())
            }
        }

        impl Error for $name {}

        impl From<$name> for io::Error {
            fn from(error: $name) -> io::Error {
                error.why().into_io()
            }
        }
    };
}

of_senders! {
    /// Of [`Sender::send`](super::Sender::send): the value was not sent, and is in the error.
    SendError {
        /// The channel is closed, or all its receivers are gone. As an [`io::Error`]: of kind [`BrokenPipe`](io::ErrorKind::BrokenPipe).
        Closed => ClosedToSend,
        /// The task was cancelled. As an [`io::Error`] it holds a [`Cancelled`].
        Cancelled => Cancelled,
        /// The deadline of a surrounding [`timeout`](crate::time::timeout) has come. As an [`io::Error`] it holds an
        /// [`Elapsed`].
        TimedOut => TimedOut,
    }
}

of_senders! {
    /// Of [`Sender::try_send`](super::Sender::try_send): the value was not sent, and is in the error.
    TrySendError {
        /// There is no place, or no receiver that waits. As an [`io::Error`]: of kind [`WouldBlock`](io::ErrorKind::WouldBlock).
        Full => Full,
        /// As [`SendError::Closed`].
        Closed => ClosedToSend,
    }
}

of_senders! {
    /// Of [`Sender::send_timeout`](super::Sender::send_timeout): the value was not sent, and is in the error.
    SendTimeoutError {
        /// The time that the call was given is over. As an [`io::Error`]: of kind [`WouldBlock`](io::ErrorKind::WouldBlock), as the write timeout of
        /// a socket.
        Timeout => Timeout,
        /// As [`SendError::Closed`].
        Closed => ClosedToSend,
        /// As [`SendError::Cancelled`].
        Cancelled => Cancelled,
        /// As [`SendError::TimedOut`]: not the call's own time, but that of a `timeout` around it.
        TimedOut => TimedOut,
    }
}

of_receivers! {
    /// Of [`Receiver::recv`](super::Receiver::recv): nothing was received.
    RecvError {
        /// The channel is closed, or all its senders are gone; and it is empty. As an [`io::Error`]: of kind
        /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
        Closed => ClosedToRecv,
        /// The task was cancelled. As an [`io::Error`] it holds a [`Cancelled`].
        Cancelled => Cancelled,
        /// The deadline of a surrounding [`timeout`](crate::time::timeout) has come. As an [`io::Error`] it holds an
        /// [`Elapsed`].
        TimedOut => TimedOut,
    }
}

of_receivers! {
    /// Of [`Receiver::try_recv`](super::Receiver::try_recv): nothing was received.
    TryRecvError {
        /// Nothing is there. As an [`io::Error`]: of kind [`WouldBlock`](io::ErrorKind::WouldBlock).
        Empty => Empty,
        /// As [`RecvError::Closed`].
        Closed => ClosedToRecv,
    }
}

of_receivers! {
    /// Of [`Receiver::recv_timeout`](super::Receiver::recv_timeout): nothing was received.
    RecvTimeoutError {
        /// The time that the call was given is over. As an [`io::Error`]: of kind [`WouldBlock`](io::ErrorKind::WouldBlock), as the read timeout of
        /// a socket.
        Timeout => Timeout,
        /// As [`RecvError::Closed`].
        Closed => ClosedToRecv,
        /// As [`RecvError::Cancelled`].
        Cancelled => Cancelled,
        /// As [`RecvError::TimedOut`]: not the call's own time, but that of a `timeout` around it.
        TimedOut => TimedOut,
    }
}

/// What a failed call says to its user: a cancel or a deadline is delivered by that.
pub(in crate::sync) enum Delivered {
    Late,
    Closed,
    Cancelled,
    TimedOut,
}

impl From<io::Error> for Delivered {
    /// Of [`Stop::deliver`](ec_pool::wait::Stop::deliver).
    fn from(error: io::Error) -> Delivered {
        if Elapsed::is(&error) { Delivered::TimedOut } else { Delivered::Cancelled }
    }
}

impl From<Failed> for Delivered {
    fn from(failed: Failed) -> Delivered {
        match failed {
            Failed::Closed => Delivered::Closed,
            Failed::Late => Delivered::Late,
            Failed::Stopped(stop) => stop.deliver().into(),
        }
    }
}

pub(super) const NO_TIME: &str = "there was no time of its own";

impl Delivered {
    pub(super) fn of_send<T>(self, value: T) -> SendError<T> {
        match self {
            Delivered::Late => unreachable!("{NO_TIME}"),
            Delivered::Closed => SendError::Closed(value),
            Delivered::Cancelled => SendError::Cancelled(value),
            Delivered::TimedOut => SendError::TimedOut(value),
        }
    }

    pub(super) fn of_send_timeout<T>(self, value: T) -> SendTimeoutError<T> {
        match self {
            Delivered::Late => SendTimeoutError::Timeout(value),
            Delivered::Closed => SendTimeoutError::Closed(value),
            Delivered::Cancelled => SendTimeoutError::Cancelled(value),
            Delivered::TimedOut => SendTimeoutError::TimedOut(value),
        }
    }

    pub(in crate::sync) fn of_recv(self) -> RecvError {
        match self {
            Delivered::Late => unreachable!("{NO_TIME}"),
            Delivered::Closed => RecvError::Closed,
            Delivered::Cancelled => RecvError::Cancelled,
            Delivered::TimedOut => RecvError::TimedOut,
        }
    }

    pub(in crate::sync) fn of_recv_timeout(self) -> RecvTimeoutError {
        match self {
            Delivered::Late => RecvTimeoutError::Timeout,
            Delivered::Closed => RecvTimeoutError::Closed,
            Delivered::Cancelled => RecvTimeoutError::Cancelled,
            Delivered::TimedOut => RecvTimeoutError::TimedOut,
        }
    }
}
