//! A second name for a file.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Makes `link` another name of the file `existing`, as link(2) does. If `existing` is a symbolic link, so is the new one. What is there
    /// already is not replaced (`EEXIST`). Paths are as for [`rename`](Self::rename).
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-link-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let (first, second) = (folder.join("first"), folder.join("second"));
    /// std::fs::write(&first, "content")?;
    /// channel.post(Request::link(&first, &second))?;
    /// channel.get_event()?.result()?;
    /// assert_eq!(std::fs::read(&second)?, b"content");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn link(existing: impl AsRef<Path>, link: impl AsRef<Path>) -> Self {
        let names = [existing.as_ref().as_os_str(), link.as_ref().as_os_str()];
        named::request(EventKind::Link, names, |[existing, link]| {
            // SAFETY: two strings that end.
            unsafe { libc::link(existing, link) }
        })
    }
}
