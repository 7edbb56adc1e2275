//! The system calls and operations beneath the sockets: nearly all of this folder's `unsafe`.
//!
//! There are three kinds:
//!
//! * `*_now` are system calls that never wait. They are for the attempt before an operation is posted.
//! * `poll` waits, and is for plain threads.
//! * The others post an operation of the channel and return when it is complete (tasks only). They borrow the
//!   descriptor and the buffers for the whole call. That makes them safe: the kernel is through with both when the
//!   operation is complete, and the call does not return before that.

use ec_channel::raw::{Accept, Connect, Recv, RecvMsg, Send, SendMsg};
use ec_pool::wait::{Before, Limit, Stop, attempt, attempt_later};
use ec_tasks::WaitKind;
use socket2::{SockAddr, SockAddrStorage};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::slice;
use std::time::Instant;

/// Slices per vectored call; those beyond it wait for the next.
const MOST_SLICES: usize = 64;

macro_rules! kinds {
    ($($kind:ident = $name:literal;)*) => { $(
        static $kind: WaitKind =
            WaitKind { name: $name, cancel: None, describe: |_, fd| format!("descriptor {fd}") };
    )* };
}

kinds! {
    ACCEPT = "accept";
    CONNECT = "connect";
    RECV = "recv";
    RECV_FROM = "recv_from";
    SEND = "send";
    SEND_TO = "send_to";
}

/// How an operation waits.
#[derive(Clone, Copy)]
pub(super) struct Later<'a> {
    pub(super) limit: Option<Limit>,
    pub(super) before: Before<'a>,
}

/// What is known of a socket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// TCP or UDP, made here.
    Here,
    /// It was made of a descriptor that came from elsewhere: it may be anything.
    Elsewhere,
}

fn detail(fd: BorrowedFd<'_>) -> u64 {
    fd.as_raw_fd() as u64
}

fn check(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Whose sockets are those that the caller makes.
pub(super) fn user() -> u32 {
    // SAFETY: it cannot fail.
    unsafe { libc::geteuid() }
}

/// Which of `events`, or errors, are there; 0: `deadline` is over. For plain threads.
pub(super) fn poll(fd: BorrowedFd<'_>, events: i16, deadline: Option<Instant>) -> io::Result<i16> {
    let mut ask = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    loop {
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // (A long wait is cut into pieces. And poll(2) is never begun again by itself after a signal, as the call that blocks is whose place
        // it takes.)
        match ec_channel::poll(slice::from_mut(&mut ask), left)? {
            0 if left.is_none_or(|left| !left.is_zero()) => (),
            _ => return Ok(ask.revents),
        }
    }
}

/// recv(2) that does not wait.
pub(super) fn recv_now(fd: BorrowedFd<'_>, buf: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the buffer is live and as long as said.
    check(unsafe {
        libc::recv(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags | libc::MSG_DONTWAIT)
    })
}

/// recv(2) as an operation.
pub(super) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8], flags: i32, later: Later<'_>) -> Result<usize, Stop> {
    let operation = Recv { fd: fd.as_raw_fd(), buf: buf.as_mut_ptr(), len: buf.len(), flags };
    // SAFETY: the buffer is borrowed mutably and the descriptor borrowed until the call returns.
    unsafe { attempt_later(operation, &RECV, detail(fd), later.limit, later.before) }.map(|n| n as usize)
}

/// send(2) as an operation.
pub(super) fn send(fd: BorrowedFd<'_>, buf: &[u8], later: Later<'_>) -> Result<usize, Stop> {
    let operation = Send { fd: fd.as_raw_fd(), buf: buf.as_ptr(), len: buf.len(), flags: libc::MSG_NOSIGNAL };
    // SAFETY: buffer and descriptor are borrowed until the call returns.
    unsafe { attempt_later(operation, &SEND, detail(fd), later.limit, later.before) }.map(|n| n as usize)
}

/// sendto(2) as an operation.
pub(super) fn send_to(
    fd: BorrowedFd<'_>,
    buf: &[u8],
    to: &SockAddr,
    later: Later<'_>,
) -> Result<usize, Stop> {
    let mut part = libc::iovec { iov_base: buf.as_ptr().cast_mut().cast(), iov_len: buf.len() };
    let mut msg = message(std::slice::from_mut(&mut part));
    msg.msg_name = to.as_ptr().cast_mut().cast();
    msg.msg_namelen = to.len();
    let operation = SendMsg { fd: fd.as_raw_fd(), msg: &raw const msg, flags: libc::MSG_NOSIGNAL };
    // SAFETY: the message lies on this stack and what it refers to is borrowed, until the call
    // returns; sendmsg(2) writes through none of its pointers.
    unsafe { attempt_later(operation, &SEND_TO, detail(fd), later.limit, later.before) }.map(|n| n as usize)
}

/// sendmsg(2) of `bufs` without their first `skip` bytes, as an operation.
pub(super) fn send_vectored(
    fd: BorrowedFd<'_>,
    bufs: &[IoSlice<'_>],
    skip: usize,
    later: Later<'_>,
) -> Result<usize, Stop> {
    let mut parts = Parts::of(bufs, skip);
    let msg = message(parts.filled());
    let operation = SendMsg { fd: fd.as_raw_fd(), msg: &raw const msg, flags: libc::MSG_NOSIGNAL };
    // SAFETY: as in `send_to`.
    unsafe { attempt_later(operation, &SEND, detail(fd), later.limit, later.before) }.map(|n| n as usize)
}

/// sendmsg(2) of `bufs` without their first `skip` bytes, which does not wait.
pub(super) fn send_vectored_now(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>], skip: usize) -> io::Result<usize> {
    let mut parts = Parts::of(bufs, skip);
    let msg = message(parts.filled());
    // SAFETY: a live message that refers to live slices.
    check(unsafe { libc::sendmsg(fd.as_raw_fd(), &msg, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

/// readv-like receive that does not wait.
pub(super) fn recv_vectored_now(fd: BorrowedFd<'_>, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut parts = Parts::of_mut(bufs);
    let mut msg = message(parts.filled());
    // SAFETY: a live message that refers to live slices.
    check(unsafe { libc::recvmsg(fd.as_raw_fd(), &mut msg, libc::MSG_DONTWAIT) })
}

/// readv-like receive as an operation.
pub(super) fn recv_vectored(
    fd: BorrowedFd<'_>,
    bufs: &mut [IoSliceMut<'_>],
    later: Later<'_>,
) -> Result<usize, Stop> {
    let mut parts = Parts::of_mut(bufs);
    let mut msg = message(parts.filled());
    let operation = RecvMsg { fd: fd.as_raw_fd(), msg: &raw mut msg, flags: 0 };
    // SAFETY: the message lies on this stack, and the slices are borrowed mutably, until the call returns.
    unsafe { attempt_later(operation, &RECV, detail(fd), later.limit, later.before) }.map(|n| n as usize)
}

/// recvfrom(2) that does not wait.
pub(super) fn recv_from_now(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    flags: i32,
) -> io::Result<(usize, SocketAddr)> {
    let mut name = Name::new();
    // SAFETY: the buffer is live and as long as said; so is the room for the name.
    let n = check(unsafe {
        let (addr, len) = (name.storage.as_mut_ptr().cast(), &raw mut name.len);
        let flags = flags | libc::MSG_DONTWAIT;
        libc::recvfrom(fd.as_raw_fd(), buf.as_mut_ptr().cast(), buf.len(), flags, addr, len)
    })?;
    Ok((n, name.socket_addr()?))
}

/// recvfrom(2) as an operation.
pub(super) fn recv_from(
    fd: BorrowedFd<'_>,
    buf: &mut [u8],
    flags: i32,
    later: Later<'_>,
) -> Result<(usize, SocketAddr), Stop> {
    let mut name = Name::new();
    let mut part = libc::iovec { iov_base: buf.as_mut_ptr().cast(), iov_len: buf.len() };
    let mut msg = message(std::slice::from_mut(&mut part));
    msg.msg_name = name.storage.as_mut_ptr().cast();
    msg.msg_namelen = name.len;
    let operation = RecvMsg { fd: fd.as_raw_fd(), msg: &raw mut msg, flags };
    // SAFETY: the message and the name lie on this stack, and the buffer is borrowed mutably, until
    // the call returns.
    let n = unsafe { attempt_later(operation, &RECV_FROM, detail(fd), later.limit, later.before) }?;
    name.len = msg.msg_namelen;
    let from = name.socket_addr().map_err(|_| Stop::Os(libc::EINVAL))?;
    Ok((n as usize, from))
}

/// accept4(2) with `SOCK_CLOEXEC`, as an operation.
pub(super) fn accept(
    fd: BorrowedFd<'_>,
    later: Later<'_>,
) -> Result<(OwnedFd, io::Result<SocketAddr>), Stop> {
    let mut name = Name::new();
    let operation =
        Accept { fd: fd.as_raw_fd(), addr: name.storage.as_mut_ptr().cast(), len: &raw mut name.len };
    // SAFETY: the room for the name lies on this stack until the call returns.
    let new = unsafe { attempt_later(operation, &ACCEPT, detail(fd), later.limit, later.before) }?;
    // SAFETY: the result of an accept is a descriptor that nobody else knows.
    Ok((unsafe { OwnedFd::from_raw_fd(new) }, name.socket_addr()))
}

/// connect(2) as an operation.
pub(super) fn connect(fd: BorrowedFd<'_>, to: &SockAddr, limit: Option<Limit>) -> Result<(), Stop> {
    let operation = Connect { fd: fd.as_raw_fd(), addr: to.as_ptr().cast(), len: to.len() };
    // SAFETY: the address is borrowed until the call returns.
    match unsafe { attempt(operation, &CONNECT, detail(fd), limit, true) } {
        Ok(_) | Err(Stop::Os(libc::EISCONN)) => Ok(()),
        Err(stop) => Err(stop),
    }
}

/// Room for a peer's address.
struct Name {
    storage: MaybeUninit<libc::sockaddr_storage>,
    len: libc::socklen_t,
}

impl Name {
    fn new() -> Self {
        Self { storage: MaybeUninit::zeroed(), len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    fn socket_addr(&self) -> io::Result<SocketAddr> {
        let mut storage = SockAddrStorage::zeroed();
        // SAFETY: both are a sockaddr_storage; the source was zeroed, so that every byte is
        // initialised however much of it the kernel has filled.
        unsafe { *storage.view_as::<libc::sockaddr_storage>() = self.storage.assume_init() };
        let len = self.len.min(size_of::<libc::sockaddr_storage>() as libc::socklen_t);
        // SAFETY: the kernel wrote an address of this length (or none: family 0, which is no socket address).
        unsafe { SockAddr::new(storage, len) }
            .as_socket()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "invalid argument"))
    }
}

/// The iovecs of a vectored call.
struct Parts {
    parts: [MaybeUninit<libc::iovec>; MOST_SLICES],
    count: usize,
}

impl Parts {
    fn of(bufs: &[IoSlice<'_>], mut skip: usize) -> Self {
        let mut parts = Self { parts: [MaybeUninit::uninit(); MOST_SLICES], count: 0 };
        for buf in bufs {
            let left = &buf[skip.min(buf.len())..];
            skip -= buf.len() - left.len();
            if !parts.push(left.as_ptr().cast_mut(), left.len()) {
                break;
            }
        }
        parts
    }

    fn of_mut(bufs: &mut [IoSliceMut<'_>]) -> Self {
        let mut parts = Self { parts: [MaybeUninit::uninit(); MOST_SLICES], count: 0 };
        for buf in bufs {
            if !parts.push(buf.as_mut_ptr(), buf.len()) {
                break;
            }
        }
        parts
    }

    /// `false` when it is full. Empty slices take no place.
    fn push(&mut self, at: *mut u8, len: usize) -> bool {
        if len > 0 {
            let Some(place) = self.parts.get_mut(self.count) else { return false };
            place.write(libc::iovec { iov_base: at.cast(), iov_len: len });
            self.count += 1;
        }
        true
    }

    fn filled(&mut self) -> &mut [libc::iovec] {
        // SAFETY: the first `count` have been written.
        unsafe { std::slice::from_raw_parts_mut(self.parts.as_mut_ptr().cast(), self.count) }
    }
}

/// A message without name and control data. It keeps the pointer to `parts` beyond their borrow.
fn message(parts: &mut [libc::iovec]) -> libc::msghdr {
    // SAFETY: all zero is a valid, empty message header.
    let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
    msg.msg_iov = parts.as_mut_ptr();
    msg.msg_iovlen = parts.len() as _;
    msg
}
