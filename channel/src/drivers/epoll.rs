//! epoll(7) as a selector. A descriptor has one-shot interest, or is [registered](crate::registrar); the waker is edge-triggered.

#![allow(unsafe_code)]

use super::selector::{Armed, Report, Selector};
use crate::fork;
use crate::registrar::Registrar;
use crate::sys::millis;
use crate::waker::Waker;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

const BATCH: usize = 256;

pub(super) struct Epoll {
    registrar: Arc<Registrar>,
    waker: Arc<Waker>,
    events: Vec<libc::epoll_event>,
    /// Whether epoll_pwait2 (nanoseconds, Linux 5.11) is there.
    precise: bool,
}

impl Epoll {
    pub(super) fn new(waker: Arc<Waker>) -> io::Result<Self> {
        // SAFETY: no pointer is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        let fd = fork::Owned::new(unsafe { OwnedFd::from_raw_fd(fd) });
        waker.hang_bell()?;
        let registrar = Arc::new(Registrar::new(fd, waker.clone()));
        let epoll = Self { registrar, waker, events: Vec::with_capacity(BATCH), precise: true };
        // Edge-triggered: each write to the eventfd reports once, and nobody need read it.
        let interest = (libc::EPOLLIN | libc::EPOLLET) as u32;
        epoll.registrar.control(libc::EPOLL_CTL_ADD, epoll.waker.as_fd().as_raw_fd(), interest, 0)?;
        Ok(epoll)
    }

    fn wait_raw(&mut self, timeout: Option<Duration>) -> i32 {
        let fd = self.registrar.as_fd().as_raw_fd();
        let events = self.events.as_mut_ptr();
        if self.precise && timeout != Some(Duration::ZERO) {
            let span = timeout.map(|t| libc::timespec {
                tv_sec: t.as_secs().min(1 << 31) as i64,
                tv_nsec: i64::from(t.subsec_nanos()),
            });
            let span = span.as_ref().map_or(std::ptr::null(), |s| s as *const libc::timespec);
            // SAFETY: room for BATCH events, a live timespec or null, no signal mask.
            let n = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    fd,
                    events,
                    BATCH as i32,
                    span,
                    std::ptr::null::<u8>(),
                    0,
                )
            };
            if n >= 0 || io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                return n as i32;
            }
            // An older kernel, or a filter, whatever its errno. (If it is anything else the older call says so, too.)
            self.precise = false;
        }
        // SAFETY: room for BATCH events.
        unsafe { libc::epoll_wait(fd, events, BATCH as i32, millis(timeout)) }
    }
}

impl Selector for Epoll {
    fn arm(&mut self, fd: RawFd, events: i16) -> io::Result<Armed> {
        let (number, _nobody_registers) = self.registrar.lean_on(fd)?;
        if number != 0 {
            return Ok(Armed::Registered(number));
        }
        // poll's and epoll's bits are the same numbers
        let interest = u32::from(events as u16) | libc::EPOLLONESHOT as u32;
        match self.registrar.control(libc::EPOLL_CTL_MOD, fd, interest, 0) {
            Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
                self.registrar.control(libc::EPOLL_CTL_ADD, fd, interest, 0)
            }
            result => result,
        }?;
        Ok(Armed::Once)
    }

    fn disarm(&mut self, fd: RawFd) {
        self.registrar.disarm(fd);
    }

    fn registrar(&self) -> Option<&Arc<Registrar>> {
        Some(&self.registrar)
    }

    fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Report>) -> io::Result<()> {
        let n = self.wait_raw(timeout);
        if n < 0 {
            let e = io::Error::last_os_error();
            return if e.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(e) };
        }
        // SAFETY: the kernel has filled n of the BATCH places.
        unsafe { self.events.set_len(n as usize) };
        let bell = self.waker.as_fd().as_raw_fd();
        for e in self.events.drain(..) {
            let (data, events) = (e.u64, e.events);
            let (fd, registration) = (data as u32 as RawFd, (data >> 32) as u32);
            if fd != bell {
                ready.push(Report { fd, registration, revents: events as i16 });
            }
        }
        Ok(())
    }

    fn lose(&mut self) {
        self.registrar.lose();
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.registrar.as_fd())
    }
}
