//! A file opened.
//!
//! A helper opens it, on io_uring too. The ring opens what is cached at once, but it opens a FIFO without waiting for the other end, and a look
//! at what there is comes before the open: somebody may put a FIFO there in between. And an open that is cancelled there may end in a code
//! that does not say whether there is a descriptor now, of which nobody knows.

#![allow(unsafe_code)]

use super::EventKind;
use super::fifo;
use super::named::Names;
use super::open_options::OpenOptions;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry, Verdict};
use crate::sys;
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

struct Open {
    path: Names<1>,
    options: OpenOptions,
    opened: Option<OwnedFd>,
}

impl Open {
    fn ask(&self) -> Result<(*const c_char, i32, libc::mode_t), i32> {
        let (flags, mode) = self.options.flags()?;
        let [path] = self.path.get()?;
        Ok((path, flags, mode))
    }
}

/// Why an open may take as long as others wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    /// That of a FIFO waits for the other end.
    Fifo,
    /// That of a terminal waits for a carrier, and a driver may have its own reasons.
    Device,
}

/// `None`: it does not. (Whoever puts a FIFO there just now has it opened by a helper that counts, and that nobody stops.)
fn may_last(path: *const c_char, flags: i32) -> Option<Lasts> {
    if flags & (libc::O_NONBLOCK | libc::O_PATH) != 0 {
        return None;
    }
    let mut found = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: a string that ends, and room for the answer, which is there if the call has succeeded.
    let mode = unsafe {
        match libc::stat64(path, found.as_mut_ptr()) {
            0 => found.assume_init().st_mode,
            _ => return None,
        }
    };
    match mode & libc::S_IFMT {
        libc::S_IFIFO => Some(Lasts::Fifo),
        libc::S_IFCHR => Some(Lasts::Device),
        _ => None,
    }
}

// SAFETY: it touches what it holds.
unsafe impl Carry for Open {
    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn judge(&self, _result: i32) -> Verdict {
        Verdict::Final
    }
}

// SAFETY: as above.
unsafe impl Blocking for Open {
    fn is_for_helpers(&self) -> bool {
        // Not by fits and starts: whoever opens the other end without waiting must not find that nobody is there to read.
        self.ask().is_ok_and(|(path, flags, _)| may_last(path, flags).is_some())
    }

    fn lasts(&self) -> bool {
        let waits = |flags: i32| flags & (libc::O_NONBLOCK | libc::O_PATH) == 0;
        // SAFETY: a string that ends.
        let is_fifo = |path, flags| unsafe { fifo::is_known_to_be_there(path, flags) };
        self.ask().is_ok_and(|(path, flags, _)| waits(flags) && is_fifo(path, flags))
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let (path, flags, mode) = match self.ask() {
            Ok(ask) => ask,
            Err(errno) => return -errno,
        };
        // SAFETY: a string that ends.
        let open = || unsafe { libc::open64(path, flags, mode) } as isize;
        match may_last(path, flags) {
            // SAFETY: as above.
            Some(Lasts::Fifo) => unsafe { fifo::open(path, flags, mode, caller) },
            Some(Lasts::Device) => caller.at_length(&mut || match open() {
                fd if fd >= 0 => fd as i32,
                _ => -sys::errno(),
            }),
            None => sys::blocking(open),
        }
    }
}

impl Kept for Open {
    fn kind(&self) -> u8 {
        EventKind::Open as u8
    }

    fn prepare(&mut self) {
        self.opened = None;
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const *self
    }

    fn finish(&mut self, result: i32) -> i32 {
        if result >= 0 {
            // SAFETY: open has just made this descriptor, for this event alone.
            self.opened = Some(unsafe { OwnedFd::from_raw_fd(result) });
        }
        result.min(0)
    }
}

impl Request {
    /// Opens the file `path` as `options` say, as open(2) does; see [`Event::take_opened`]. What [std](std::fs::OpenOptions) refuses as options
    /// fails with `EINVAL`, and so does a path with a NUL in it. A path is seen from the process's working directory at the time.
    ///
    /// A helper thread opens it ([`work`](Self::work)), on each driver. One that has begun is made to its end, and comes as done, also if it is
    /// given up (cancelled, over its time limit) meanwhile; but for what may take as long as others wish. That holds up nobody, does not count
    /// among the 512 helpers, and ends when it is given up:
    ///
    /// * The open of a FIFO waits for its other end. Whoever opens a FIFO to write meanwhile finds the reader there, as with open(2). A writer
    ///   that writes nothing is noticed up to 32 ms late, and so is any reader by an open to write: until then one that reads without
    ///   waiting finds the FIFO at its end. If all 512 helpers are busy just now it has another one (from Linux 5.12 on; before, it waits for
    ///   one of them). It looks some thirty times a second. One to write needs two descriptors. No signal is needed.
    /// * The open of a device (a terminal waits for a carrier) may have its own reasons. It is ended by a real-time signal that the program leaves
    ///   alone. If the program handles or ignores all that the helper's thread lets through, or may have no signals queued
    ///   (`RLIMIT_SIGPENDING`), it lasts until that has changed, or the device is there.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, OpenOptions, Request};
    /// # use std::{fs::File, io::Read};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::open("Cargo.toml", OpenOptions::new().read(true)))?;
    /// let mut event = channel.get_event()?;
    /// event.result()?;
    /// let mut file = File::from(event.take_opened().unwrap());
    /// let mut content = String::new();
    /// file.read_to_string(&mut content)?;
    /// assert!(content.starts_with("[package]"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions) -> Self {
        let path = Names::new([path.as_ref().as_os_str()]);
        Self::of(Open { path, options: options.clone(), opened: None })
    }
}

impl Event {
    /// What a [`Request::open`] has opened, once. What is not taken is closed with the event.
    pub fn take_opened(&mut self) -> Option<OwnedFd> {
        self.0.of_kind_mut::<Open>()?.opened.take()
    }
}
