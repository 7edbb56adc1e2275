//! Wakes the thread that sleeps in a port: an eventfd, written only when somebody sleeps.

#![allow(unsafe_code)]

use crate::alarm::{Alarm, Asleep};
use crate::fork;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// An [`Alarm`] with a bell that the operating system hears.
pub(crate) struct Waker {
    alarm: Alarm,
    bell: fork::Owned,
}

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        let bell = fork::Owned::new(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(Self { alarm: Alarm::new(), bell })
    }

    /// See [`Alarm::sleep`].
    pub(crate) fn sleep(&self) -> Option<Asleep> {
        self.alarm.sleep()
    }

    /// See [`Alarm::awake`].
    pub(crate) fn awake(&self, asleep: Asleep) {
        self.alarm.awake(asleep);
    }

    pub(crate) fn is_asleep(&self) -> bool {
        self.alarm.is_asleep()
    }

    /// Wakes the sleeper, or makes the next attempt to sleep fail. A system call only for a sleeper.
    pub(crate) fn call(&self) {
        if self.alarm.call() {
            self.ring();
        }
    }

    /// Wakes the sleeper if there is one; for callers whose work the driving thread finds before it sleeps.
    pub(crate) fn call_if_asleep(&self) {
        if self.alarm.call_if_asleep() {
            self.ring();
        }
    }

    fn ring(&self) {
        if fork::is_child() {
            return; // the number is somebody else's by now
        }
        let one = 1u64;
        loop {
            // SAFETY: eight bytes of a live variable.
            if unsafe { libc::write(self.bell.as_fd().as_raw_fd(), (&raw const one).cast(), 8) } == 8 {
                return;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The counter is full: it is readable all the same.
                Some(libc::EAGAIN) => return,
                // Somebody has closed it. The sleeper would sleep for ever, and the number may be another file's next time.
                _ => abort_deaf(),
            }
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// No logger: whoever rings may hold a lock.
#[cold]
fn abort_deaf() -> ! {
    let words = "fatal runtime error: somebody has closed a descriptor of an event channel\n";
    // SAFETY: the pointer and length are those of a live string.
    unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
    std::process::abort()
}
