//! Why there is no stack for a task. It is found out under a lock and told outside of it: an error's words take memory.

use std::io;

/// See the module. (An error that is just a number of the system's takes none.)
pub(crate) enum Failure {
    NoMapping {
        bytes: usize,
        why: io::Error,
    },
    TooManySlabs,
    NoThreadId,
    NoGuard(io::Error),
    /// There must be room for so many in the lists first.
    NoRoom {
        free: usize,
        unused: usize,
    },
}

impl From<Failure> for io::Error {
    #[cold]
    fn from(failure: Failure) -> io::Error {
        let (kind, words) = match failure {
            Failure::NoMapping { bytes, why } => {
                (why.kind(), format!("no stack for the task: cannot map {bytes} bytes: {why}"))
            }
            Failure::TooManySlabs => {
                (io::ErrorKind::OutOfMemory, "no stack for the task: too many slabs".into())
            }
            Failure::NoThreadId => (io::ErrorKind::OutOfMemory, "no thread id left for another task".into()),
            Failure::NoGuard(why) => (
                why.kind(),
                format!(
                    "cannot guard a task's stack with mprotect: {why} (vm.max_map_count limits the mappings)"
                ),
            ),
            Failure::NoRoom { .. } => (
                io::ErrorKind::OutOfMemory,
                "no stack for the task: no memory for the lists of stacks".into(),
            ),
        };
        io::Error::new(kind, words)
    }
}
