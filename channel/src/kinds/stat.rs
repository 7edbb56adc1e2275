//! What there is to know of a file.

#![allow(unsafe_code)]

use super::EventKind;
use super::metadata::Metadata;
use super::named::Names;
use super::refused::Refused;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::ffi::{OsStr, c_char};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::path::Path;

/// statx(2).
struct Ask {
    folder: RawFd,
    path: *const c_char,
    flags: i32,
    into: *mut libc::statx,
}

const MASK: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME;

// SAFETY: a description; what it points to lies beside it.
unsafe impl Send for Ask {}

// SAFETY: a structure at `into` is written, and a string read.
unsafe impl Carry for Ask {
    fn entry(&self) -> Option<squeue::Entry> {
        let entry = opcode::Statx::new(types::Fd(self.folder), self.path, self.into.cast());
        Some(entry.flags(self.flags).mask(MASK).build())
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    /// (It does no harm if it is done again.)
    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }
}

// SAFETY: as above.
unsafe impl Blocking for Ask {
    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        // SAFETY: by contract.
        sys::blocking(|| unsafe { libc::statx(self.folder, self.path, self.flags, MASK, self.into) as isize })
    }
}

enum Of {
    Path(Names<1>),
    Descriptor(Source),
}

struct Held {
    of: Of,
    found: MaybeUninit<libc::statx>,
    is_found: bool,
    operation: Ask,
    refused: Option<Refused>,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Stat as u8
    }

    fn role(&self) -> Option<&'static str> {
        self.source().map(|_| "descriptor")
    }

    fn source(&self) -> Option<&Source> {
        match &self.of {
            Of::Descriptor(source) => Some(source),
            Of::Path(_) => None,
        }
    }

    fn names(&self) -> Vec<&OsStr> {
        match &self.of {
            Of::Path(path) => path.given(),
            Of::Descriptor(_) => Vec::new(),
        }
    }

    fn descriptor(&self) -> RawFd {
        match self.of {
            Of::Descriptor(_) => self.operation.folder,
            Of::Path(_) => -1,
        }
    }

    fn prepare(&mut self) {
        self.is_found = false;
        match &self.of {
            Of::Descriptor(source) => self.operation.folder = source.raw(),
            Of::Path(path) => match path.get() {
                Ok([path]) => self.operation.path = path,
                Err(errno) => self.refused = Some(Refused(errno)),
            },
        }
    }

    fn point(&mut self) -> *const dyn Carry {
        self.operation.into = self.found.as_mut_ptr();
        match &self.refused {
            Some(refused) => &raw const *refused,
            None => &raw const self.operation,
        }
    }

    fn finish(&mut self, result: i32) -> i32 {
        self.is_found = result >= 0;
        result
    }
}

impl Request {
    /// Asks what there is to know of the file `path`, as stat(2) does: [`Event::metadata`]. Symbolic links are followed. A path is seen from the
    /// process's working directory at the time; one with a NUL in it fails with `EINVAL`.
    ///
    /// On io_uring the ring asks, elsewhere a helper thread ([`work`](Self::work)) does. One that has begun may be complete before a cancel ends it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::stat("Cargo.toml"))?;
    /// let event = channel.get_event()?;
    /// event.result()?;
    /// let metadata = event.metadata().unwrap();
    /// assert!(metadata.is_file() && metadata.len() > 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stat(path: impl AsRef<Path>) -> Self {
        Self::stat_with(Of::Path(Names::new([path.as_ref().as_os_str()])), 0)
    }

    /// As [`stat`](Self::stat), of a symbolic link itself if `path` is one, as lstat(2) does.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::lstat("/proc/self"))?;
    /// assert!(channel.get_event()?.metadata().unwrap().is_symlink());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn lstat(path: impl AsRef<Path>) -> Self {
        Self::stat_with(Of::Path(Names::new([path.as_ref().as_os_str()])), libc::AT_SYMLINK_NOFOLLOW)
    }

    /// As [`stat`](Self::stat), of what is open, as fstat(2) does.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::stat_of(std::fs::File::open("Cargo.toml")?))?;
    /// assert!(channel.get_event()?.metadata().unwrap().is_file());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn stat_of(descriptor: impl Into<Source>) -> Self {
        Self::stat_with(Of::Descriptor(descriptor.into()), libc::AT_EMPTY_PATH)
    }

    fn stat_with(of: Of, flags: i32) -> Self {
        // (A path takes the place of the empty one.)
        let operation = Ask { folder: libc::AT_FDCWD, path: c"".as_ptr(), flags, into: std::ptr::null_mut() };
        let found = MaybeUninit::uninit();
        Self::of(Held { of, found, is_found: false, operation, refused: None })
    }
}

impl Event {
    /// What a [`Request::stat`] (or [`lstat`](Request::lstat), [`stat_of`](Request::stat_of)) has found. `None`: it has failed, or the event is of
    /// another kind.
    pub fn metadata(&self) -> Option<Metadata> {
        let held = self.0.of_kind::<Held>().filter(|held| held.is_found)?;
        // SAFETY: statx has succeeded, so that it is all there.
        Some(Metadata::new(unsafe { held.found.assume_init_ref() }))
    }
}
