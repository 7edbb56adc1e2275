//! Descriptors that stay registered with a port's epoll, edge-triggered, as long as their owners wish.
//!
//! An owner registers once, and takes it back before the descriptor is closed. In between nothing has to be armed: the kernel reports each
//! change to the port. Both are done at once, by whoever owns the descriptor, in whichever thread.
//!
//! A registration has a number, which comes with each report. So what is reported of a descriptor that has been closed since, and whose
//! number has a new owner, is for nobody.

#![allow(unsafe_code)]

use crate::fork;
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

const REGISTERED: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;

/// An epoll, and who is registered with it.
pub(crate) struct Registrar {
    epoll: fork::Owned,
    /// By descriptor: the number of its registration; 0: none. (Held while the kernel is told.)
    live: Mutex<Vec<u32>>,
    last: AtomicU32,
    /// The epoll's descriptor may be somebody else's by now. (Changed under the lock.)
    lost: AtomicBool,
}

impl Registrar {
    pub(crate) fn new(epoll: fork::Owned) -> Self {
        Registrar {
            epoll,
            live: Mutex::new(Vec::new()),
            last: AtomicU32::new(0),
            lost: AtomicBool::new(false),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// It is used no more, and not closed.
    pub(crate) fn lose(&self) {
        let _nobody_registers = self.live.lock();
        self.lost.store(true, Ordering::Relaxed);
    }

    /// epoll_ctl(2), under the lock or before anybody else knows it. What is reported carries the descriptor, and the number of a registration or 0.
    pub(crate) fn control(&self, what: i32, fd: RawFd, events: u32, number: u32) -> io::Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        let mut event = libc::epoll_event { events, u64: u64::from(number) << 32 | u64::from(fd as u32) };
        // SAFETY: a live epoll_event.
        let r = unsafe { libc::epoll_ctl(self.epoll.as_fd().as_raw_fd(), what, fd, &mut event) };
        if r < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether `fd` is registered: the number. As long as what comes back lives nobody registers anything.
    pub(crate) fn look(&self, fd: RawFd) -> (u32, MutexGuard<'_, Vec<u32>>) {
        let live = self.live.lock();
        (live.get(fd as usize).copied().unwrap_or(0), live)
    }

    /// Registers `fd`. `None`: the kernel does not watch such a descriptor, or somebody else has registered it.
    fn register(&self, fd: RawFd) -> Option<u32> {
        let at = usize::try_from(fd).ok()?;
        let mut live = loop {
            let live = self.live.lock();
            if has_room(&*live, (at + 1).saturating_sub(live.len())) {
                break live;
            }
            let more = (at + 1).saturating_sub(live.len());
            drop(live);
            make_room(&self.live, |live| live, more);
        };
        if live.len() <= at {
            live.resize(at + 1, 0);
        }
        if live[at] != 0 {
            return None;
        }
        let number = loop {
            // (0 is none.)
            match self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1) {
                0 => {}
                number => break number,
            }
        };
        let registered = match self.control(libc::EPOLL_CTL_ADD, fd, REGISTERED as u32, number) {
            // The port has waited for it before, by the time, and may do so now: whoever waits hears of it by the registration.
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) => {
                self.control(libc::EPOLL_CTL_MOD, fd, REGISTERED as u32, number)
            }
            result => result,
        };
        registered.ok()?;
        live[at] = number;
        Some(number)
    }

    fn forget(&self, fd: RawFd, number: u32) {
        let mut live = self.live.lock();
        if live.get(fd as usize) == Some(&number) {
            // That it is not there is as good.
            let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
            live[fd as usize] = 0;
        }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        if *self.lost.get_mut() {
            self.epoll.lose();
        }
    }
}

/// A descriptor that is registered with a port, until this is dropped. See
/// [`register`](crate::EventChannel::register).
pub struct Registration {
    registrar: Weak<Registrar>,
    pub(crate) channel: u32,
    pub(crate) port: u32,
    pub(crate) number: u32,
    fd: RawFd,
    pub(crate) is_stream: bool,
}

impl Registration {
    pub(crate) fn new(
        registrar: &Arc<Registrar>,
        channel: u32,
        port: usize,
        fd: RawFd,
        is_stream: bool,
    ) -> Option<Self> {
        let number = registrar.register(fd)?;
        let registrar = Arc::downgrade(registrar);
        Some(Registration { registrar, channel, port: port as u32, number, fd, is_stream })
    }
}

// No panic leaves the table under its lock half changed: nothing there panics.
impl UnwindSafe for Registration {}
impl RefUnwindSafe for Registration {}

impl Drop for Registration {
    fn drop(&mut self) {
        if !fork::is_child()
            && let Some(registrar) = self.registrar.upgrade()
        {
            registrar.forget(self.fd, self.number);
        }
    }
}

impl std::fmt::Debug for Registration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registration").field("fd", &self.fd).field("port", &self.port).finish_non_exhaustive()
    }
}

/// Is registration `one` younger than `other`? (They are numbered in turn, and the numbers wrap.)
pub(crate) fn is_younger(one: u32, other: u32) -> bool {
    (one.wrapping_sub(other) as i32) > 0
}
