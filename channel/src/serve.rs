//! The side of the channel that a pool sees: driving its ports.

use crate::channel::{EventChannel, forked_error};
use crate::event::HandlerCall;
use crate::flight::Finished;
use crate::fork;
use crate::port::Wait;
use crate::raw::RawCompletion;
use std::io;

/// The batch that [`EventChannel::drive`] fills.
#[derive(Default)]
pub struct Completions {
    pub(crate) finished: Vec<Finished>,
    pub(crate) ready: Vec<Completion>,
}

/// Something that a pass of a port completed, and that its driver has to see to.
pub enum Completion {
    /// A raw operation: to be delivered.
    Raw(RawCompletion),
    /// An event with a handler: to be run.
    Call(HandlerCall),
}

impl Drop for Completions {
    /// Raw operations that were not taken out are delivered: their owners wait for nothing else.
    fn drop(&mut self) {
        for it in self.ready.drain(..) {
            if let Completion::Raw(raw) = it {
                let deliver = std::panic::AssertUnwindSafe(|| raw.deliver());
                if let Err(payload) = std::panic::catch_unwind(deliver) {
                    log::error!("the wake function of an operation panicked");
                    std::mem::forget(payload);
                }
            }
        }
    }
}

impl Completions {
    /// An empty batch. Keep it: its memory is used again.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes everything out.
    pub fn drain(&mut self) -> impl Iterator<Item = Completion> + '_ {
        self.ready.drain(..)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

impl EventChannel {
    /// Drives port `port` for a pool: takes in what was posted, submits it, reaps, expires timers. Raw operations and events
    /// with handlers are put into `out` for the caller; other events go to those who wait in `get_event`. This is the pass that
    /// `get_event` makes too. Blocks, as `wait` says, in the kernel until something completes, the port is
    /// woken or time is over.
    ///
    /// `Ok(false)`: another thread drives this port right now, nothing was done.
    pub fn drive(&self, port: usize, wait: Wait, out: &mut Completions) -> io::Result<bool> {
        if fork::forked() {
            return Err(forked_error());
        }
        let Some(result) = self.0.ports[port].drive(wait, &mut out.finished) else { return Ok(false) };
        self.hand_out(out);
        result.map(|()| true)
    }

    /// As [`drive`](Self::drive) without waiting, and without a system call if the driver can do without: what is complete
    /// already comes back, what was posted may wait for a pass with `drive` to be submitted. For a pool's worker that has run out of
    /// work, before it looks elsewhere or goes to sleep in `drive`.
    pub fn glance(&self, port: usize, out: &mut Completions) -> io::Result<bool> {
        if fork::forked() {
            return Err(forked_error());
        }
        let Some(result) = self.0.ports[port].glance(&mut out.finished) else { return Ok(false) };
        self.hand_out(out);
        result.map(|()| true)
    }

    fn hand_out(&self, out: &mut Completions) {
        for it in out.finished.drain(..) {
            match it {
                Finished::Raw(raw) => out.ready.push(Completion::Raw(raw)),
                Finished::Event(event) if event.0.has_handler() => {
                    self.taken(1);
                    out.ready.push(Completion::Call(HandlerCall::new(event, self.clone())));
                }
                Finished::Event(event) => {
                    let mut s = self.0.waiting.state.lock();
                    s.queue.push_back(event);
                    self.release(s);
                }
            }
        }
        if self.ended() {
            self.release(self.0.waiting.state.lock());
        }
    }

    /// Wakes the thread that sleeps in port `port`. If none does, its next attempt to sleep returns at once; no system
    /// call is made then.
    pub fn wake_port(&self, port: usize) {
        if !fork::forked() {
            self.0.ports[port].waker().call();
        }
    }

    /// Whether a thread sleeps in port `port`.
    pub fn is_asleep(&self, port: usize) -> bool {
        self.0.ports[port].waker().is_asleep()
    }

    /// Tells that a pool drives the ports from now on, until the guard is dropped: callers of `get_event` only
    /// wait, posts are spread over the ports. If nobody drives them, nothing completes.
    pub fn serve(&self) -> ServeGuard {
        if !fork::forked() {
            self.0.waiting.state.lock().served += 1;
            // Whoever leads at the moment comes out and follows.
            self.0.ports[0].waker().call();
        }
        ServeGuard(self.clone())
    }
}

/// A pool serves the channel as long as this lives. See [`EventChannel::serve`].
pub struct ServeGuard(EventChannel);

impl Drop for ServeGuard {
    fn drop(&mut self) {
        if !fork::forked() {
            let mut s = self.0.0.waiting.state.lock();
            s.served -= 1;
            self.0.release(s);
        }
    }
}
