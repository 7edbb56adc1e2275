//! One attempt at an action by system call, without blocking whatever mode the descriptor is in.

#![allow(unsafe_code)]

use crate::lock::Mutex;
use crate::raw::Action;
use std::io;
use std::os::fd::RawFd;

/// The result of an attempt; `None`: it would block, wait for readiness and try again.
///
/// # Safety
/// The action's pointers and descriptor are valid.
pub(crate) unsafe fn attempt(action: &Action, revents: i16) -> Option<i32> {
    loop {
        // SAFETY: by contract, for each of the calls.
        let n = unsafe {
            match *action {
                Action::Accept { fd, addr, len } => accept(fd, addr, len),
                Action::Connect { fd, .. } => match socket_error(fd) {
                    0 => match ready_now(fd, libc::POLLOUT) {
                        Ok(0) => return None,
                        Ok(_) => 0,
                        Err(errno) => return Some(-errno),
                    },
                    errno => return Some(-errno),
                },
                Action::Recv { fd, buf, len, flags } => {
                    libc::recv(fd, buf.cast(), len, flags | libc::MSG_DONTWAIT)
                }
                Action::Send { fd, buf, len, flags } => {
                    libc::send(fd, buf.cast(), len, flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                }
                Action::RecvMsg { fd, msg, flags } => libc::recvmsg(fd, msg, flags | libc::MSG_DONTWAIT),
                Action::SendMsg { fd, msg, flags } => {
                    libc::sendmsg(fd, msg, flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
                }
                Action::Poll { events, .. } => {
                    let always = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
                    let ready = revents & (events | always);
                    return (ready != 0).then(|| i32::from(ready as u16));
                }
                Action::Timer => 0,
            }
        };
        if n >= 0 {
            // The kernel never transfers more than INT_MAX bytes at once.
            return Some(n as i32);
        }
        match io::Error::last_os_error().raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN) => return None,
            e => return Some(-e.unwrap_or(libc::EIO)),
        }
    }
}

/// accept4(2) has no flag for "do not block", and a readiness may be stale: others accept from the same socket. So the
/// listener is put into non-blocking mode for the length of the call, by one thread at a time. (Whoever else
/// begins a blocking accept on it in just these microseconds, with no connection there, gets EAGAIN; the io_uring
/// driver does without.)
///
/// # Safety
/// As accept4(2).
unsafe fn accept(fd: RawFd, addr: *mut libc::sockaddr_storage, len: *mut libc::socklen_t) -> isize {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let accept = || {
        if ready_now(fd, libc::POLLIN)? == 0 {
            return Err(libc::EAGAIN);
        }
        let _turn = ONE_AT_A_TIME.lock();
        // SAFETY: by contract.
        without_blocking(fd, || unsafe { libc::accept4(fd, addr.cast(), len, libc::SOCK_CLOEXEC) })
    };
    match accept() {
        Ok(n) => n as isize,
        Err(errno) => {
            // SAFETY: this thread's errno.
            unsafe { *libc::__errno_location() = errno };
            -1
        }
    }
}

/// Runs a system call with the descriptor in non-blocking mode, and puts the mode back.
fn without_blocking(fd: RawFd, call: impl FnOnce() -> i32) -> Result<i32, i32> {
    let errno = || io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
    // SAFETY: no pointer is passed.
    let mode = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if mode < 0 {
        return Err(errno());
    }
    let change = mode & libc::O_NONBLOCK == 0;
    // SAFETY: as above.
    if change && unsafe { libc::fcntl(fd, libc::F_SETFL, mode | libc::O_NONBLOCK) } < 0 {
        return Err(errno());
    }
    let n = call();
    let result = if n < 0 { Err(errno()) } else { Ok(n) };
    if change {
        // SAFETY: as above.
        unsafe { libc::fcntl(fd, libc::F_SETFL, mode) };
    }
    result
}

/// Which of `events`, or errors, are there right now; or why there is no telling.
pub(super) fn ready_now(fd: RawFd, events: i16) -> Result<i16, i32> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one live pollfd.
    match unsafe { libc::poll(&mut ask, 1, 0) } {
        0.. => Ok(ask.revents),
        _ => match io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) {
            // Nothing, as far as one knows.
            libc::EINTR => Ok(0),
            errno => Err(errno),
        },
    }
}

/// The socket's pending error (SO_ERROR), 0 if none; an errno of its own if it cannot be asked.
pub(crate) fn socket_error(fd: RawFd) -> i32 {
    let (mut error, mut len) = (0i32, size_of::<i32>() as libc::socklen_t);
    // SAFETY: an int and its length, both live.
    let r =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &mut len) };
    if r < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) } else { error }
}

/// Starts a connect without blocking; `Some` if it is settled at once. The descriptor's mode is as before
/// when this returns, so a connect in progress is unaffected by it.
///
/// # Safety
/// As connect(2).
pub(crate) unsafe fn start_connect(
    fd: RawFd,
    addr: *const libc::sockaddr_storage,
    len: libc::socklen_t,
) -> Option<i32> {
    // SAFETY: by contract.
    match without_blocking(fd, || unsafe { libc::connect(fd, addr.cast(), len) }) {
        Ok(_) => Some(0),
        Err(libc::EINPROGRESS | libc::EINTR | libc::EALREADY) => None,
        Err(errno) => Some(-errno),
    }
}
