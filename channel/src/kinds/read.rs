//! Bytes read, as read(2) reads them.

#![allow(unsafe_code)]

use super::EventKind;
use super::cursor;
use super::memory::Room;
use super::on_file::OnFile;
use super::positioned::{self, CURSOR, Position};
use super::recv::Recv;
use super::sort::{self, Sort};
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{AtExit, Blocking, Caller, Carry, Class, GoOn, Line, Readiness};
use io_uring::squeue;
use std::os::fd::RawFd;

/// read(2); the result is the number of bytes, 0 at the end.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// What is read from.
    pub fd: RawFd,
    /// Where the bytes go.
    pub buf: *mut u8,
    /// How many at the most.
    pub len: usize,
    /// What the descriptor is: [`Sort::of`] says it.
    pub sort: Sort,
}

static READ: Class = Class::new();

/// More is not copied where a port is driven.
const MOST_AT_ONCE: usize = 64 * 1024;

// SAFETY: a description; what it points to may be used from any thread (`submit_raw`'s contract).
unsafe impl Send for Read {}

impl Read {
    /// The same, of a socket.
    fn as_recv(&self) -> Recv {
        Recv { fd: self.fd, buf: self.buf, len: self.len, flags: 0 }
    }

    /// A receive of no bytes might take a datagram, or wait. A read of none takes nothing: it is left to the call, as that of what cannot be
    /// polled is.
    fn is_polled(&self) -> bool {
        self.sort.is_polled() && self.len > 0
    }

    fn is_of_socket(&self) -> bool {
        self.sort == Sort::Socket && self.len > 0
    }
}

// SAFETY: `len` bytes at `buf` are written.
unsafe impl Carry for Read {
    fn waits_for(&self) -> Option<Readiness> {
        if self.is_of_socket() {
            return self.as_recv().waits_for();
        }
        let waits_for = Readiness { fd: self.fd, interest: libc::POLLIN, line: Line::new(&READ, 0) };
        self.is_polled().then_some(waits_for)
    }

    /// (Of a terminal, and of many a pipe, the ring would read with a call that waits if somebody else is faster.)
    fn entry(&self) -> Option<squeue::Entry> {
        if self.is_of_socket() { self.as_recv().entry() } else { None }
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        if self.is_of_socket() {
            // SAFETY: by contract.
            return unsafe { self.as_recv().attempt(revents) };
        }
        let into = positioned::part(self.buf, self.len);
        // SAFETY: by contract.
        let with_flags = || unsafe { libc::preadv2(self.fd, &into, 1, -1, libc::RWF_NOWAIT) };
        // SAFETY: by contract.
        let plain = || unsafe { libc::read(self.fd, self.buf.cast(), self.len) };
        sort::attempt(self.fd, libc::POLLIN, with_flags, plain)
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.attempt(0) }
    }

    unsafe fn go_on(&self) -> GoOn {
        if self.is_of_socket() {
            return GoOn::Call;
        }
        // SAFETY: by contract.
        sort::after(unsafe { self.attempt(0) }, self.fd, libc::POLLIN)
    }

    unsafe fn end_of_input(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        if self.is_of_socket() { unsafe { self.as_recv().end_of_input(revents) } } else { None }
    }

    fn at_exit(&self) -> AtExit {
        if self.is_of_socket() { self.as_recv().at_exit() } else { AtExit::Nothing }
    }
}

// SAFETY: as above.
unsafe impl Blocking for Read {
    /// What is cached. It is looked for by a position first, since a read at the cursor that comes to less cannot be taken back; and what
    /// another read takes before the rest is read would be missing in its middle.
    unsafe fn at_once(&self) -> Option<i32> {
        let Sort::File(inode) = self.sort else { return None };
        if self.len == 0 || self.len > MOST_AT_ONCE {
            return None;
        }
        let _alone = cursor::moves_alone(inode)?;
        // SAFETY: no pointer is passed.
        let at = u64::try_from(unsafe { libc::lseek64(self.fd, 0, libc::SEEK_CUR) }).ok()?;
        let into = [positioned::part(self.buf, self.len)];
        // SAFETY: by contract.
        unsafe {
            positioned::read_all_now(self.fd, &into, at)?;
            positioned::read_now(self.fd, &into, CURSOR)
        }
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        // SAFETY: by contract.
        sort::wait(self.fd, self.sort, caller, || unsafe { libc::read(self.fd, self.buf.cast(), self.len) })
    }
}

impl OnFile<Room> for Read {
    const ROLE: &str = "descriptor";

    fn kind(&self) -> EventKind {
        EventKind::Read
    }

    fn fd(&self) -> RawFd {
        self.fd
    }

    fn prepare(&mut self, fd: RawFd, may: &mut Position) {
        self.fd = fd;
        may.set(sort::prepare(fd, &mut self.sort));
    }

    fn point(&mut self, memory: &mut Room) {
        (self.buf, self.len) = (memory.0.as_mut_ptr(), memory.0.capacity());
    }
}

impl Request {
    /// Reads at most `buffer.capacity()` bytes, as read(2) does; what the buffer held is replaced. The result is the number of bytes, 0 at the
    /// end.
    ///
    /// Of a pipe, a FIFO, a socket, a terminal, an eventfd, and whatever else can be polled: as soon as there is something, and as much of
    /// it as there is room for. Its blocking mode does not matter, and stays as it is. A read that is cancelled comes back with what had
    /// come by then. What a datagram has beyond the room is lost, and nothing says so ([`recv_from`](Self::recv_from) does). A FIFO that nobody has opened to write is at its end if somebody has had it open before; else the read waits for a
    /// writer, since poll(2) does (read(2) itself would be at the end).
    ///
    /// Of a file: from its cursor on, which moves behind what was read; once, also if the thread that submitted it exits. Reads that are on
    /// their way together each get bytes of their own that belong together, in no order that is told; to know where they come from, wait
    /// for one before the next, or take [`read_at`](Self::read_at). What is cached is read at once, up to 64 KiB; a helper thread
    /// ([`work`](Self::work)) reads what is not. One that has begun on a helper is complete before a cancel ends it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::io::Write;
    /// let channel = EventChannel::new()?;
    /// let (reader, mut writer) = std::io::pipe()?;
    /// channel.post(Request::read(reader, Vec::with_capacity(16)))?;
    /// writer.write_all(b"hello")?;
    /// assert_eq!(channel.get_event()?.buffer(), b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// An eventfd is a bell between threads, and between processes: what is read is the sum of what was written since the last time.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, io::Write, os::fd::{FromRawFd, OwnedFd}, process::Command, sync::Arc};
    /// // SAFETY: no pointer is passed.
    /// let new = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    /// assert!(new >= 0);
    /// // SAFETY: the descriptor is new, and nobody else has it.
    /// let bell = Arc::new(unsafe { OwnedFd::from_raw_fd(new) });
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::read(bell.clone(), Vec::with_capacity(8)))?;
    /// let mut ringer = File::from(bell.try_clone()?);
    /// std::thread::spawn(move || ringer.write_all(&3_u64.to_ne_bytes()));
    /// let event = channel.get_event()?;
    /// assert_eq!(event.buffer(), 3_u64.to_ne_bytes());
    /// channel.post(event.again())?;
    /// // Another process that has the descriptor, as its output here.
    /// Command::new("printf").arg(r"\1\0\0\0\0\0\0\0").stdout(bell.try_clone()?).spawn()?.wait()?;
    /// assert_eq!(channel.get_event()?.buffer(), 1_u64.to_le_bytes());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn read(source: impl Into<Source>, buffer: Vec<u8>) -> Self {
        let operation = Read { fd: -1, buf: std::ptr::null_mut(), len: 0, sort: Sort::Polled };
        Self::on_file(source, operation, Room(buffer))
    }
}
