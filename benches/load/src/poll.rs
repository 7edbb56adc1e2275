//! epoll.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;

/// A set of descriptors, and what was found at the last look.
pub struct Poll {
    fd: OwnedFd,
    found: Vec<libc::epoll_event>,
}

/// A descriptor that can go on.
#[derive(Clone, Copy)]
pub struct Ready {
    pub key: usize,
    pub readable: bool,
    pub writable: bool,
}

impl Poll {
    pub fn new() -> Poll {
        // SAFETY: the descriptor is new and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC)) };
        Poll { fd, found: vec![libc::epoll_event { events: 0, u64: 0 }; 1024] }
    }

    /// Watches a descriptor: for reading, or (`also`) for writing as well.
    pub fn add(&self, fd: &impl AsRawFd, key: usize, also: bool) {
        self.control(libc::EPOLL_CTL_ADD, fd, key, also);
    }

    /// Changes what it is watched for.
    pub fn set(&self, fd: &impl AsRawFd, key: usize, also: bool) {
        self.control(libc::EPOLL_CTL_MOD, fd, key, also);
    }

    fn control(&self, what: i32, fd: &impl AsRawFd, key: usize, also: bool) {
        let events = if also { IN | OUT } else { IN };
        let mut event = libc::epoll_event { events, u64: key as u64 };
        // SAFETY: the event lives through the call.
        let done = unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd.as_raw_fd(), &mut event) };
        assert_eq!(done, 0, "epoll_ctl");
    }

    /// Waits, to the nanosecond; how many are ready. `None`: for ever.
    pub fn wait(&mut self, timeout: Option<Duration>) -> usize {
        let time = timeout.map(|d| libc::timespec {
            tv_sec: d.as_secs() as libc::time_t,
            tv_nsec: i64::from(d.subsec_nanos()),
        });
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the array has as much room as is said, and the time lives through the call.
        let n = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.fd.as_raw_fd(),
                self.found.as_mut_ptr(),
                self.found.len(),
                time,
                std::ptr::null::<libc::sigset_t>(),
                0,
            )
        };
        n.max(0) as usize
    }

    /// One of those that the last wait has found. An error or hang-up is something to read.
    pub fn ready(&self, i: usize) -> Ready {
        let event = self.found[i];
        let events = event.events;
        Ready { key: event.u64 as usize, readable: events & !OUT != 0, writable: events & OUT != 0 }
    }
}
