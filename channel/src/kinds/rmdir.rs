//! A folder removed.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Removes the folder `path`, as rmdir(2) does. It has to be empty (`ENOTEMPTY`). Paths are as for [`rename`](Self::rename).
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-rmdir-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let empty = folder.join("empty");
    /// std::fs::create_dir(&empty)?;
    /// channel.post(Request::rmdir(&empty))?;
    /// channel.get_event()?.result()?;
    /// assert!(!empty.exists());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn rmdir(path: impl AsRef<Path>) -> Self {
        named::request(EventKind::Rmdir, [path.as_ref().as_os_str()], |[path]| {
            // SAFETY: a string that ends.
            unsafe { libc::unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
        })
    }
}
