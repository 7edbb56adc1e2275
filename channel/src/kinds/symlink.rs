//! A symbolic link made.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Makes `link` a symbolic link to `target`, as symlink(2) does. Nobody looks whether there is a target. What is there already is not
    /// replaced (`EEXIST`). Paths are as for [`rename`](Self::rename); `target` is seen from the link's folder.
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-symlink-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let link = folder.join("link");
    /// channel.post(Request::symlink("elsewhere", &link))?;
    /// channel.get_event()?.result()?;
    /// assert_eq!(std::fs::read_link(&link)?.to_str(), Some("elsewhere"));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn symlink(target: impl AsRef<Path>, link: impl AsRef<Path>) -> Self {
        let names = [target.as_ref().as_os_str(), link.as_ref().as_os_str()];
        named::request(EventKind::Symlink, names, |[target, link]| {
            // SAFETY: two strings that end.
            unsafe { libc::symlink(target, link) }
        })
    }
}
