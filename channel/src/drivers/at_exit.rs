//! When the process ends, requests on sockets that have a name are taken back from the kernel.
//!
//! The kernel puts a ring away some milliseconds after its process is gone. A request in flight keeps its socket open so
//! long. So nobody could bind to the port of a listener, or of a datagram socket, meanwhile. `exit(3)` calls the hook here.
//! It also runs when `main` returns. Nothing calls it when a signal or an abort ends the process.
//!
//! The other threads run on while the hook runs. So the hook
//!
//! * waits for no lock, and in all for [`LONGEST`] at most;
//! * calls no allocator, frees nothing, and changes no memory of a ring's: the kernel is told to cancel what it finds;
//! * keeps what comes back from being submitted again: the driver asks [`keeps`] and [`Place::begin_accept`].
//!
//! A kernel before 6.0 cannot be told that. There the name is free when the kernel has put the ring away.

#![allow(unsafe_code)]

use crate::fork;
use crate::lock::TryLock;
use io_uring::types;
use std::io::Read;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The hook gives up after so long: a thread that is stuck in the kernel does not finish its requests.
const LONGEST: Duration = Duration::from_millis(20);
/// Between two looks at a ring.
const NAP: Duration = Duration::from_micros(50);
/// So many sockets with names are looked after.
const MOST_NAMES: usize = 256;

/// The process ends: no request on a socket with a name is submitted any more.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The process that has the hook; 0: none yet.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// What finds no place is left to the kernel.
static RINGS: [Ring; 1024] =
    [const { Ring { fd: TryLock::new(FREE), publishing: AtomicBool::new(false) } }; 1024];
const FREE: RawFd = -1;

struct Ring {
    /// Whoever holds this keeps the descriptor open.
    fd: TryLock<RawFd>,
    /// The driver is about to put an accept into the ring.
    publishing: AtomicBool,
}

/// A ring that the hook knows, until this is dropped.
pub(super) struct Place(Option<&'static Ring>);

/// While this lives the hook waits for the accept that is being put into the ring.
pub(super) struct Publishing(Option<&'static Ring>);

impl Place {
    /// For a ring that stays open as long as the place is there.
    pub(super) fn new(fd: RawFd) -> Place {
        register();
        let mine = RINGS.iter().find(|ring| {
            let mut place = ring.fd.try_lock();
            let free = place.as_deref_mut().filter(|fd| **fd == FREE);
            free.map(|free| *free = fd).is_some()
        });
        Place(mine)
    }

    /// Before an accept is put into the ring. `None`: it must not be, because the process ends.
    pub(super) fn begin_accept(&self) -> Option<Publishing> {
        // In one order with the hook's two steps: either the hook sees the mark, or the driver sees that the process ends.
        if let Some(ring) = self.0 {
            ring.publishing.store(true, Ordering::SeqCst);
        }
        let publishing = Publishing(self.0);
        (!ENDING.load(Ordering::SeqCst)).then_some(publishing)
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        if let Some(ring) = self.0 {
            ring.publishing.store(false, Ordering::Release);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(ring) = self.0 else { return };
        // The hook holds the lock for two system calls, `Place::new` of another ring for an instant.
        loop {
            if let Some(mut fd) = ring.fd.try_lock() {
                *fd = FREE;
                return;
            }
            std::thread::yield_now();
        }
    }
}

/// Once in a process, and under no lock, since this may allocate.
fn register() {
    let me = std::process::id();
    if PROCESS.swap(me, Ordering::AcqRel) == 0 {
        // SAFETY: the hook may run at any time, on any thread. (If there is no memory for it, the ports are free later.)
        unsafe { libc::atexit(at_exit) };
    }
}

extern "C" fn at_exit() {
    // The rings that a child knows of are its parent's.
    if fork::is_child() || PROCESS.load(Ordering::Acquire) != std::process::id() {
        return;
    }
    ENDING.store(true, Ordering::SeqCst);
    let end = Instant::now() + LONGEST;
    let mut room = [0; MOST_NAMES];
    let names = named(&mut room, end);
    // All are asked before one is waited for: the threads that have to finish their requests do so side by side.
    RINGS.iter().for_each(|ring| _ = ring.is_clear_of(names));
    for ring in &RINGS {
        while !ring.is_clear_of(names) && Instant::now() < end {
            std::thread::sleep(NAP);
        }
    }
}

/// Is a request on this descriptor not to be submitted, because the process ends and the socket has a name?
#[inline]
pub(super) fn keeps(fd: RawFd) -> bool {
    ENDING.load(Ordering::Relaxed) && has_name(fd)
}

/// A socket that listens, or takes datagrams. Nobody else can bind to its address as long as it is open.
#[cold]
fn has_name(fd: RawFd) -> bool {
    match option(fd, libc::SO_TYPE) {
        Some(libc::SOCK_DGRAM) => true,
        Some(_) => option(fd, libc::SO_ACCEPTCONN) == Some(1),
        None => false,
    }
}

fn option(fd: RawFd, name: i32) -> Option<i32> {
    let (mut value, mut len) = (0, size_of::<i32>() as libc::socklen_t);
    // SAFETY: room for a number, and for how long it is. (The descriptor may be anything.)
    let failed = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut len) };
    (failed == 0).then_some(value)
}

/// The descriptors of this process that have a name, the lowest first, as far as time and room allow.
fn named(room: &mut [RawFd; MOST_NAMES], end: Instant) -> &[RawFd] {
    let mut count = 0;
    for fd in 0..table_size() {
        if count == room.len() || (fd % 1024 == 0 && Instant::now() >= end) {
            break;
        }
        if has_name(fd) {
            room[count] = fd;
            count += 1;
        }
    }
    &room[..count]
}

/// All open descriptors are below this.
fn table_size() -> RawFd {
    let mut text = [0; 1024];
    let read = std::fs::File::open("/proc/self/status").and_then(|mut file| file.read(&mut text));
    let text = str::from_utf8(&text[..read.unwrap_or(0)]).unwrap_or("");
    let size = text.lines().find_map(|line| line.strip_prefix("FDSize:")?.trim().parse().ok());
    size.unwrap_or(1024)
}

impl Ring {
    /// Asks the kernel to cancel the ring's requests on these descriptors. True: there are none, or nothing can be done about
    /// them.
    fn is_clear_of(&self, names: &[RawFd]) -> bool {
        let Some(ring) = self.fd.try_lock() else { return false };
        if *ring == FREE {
            return true;
        }
        if self.publishing.load(Ordering::SeqCst) {
            return false;
        }
        hand_over(*ring);
        names.iter().filter(|fd| cancel(*ring, **fd)).count() == 0
    }
}

/// What a driver has put into the ring goes to the kernel: it would not be found otherwise, and a driver might hand it over later.
/// A driver that hands it over at the same time finds nothing to do.
fn hand_over(ring: RawFd) {
    // SAFETY: the entries are the driver's, who keeps what they point to valid (`Backend::submit`).
    unsafe { libc::syscall(libc::SYS_io_uring_enter, ring, u32::MAX, 0, 0, std::ptr::null::<()>(), 0) };
}

/// True: there were some that have not come back yet. False, too, if the kernel cannot tell.
fn cancel(ring: RawFd, fd: RawFd) -> bool {
    /// `struct io_uring_sync_cancel_reg`.
    #[repr(C)]
    struct SyncCancel {
        addr: u64,
        fd: i32,
        flags: u32,
        timeout: types::Timespec,
        pad: [u64; 4],
    }
    const REGISTER_SYNC_CANCEL: u32 = 24;
    const ALL: u32 = 1 << 0;
    const FD: u32 = 1 << 1;
    // For a request that a thread is at work on at this moment. The others are only marked here.
    let timeout = types::Timespec::from(Duration::from_millis(1));
    let ask = SyncCancel { addr: 0, fd, flags: ALL | FD, timeout, pad: [0; 4] };
    // SAFETY: the structure is as the kernel defines it, and it is only read during the call.
    let found =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, REGISTER_SYNC_CANCEL, &raw const ask, 1) };
    found > 0 || (found < 0 && matches!(crate::sys::errno(), libc::EALREADY | libc::ETIME | libc::EINTR))
}
