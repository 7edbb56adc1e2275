//! The process at the other end of a line, as a descriptor (a pidfd) that is readable when it has ended.
//!
//! A line ends when the last copy of its end is closed. A child that was forked without exec may have one, whatever is done against that:
//! so who ends says it by the line, and of who dies this tells.

#![allow(unsafe_code)]

use crate::closing::Outside;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub(crate) struct Process(Outside);

impl Process {
    /// This one's, to be sent to others.
    ///
    /// # Errors
    /// There is no descriptor to be had, or the system forbids that. (Then others have the line alone.)
    pub(crate) fn own() -> io::Result<OwnedFd> {
        // SAFETY: no pointer is passed; the descriptor is new and ours.
        unsafe {
            match libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0) {
                fd if fd < 0 => Err(io::Error::last_os_error()),
                fd => Ok(OwnedFd::from_raw_fd(fd as i32)),
            }
        }
    }

    /// What another process has sent. `None`: it is of no process.
    pub(crate) fn of(fd: Outside) -> Option<Self> {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        let mut nothing = std::mem::MaybeUninit::<libc::siginfo_t>::uninit();
        // Of a process it says whether that is a child. (To poll(2) what may be anything is to wait for whoever has made it.)
        // SAFETY: room for the answer. Nothing is waited for, nor taken.
        let known = unsafe {
            libc::waitid(libc::P_PIDFD, fd.as_fd().as_raw_fd() as libc::id_t, nothing.as_mut_ptr(), flags)
        };
        (known == 0 || sys::errno() == libc::ECHILD).then_some(Process(fd))
    }

    pub(crate) fn has_ended(&self) -> bool {
        sys::ready_now(self.as_fd().as_raw_fd(), libc::POLLIN).is_ok_and(|ready| ready != 0)
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
