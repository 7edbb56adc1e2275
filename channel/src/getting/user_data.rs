//! What the program has put into a channel: it goes with the channel, and last of all.

use crate::foreign::{self, quietly};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Anything of the program's, or nothing. (Shared by the channel and the builders that it was made of.) Its destructor is foreign code.
#[derive(Clone, Default)]
pub(crate) struct UserData(Option<Arc<dyn Any + Send + Sync>>);

impl UserData {
    pub(crate) fn new(data: impl Any + Send + Sync) -> Self {
        UserData(Some(Arc::new(data)))
    }

    /// It, if it is a `T`.
    pub(crate) fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref()?.downcast_ref()
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        let data = self.0.take();
        if !foreign::call(move || drop(data)) {
            quietly!(error, "the destructor of an event channel's user data panicked");
        }
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "there" } else { "none" })
    }
}
