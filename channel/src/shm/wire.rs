//! What goes over sockets between the owner of a queue and its members: few bytes, and descriptors. No call waits, but
//! [`receive_waiting`].
//!
//! The flag that makes a call wait or not belongs to the socket, which others have, too: so each call says itself that it does not.
//!
//! With any message anybody may send descriptors. So there is always room for as many as there can be: what has none the kernel closes, and
//! the call waits for that.

#![allow(unsafe_code)]

use crate::closing::{self, Outside};
use crate::fork::{self, Owned};
use crate::kinds::ancillary::Control;
pub(crate) use crate::kinds::ancillary::MOST as MOST_DESCRIPTORS;
use crate::sys;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// Two ends of a socket that keeps messages apart. When one end is closed, all copies of it, or shut down the other one sees it.
pub(crate) fn pair() -> io::Result<(Outside, Outside)> {
    let (one, other) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None)?;
    Ok((Outside::new(one.into()), Outside::new(other.into())))
}

/// Whether it is a socket as [`pair`] makes them: another process has sent it.
pub(crate) fn is_one_of_a_pair(fd: BorrowedFd<'_>) -> bool {
    let socket = socket2::SockRef::from(&fd);
    socket.domain().is_ok_and(|domain| domain == socket2::Domain::UNIX)
        && socket.r#type().is_ok_and(|kind| kind == socket2::Type::SEQPACKET)
        && socket.peer_addr().is_ok()
}

/// Whoever is at the other end of it hears the end, when it has read what was sent before. (However many copies of this end there are.)
pub(crate) fn end(socket: BorrowedFd<'_>) {
    // (It has gone, perhaps.)
    let _ = socket2::SockRef::from(&socket).shutdown(Shutdown::Both);
}

/// This process's end of the line between the owner and a member. When it is dropped the other one hears that at once. (A child that another
/// thread forks at any moment may have a copy of it.)
pub(crate) struct Line(Option<Owned>);

impl Line {
    pub(crate) fn new(socket: Outside) -> Self {
        Line(Some(Owned::new(socket.into_owned())))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_ref().expect("there until drop").as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // (In a child it is the parent's.)
        if !fork::is_child() {
            end(self.as_fd());
        }
        closing::elsewhere(self.0.take());
    }
}

fn header(control: &mut Control, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: a message of nothing is all zero.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (part, 1);
    let (at, room) = control.parts();
    if room > 0 {
        (message.msg_control, message.msg_controllen) = (at, room as _);
    }
    message
}

/// Sends all of it, with the descriptors, or nothing.
pub(crate) fn send(to: BorrowedFd<'_>, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    assert!(descriptors.len() <= MOST_DESCRIPTORS);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control::of_descriptors(descriptors.iter().map(AsRawFd::as_raw_fd));
    let message = header(&mut control, &mut part);
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: all that the message points to lives as long as the call.
    match sys::now(|| unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, flags) }) {
        Some(n) if n < 0 => Err(io::Error::from_raw_os_error(-n)),
        Some(n) if n as usize == bytes.len() => Ok(()),
        Some(_) => Err(io::ErrorKind::WriteZero.into()),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The system is short of something: what has failed may go a moment later.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS | libc::ENOSPC | libc::ETOOMANYREFS)
    )
}

/// A message: how many of its bytes are in the buffer, and its descriptors.
pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) descriptors: Vec<Outside>,
    /// It had more of either than there was room for.
    pub(crate) is_cut: bool,
}

/// `None`: nothing has come. A message of no bytes is the end.
pub(crate) fn receive(from: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Option<Received>> {
    receive_with(from, bytes, libc::MSG_DONTWAIT)
}

/// Waits for it, if the socket is one that waits.
pub(crate) fn receive_waiting(from: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<Received> {
    receive_with(from, bytes, 0)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

fn receive_with(from: BorrowedFd<'_>, bytes: &mut [u8], flags: i32) -> io::Result<Option<Received>> {
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control = Control::room(MOST_DESCRIPTORS);
    let mut message = header(&mut control, &mut part);
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: all that the message points to lives as long as the call, and may be written to.
    let length = match sys::now(|| unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut message, flags) }) {
        Some(n) if n < 0 => return Err(io::Error::from_raw_os_error(-n)),
        Some(n) => n as usize,
        None => return Ok(None),
    };
    let is_cut = message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0;
    // (The types differ from one libc to the other.)
    #[allow(clippy::unnecessary_cast)]
    let room = message.msg_controllen as usize;
    // SAFETY: the call has filled it, and said how far; the descriptors are taken here alone.
    let came = unsafe { control.take(room, message.msg_flags) };
    let descriptors = came.descriptors.into_iter().map(Outside::new).collect();
    Ok(Some(Received { length, descriptors, is_cut: is_cut || came.is_truncated }))
}

/// A set of descriptors to wait for, and itself one to wait for.
///
/// The kernel holds on to a descriptor's file for the moment in which it looks at it for the set, also as the set is closed. If its owner
/// closes it in that moment the last close is that of whoever looks, who may have to wait for it (`closing.rs`). So what is closed
/// elsewhere is [taken out](Self::remove) before.
pub(crate) struct Watch(OwnedFd);

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Watch {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        Ok(Watch(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Until it is removed, or closed.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, number: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: number };
        // SAFETY: a live event.
        let added =
            unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd.as_raw_fd(), &mut event) };
        if added < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        let nothing = std::ptr::null_mut();
        // SAFETY: no pointer is passed.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd.as_raw_fd(), nothing) };
    }

    /// The numbers of some that are ready.
    pub(crate) fn ready(&self) -> io::Result<Vec<u64>> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let room = events.len() as i32;
        // SAFETY: room for so many.
        let call = || unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), room, 0) as isize };
        match sys::now(call) {
            Some(n) if n < 0 => Err(io::Error::from_raw_os_error(-n)),
            n => Ok(events[..n.unwrap_or(0) as usize].iter().map(|event| event.u64).collect()),
        }
    }
}

/// A descriptor that becomes readable once, a moment after it was set.
pub(crate) struct Alarm(OwnedFd);

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        Ok(Alarm(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Zero: not at all, and it is not readable any more.
    pub(crate) fn set(&self, after: Duration) {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let after = libc::timespec { tv_sec: after.as_secs() as _, tv_nsec: after.subsec_nanos() as _ };
        let once = libc::itimerspec { it_interval: zero, it_value: after };
        // SAFETY: a live span of time. (It fails for none.)
        unsafe { libc::timerfd_settime(self.0.as_raw_fd(), 0, &once, std::ptr::null_mut()) };
    }
}
