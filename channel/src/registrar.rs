//! Descriptors that stay registered with a port's epoll, edge-triggered, as long as their owners wish.
//!
//! An owner registers once, and takes it back before the descriptor is closed. In between nothing has to be armed: the kernel reports each
//! change to the port. Both are done at once, by whoever owns the descriptor, in whichever thread.
//!
//! A registration has a number, which comes with each report. So what is reported of a descriptor that has been closed since, and whose
//! number has a new owner, is for nobody.
//!
//! The port may know of others who wait for the descriptor and are none of the owner's business: events, say. As long as it is registered
//! they hear of it by the registration, for the kernel has one interest per descriptor. When that goes they are left without any. So the
//! port says of whom it hears for others, and is told when it has to see to them itself again.

#![allow(unsafe_code)]

use crate::fork;
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use crate::waker::Waker;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

const REGISTERED: i32 = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI | libc::EPOLLET;

/// One descriptor.
#[derive(Clone, Copy)]
struct Place {
    /// The number of its registration; 0: none.
    number: u32,
    /// Somebody may wait for it whom the registration's owner does not know.
    others: bool,
    /// If this is an orphan: the place of the next one.
    next: u32,
}

/// No place: this is no orphan.
const NONE: u32 = u32::MAX;
/// No place: the list of the orphans ends.
const END: u32 = u32::MAX - 1;

/// All of them.
struct Table {
    /// By descriptor.
    places: Vec<Place>,
    /// The first of those that were registered, and others may wait for.
    orphans: u32,
}

impl Table {
    fn number(&self, fd: RawFd) -> u32 {
        self.places.get(fd as usize).map_or(0, |place| place.number)
    }
}

/// An epoll, and who is registered with it.
pub(crate) struct Registrar {
    epoll: fork::Owned,
    /// Whom to tell of orphans.
    waker: Arc<Waker>,
    /// (Held while the kernel is told.)
    table: Mutex<Table>,
    has_orphans: AtomicBool,
    last: AtomicU32,
    /// The epoll's descriptor may be somebody else's by now. (Changed under the lock.)
    lost: AtomicBool,
}

impl Registrar {
    pub(crate) fn new(epoll: fork::Owned, waker: Arc<Waker>) -> Self {
        Registrar {
            epoll,
            waker,
            table: Mutex::new(Table { places: Vec::new(), orphans: END }),
            has_orphans: AtomicBool::new(false),
            last: AtomicU32::new(0),
            lost: AtomicBool::new(false),
        }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// It is used no more, and not closed.
    pub(crate) fn lose(&self) {
        let _nobody_registers = self.table.lock();
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

    /// Somebody is about to wait for `fd` whose wait is not the registration's owner's. If it is registered he hears of it by that: the
    /// number. What it has to say is still to come, then. 0: it is not registered, and as long as the second lives nobody registers it.
    pub(crate) fn lean_on(&self, fd: RawFd) -> io::Result<(u32, impl Sized + '_)> {
        let mut table = self.table.lock();
        let number = table.number(fd);
        if number != 0 {
            let place = &mut table.places[fd as usize];
            match self.control(libc::EPOLL_CTL_MOD, fd, REGISTERED as u32, number) {
                Ok(()) => {
                    place.others = true;
                    return Ok((number, table));
                }
                // Its owner has not dropped it before the descriptor was closed. The number means another file now.
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => place.number = 0,
                Err(e) => return Err(e),
            }
        }
        Ok((0, table))
    }

    /// The port has heard of registration `number` of `fd`. False: it has gone. `others`: somebody waits already.
    pub(crate) fn is_heard(&self, fd: RawFd, number: u32, others: bool) -> bool {
        let mut table = self.table.lock();
        let place = table.places.get_mut(fd as usize).filter(|place| place.number == number);
        place.map(|place| place.others = others).is_some()
    }

    /// Nobody waits for `fd` any more: if it is not registered it is not in the epoll either.
    pub(crate) fn disarm(&self, fd: RawFd) {
        let table = self.table.lock();
        if table.number(fd) == 0 {
            // That it is not there, or not pollable, is as good.
            let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
        }
    }

    /// A descriptor that is not registered any more, and that others may wait for. (There is none, most of the time.)
    #[inline]
    pub(crate) fn take_orphan(&self) -> Option<RawFd> {
        // (Who makes one calls the port afterwards.)
        if self.has_orphans.load(Ordering::Acquire) { self.take_one() } else { None }
    }

    #[cold]
    fn take_one(&self) -> Option<RawFd> {
        let mut table = self.table.lock();
        let fd = table.orphans;
        let Some(place) = table.places.get_mut(fd as usize) else {
            self.has_orphans.store(false, Ordering::Relaxed);
            return None;
        };
        table.orphans = std::mem::replace(&mut place.next, NONE);
        Some(fd as RawFd)
    }

    /// The table, with a place for `fd`.
    fn with_place(&self, fd: usize) -> MutexGuard<'_, Table> {
        let mut table = loop {
            let table = self.table.lock();
            let more = (fd + 1).saturating_sub(table.places.len());
            if has_room(&table.places, more) {
                break table;
            }
            drop(table);
            make_room(&self.table, |table| &mut table.places, more);
        };
        if table.places.len() <= fd {
            table.places.resize(fd + 1, Place { number: 0, others: false, next: NONE });
        }
        table
    }

    /// Registers `fd`. `None`: the kernel does not watch such a descriptor, or somebody else has registered it.
    fn register(&self, fd: RawFd) -> Option<u32> {
        let at = usize::try_from(fd).ok()?;
        let mut table = self.with_place(at);
        let number = loop {
            // (0 is none.)
            match self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1) {
                0 => {}
                number => break number,
            }
        };
        let place = &mut table.places[at];
        // (A number may be there all the same: that of one who has not dropped it before the descriptor was closed.)
        let others = match self.control(libc::EPOLL_CTL_ADD, fd, REGISTERED as u32, number) {
            Ok(()) => false,
            // The port has waited for it before, by the time, and may do so now: whoever waits hears of it by the registration.
            Err(e) if e.raw_os_error() == Some(libc::EEXIST) && place.number == 0 => {
                self.control(libc::EPOLL_CTL_MOD, fd, REGISTERED as u32, number).ok()?;
                true
            }
            Err(_) => return None,
        };
        (place.number, place.others) = (number, others);
        Some(number)
    }

    fn forget(&self, fd: RawFd, number: u32) {
        let mut table = self.table.lock();
        let first = table.orphans;
        let Some(place) = table.places.get_mut(fd as usize).filter(|place| place.number == number) else {
            return;
        };
        // That it is not there is as good.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, 0);
        place.number = 0;
        if !std::mem::take(&mut place.others) {
            return;
        }
        if place.next == NONE {
            place.next = first;
            table.orphans = fd as u32;
        }
        self.has_orphans.store(true, Ordering::Release);
        drop(table);
        self.waker.call();
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
}

impl Registration {
    pub(crate) fn new(registrar: &Arc<Registrar>, channel: u32, port: usize, fd: RawFd) -> Option<Self> {
        let number = registrar.register(fd)?;
        let registrar = Arc::downgrade(registrar);
        Some(Registration { registrar, channel, port: port as u32, number, fd })
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
