//! A file renamed.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Renames `from` to `to`, as rename(2) does: a file that is there is replaced, at once for all who look. Both lie in one file system
    /// (`EXDEV`). A path is seen from the process's working directory at the time; one with a NUL in it fails with `EINVAL`.
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-rename-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let (old, new) = (folder.join("old"), folder.join("new"));
    /// std::fs::write(&old, "content")?;
    /// channel.post(Request::rename(&old, &new))?;
    /// channel.get_event()?.result()?;
    /// assert!(!old.exists() && new.exists());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Self {
        let names = [from.as_ref().as_os_str(), to.as_ref().as_os_str()];
        named::request(EventKind::Rename, names, |[from, to]| {
            // SAFETY: two strings that end.
            unsafe { libc::rename(from, to) }
        })
    }
}
