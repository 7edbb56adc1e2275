//! A name of a file taken away.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Takes the name `path` away from its file, as unlink(2) does; the file goes with its last name, when nobody has it open. A symbolic link goes
    /// itself, a folder does not (`EISDIR`). Paths are as for [`rename`](Self::rename).
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-unlink-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let file = folder.join("file");
    /// std::fs::write(&file, "content")?;
    /// channel.post(Request::unlink(&file))?;
    /// channel.get_event()?.result()?;
    /// assert!(!file.exists());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn unlink(path: impl AsRef<Path>) -> Self {
        named::request(EventKind::Unlink, [path.as_ref().as_os_str()], |[path]| {
            // SAFETY: a string that ends.
            unsafe { libc::unlink(path) }
        })
    }
}
