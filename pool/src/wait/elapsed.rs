//! The error that a call returns when a deadline around it has come.

use std::fmt;
use std::io;

/// The deadline of a surrounding `timeout` has come; carried inside an [`io::Error`] of kind [`TimedOut`](io::ErrorKind::TimedOut). So it
/// can be told from any other such error: of a connection that the kernel has given up, say.
///
/// ```
/// use ec_pool::Elapsed;
/// use std::io;
///
/// let error = io::Error::from(Elapsed);
/// assert!(Elapsed::is(&error));
/// assert!(!Elapsed::is(&io::ErrorKind::TimedOut.into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Elapsed;

impl Elapsed {
    /// Whether `error` says that the deadline of a surrounding `timeout` has come.
    pub fn is(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Elapsed>())
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the deadline of the surrounding timeout has come")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_from_other_time_outs() {
        let error: io::Error = Elapsed.into();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(Elapsed::is(&error));
        assert!(!Elapsed::is(&io::Error::from_raw_os_error(libc::ETIMEDOUT)));
        assert!(!Elapsed::is(&io::Error::new(io::ErrorKind::TimedOut, Elapsed.to_string())));
    }
}
