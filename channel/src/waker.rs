//! Wakes the thread that sleeps in a port: by an eventfd or a pipe, or by a message to its ring. Only when somebody sleeps.

#![allow(unsafe_code)]

use crate::alarm::{Alarm, Asleep};
use crate::fork;
use crate::lock::Mutex;
use crate::sys::{end_process, mode};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// So many milliseconds a sleeper has to come back by itself, if it cannot be rung for.
const GRACE: u32 = 100;

/// An [`Alarm`] with a bell that the operating system hears.
pub(crate) struct Waker {
    alarm: Alarm,
    /// An eventfd or a pipe, which a driver listens to.
    bell: OnceLock<Bell>,
    /// The ring that is sent a message instead; it does not go while that is done. (A helper thread may call when the channel goes.)
    ring: Mutex<Option<RawFd>>,
    /// Whoever drives the port does not sleep in the driver, which has failed, and looks up by itself.
    unheard: AtomicBool,
}

impl Waker {
    /// With neither bell nor ring yet.
    pub(crate) fn new() -> Self {
        Self {
            alarm: Alarm::new(),
            bell: OnceLock::new(),
            ring: Mutex::new(None),
            unheard: AtomicBool::new(false),
        }
    }

    /// From now on there is a bell.
    pub(crate) fn hang_bell(&self) -> io::Result<()> {
        // SAFETY: eventfd takes no pointer.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and ours.
        let rope = fork::Owned::new(unsafe { OwnedFd::from_raw_fd(fd) });
        // (If there is one it does.)
        let _ = self.bell.set(Bell { rope, pipe: None });
        Ok(())
    }

    /// As [`hang_bell`](Self::hang_bell), on any Unix. What is given is readable from a ring on until [`hush`](Self::hush).
    pub(crate) fn hang_pipe(&self) -> io::Result<BorrowedFd<'_>> {
        let (reader, writer) = io::pipe()?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        for end in [&reader, &writer] {
            mode::set_nonblocking(end.as_fd(), true)?;
        }
        let _ = self.bell.set(Bell { rope: fork::Owned::new(writer), pipe: Some(fork::Owned::new(reader)) });
        Ok(self.as_fd())
    }

    /// Takes out of a pipe what rings have put into it. By whoever listens, before it looks for what it was called for.
    ///
    /// # Errors
    /// It is not that pipe: somebody has closed it.
    pub(crate) fn hush(&self) -> io::Result<()> {
        let Some(pipe) = self.bell.get().and_then(|bell| bell.pipe.as_ref()) else { return Ok(()) };
        let mut rings = [0u8; 512];
        loop {
            // SAFETY: as many bytes of a live array as said.
            match unsafe { libc::read(pipe.as_fd().as_raw_fd(), rings.as_mut_ptr().cast(), rings.len()) } {
                1.. => {}
                // (Its other end is there as long as this one.)
                0 => return Err(io::Error::from_raw_os_error(libc::EBADF)),
                _ => match io::Error::last_os_error() {
                    e if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    e if e.kind() == io::ErrorKind::Interrupted => {}
                    _ => return Err(io::Error::from_raw_os_error(libc::EBADF)),
                },
            }
        }
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

    /// Wakes the sleeper, or makes the next attempt to sleep fail. A system call only for a sleeper: whether there was one.
    pub(crate) fn call(&self) -> bool {
        let sleeps = self.alarm.call();
        if sleeps {
            self.ring();
        }
        sleeps
    }

    /// Wakes the sleeper if there is one; for callers whose work the driving thread finds before it sleeps.
    pub(crate) fn call_if_asleep(&self) {
        if self.alarm.call_if_asleep() {
            self.ring();
        }
    }

    fn ring(&self) {
        if fork::is_child() || self.unheard.load(Ordering::SeqCst) {
            return; // the number is somebody else's by now
        }
        let ring = self.ring.lock();
        let sent = ring.map(|ring| send_message(ring, Self::MESSAGE).map_err(|error| error.raw_os_error()));
        drop(ring);
        match sent {
            None => self.ring_the_bell(),
            // It has completions that nobody has taken: nobody sleeps in it for long.
            Some(Ok(()) | Err(Some(libc::EOVERFLOW))) => {}
            Some(Err(_)) => self.was_not_heard(),
        }
    }

    fn ring_the_bell(&self) {
        let Some(bell) = self.bell.get() else {
            // The ring has gone, and with it whoever might sleep in it.
            return;
        };
        let one = 1u64;
        loop {
            // SAFETY: eight bytes of a live variable.
            if unsafe { libc::write(bell.rope.as_fd().as_raw_fd(), (&raw const one).cast(), 8) } == 8 {
                return;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The counter, or the pipe, is full: it is readable all the same.
                Some(libc::EAGAIN) => return,
                // Somebody has closed it. The sleeper would sleep for ever, and the number may be another file's next time.
                _ => return self.was_not_heard(),
            }
        }
    }

    /// The driver has failed: nobody sleeps in it any more, and nobody is rung for.
    pub(crate) fn nobody_hears(&self) {
        self.unheard.store(true, Ordering::SeqCst);
    }

    /// Who sleeps in a driver whose descriptor was closed meanwhile sleeps for ever. But it may be about to find that out by itself.
    #[cold]
    fn was_not_heard(&self) {
        for _ in 0..GRACE {
            if self.unheard.load(Ordering::SeqCst) || !self.alarm.is_called() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // (No hook: whoever rings may hold a lock.)
        end_process(
            "fatal runtime error: somebody has closed a descriptor of an event channel, or forbidden its calls\n",
        )
    }

    /// What a completion in the ring is called that stands for a call.
    pub(crate) const MESSAGE: u64 = 1;

    /// From now on calls are messages to this ring, until it says `None`, before it goes. True: that works here. (Then there
    /// is a completion in it.)
    pub(crate) fn send_to(&self, ring: Option<RawFd>) -> bool {
        let works = ring.is_some_and(|ring| send_message(ring, Self::MESSAGE).is_ok());
        *self.ring.lock() = ring.filter(|_| works);
        works
    }

    /// Only once [`hang_bell`](Self::hang_bell) has succeeded.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        let bell = self.bell.get().expect("the driver that listens has asked for a bell");
        bell.pipe.as_ref().unwrap_or(&bell.rope).as_fd()
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        if *self.unheard.get_mut()
            && let Some(Bell { rope, pipe: Some(pipe) }) = self.bell.get_mut()
        {
            // It was the driver's own descriptor.
            rope.lose();
            pipe.lose();
        }
    }
}

/// For those who may outlast the channel: it is cut as that goes, and does not go while it is pulled. So its descriptors are closed by then.
pub(crate) struct Rope(Mutex<Option<Arc<Waker>>>);

impl Rope {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Rope(Mutex::new(Some(waker)))
    }

    /// See [`Waker::call_if_asleep`].
    pub(crate) fn call_if_asleep(&self) {
        if let Some(waker) = &*self.0.lock() {
            waker.call_if_asleep();
        }
    }

    /// See [`Waker::call`].
    pub(crate) fn call(&self) {
        if let Some(waker) = &*self.0.lock() {
            waker.call();
        }
    }

    /// From now on it does nothing.
    pub(crate) fn cut(&self) {
        let waker = self.0.lock().take();
        drop(waker);
    }
}

struct Bell {
    /// What is written to.
    rope: fork::Owned,
    /// What is listened to, if it is another.
    pipe: Option<fork::Owned>,
}

/// Puts a completion into a ring, by a system call that needs no ring (Linux 6.13). Not by a request in the ring that waits for
/// the bell: the completion of that is the work of the thread that has submitted it, which may be in a call of the program's own
/// by then, and that would be cut short.
fn send_message(ring: RawFd, data: u64) -> io::Result<()> {
    /// As linux/io_uring.h has it, where `io_uring_sqe` is of such words.
    const SEND_MSG_RING: libc::c_uint = 31;
    const OP_MSG_RING: u8 = 40;
    let mut entry = [0u64; 8];
    // In the order of its bytes: opcode, no flags, no priority, the ring.
    entry[0] = u64::from_ne_bytes({
        let mut bytes = [0; 8];
        bytes[0] = OP_MSG_RING;
        bytes[4..].copy_from_slice(&ring.to_ne_bytes());
        bytes
    });
    entry[1] = data;
    // SAFETY: the entry is live, and refers to nothing.
    match unsafe { libc::syscall(libc::SYS_io_uring_register, -1, SEND_MSG_RING, entry.as_ptr(), 1) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
