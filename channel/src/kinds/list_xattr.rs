//! The names of extended attributes.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Reads the names of all extended attributes of the file `path`, into `buffer`, as listxattr(2) does: what it held is replaced, and a NUL is
    /// behind each of them. The result is the number of bytes. If there is no room for all it fails with `ERANGE`; for a buffer of no capacity the
    /// result is how many there are to be read. Symbolic links are followed. Paths are as for [`rename`](Self::rename). A helper thread makes the
    /// call ([`work`](Self::work)).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-list-xattr-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// channel.post(Request::list_xattr(&folder, Vec::with_capacity(4096)))?;
    /// let event = channel.get_event()?;
    /// if event.result().is_ok() { // the file system has such attributes
    ///     for name in event.buffer().split_inclusive(|byte| *byte == 0) {
    ///         println!("{}", String::from_utf8_lossy(name).trim_end_matches('\0'));
    ///     }
    /// }
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn list_xattr(path: impl AsRef<Path>, buffer: Vec<u8>) -> Self {
        named::request_with(EventKind::ListXattr, [path.as_ref().as_os_str()], buffer, |[path], into| {
            // SAFETY: a string that ends, and room for as many bytes as said.
            unsafe { named::fill(into, |at, room| libc::listxattr(path, at.cast(), room)) }
        })
    }
}
