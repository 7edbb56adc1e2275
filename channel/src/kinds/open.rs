//! A file opened.
//!
//! A helper opens it, on io_uring too. The ring opens what is cached at once, but it opens a FIFO without waiting for the other end, and a look
//! at what there is comes before the open: somebody may put a FIFO there in between. And an open that is cancelled there may end in a code
//! that does not say whether there is a descriptor now, of which nobody knows.

#![allow(unsafe_code)]

use super::EventKind;
use super::named::Names;
use super::open_options::OpenOptions;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry, Verdict};
use crate::sys;
use std::ffi::{OsStr, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
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

/// May an open of it take as long as others wish? That of a FIFO waits for the other end, that of a terminal for a carrier, and a driver may
/// have its own reasons. (Whoever puts a FIFO there just now has it opened by a helper that counts, and that nobody stops.)
fn may_last(path: *const c_char, flags: i32) -> bool {
    if flags & (libc::O_NONBLOCK | libc::O_PATH) != 0 {
        return false;
    }
    let mut found = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: a string that ends, and room for the answer, which is there if the call has succeeded.
    let mode = unsafe {
        match libc::stat64(path, found.as_mut_ptr()) {
            0 => found.assume_init().st_mode,
            _ => return false,
        }
    };
    matches!(mode & libc::S_IFMT, libc::S_IFIFO | libc::S_IFCHR)
}

fn is_fifo(fd: &OwnedFd) -> bool {
    let mut found = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: room for the answer, which is there if the call has succeeded.
    unsafe {
        libc::fstat64(fd.as_raw_fd(), found.as_mut_ptr()) == 0
            && found.assume_init().st_mode & libc::S_IFMT == libc::S_IFIFO
    }
}

/// Is a FIFO at `path`, as far as the kernel can say without waiting for a disk? (From Linux 5.12 on; before it is never known.)
///
/// # Safety
/// `path` is a string that ends.
unsafe fn is_fifo_for_sure(path: *const c_char, flags: i32) -> bool {
    const RESOLVE_CACHED: u64 = 0x20;
    let flags = flags & libc::O_NOFOLLOW | libc::O_PATH | libc::O_CLOEXEC;
    // (Flags, mode, and how it is resolved.)
    let how = [flags as u64, 0, RESOLVE_CACHED];
    // SAFETY: by contract, and as many words as are said.
    unsafe {
        let fd = libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, path, how.as_ptr(), size_of_val(&how));
        // SAFETY: the call has just made this descriptor.
        fd >= 0 && is_fifo(&OwnedFd::from_raw_fd(fd as i32))
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
        // Not by fits and starts: whoever opens the other end without waiting must not find that nobody is there.
        self.ask().is_ok_and(|(path, flags, _)| may_last(path, flags))
    }

    fn lasts(&self) -> bool {
        let waits = |flags: i32| flags & (libc::O_NONBLOCK | libc::O_PATH) == 0;
        // SAFETY: a string that ends.
        let is_fifo = |path, flags| unsafe { is_fifo_for_sure(path, flags) };
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
            true => caller.at_length(&mut || match open() {
                fd if fd >= 0 => fd as i32,
                _ => -sys::errno(),
            }),
            false => sys::blocking(open),
        }
    }
}

impl Kept for Open {
    fn kind(&self) -> u8 {
        EventKind::Open as u8
    }

    fn names(&self) -> Vec<&OsStr> {
        self.path.given()
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
    /// A helper thread opens it ([`work`](Self::work)), on each driver. An open that may take as long as others wish (that of a FIFO waits for
    /// its other end, that of a device may have its own reasons) holds up nobody: it does not count among the 512 helpers, and is ended if it is
    /// given up (cancelled, over its time limit). Any other that has begun is made to its end, and comes as done.
    ///
    /// It is ended by a signal that the program leaves alone: a real-time one, or `SIGURG` if none is left or no more may be queued. Who
    /// handles or ignores all of these has such an open last until that changes, or the other end is there. If all 512 helpers are busy just
    /// now a FIFO's open has another one (from Linux 5.12 on; before, it waits for one of them).
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
