//! What a descriptor is to read(2) and write(2), and attempts of those calls that do not wait.

#![allow(unsafe_code)]

use super::cursor;
use super::readiness::cannot_be_polled;
use super::refused::Refused;
use crate::operation::{Caller, GoOn, is_interrupted};
use crate::sys::{self, interrupt};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// See [`Sort::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A regular file, a block device, a directory: it is read at its cursor, through the page cache. So it must not be read, or written,
    /// twice, and nobody says when it goes without waiting. With its inode's number.
    File(u64),
    /// A device that cannot be polled. It may have a cursor.
    Device,
    /// It can be polled.
    Socket,
    /// As well, and a write to it may raise `SIGPIPE`.
    Pipe,
    /// As well: a terminal, an eventfd.
    Polled,
}

impl Sort {
    /// What it is now.
    ///
    /// # Errors
    /// An errno, as fstat(2) has them.
    pub fn of(fd: RawFd) -> Result<Sort, i32> {
        let (format, inode) = look(fd)?;
        Ok(match format {
            libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR | libc::S_IFLNK => Sort::File(inode),
            libc::S_IFSOCK => Sort::Socket,
            libc::S_IFIFO => Sort::Pipe,
            libc::S_IFCHR if cannot_be_polled(fd) => Sort::Device,
            _ => Sort::Polled,
        })
    }

    /// May a read or write at a position of it wait for others, although it has positions? So it is with what can be polled: a file of FUSE, or
    /// of /proc, `/dev/kmsg`. (The ring takes poll(2)'s word that it does not, and then waits itself.)
    pub fn can_be_polled(fd: RawFd) -> bool {
        !cannot_be_polled(fd)
    }

    /// Does a readiness driver wait for it?
    pub(super) fn is_polled(self) -> bool {
        !matches!(self, Sort::File(_) | Sort::Device)
    }
}

/// Which `S_IFMT` it is, and its inode's number; or an errno. That is known without asking whoever serves the file system, who may be slow.
pub(super) fn look(fd: RawFd) -> Result<(libc::mode_t, u64), i32> {
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    let mut found = MaybeUninit::<libc::statx>::uninit();
    // SAFETY: a string that ends, and room for the answer, which is there if the call has succeeded.
    unsafe {
        if libc::statx(fd, c"".as_ptr(), flags, libc::STATX_TYPE | libc::STATX_INO, found.as_mut_ptr()) == 0 {
            let found = found.assume_init();
            return Ok((libc::mode_t::from(found.stx_mode) & libc::S_IFMT, found.stx_ino));
        }
    }
    // A kernel older than 4.11 has no such call, and a filter may not know it.
    let mut found = MaybeUninit::<libc::stat64>::uninit();
    // SAFETY: room for the answer, which is there if the call has succeeded.
    unsafe {
        match libc::fstat64(fd, found.as_mut_ptr()) {
            0 => Ok((found.assume_init().st_mode & libc::S_IFMT, found.assume_init().st_ino)),
            _ => Err(sys::errno()),
        }
    }
}

/// A call on what can be polled, that does not wait. `with_flags` is told by a flag not to; not everything knows that. Then `plain` is
/// made if poll(2) sees one of `events`, and ended after a moment, since somebody else may have been faster. `None`: it would wait.
pub(super) fn attempt(
    fd: RawFd,
    events: i16,
    with_flags: impl FnMut() -> isize,
    mut plain: impl FnMut() -> isize,
) -> Option<i32> {
    match sys::now(with_flags) {
        Some(errno) if matches!(-errno, libc::EOPNOTSUPP | libc::ENOSYS) => {}
        result => return result,
    }
    // (If there is no telling the call says it.)
    if sys::ready_now(fd, events) == Ok(0) {
        return None;
    }
    let call = || match plain() {
        n if n >= 0 => Ok(n as i32),
        _ => Err(sys::errno()),
    };
    match interrupt::briefly_or_without_blocking(fd, call) {
        Ok(n) => Some(n),
        Err(libc::EINTR | libc::EAGAIN) => None,
        Err(errno) => Some(-errno),
    }
}

/// What comes after an attempt where the ring has said that it is ready.
pub(super) fn after(attempted: Option<i32>, fd: RawFd, events: i16) -> GoOn {
    match attempted {
        Some(result) if !is_interrupted(-result) => GoOn::Final(result),
        // Somebody else was faster. (Or a timer says so of a clock that was set: a driver that tries it would try it again.)
        Some(_) => GoOn::Await,
        None if sys::ready_now(fd, events) == Ok(0) => GoOn::Await,
        None => GoOn::NotYet,
    }
}

/// A call that waits, on what is of this sort. If others may let it wait for as long as they wish, so that it could be polled, a cancel ends
/// it.
pub(super) fn wait(fd: RawFd, sort: Sort, caller: &dyn Caller, call: impl FnMut() -> isize) -> i32 {
    let _moves = match sort {
        Sort::File(inode) => Some(cursor::moves(inode)),
        _ => None,
    };
    if cannot_be_polled(fd) {
        return sys::blocking(call);
    }
    at_length(caller, call)
}

/// As [`wait`], of a call that names a position. Not only files have those: a device that has (a tap, say) may let the call wait for as long
/// as others wish, whether it can be polled or not.
pub(super) fn wait_at(fd: RawFd, caller: &dyn Caller, call: impl FnMut() -> isize) -> i32 {
    match Sort::of(fd) {
        // (If there is no telling the call says why.)
        Ok(Sort::File(_)) | Err(_) => sys::blocking(call),
        Ok(_) => at_length(caller, call),
    }
}

fn at_length(caller: &dyn Caller, mut call: impl FnMut() -> isize) -> i32 {
    caller.at_length(&mut || match call() {
        n if n >= 0 => n as i32,
        _ => -sys::errno(),
    })
}

/// Before a read or a write is posted.
pub(super) fn prepare(fd: RawFd, sort: &mut Sort) -> Option<Refused> {
    match Sort::of(fd) {
        Ok(found) => {
            *sort = found;
            None
        }
        Err(errno) => Some(Refused(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::futex::End;
    use std::cell::Cell;
    use std::fs::File;
    use std::os::fd::AsRawFd;

    /// Counts the calls that may last.
    #[derive(Default)]
    struct Counts(Cell<u32>);

    impl Caller for Counts {
        fn at_length(&self, call: &mut dyn FnMut() -> i32) -> i32 {
            self.0.set(self.0.get() + 1);
            call()
        }

        fn until(&self, _ask: &mut dyn FnMut(&End) -> Option<i32>) -> i32 {
            panic!("it is a call")
        }
    }

    #[test]
    fn a_call_at_a_position_lasts_as_long_as_others_wish_unless_it_is_of_a_file() {
        let of = |fd| {
            let (counts, mut next) = (Counts::default(), 6);
            let result = wait_at(fd, &counts, || {
                next += 1;
                next
            });
            (result, counts.0.get())
        };
        let (null, directory) = (File::open("/dev/null").unwrap(), File::open("/").unwrap());
        let this = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(of(this.as_raw_fd()), (7, 0));
        assert_eq!(of(directory.as_raw_fd()), (7, 0));
        assert_eq!(of(null.as_raw_fd()), (7, 1));
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(of(reader.as_raw_fd()), (7, 1));
        assert_eq!(of(-1), (7, 0));
    }
}
