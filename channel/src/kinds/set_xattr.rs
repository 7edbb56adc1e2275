//! An extended attribute set.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::ffi::OsStr;
use std::path::Path;

impl Request {
    /// Sets the extended attribute `name` (`user.mime_type`, say) of the file `path` to `value`, as setxattr(2) does: one that is there is replaced. The
    /// value comes back in the event's buffer. The result is `Ok(0)`. A name that the file system has no place for fails with `EOPNOTSUPP`.
    /// Symbolic links are followed. Paths are as for [`rename`](Self::rename), and so are names.
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-set-xattr-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// channel.post(Request::set_xattr(&folder, "user.colour", b"green".to_vec()))?;
    /// match channel.get_event()?.result() {
    ///     Ok(0) => println!("it is green now"),
    ///     other => println!("there are no colours in this file system: {other:?}"),
    /// }
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_xattr(path: impl AsRef<Path>, name: impl AsRef<OsStr>, value: Vec<u8>) -> Self {
        let names = [path.as_ref().as_os_str(), name.as_ref()];
        named::request_with(EventKind::SetXattr, names, value, |[path, name], value| {
            // SAFETY: two strings that end, and as many bytes as said.
            unsafe { libc::setxattr(path, name, value.as_ptr().cast(), value.len(), 0) as isize }
        })
    }
}
