//! Messages with descriptors, by the calls.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Room for the control data of a message, aligned.
type Control = [usize; 256];

fn header(part: &mut libc::iovec, control: &mut Control, len: usize) -> libc::msghdr {
    // SAFETY: for this C structure all zeroes is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    (header.msg_iov, header.msg_iovlen) = (part, 1);
    (header.msg_control, header.msg_controllen) = (control.as_mut_ptr().cast(), len as _);
    header
}

/// Sends a message with descriptors, each in a part of its own.
pub fn send_with(socket: &impl AsFd, bytes: &[u8], descriptors: &[&OwnedFd]) {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control: Control = [0; 256];
    // SAFETY: a calculation.
    let (space, len) = unsafe { (libc::CMSG_SPACE(4) as usize, libc::CMSG_LEN(4)) };
    assert!(space * descriptors.len() <= size_of::<Control>());
    for (n, fd) in descriptors.iter().enumerate() {
        // SAFETY: there is room for it, and it is aligned.
        unsafe {
            let head = control.as_mut_ptr().cast::<u8>().add(n * space).cast::<libc::cmsghdr>();
            ((*head).cmsg_len, (*head).cmsg_level, (*head).cmsg_type) =
                (len as _, libc::SOL_SOCKET, libc::SCM_RIGHTS);
            libc::CMSG_DATA(head).cast::<RawFd>().write_unaligned(fd.as_raw_fd());
        }
    }
    let header = header(&mut part, &mut control, space * descriptors.len());
    // SAFETY: all that it points to is live.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &header, libc::MSG_NOSIGNAL) };
    assert_eq!(sent, bytes.len() as isize, "{}", std::io::Error::last_os_error());
}

/// What is there to be received now, with its descriptors.
pub fn receive_with(socket: &impl AsFd) -> Option<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; 4096];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let mut control: Control = [0; 256];
    let mut header = header(&mut part, &mut control, size_of::<Control>());
    // SAFETY: all that it points to is live.
    let n = unsafe {
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        libc::recvmsg(socket.as_fd().as_raw_fd(), &mut header, flags)
    };
    let n = usize::try_from(n).ok().filter(|n| *n > 0)?;
    bytes.truncate(n);
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled it, with one part at the most.
    unsafe {
        let head = libc::CMSG_FIRSTHDR(&header);
        if !head.is_null() {
            assert_eq!((*head).cmsg_type, libc::SCM_RIGHTS);
            let count = ((*head).cmsg_len as usize - libc::CMSG_LEN(0) as usize) / 4;
            let data = libc::CMSG_DATA(head).cast::<RawFd>();
            descriptors.extend((0..count).map(|n| OwnedFd::from_raw_fd(data.add(n).read_unaligned())));
        }
    }
    Some((bytes, descriptors))
}

/// A pipe, to see where a descriptor leads, and whether one is left open.
pub struct Pipe {
    reader: File,
    writer: Option<OwnedFd>,
}

impl Pipe {
    pub fn new() -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        Pipe { reader: File::from(OwnedFd::from(reader)), writer: Some(writer.into()) }
    }

    /// A descriptor to be given away.
    pub fn writer(&self) -> OwnedFd {
        self.writer.as_ref().unwrap().try_clone().unwrap()
    }

    /// Does this one write to it? (And is it closed by execve(2)?)
    pub fn is_reached_by(&self, it: OwnedFd) -> bool {
        // SAFETY: no pointer is passed.
        let flags = unsafe { libc::fcntl(it.as_raw_fd(), libc::F_GETFD) };
        let (mut byte, mut it) = ([0], File::from(it));
        let written = it.write(&[7]).is_ok_and(|n| n == 1);
        flags & libc::FD_CLOEXEC != 0
            && written
            && (&self.reader).read(&mut byte).unwrap() == 1
            && byte == [7]
    }

    /// Has everybody closed it to whom it was given? (From here on there is no more to be given.)
    pub fn is_left(&mut self) -> bool {
        self.writer = None;
        // (It may be closed by a thread that is there for that.)
        const AT_MOST: i32 = 10_000;
        let mut ask = libc::pollfd { fd: self.reader.as_raw_fd(), events: 0, revents: 0 };
        // SAFETY: a live pollfd.
        unsafe { libc::poll(&mut ask, 1, AT_MOST) };
        ask.revents & libc::POLLHUP != 0
    }
}
