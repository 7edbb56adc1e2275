//! An extended attribute read.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::ffi::OsStr;
use std::path::Path;

impl Request {
    /// Reads the extended attribute `name` (`user.mime_type`, say) of the file `path`, into `buffer`, as getxattr(2) does: what it held is replaced.
    /// The result is the number of bytes. One that there is no room for fails with `ERANGE`; for a buffer of no capacity the result is how many
    /// there are to be read. An attribute that is not there fails with `ENODATA`, a file system that has none with `EOPNOTSUPP`. Symbolic links are
    /// followed. Paths are as for [`rename`](Self::rename), and so are names. A helper thread makes the call ([`work`](Self::work)).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-get-xattr-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let file = folder.join("file");
    /// std::fs::write(&file, "content")?;
    /// channel.post(Request::set_xattr(&file, "user.colour", b"green".to_vec()))?;
    /// if channel.get_event()?.result().is_ok() { // the file system has such attributes
    ///     channel.post(Request::get_xattr(&file, "user.colour", Vec::with_capacity(64)))?;
    ///     assert_eq!(channel.get_event()?.buffer(), b"green");
    /// }
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn get_xattr(path: impl AsRef<Path>, name: impl AsRef<OsStr>, buffer: Vec<u8>) -> Self {
        let names = [path.as_ref().as_os_str(), name.as_ref()];
        named::request_with(EventKind::GetXattr, names, buffer, |[path, name], into| {
            // SAFETY: two strings that end, and room for as many bytes as said.
            unsafe { named::fill(into, |at, room| libc::getxattr(path, name, at.cast(), room)) }
        })
    }
}
