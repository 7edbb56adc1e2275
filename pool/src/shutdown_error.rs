//! What a shutdown says that did not go well.

use std::error::Error;
use std::fmt;

/// So many are named in the text. ([`ShutdownError::names`] has them all.)
const SHOWN: usize = 100;

/// Some tasks did not stop within the grace of a shutdown, threads of the pool are inside the program's code and did not return, or
/// handlers of events were not called, for lack of time. The
/// tasks are abandoned: never unwound, and what they hold stays until the process ends. (Those that had not begun are dropped: they
/// never begin.)
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownError {
    names: Vec<String>,
    goes_on: bool,
}

impl ShutdownError {
    /// The abandoned tasks (the text of the error has the first 100) by their names, with their ids, and the thread that one of them keeps, if it does; and the threads that were
    /// left behind, with what they are in.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the shutdown is not over, and goes on without its caller: that was a task whose own runtime has ended meanwhile. The
    /// [names](Self::names) are of those who had not stopped by then. If they do not, the log says so.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// `Ok` if there is nobody to be named.
    pub(crate) fn unless_empty(names: Vec<String>) -> Result<(), ShutdownError> {
        if names.is_empty() { Ok(()) } else { Err(ShutdownError { names, goes_on: false }) }
    }

    /// Its caller has no more time.
    pub(crate) fn not_over(names: Vec<String>) -> ShutdownError {
        ShutdownError { names, goes_on: true }
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names[..self.names.len().min(SHOWN)].join(", ");
        if self.names.len() > SHOWN {
            names += &format!(", and {} more", self.names.len() - SHOWN);
        }
        if self.goes_on {
            write!(f, "the shutdown goes on without its caller, whose own runtime ends")?;
            return if names.is_empty() { Ok(()) } else { write!(f, "; not stopped yet: {names}") };
        }
        write!(f, "{} would not stop within the grace and are abandoned: {names}", self.names.len())
    }
}

impl Error for ShutdownError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_stays_short_and_the_names_are_all_there() {
        let error = ShutdownError::unless_empty((0..250).map(|n| format!("task {n}")).collect()).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("250 would not stop") && text.ends_with("task 99, and 150 more"), "{text}");
        assert_eq!(error.names().len(), 250);
    }
}
