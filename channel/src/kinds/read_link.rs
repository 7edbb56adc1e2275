//! What a symbolic link says.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Reads where the symbolic link `path` points to, into `buffer`, as readlink(2) does: what it held is replaced, and what there is no room for is
    /// cut off. (So a result of the whole capacity may not be all. 4,096 bytes are enough for any.) The result is the number of bytes. What is no
    /// symbolic link, and a buffer of no capacity, fail with `EINVAL`. Paths are as for [`rename`](Self::rename). A helper thread makes the call
    /// ([`work`](Self::work)).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-read-link-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let link = folder.join("link");
    /// std::os::unix::fs::symlink("elsewhere", &link)?;
    /// channel.post(Request::read_link(&link, Vec::with_capacity(4096)))?;
    /// assert_eq!(channel.get_event()?.buffer(), b"elsewhere");
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read_link(path: impl AsRef<Path>, buffer: Vec<u8>) -> Self {
        named::request_with(EventKind::ReadLink, [path.as_ref().as_os_str()], buffer, |[path], into| {
            // SAFETY: a string that ends, and room for as many bytes as said.
            unsafe { named::fill(into, |at, room| libc::readlink(path, at.cast(), room)) }
        })
    }
}
