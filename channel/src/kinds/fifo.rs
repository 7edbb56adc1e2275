//! A FIFO opened, which waits for its other end; and ends when it is given up.
//!
//! open(2) itself could be ended by nothing but a signal, and the program may want them all. So an end is opened without waiting, and the
//! other one is looked for again and again:
//!
//! * *To read*: the descriptor is there at once, as a reader that counts: whoever opens the other end finds it, as he finds one that
//!   waits in open(2). What comes is seen at once; a writer that only opens, after a moment.
//! * *To write*: there is no descriptor without a reader. The open is tried again and again, of the very file that was found at first.
//!
//! The moments grow up to [`LONGEST`].

#![allow(unsafe_code)]

use crate::operation::Caller;
use crate::sys;
use crate::sys::futex::End;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(32);

/// Opens the FIFO at `path` (a string that ends) as `flags` say, which do not say that it does not wait. The descriptor, or minus an errno.
///
/// # Safety
/// `path` is valid.
pub(super) unsafe fn open(path: *const c_char, flags: i32, mode: libc::mode_t, caller: &dyn Caller) -> i32 {
    // SAFETY: by contract.
    let first = unsafe { try_open(path, flags, mode) };
    match (flags & libc::O_ACCMODE, first) {
        (libc::O_RDONLY, Ok(fd)) => until_a_writer(fd, caller),
        // SAFETY: by contract.
        (libc::O_WRONLY, Err(libc::ENXIO)) => unsafe { until_a_reader(path, flags, caller) },
        (_, Ok(fd)) => waits_from_now_on(fd),
        (_, Err(errno)) => -errno,
    }
}

/// # Safety
/// `path` is a string that ends.
unsafe fn try_open(path: *const c_char, flags: i32, mode: libc::mode_t) -> Result<OwnedFd, i32> {
    // SAFETY: by contract.
    match sys::blocking(|| unsafe { libc::open64(path, flags | libc::O_NONBLOCK, mode) } as isize) {
        // SAFETY: open has just made this descriptor.
        fd if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        errno => Err(-errno),
    }
}

/// It was opened so as not to wait. Its calls are to wait, as those of one that was opened as asked for.
fn waits_from_now_on(fd: OwnedFd) -> i32 {
    // SAFETY: no pointer is passed. Nobody else has the open file yet.
    let set = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        if flags < 0 { flags } else { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags & !libc::O_NONBLOCK) }
    };
    if set < 0 { -sys::errno() } else { fd.into_raw_fd() }
}

/// Asks, and again after moments that grow. `wait` waits for so long and is ended by what it likes.
fn again_and_again(
    caller: &dyn Caller,
    mut ask: impl FnMut() -> Option<Result<OwnedFd, i32>>,
    mut wait: impl FnMut(Duration, &End),
) -> i32 {
    let mut moment = SHORTEST;
    let mut is_first = true;
    caller.until(&mut |end| {
        if !std::mem::take(&mut is_first) && !end.has_come() {
            wait(moment, end);
            moment = (moment * 2).min(LONGEST);
        }
        ask().map(|met| met.map_or_else(|errno| -errno, waits_from_now_on))
    })
}

fn until_a_writer(fd: OwnedFd, caller: &dyn Caller) -> i32 {
    if !is_fifo(&fd) {
        // (Somebody has put something else there.)
        return waits_from_now_on(fd);
    }
    let number = fd.as_raw_fd();
    let mut fd = Some(fd);
    let ask = || has_met_a_writer(number).then(|| fd.take().ok_or(libc::EBADF));
    // (Not until the end comes: what comes from a writer is waited for rather than that.)
    let wait = |moment, end: &End| {
        let mut asked = [libc::pollfd { fd: number, events: libc::POLLIN, revents: 0 }];
        if sys::poll(&mut asked, Some(moment)).is_err() {
            end.nap(moment);
        }
    };
    again_and_again(caller, ask, wait)
}

/// Whoever is to read from this, and has opened it without waiting: has there been a writer since? (Or is there something from before,
/// that somebody else has kept?)
fn has_met_a_writer(fd: i32) -> bool {
    /// Nobody may write here.
    static NOWHERE: u8 = 0;
    // There is something, or one has come and gone.
    if sys::ready_now(fd, libc::POLLIN).is_ok_and(|ready| ready != 0) {
        return true;
    }
    // One that is here and has written nothing is seen by no poll. But where nobody is a read is at its end, and else it would wait. If something
    // comes just now it stays there, since it can be put nowhere: EFAULT.
    // SAFETY: the kernel sees that nothing can be written there.
    let read = unsafe { libc::read(fd, (&raw const NOWHERE).cast_mut().cast(), 1) };
    read != 0
}

/// # Safety
/// `path` is a string that ends.
unsafe fn until_a_reader(path: *const c_char, flags: i32, caller: &dyn Caller) -> i32 {
    // The very file, whatever the path means later on.
    let pinned = flags & (libc::O_NOFOLLOW | libc::O_CLOEXEC) | libc::O_PATH;
    // SAFETY: by contract.
    let pinned = match unsafe { try_open(path, pinned, 0) } {
        Ok(pinned) if is_fifo(&pinned) => pinned,
        // (A socket, a device without a driver.)
        Ok(_) => return -libc::ENXIO,
        Err(errno) => return -errno,
    };
    let Ok(found) = CString::new(format!("/proc/self/fd/{}", pinned.as_raw_fd())) else {
        return -libc::EINVAL;
    };
    let flags = flags & !(libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC);
    let ask = || {
        // SAFETY: strings that end.
        let tried = unsafe {
            match try_open(found.as_ptr(), flags & !libc::O_NOFOLLOW, 0) {
                // (There is no /proc here, so it is what is there now.)
                Err(libc::ENOENT) => try_open(path, flags, 0),
                tried => tried,
            }
        };
        (!matches!(tried, Err(libc::ENXIO))).then_some(tried)
    };
    again_and_again(caller, ask, |moment, end| end.nap(moment))
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
pub(super) unsafe fn is_known_to_be_there(path: *const c_char, flags: i32) -> bool {
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
