//! What goes with a message beside its bytes: descriptors, and who sends it.

#![allow(unsafe_code)]

use crate::closing;
use crate::events::source::Source;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// As many descriptors as the kernel lets go with a message (`SCM_MAX_FD`).
pub const MOST: usize = 253;
/// A pidfd of the sender, for those who have asked for one (`SO_PASSPIDFD`).
const SCM_PIDFD: i32 = 4;
/// A part of the control data begins at a multiple of this.
const ALIGNED: usize = size_of::<usize>();
/// What a part begins with.
const HEAD: usize = size_of::<libc::cmsghdr>().next_multiple_of(ALIGNED);
/// A label of the sender's (`SO_PASSSEC`) is as long at the most. (The kernel knows no bound; journald gives it as much.)
const LABEL: usize = 255;
/// Room for what else a socket that may have descriptors or credentials can be asked to tell, and of which nothing is said here. The kernel
/// puts it where it comes, and most of it comes first: in a room for descriptors alone these would be cut off, and lost. More than
/// this is not given, for the kernel makes as many descriptors as it has room for, if they are sent, until the rest of them are closed.
const BESIDE: usize = space(2 * size_of::<i64>()) // when it has come: `SO_TIMESTAMP`, `SO_TIMESTAMPNS`
    + space(6 * size_of::<i64>()) // in three ways: `SO_TIMESTAMPING`
    + space(LABEL)
    + space(size_of::<RawFd>()) // `SCM_PIDFD`
    + 3 * space(size_of::<u32>()); // how much is left (`SO_INQ`); of netlink the group and the namespace

/// What goes with a message through a socket of `AF_UNIX` beside its bytes: see [`Request::send_msg`](crate::Request::send_msg).
///
/// ```
/// use ec_channel::{Ancillary, Credentials};
/// let with = Ancillary::new().descriptor(std::fs::File::open("/dev/null")?).credentials(Credentials::own());
/// # drop(with);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ancillary {
    descriptors: Vec<Source>,
    credentials: Option<Credentials>,
}

impl Ancillary {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another descriptor. The receiver gets one of its own for the same open file. Sent are 253 at the most (`EINVAL`).
    pub fn descriptor(mut self, descriptor: impl Into<Source>) -> Self {
        self.descriptors.push(descriptor.into());
        self
    }

    /// In place of those that the kernel tells a receiver who asks for them (`SO_PASSCRED`). It refuses what is not the process's own
    /// (`EPERM`), unless that has the privileges.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }
}

/// Who has sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process, by its number in the receiver's namespace.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Credentials {
    /// Those of this process.
    pub fn own() -> Self {
        // SAFETY: no pointer is passed.
        unsafe { Credentials { pid: libc::getpid(), uid: libc::getuid(), gid: libc::getgid() } }
    }
}

/// Control data, as recvmsg(2) and sendmsg(2) want it: to be sent, or room for what is received. (In words, so that it is aligned.)
#[derive(Debug, Default)]
pub struct Control {
    words: Vec<usize>,
    /// So many descriptors are wanted.
    descriptors: usize,
}

impl Control {
    /// To be sent. The sources' `AsFd` is called here. They are to be kept until it was sent.
    pub fn of(ancillary: &Ancillary) -> Self {
        // (One more than there may be: the kernel refuses them.)
        let mut control =
            Control::of_descriptors(ancillary.descriptors.iter().take(MOST + 1).map(Source::raw));
        if let Some(Credentials { pid, uid, gid }) = ancillary.credentials {
            let of = [pid.to_ne_bytes(), uid.to_ne_bytes(), gid.to_ne_bytes()];
            control.push(libc::SCM_CREDENTIALS, of.as_flattened());
        }
        control
    }

    /// These descriptors, to be sent, and nothing else.
    pub(crate) fn of_descriptors(descriptors: impl Iterator<Item = RawFd>) -> Self {
        let mut control = Control::default();
        let descriptors: Vec<u8> = descriptors.flat_map(RawFd::to_ne_bytes).collect();
        if !descriptors.is_empty() {
            control.push(libc::SCM_RIGHTS, &descriptors);
        }
        control
    }

    /// Room for so many descriptors, 253 at the most, and for credentials, whatever else comes with them.
    pub fn room(descriptors: usize) -> Self {
        let descriptors = descriptors.min(MOST);
        let rights = if descriptors > 0 { space(descriptors * size_of::<RawFd>()) } else { 0 };
        let room = rights + space(size_of::<libc::ucred>()) + BESIDE;
        Control { words: vec![0; room / ALIGNED], descriptors }
    }

    fn push(&mut self, kind: i32, data: &[u8]) {
        // SAFETY: for this C structure all zeroes is a value.
        let mut head: libc::cmsghdr = unsafe { std::mem::zeroed() };
        // (The type of the length differs between libraries.)
        (head.cmsg_len, head.cmsg_level, head.cmsg_type) = ((HEAD + data.len()) as _, libc::SOL_SOCKET, kind);
        let at = self.words.len();
        self.words.resize(at + space(data.len()) / ALIGNED, 0);
        let part = (&raw mut self.words[at]).cast::<u8>();
        // SAFETY: there is room for a head and the data, as of just now.
        unsafe {
            part.cast::<libc::cmsghdr>().write(head);
            part.add(HEAD).copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
    }

    /// For `msg_control` and `msg_controllen`: where it is, and how long.
    pub fn parts(&mut self) -> (*mut libc::c_void, usize) {
        (self.words.as_mut_ptr().cast(), self.words.len() * ALIGNED)
    }

    /// Takes out what came. `len` and `flags` are as recvmsg(2) has left `msg_controllen` and `msg_flags`. Descriptors for which no room
    /// was asked are closed, and so is a pidfd of the sender's (`SO_PASSPIDFD`).
    ///
    /// # Safety
    /// recvmsg(2) has just filled it, and said so; nobody else takes the descriptors.
    pub unsafe fn take(&mut self, len: usize, flags: i32) -> Received {
        let mut received = Received { is_truncated: flags & libc::MSG_CTRUNC != 0, ..Received::default() };
        let (at, room) = self.parts();
        // SAFETY: these words are there, and plain numbers.
        let mut rest = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), len.min(room)) };
        while let Some((kind, data, behind)) = next(rest) {
            rest = behind;
            let numbers = data.as_chunks().0.iter().map(|bytes| i32::from_ne_bytes(*bytes));
            match kind {
                libc::SCM_RIGHTS | SCM_PIDFD => {
                    // SAFETY: by contract: the kernel has made them for the receiver of this message.
                    let owned = |fd: RawFd| unsafe { OwnedFd::from_raw_fd(fd) };
                    let new = numbers.filter(|fd| *fd >= 0).map(owned);
                    if kind == SCM_PIDFD { new.for_each(drop) } else { received.descriptors.extend(new) }
                }
                libc::SCM_CREDENTIALS => {
                    if let [pid, uid, gid] = numbers.collect::<Vec<_>>()[..] {
                        received.credentials = Some(Credentials { pid, uid: uid as u32, gid: gid as u32 });
                    }
                }
                _ => {}
            }
        }
        if received.descriptors.len() > self.descriptors {
            // (Whoever drives a port does this, and a close may last as long as whoever has sent it likes.)
            closing::elsewhere(received.descriptors.split_off(self.descriptors));
            received.is_truncated = true;
        }
        received
    }
}

/// How much room a part takes with so much data.
const fn space(len: usize) -> usize {
    HEAD + len.next_multiple_of(ALIGNED)
}

/// The first part that is a socket's: its kind, its data, and what is behind it. `None`: there is none, or it is none.
fn next(mut all: &[u8]) -> Option<(i32, &[u8], &[u8])> {
    loop {
        if all.len() < HEAD {
            return None;
        }
        // SAFETY: there are so many bytes, and each is a number's.
        let head: libc::cmsghdr = unsafe { all.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
        #[allow(clippy::unnecessary_cast, reason = "the type differs between libraries")]
        let len = head.cmsg_len as usize;
        let data = all.get(HEAD..len)?;
        all = &all[len.next_multiple_of(ALIGNED).min(all.len())..];
        if head.cmsg_level == libc::SOL_SOCKET {
            return Some((head.cmsg_type, data, all));
        }
    }
}

/// What came with a message.
#[derive(Debug, Default)]
pub struct Received {
    /// In their order; they are not handed on to programs that are run (`FD_CLOEXEC`).
    pub descriptors: Vec<OwnedFd>,
    /// If the socket is asked for them (`SO_PASSCRED`), or the sender gave them.
    pub credentials: Option<Credentials>,
    /// There was more than room, or the process could not have more descriptors. What is missing is lost.
    pub is_truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::IntoRawFd;

    fn sent(control: &mut Control, flags: i32) -> Received {
        let len = control.parts().1;
        // SAFETY: the descriptors are this test's.
        unsafe { control.take(len, flags) }
    }

    fn opened() -> RawFd {
        File::open("/dev/null").unwrap().into_raw_fd()
    }

    #[test]
    fn several_parts_come_together_and_what_is_too_much_is_closed() {
        let mut control = Control { descriptors: 3, ..Control::default() };
        let (mut reader, writer) = std::io::pipe().unwrap();
        let fds = [opened(), opened(), opened(), writer.into_raw_fd()];
        control.push(
            libc::SCM_RIGHTS,
            fds[..3].iter().flat_map(|fd| fd.to_ne_bytes()).collect::<Vec<_>>().as_slice(),
        );
        control.push(99, b"of no use");
        control.push(libc::SCM_CREDENTIALS, &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
        control.push(SCM_PIDFD, &opened().to_ne_bytes());
        control.push(libc::SCM_RIGHTS, &fds[3].to_ne_bytes());
        let received = sent(&mut control, 0);
        assert_eq!(received.descriptors.len(), 3);
        assert_eq!(received.credentials, Some(Credentials { pid: 1, uid: 2, gid: 3 }));
        assert!(received.is_truncated);
        // (The fourth.)
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }

    /// All that a socket of `AF_UNIX` may tell of one message, in the kernel's order.
    #[test]
    fn there_is_room_for_all_that_may_come_beside() {
        const SCM_SECURITY: i32 = 3;
        const SCM_INQ: i32 = 84;
        for descriptors in [0, 1, 2, 3, 253, 254] {
            let mut all = Control::default();
            all.push(libc::SCM_TIMESTAMPNS, &[0; 16]);
            all.push(libc::SCM_TIMESTAMPING, &[0; 48]);
            all.push(libc::SCM_CREDENTIALS, &[0; size_of::<libc::ucred>()]);
            all.push(SCM_SECURITY, &[b'x'; 255]);
            if descriptors > 0 {
                all.push(libc::SCM_RIGHTS, &[0; 4 * MOST][..4 * descriptors.min(MOST)]);
            }
            all.push(SCM_PIDFD, &[0; 4]);
            all.push(SCM_INQ, &[0; 4]);
            let (room, needed) = (Control::room(descriptors).parts().1, all.parts().1);
            assert!(needed <= room && room < needed + 64, "{needed} of {room} bytes");
        }
    }

    /// Whatever is in it.
    #[test]
    fn what_makes_no_sense_is_passed_over() {
        for len in [0, 1, HEAD - 1, HEAD, HEAD + 5, 1 << 20, usize::MAX, usize::MAX - 7] {
            let mut control = Control { descriptors: 8, ..Control::default() };
            control.push(libc::SCM_RIGHTS, &[0xff; 20]);
            control.words[0] = len;
            let received = sent(&mut control, libc::MSG_CTRUNC);
            assert!(received.descriptors.is_empty() && received.is_truncated);
        }
        let mut control = Control::room(2);
        // SAFETY: there is nothing in it.
        assert!(unsafe { control.take(usize::MAX, 0) }.descriptors.is_empty());
    }
}
