//! Everything that comes from a descriptor goes to another one, until the end.
//!
//! ```text
//!  neither call waits (pipes; what is in non-blocking mode):
//!    one end is a pipe:    from ──splice──► to
//!    else:                 from ──splice──► a pipe of the pump's own ──splice──► to
//!  else, and where the kernel has no splice:
//!                          from ──read───► a buffer ──write──► to      (by a helper, where such a call would wait)
//! ```
//! What has been read is written before more is read: so there is never more on the way than the pipe or the buffer holds.

#![allow(unsafe_code)]

use super::EventKind;
use super::ends::{Awaited, End, Sort, Tried};
use super::on_the_way::{How, Side, State};
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Blocking, Caller, Carry, Readiness, Step, Steps};
use std::cell::UnsafeCell;
use std::os::fd::RawFd;

/// So many calls at a time, so that others have their turns.
const AT_A_TIME: usize = 16;

struct Pump {
    from: Result<End, i32>,
    to: Result<End, i32>,
    /// One thread at a time has it: who posts and gets it, who takes a step, or who helps.
    state: UnsafeCell<State>,
    awaited: Awaited,
}

impl Pump {
    fn ends(&self) -> Result<(&End, &End), (Side, i32)> {
        let from = self.from.as_ref().map_err(|errno| (Side::From, *errno))?;
        Ok((from, self.to.as_ref().map_err(|errno| (Side::To, *errno))?))
    }

    /// It goes on when this side is ready.
    fn wait(&self, side: Side, awaited: Option<(RawFd, i16)>) -> Step {
        let (end, events) = match side {
            Side::From => (&self.from, libc::POLLIN),
            Side::To => (&self.to, libc::POLLOUT),
        };
        match end {
            Ok(end) => self.awaited.again(end, events, awaited),
            Err(errno) => Step::Done(-errno),
        }
    }
}

// SAFETY: what it does touches its descriptors, and what it holds.
unsafe impl Carry for Pump {
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
unsafe impl Steps for Pump {
    unsafe fn step(&self, mut helped: Option<i32>) -> Step {
        // SAFETY: nobody else has it meanwhile.
        let state = unsafe { &mut *self.state.get() };
        let mut awaited = self.awaited.take();
        let (from, to) = match self.ends() {
            Ok(ends) => ends,
            Err((side, errno)) => {
                state.failed = Some(side);
                return Step::Done(-errno);
            }
        };
        for _ in 0..AT_A_TIME {
            let Some(side) = state.next() else {
                if state.relays_end && to.sort == Sort::Socket {
                    // (If nobody is there to hear of it, nobody has to.)
                    // SAFETY: no pointer is passed.
                    unsafe { libc::shutdown(to.fd, libc::SHUT_WR) };
                }
                return Step::Done(i32::try_from(state.moved).unwrap_or(i32::MAX));
            };
            let tried = match helped.take() {
                Some(result) => Tried::from_result(result),
                None => state.attempt(side, from, to),
            };
            match tried {
                Tried::Moved(n) => {
                    state.has_moved(side, n);
                    awaited = None;
                }
                // The one call has two ends, and either may not be ready.
                Tried::Wait if matches!(state.how, How::Spliced) && side == Side::From => {
                    let is_there = from.is_ready(libc::POLLIN);
                    return match is_there && to.is_ready(libc::POLLOUT) {
                        true => Step::Rest,
                        false => self.wait(if is_there { Side::To } else { Side::From }, awaited),
                    };
                }
                Tried::Wait => return self.wait(side, awaited),
                Tried::Help => {
                    let (end, events) =
                        if side == Side::From { (from, libc::POLLIN) } else { (to, libc::POLLOUT) };
                    // (Only whoever is ready has a helper.)
                    return if end.is_ready(events) { Step::Help } else { self.wait(side, awaited) };
                }
                Tried::Failed(errno) => {
                    let is_output = matches!(state.how, How::Spliced)
                        && side == Side::From
                        && (errno == libc::EPIPE || from.sort == Sort::Pipe);
                    state.failed = Some(if is_output { Side::To } else { side });
                    return Step::Done(-errno);
                }
            }
        }
        self.wait(state.next().unwrap_or(Side::From), None)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Pump {
    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        // SAFETY: nobody else has it meanwhile.
        let state = unsafe { &mut *self.state.get() };
        let (Ok(from), Ok(to)) = (&self.from, &self.to) else { return -libc::EBADF };
        if state.next() == Some(Side::To) {
            let rest = &state.buffer[state.at..];
            // SAFETY: live bytes, which are only read.
            let write = || unsafe { libc::write(to.fd, rest.as_ptr().cast(), rest.len()) };
            return to.blocking_unsignalled(caller, write);
        }
        let (at, room) = state.room();
        // SAFETY: room of the buffer's own.
        from.blocking(caller, || unsafe { libc::read(from.fd, at.cast(), room) })
    }
}

struct Held {
    from: Source,
    to: Source,
    operation: Pump,
}

impl Held {
    fn state(&self) -> &State {
        // SAFETY: it is in its owner's hands, so that nobody changes it meanwhile.
        unsafe { &*self.operation.state.get() }
    }
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Pump as u8
    }

    fn role(&self) -> Option<&'static str> {
        match self.state().failed? {
            Side::From => Some("input"),
            Side::To => Some("output"),
        }
    }

    fn source(&self) -> Option<&Source> {
        Some(&self.from)
    }

    fn descriptor(&self) -> RawFd {
        self.operation.from.map_or(-1, |from| from.fd)
    }

    fn prepare(&mut self) {
        let operation = &mut self.operation;
        (operation.from, operation.to) = (End::to_read(self.from.raw()), End::to_write(self.to.raw()));
        operation.awaited = Awaited::default();
        let state = operation.state.get_mut();
        (state.how, state.moved, state.ended, state.failed) = (How::Unknown, 0, false, None);
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        let state = self.operation.state.get_mut();
        state.keep();
        state.how = How::Unknown;
        result
    }

    fn buffer(&self) -> Option<&Vec<u8>> {
        Some(&self.state().buffer)
    }

    fn buffer_mut(&mut self) -> Option<&mut Vec<u8>> {
        Some(&mut self.operation.state.get_mut().buffer)
    }
}

impl Request {
    /// Has everything that comes from one descriptor go to another one, until the end of the input: sockets, pipes, files, terminals, in
    /// whatever mode. [`Event::pumped`] says how many bytes went, and so does the result, as far as it can (up to `i32::MAX`). Where the
    /// kernel can do so without waiting they are not copied (by splice(2)): between pipes, and what is in non-blocking mode. No more than
    /// 64 KiB are on the way: who takes them slowly has the other side wait.
    ///
    /// It moves bytes and heeds no bounds: of datagrams (UDP) several may become one, or one several. And the end of the input is when a read
    /// gives nothing: an empty datagram is the end.
    ///
    /// If it fails, [`Failure::role`](crate::Failure::role) says whether that was its `input` or its `output`. What had been read and could not be
    /// written, then or when it is given up (cancelled, over its time limit), is the event's [buffer](Event::buffer); posted
    /// [again](Event::again), it begins with that. The end of the input is passed on with [`relay_end`](Self::relay_end).
    ///
    /// For two directions post two: each waits for its own ends. What cannot be asked without waiting (a file, a terminal in blocking mode) is
    /// read and written by a helper thread ([`work`](Self::work)). To where nobody reads any more it fails with `EPIPE`; no `SIGPIPE` is
    /// raised.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::{io::{Read, Write}, os::unix::net::UnixStream};
    /// let channel = EventChannel::new()?;
    /// let (mut client, near) = UnixStream::pair()?;
    /// let (far, mut server) = UnixStream::pair()?;
    /// channel.post(Request::pump(near, far).relay_end())?;
    /// client.write_all(b"a request")?;
    /// drop(client);
    /// assert_eq!(channel.get_event()?.pumped(), 9);
    /// let mut content = String::new();
    /// server.read_to_string(&mut content)?; // to its end
    /// assert_eq!(content, "a request");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pump(from: impl Into<Source>, to: impl Into<Source>) -> Self {
        let (nowhere, awaited) = (Err(libc::EBADF), Awaited::default());
        let operation = Pump { from: nowhere, to: nowhere, state: UnsafeCell::default(), awaited };
        Self::of(Held { from: from.into(), to: to.into(), operation })
    }

    /// Of a [`pump`](Self::pump) to a socket: the end of the input is passed on, by a shutdown of its sending side. What is no pump takes no
    /// notice of it.
    pub fn relay_end(mut self) -> Self {
        if let Some(held) = self.0.of_kind_mut::<Held>() {
            held.operation.state.get_mut().relays_end = true;
        }
        self
    }
}

impl Event {
    /// How many bytes a [`Request::pump`] has written. 0 for everything else.
    pub fn pumped(&self) -> u64 {
        self.0.of_kind::<Held>().map_or(0, |held| held.state().moved)
    }
}
