//! The error that a cancelled call returns.
//!
//! `JoinHandle::cancel` asks a task to stop; the next call in that task that suspends and returns
//! an `io::Result` fails, once, with an error of kind [`Other`](io::ErrorKind::Other) that holds
//! a [`Cancelled`]. It is neither `Interrupted` nor `WouldBlock`: std's loops would try those again.

use std::fmt;
use std::io;

/// The task was cancelled; carried inside an [`io::Error`] of kind [`Other`](io::ErrorKind::Other).
///
/// ```
/// use ec_pool::Cancelled;
/// use std::io;
///
/// let error = io::Error::other(Cancelled);
/// assert!(Cancelled::is(&error));
/// assert!(!Cancelled::is(&io::Error::other("something else")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cancelled;

impl Cancelled {
    /// Whether `error` says that the task was cancelled.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl std::error::Error for Cancelled {}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> io::Error {
        io::Error::other(cancelled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_from_other_errors_by_type_not_by_text() {
        let error: io::Error = Cancelled.into();
        assert_eq!(error.kind(), io::ErrorKind::Other);
        assert!(Cancelled::is(&error));
        assert!(!Cancelled::is(&io::Error::other(Cancelled.to_string())));
        assert!(!Cancelled::is(&io::Error::from_raw_os_error(libc::ECANCELED)));
    }
}
