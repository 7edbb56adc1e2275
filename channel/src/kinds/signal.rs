//! Signals that come to the process.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::stream::{Flow, Found, GivenBack, Item, Origin};
use crate::occurrences::take_or_hush;
use crate::operation::{Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys::dispositions;
use crate::sys::signals::{Caught, Taken};
use io_uring::{opcode, squeue, types};
use std::cell::Cell;
use std::io;
use std::time::Instant;

/// Waits until one of the signals has come.
struct Await {
    caught: Caught,
    /// What is to become the next item.
    taken: Cell<Option<Taken>>,
    /// The signal that was the last one: the next is another, if there is one.
    last: Cell<i32>,
}

impl Await {
    fn is_due(&self) -> bool {
        if self.taken.get().is_none() {
            self.taken.set(take_or_hush(&self.caught.bell, || self.caught.take(self.last.get())));
        }
        self.taken.get().is_some()
    }
}

static SIGNALS: Class = Class::new();

// SAFETY: it touches what is atomic, and the bell, which it holds.
unsafe impl Carry for Await {
    fn waits_for(&self) -> Option<Readiness> {
        let line = Line::new(&SIGNALS, 0);
        Some(Readiness { fd: self.caught.bell.fd(), interest: libc::POLLIN, line })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::PollAdd::new(types::Fd(self.caught.bell.fd()), libc::POLLIN as u32).build())
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        self.is_due().then_some(0)
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        self.is_due().then_some(0)
    }

    fn is_attempted_at_last(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.is_due() { Verdict::Final } else { Verdict::Again }
    }
}

struct Signals {
    flow: Flow,
    operation: Await,
}

impl Kept for Signals {
    fn kind(&self) -> u8 {
        EventKind::Signal as u8
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn item(&mut self, _result: i32, _now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        let Some(Taken { signal, count, sender }) = self.operation.taken.take() else { return Err(0) };
        self.operation.last.set(signal);
        let sender = sender.map(|(pid, uid)| SignalSender { pid, uid });
        Ok(origin.item(self.kind(), &self.flow, Signal { number: signal, occurrences: count, sender }))
    }
}

impl Found for Signal {}

/// A [signal](Request::signal) that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signal {
    /// `SIGTERM`, say.
    pub number: i32,
    /// How often it has come since the last item of it. (What the kernel itself takes together, since the process has it blocked, is one.)
    pub occurrences: u64,
    /// Who has sent it: the last one, if it has come several times. `None`: the kernel, or there is no telling.
    pub sender: Option<SignalSender>,
}

/// Who has sent a [signal](Signal). Of `SIGCHLD`: the child that it tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignalSender {
    /// The number of the process.
    pub pid: u32,
    /// The number of its user.
    pub uid: u32,
}

impl Request {
    /// A stream: each time that this signal comes to the process there is an item, with a [`Signal`](Event::signal). What comes faster than it
    /// is fetched is counted in the next one. Any number may wait for the same signal, on any channels: it comes to each of them. See
    /// [`exclusive`](Self::exclusive) for one alone.
    ///
    /// The signal is caught from now on, and until the last who waits for it has gone: the request, or its last event, was dropped. Then it does
    /// again what it did before. A handler that the program had set before is called, too, after the signal has been counted, as the kernel
    /// would call it: with the signals kept out, and on the stack, that it has asked for, and once if it is to be called once
    /// (`SA_RESETHAND`). If the program sets one meanwhile that is its own affair: unless that calls the one before, nobody here hears of the
    /// signal, until somebody waits for it anew. It is left in place.
    ///
    /// Children: a signal to a forked child never comes here, nor the other way round. There it does what it did before anybody waited here.
    /// What is executed in a child begins with the default.
    ///
    /// # Errors
    /// It cannot be waited for ([`InvalidInput`](io::ErrorKind::InvalidInput)): there is no such signal; nobody may catch it (`SIGKILL`,
    /// `SIGSTOP`); it says that a thread has done wrong (`SIGSEGV`, `SIGBUS`, `SIGFPE`, `SIGILL`, `SIGTRAP`, `SIGSYS`); libc has it, or
    /// this crate. Or there is no descriptor left (it takes one). Or the program has set more than seven
    /// different handlers for it by now, over those that were there while somebody waited.
    /// Or this is a forked child of a process that has a channel.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::signal(libc::SIGHUP)?)?;
    /// // SAFETY: no pointer is passed.
    /// unsafe { libc::kill(libc::getpid(), libc::SIGHUP) };
    /// let item = channel.get_event()?;
    /// let signal = item.signal().unwrap();
    /// assert_eq!((signal.number, signal.occurrences), (libc::SIGHUP, 1));
    /// assert_eq!(signal.sender.unwrap().pid, std::process::id());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn signal(signal: i32) -> io::Result<Self> {
        Self::signals([signal])
    }

    /// As [`signal`](Self::signal), for several of them. Each item is of one.
    ///
    /// # Errors
    /// As there, if one of them cannot be waited for. Then none is caught. No signal at all is an error, too.
    ///
    /// ```
    /// # use ec_channel::Request;
    /// let stop = Request::signals([libc::SIGINT, libc::SIGTERM])?;
    /// let error = Request::signals([libc::SIGINT, libc::SIGKILL]).unwrap_err();
    /// assert_eq!(error.to_string(), "signal 9 cannot be waited for: the kernel lets nobody catch it");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn signals(signals: impl IntoIterator<Item = i32>) -> io::Result<Self> {
        let signals: Vec<i32> = signals.into_iter().collect();
        if signals.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no signal is waited for"));
        }
        signals.iter().try_for_each(|signal| dispositions::check(*signal))?;
        let caught = Caught::new(&signals)?;
        let operation = Await { caught, taken: Cell::new(None), last: Cell::new(0) };
        Ok(Self::of(Signals { flow: Flow::new(GivenBack::Fetched), operation }))
    }

    /// For a stream of [signals](Self::signal): each occurrence comes to one of those that are exclusive, whoever of them is the first to take
    /// it. (And to each of those that are not.) What is no stream of signals takes no notice of it.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let (one, other) = (EventChannel::new()?, EventChannel::new()?);
    /// for channel in [&one, &other] {
    ///     channel.post(Request::signal(libc::SIGUSR2)?.exclusive())?;
    /// }
    /// // SAFETY: no pointer is passed.
    /// unsafe { libc::raise(libc::SIGUSR2) };
    /// assert!(other.get_event()?.signal().is_some());
    /// assert!(one.try_get_event()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn exclusive(mut self) -> Self {
        if let Some(signals) = self.0.of_kind_mut::<Signals>() {
            signals.operation.caught.set_exclusive();
        }
        self
    }
}

impl Event {
    /// Of an item of a stream of [signals](Request::signal): which one has come. `None` for everything else.
    pub fn signal(&self) -> Option<&Signal> {
        Some(&self.0.of_kind::<Item<Signal>>()?.found)
    }
}
