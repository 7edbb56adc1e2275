//! One attempt at an action by system call, without blocking whatever mode the descriptor is in.

#![allow(unsafe_code)]

use super::interrupt::briefly;
use crate::fork;
use crate::lock::{Mutex, MutexGuard};
use crate::raw::Action;
use socket2::SockAddr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Why the system call that has just been made failed.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// The result of an attempt; `None`: it would block, wait for readiness and try again.
///
/// # Safety
/// The action's pointers and descriptor are valid.
pub(crate) unsafe fn attempt(action: &Action, revents: i16) -> Option<i32> {
    loop {
        // SAFETY: by contract, for each of the calls.
        let n = unsafe {
            match *action {
                Action::Accept { fd, addr, len } => match accept(fd, addr, len) {
                    Ok(n) => n as isize,
                    Err(libc::EAGAIN) => return end_of_input(action, revents),
                    Err(errno) => return Some(-errno),
                },
                Action::Connect { fd, addr, len } => return end_connect(fd, addr, len),
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
        match errno() {
            libc::EINTR => {}
            // SAFETY: by contract.
            libc::EAGAIN => return unsafe { end_of_input(action, revents) },
            errno => return Some(-errno),
        }
    }
}

/// May the process have one descriptor more, here and now?
pub(crate) fn descriptor_to_be_had(fd: RawFd) -> bool {
    // SAFETY: a duplicate, which nobody else knows.
    unsafe {
        let another = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
        another >= 0 && libc::close(another) == 0
    }
}

/// What a call that blocks would end with, where one that does not says EAGAIN although nothing more will come: the
/// receiving side of a datagram socket, or a listener of AF_UNIX, has been shut down. `None`: it would wait.
///
/// # Safety
/// The action's pointers are valid.
pub(crate) unsafe fn end_of_input(action: &Action, revents: i16) -> Option<i32> {
    if revents & libc::POLLRDHUP == 0 {
        return None;
    }
    match *action {
        Action::Accept { .. } => Some(-libc::EINVAL),
        Action::Recv { .. } => Some(0),
        Action::RecvMsg { msg, .. } => {
            // SAFETY: by contract.
            let msg = unsafe { &mut *msg };
            (msg.msg_namelen, msg.msg_controllen, msg.msg_flags) = (0, 0, 0);
            Some(0)
        }
        _ => None,
    }
}

/// The first attempt, before anybody waits: what is done at once, and what can never work. `None`: wait for readiness.
///
/// # Safety
/// As for [`attempt`].
pub(super) unsafe fn first_attempt(action: &Action, revents: i16) -> Option<i32> {
    // SAFETY: by contract.
    unsafe {
        match *action {
            Action::Connect { fd, addr, len } => start_connect(fd, addr, len),
            // What listens has its connections from readiness on.
            Action::Accept { fd, .. } if listens(fd) => None,
            _ => attempt(action, revents),
        }
    }
}

fn listens(fd: RawFd) -> bool {
    let (mut listens, mut len) = (0i32, size_of::<i32>() as libc::socklen_t);
    let at = (&raw mut listens).cast();
    // SAFETY: an int and its length, both live.
    let r = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, at, &mut len) };
    r == 0 && listens != 0
}

/// What poll(2) said may be over: others accept from the same socket. So the call may wait, for a moment. (Without a signal for
/// that it does not, and the descriptor's mode is another one meanwhile.)
///
/// # Safety
/// As accept4(2).
unsafe fn accept(
    fd: RawFd,
    addr: *mut libc::sockaddr_storage,
    len: *mut libc::socklen_t,
) -> Result<i32, i32> {
    if ready_now(fd, libc::POLLIN)? == 0 && listens(fd) {
        return Err(libc::EAGAIN);
    }
    let call = || {
        // SAFETY: by contract.
        match unsafe { libc::accept4(fd, addr.cast(), len, libc::SOCK_CLOEXEC) } {
            new if new >= 0 => Ok(new),
            _ => Err(errno()),
        }
    };
    match briefly(call).unwrap_or_else(|| without_blocking(fd, call)) {
        Err(libc::EINTR) => Err(libc::EAGAIN),
        result => result,
    }
}

/// Accepts a connection that has come, and gives the peer's address. Where none has, or somebody else has taken it, this fails
/// with [`WouldBlock`](io::ErrorKind::WouldBlock), whatever the mode of the descriptor. It leaves that as it is. (If another
/// thread or process takes just this connection it may wait for 5 ms: see `getters-cancels-drivers.md`.)
///
/// # Errors
/// As accept4(2).
///
/// ```
/// use std::os::fd::AsFd;
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let none = ec_channel::accept_now(listener.as_fd()).unwrap_err();
/// assert_eq!(none.kind(), std::io::ErrorKind::WouldBlock);
/// let near = std::net::TcpStream::connect(listener.local_addr()?)?;
/// let (_far, from) = ec_channel::accept_now(listener.as_fd())?;
/// assert_eq!(from.as_socket(), Some(near.local_addr()?));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn accept_now(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SockAddr)> {
    // SAFETY: the room for the address is as long as said, and what is returned is a descriptor that nobody else knows.
    unsafe {
        SockAddr::try_init(|addr, len| {
            let new = accept(listener.as_raw_fd(), addr.cast(), len).map_err(io::Error::from_raw_os_error)?;
            Ok(OwnedFd::from_raw_fd(new))
        })
    }
}

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
fn without_blocking(fd: RawFd, call: impl FnOnce() -> Result<i32, i32>) -> Result<i32, i32> {
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

/// Which of `events`, or errors, are there right now; or why there is no telling.
pub(super) fn ready_now(fd: RawFd, events: i16) -> Result<i16, i32> {
    let mut ask = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one live pollfd.
    match unsafe { libc::poll(&mut ask, 1, 0) } {
        0.. => Ok(ask.revents),
        _ => match errno() {
            // Nothing, as far as one knows.
            libc::EINTR => Ok(0),
            errno => Err(errno),
        },
    }
}

/// What a connect has come to that was begun before; `None`: it goes on. The kernel is asked by a second connect(2), as a call that
/// blocks asks itself: the socket's pending error may be gone, since any other call on the socket takes it.
///
/// # Safety
/// As connect(2).
pub(crate) unsafe fn end_connect(
    fd: RawFd,
    addr: *const libc::sockaddr_storage,
    len: libc::socklen_t,
) -> Option<i32> {
    match ready_now(fd, libc::POLLOUT) {
        // (What lies in its error queue is no end of a connect.)
        Ok(now) if now & (libc::POLLOUT | libc::POLLHUP) == 0 => return None,
        Ok(_) => {}
        Err(errno) => return Some(-errno),
    }
    // SAFETY: by contract.
    match unsafe { start_connect(fd, addr, len) } {
        Some(errno) if errno == -libc::EISCONN => Some(0),
        result => result,
    }
}

/// Starts a connect without blocking; `Some` if it is settled at once. The descriptor's mode is as before
/// when this returns, so a connect in progress is unaffected by it.
///
/// # Safety
/// As connect(2).
unsafe fn start_connect(fd: RawFd, addr: *const libc::sockaddr_storage, len: libc::socklen_t) -> Option<i32> {
    // SAFETY: by contract.
    let call = || match unsafe { libc::connect(fd, addr.cast(), len) } {
        0 => Ok(0),
        _ => Err(errno()),
    };
    match without_blocking(fd, call) {
        Ok(_) => Some(0),
        Err(libc::EINPROGRESS | libc::EINTR | libc::EALREADY) => None,
        Err(errno) => Some(-errno),
    }
}
