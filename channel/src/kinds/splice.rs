//! What goes through a pipe, to it or from it, without being copied.
//!
//! The ring would have a thread of the kernel's make the call, which it would keep as long as nothing comes. So the ends are awaited in the way
//! of all drivers, and the call is made when both are ready: at once, if it does not wait then. A socket in blocking mode waits until all is
//! sent, and a file for its disk: there a helper makes the call.

#![allow(unsafe_code)]

use super::EventKind;
use super::ends::{Awaited, End, Sort};
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Step, Steps};
use crate::sys::{self, sigpipe};
use std::os::fd::RawFd;
use std::ptr;

/// splice(2), or tee(2). One thread at a time has it.
pub(super) struct Splice {
    ends: Result<(End, End), i32>,
    offsets: [Option<u64>; 2],
    len: usize,
    /// What goes on stays.
    stays: bool,
    awaited: Awaited,
}

impl Splice {
    /// The call, which does not wait for a pipe.
    fn call(&self, from: &End, to: &End) -> isize {
        let flags = libc::SPLICE_F_NONBLOCK;
        let len = sys::clamp(self.len) as usize;
        if self.stays {
            // SAFETY: no pointer is passed.
            return unsafe { libc::tee(from.fd, to.fd, len, flags) };
        }
        let mut offsets = self.offsets.map(|offset| offset.map(|at| at as libc::loff_t));
        let [from_at, to_at] =
            offsets.each_mut().map(|offset| offset.as_mut().map_or(ptr::null_mut(), ptr::from_mut));
        // SAFETY: none, or live offsets.
        unsafe { libc::splice(from.fd, from_at, to.fd, to_at, len, flags) }
    }

    /// Does the call return at once, whatever is at the ends?
    fn never_waits(&self, from: &End, to: &End) -> bool {
        let no_pipe = from.sort != Sort::Pipe && to.sort != Sort::Pipe;
        // (What it does not take it refuses.)
        let is_refused = no_pipe || self.stays && (from.sort != Sort::Pipe || to.sort != Sort::Pipe);
        self.len == 0 || is_refused || from.splices_without_waiting() && to.splices_without_waiting()
    }

    /// The end that is not ready is awaited.
    fn wait(&self, from: &End, to: &End, awaited: Option<(i32, i16)>) -> Option<Step> {
        let (input, output) = (libc::POLLIN, libc::POLLOUT);
        if !from.is_ready(input) {
            return Some(self.awaited.again(from, input, awaited));
        }
        (!to.is_ready(output)).then(|| self.awaited.again(to, output, awaited))
    }
}

// SAFETY: what it does touches nothing but its descriptors.
unsafe impl Carry for Splice {
    fn waits_for(&self) -> Option<Readiness> {
        self.awaited.waits_for()
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }

    fn steps(&self) -> Option<&dyn Steps> {
        Some(self)
    }
}

// SAFETY: as above.
unsafe impl Steps for Splice {
    unsafe fn step(&self, helped: Option<i32>) -> Step {
        let awaited = self.awaited.take();
        let (from, to) = match &self.ends {
            Ok(ends) => ends,
            // (The kernel looks at nothing then.)
            Err(_) if self.len == 0 => return Step::Done(0),
            Err(errno) => return Step::Done(-errno),
        };
        if !self.never_waits(from, to) && helped.is_none() {
            // (Only whoever is ready has a helper.)
            return self.wait(from, to, awaited).unwrap_or(Step::Help);
        }
        let result = helped.or_else(|| sigpipe::without(|| sys::now(|| self.call(from, to))));
        match result.filter(|result| *result != -libc::EAGAIN) {
            Some(result) => Step::Done(result),
            // Ready, and it would wait all the same: somebody else was faster.
            None => self.wait(from, to, awaited).unwrap_or(Step::Rest),
        }
    }
}

// SAFETY: as above.
unsafe impl Blocking for Splice {
    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        let Ok((from, to)) = &self.ends else { return -libc::EBADF };
        // (One of them is a pipe, which is not waited for.)
        let other = if from.sort == Sort::Pipe { to } else { from };
        other.blocking_unsignalled(caller, || Splice::call(self, from, to))
    }
}

/// A request for one of both.
pub(super) struct Held {
    kind: EventKind,
    from: Source,
    to: Source,
    operation: Splice,
}

impl Held {
    pub(super) fn new(
        kind: EventKind,
        from: Source,
        to: Source,
        offsets: [Option<u64>; 2],
        len: usize,
    ) -> Self {
        let ends = Err(libc::EBADF);
        let (stays, awaited) = (kind == EventKind::Tee, Awaited::default());
        let operation = Splice { ends, offsets, len, stays, awaited };
        Held { kind, from, to, operation }
    }
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        self.kind as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("descriptors")
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.from)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.ends.map_or(-1, |(from, _)| from.fd)
    }

    fn offset_mut(&mut self) -> Option<&mut u64> {
        self.operation.offsets.iter_mut().flatten().next()
    }

    fn prepare(&mut self) {
        let (from, to) = (self.from.raw(), self.to.raw());
        self.operation.ends = End::to_read(from).and_then(|from| Ok((from, End::to_write(to)?)));
        self.operation.awaited = Awaited::default();
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }
}

impl Request {
    /// Has up to `len` bytes go from a descriptor to another, as splice(2) does: one of them has to be a pipe (else `EINVAL`), and nothing is
    /// copied where the kernel can do without. The result is the number of bytes, which may be fewer, and is 0 at the end of the input. It
    /// waits until there is something at `from`, and room at `to`; a file's cursor goes along.
    ///
    /// Where the call itself may wait (a socket in blocking mode until all is sent, a file for its disk) a helper thread makes it
    /// ([`work`](Self::work)), once it is ready. If it is given up then (cancelled, over its time limit), what has gone by then is its result. To
    /// where nobody reads any more it fails with `EPIPE`; no `SIGPIPE` is raised.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (input, mut writer) = std::io::pipe()?;
    /// let (output, mut reader) = UnixStream::pair()?;
    /// writer.write_all(b"hello")?;
    /// channel.post(Request::splice(input, output, 1 << 16))?;
    /// assert_eq!(channel.get_event()?.result()?, 5);
    /// let mut content = [0; 5];
    /// reader.read_exact(&mut content)?;
    /// assert_eq!(&content, b"hello");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn splice(from: impl Into<Source>, to: impl Into<Source>, len: usize) -> Self {
        Self::splice_at(from, None, to, None, len)
    }

    /// As [`splice`](Self::splice), from a position in a file, or to one: its cursor stays where it is then. An offset for a pipe, or for
    /// what has no positions, fails with `ESPIPE`; one beyond `i64::MAX` with `EINVAL`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{fs::File, io::Read};
    /// let channel = EventChannel::new()?;
    /// let (mut reader, output) = std::io::pipe()?;
    /// let source = File::open("Cargo.toml")?;
    /// channel.post(Request::splice_at(source, Some(1), output, None, 7))?;
    /// assert_eq!(channel.get_event()?.result()?, 7);
    /// let mut word = [0; 7];
    /// reader.read_exact(&mut word)?;
    /// assert_eq!(&word, b"package");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn splice_at(
        from: impl Into<Source>,
        from_offset: Option<u64>,
        to: impl Into<Source>,
        to_offset: Option<u64>,
        len: usize,
    ) -> Self {
        let offsets = [from_offset, to_offset];
        Self::of(Held::new(EventKind::Splice, from.into(), to.into(), offsets, len))
    }
}
