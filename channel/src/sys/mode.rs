//! The mode of a descriptor, which is its open file's: others see what is done to it.

#![allow(unsafe_code)]

use super::errno;
use crate::fork;
use crate::lock::{Mutex, MutexGuard};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

/// Held by who changes the mode of a descriptor, or asks for it: for some microseconds it may be another one than the program has set.
/// Which of them is for an open file depends on its inode, which is the same for all its descriptors.
static MODES: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];

/// `None`: in a forked child, where there is no driver, and who held the lock may not be there.
fn lock_mode(fd: RawFd) -> Option<MutexGuard<'static, ()>> {
    if fork::is_child() {
        return None;
    }
    let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: room for the answer. (If there is none it stays as it is: then it is the first of the locks.)
    let inode = unsafe {
        libc::fstat(fd, stat.as_mut_ptr());
        stat.assume_init().st_ino
    };
    Some(MODES[inode as usize % MODES.len()].lock())
}

fn is_nonblocking(fd: RawFd) -> Result<bool, i32> {
    // SAFETY: no pointer is passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if mode < 0 { Err(errno()) } else { Ok(mode & libc::O_NONBLOCK != 0) }
}

/// By ioctl(2), which changes this bit and no other.
fn make_nonblocking(fd: RawFd, nonblocking: bool) -> Result<(), i32> {
    let mut on = libc::c_int::from(nonblocking);
    // SAFETY: a live int.
    if unsafe { libc::ioctl(fd, libc::FIONBIO, &mut on) } < 0 { Err(errno()) } else { Ok(()) }
}

/// Whether the program has put this descriptor into non-blocking mode: as fcntl(2) says it, at a moment when no driver has changed
/// that for an attempt of its own.
///
/// # Errors
/// As fcntl(2).
///
/// ```
/// use std::os::fd::AsFd;
/// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// ec_channel::set_nonblocking(socket.as_fd(), true)?;
/// assert!(ec_channel::nonblocking(socket.as_fd())?);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn nonblocking(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let _nobody_else = lock_mode(fd.as_raw_fd());
    is_nonblocking(fd.as_raw_fd()).map_err(io::Error::from_raw_os_error)
}

/// Puts a descriptor into non-blocking mode, or back: at a moment when no driver has done so for an attempt of its own, after which it
/// would put the mode back that was before. (The epoll driver does so for a connect, for some microseconds. std's
/// `set_nonblocking` is as good as long as no request is on its way for the descriptor.)
///
/// # Errors
/// As ioctl(2).
///
/// ```
/// use std::os::fd::AsFd;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// ec_channel::set_nonblocking(listener.as_fd(), true)?;
/// assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn set_nonblocking(fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
    let _nobody_else = lock_mode(fd.as_raw_fd());
    make_nonblocking(fd.as_raw_fd(), nonblocking).map_err(io::Error::from_raw_os_error)
}

/// Runs a system call with the descriptor in non-blocking mode, and puts the mode back. One at a time: each finds the mode that the
/// program has set.
pub(crate) fn without_blocking(fd: RawFd, call: impl FnOnce() -> Result<i32, i32>) -> Result<i32, i32> {
    let _nobody_else = lock_mode(fd);
    let change = !is_nonblocking(fd)?;
    if change {
        make_nonblocking(fd, true)?;
    }
    let result = call();
    if change {
        let _ = make_nonblocking(fd, false);
    }
    result
}
