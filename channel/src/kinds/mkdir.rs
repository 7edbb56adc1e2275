//! A folder made.

#![allow(unsafe_code)]

use super::{EventKind, named};
use crate::events::request::Request;
use std::path::Path;

impl Request {
    /// Makes the folder `path`, as mkdir(2) does: with the rights of `mode` (`0o777`, say) less those of the process's umask. What is there already
    /// is left as it is (`EEXIST`). Paths are as for [`rename`](Self::rename).
    ///
    /// A helper thread makes the call ([`work`](Self::work)), once: it is never begun again. One that is given up (cancelled, over its time limit)
    /// before that is not made; one that has begun comes as done, or with its error.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// # let folder = std::env::temp_dir().join(format!("ec-doc-mkdir-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// let new = folder.join("new");
    /// channel.post(Request::mkdir(&new, 0o755))?;
    /// channel.get_event()?.result()?;
    /// assert!(new.is_dir());
    /// # std::fs::remove_dir_all(folder)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn mkdir(path: impl AsRef<Path>, mode: u32) -> Self {
        named::request(EventKind::Mkdir, [path.as_ref().as_os_str()], move |[path]| {
            // SAFETY: a string that ends.
            unsafe { libc::mkdir(path, mode) }
        })
    }
}
