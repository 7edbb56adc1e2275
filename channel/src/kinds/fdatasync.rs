//! A file's data brought to the disk.

use super::fsync::Fsync;
use crate::events::request::Request;
use crate::events::source::Source;

impl Request {
    /// As [`fsync`](Self::fsync), but of what the file system knows of the file only what is needed to read the data again, as fdatasync(2)
    /// does: its length, and not when it was written. That is often quicker.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # let path = std::env::temp_dir().join(format!("ec-fdatasync-{}", std::process::id()));
    /// let channel = EventChannel::new()?;
    /// let file = std::fs::File::create_new(&path)?;
    /// channel.post(Request::fdatasync(file))?;
    /// channel.get_event()?.result()?;
    /// # std::fs::remove_file(path)?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn fdatasync(file: impl Into<Source>) -> Self {
        Self::on_file(file, Fsync { fd: -1, data_only: true }, ())
    }
}
