//! An extended attribute removed.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::ffi::OsStr;
use std::path::Path;

impl Request {
    /// Removes the extended attribute `name` of the file `path`, as removexattr(2) does. One that is not there fails with `ENODATA`. Symbolic links
    /// are followed. Paths are as for [`rename`](Self::rename), and so are names.
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-remove-xattr-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// channel.post(Request::remove_xattr(&folder, "user.colour"))?;
    /// let failure = channel.get_event()?.failure().unwrap(); // it has no colour
    /// assert!([libc::ENODATA, libc::EOPNOTSUPP].contains(&failure.errno()));
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn remove_xattr(path: impl AsRef<Path>, name: impl AsRef<OsStr>) -> Self {
        let names = [path.as_ref().as_os_str(), name.as_ref()];
        named::request(EventKind::RemoveXattr, names, |[path, name]| {
            // SAFETY: two strings that end.
            unsafe { libc::removexattr(path, name) }
        })
    }
}
