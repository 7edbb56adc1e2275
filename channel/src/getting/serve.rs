//! The side of the channel that a pool sees: driving its ports.

#![allow(unsafe_code)]

use crate::drivers::Driver;
use crate::foreign::{self, quietly};
use crate::fork;
use crate::getting::handler::HandlerCall;
use crate::getting::shared::{EventChannel, forked_error};
use crate::operation::RawCompletion;
use crate::ports::flight::Finished;
use crate::ports::{Pass, Wait};
use std::io;

/// The batch that [`Serving::drive`] fills.
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
        let was_child = fork::is_child();
        let mut ready = std::mem::take(&mut self.ready).into_iter();
        while let Some(it) = ready.next() {
            if let Completion::Raw(raw) = it
                && !foreign::call(|| raw.deliver())
            {
                quietly!(error, "the wake function of an operation panicked");
            }
            if was_child != fork::is_child() {
                // (Forked by what was called: the rest is the parent's.)
                return std::mem::forget(ready);
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

impl Serving {
    /// Drives port `port` for a pool: takes in what was posted, submits it, reaps, expires timers. Raw operations and events
    /// with handlers are put into `out` for the caller; other events go to those who wait in `get_event`. This is the pass that
    /// `get_event` makes too. Blocks, as `wait` says, in the kernel until something completes, the port is
    /// woken or time is over.
    ///
    /// `Ok(false)`: another thread drives this port right now, nothing was done.
    ///
    /// # Errors
    /// The driver fails. If it has failed for good this is told once
    /// ([`on_internal_error`](crate::ChannelBuilder::on_internal_error): without a hook the process ends); from then on the port's timers
    /// go on, and its requests end with that errno. In a forked child.
    pub fn drive(&self, port: usize, wait: Wait, out: &mut Completions) -> io::Result<bool> {
        self.pass(port, out, |pass, finished| pass.drive(wait, finished))
    }

    /// As [`drive`](Self::drive) without waiting, and without a system call if the driver can do without: what is complete
    /// already comes back, what was posted may wait for a pass with `drive` to be submitted. For a pool's worker that has run out of
    /// work, before it looks elsewhere or goes to sleep in `drive`.
    pub fn glance(&self, port: usize, out: &mut Completions) -> io::Result<bool> {
        self.pass(port, out, |pass, finished| pass.glance(finished))
    }

    #[inline(always)]
    fn pass(
        &self,
        port: usize,
        out: &mut Completions,
        look: impl FnOnce(&mut Pass<'_>, &mut Vec<Finished>) -> io::Result<()>,
    ) -> io::Result<bool> {
        if fork::is_child() {
            return Err(forked_error());
        }
        let Some(mut pass) = self.0.0.ports[port].begin_pass() else { return Ok(false) };
        let result = look(&mut pass, &mut out.finished);
        // (In the pass: what is called here, an allocator say, must not wait for what this thread has in hand.)
        self.0.hand_out(out);
        drop(pass);
        if let Err(error) = &result {
            self.0.has_failed(port, error);
        }
        result.map(|()| true)
    }

    /// Wakes the thread that sleeps in port `port`. If none does, its next attempt to sleep returns at once; no system
    /// call is made then.
    pub fn wake_port(&self, port: usize) {
        if !fork::is_child() {
            self.0.0.ports[port].waker().call();
        }
    }
}

impl EventChannel {
    fn hand_out(&self, out: &mut Completions) {
        for it in out.finished.drain(..) {
            if let Finished::Event(event) = &it {
                self.has_come(event);
            }
            match it {
                Finished::Raw(raw) => out.ready.push(Completion::Raw(raw)),
                Finished::Event(event) if event.0.has_handler() => {
                    self.taken(1);
                    out.ready.push(Completion::Call(HandlerCall::new(event, self.clone())));
                }
                Finished::Event(event) => {
                    self.0.waiting.push(event);
                    self.0.wake();
                }
            }
        }
        if self.ended() {
            self.release(self.0.waiting.state.lock());
        }
    }

    /// Whether a thread sleeps in port `port`.
    pub fn is_asleep(&self, port: usize) -> bool {
        self.0.ports[port].waker().is_asleep()
    }

    /// Takes it on to drive the ports, until what comes back is dropped: callers of `get_event` only wait from now on, posts are
    /// spread over the ports.
    ///
    /// # Errors
    /// Somebody does already ([`AlreadyExists`](io::ErrorKind::AlreadyExists)): a runtime's own channel is always served. In a
    /// forked child. And on [`Driver::Direct`], where one request would hold up those of others.
    ///
    /// # Safety
    /// Every port is driven until the end, and every completion that comes of it is delivered or run: getters, suspended tasks and
    /// what others have posted wait for nothing else.
    ///
    /// ```compile_fail,E0133
    /// let channel = ec_channel::EventChannel::new()?;
    /// // Not without `unsafe`: a task or another thread may be waiting in there.
    /// let serving = channel.serve()?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    /// ```compile_fail,E0599
    /// let channel = ec_channel::EventChannel::new()?;
    /// // No such method: who drives a port without serving it would keep what others wait for.
    /// channel.drive(0, ec_channel::Wait::No, &mut ec_channel::Completions::new())?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    /// ```
    /// use ec_channel::{Completion, Completions, EventChannel, Request, Wait};
    /// let channel = EventChannel::new()?;
    /// // SAFETY: the one port is driven here until nobody waits for it any more, and all that comes of it is seen to.
    /// let serving = unsafe { channel.serve() }?;
    /// channel.post(Request::timer(std::time::Duration::from_millis(1)).on_complete(|_, _| println!("done")))?;
    /// let mut out = Completions::new();
    /// while out.is_empty() {
    ///     serving.drive(0, Wait::Forever, &mut out)?;
    /// }
    /// for completion in out.drain() {
    ///     match completion {
    ///         Completion::Raw(operation) => operation.deliver(),
    ///         Completion::Call(call) => call.run(),
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub unsafe fn serve(&self) -> io::Result<Serving> {
        if fork::is_child() {
            return Err(forked_error());
        }
        if self.driver().kind() == Driver::Direct {
            let what = "the driver direct carries out one request at a time: it is not for a pool";
            return Err(io::Error::new(io::ErrorKind::Unsupported, what));
        }
        let mut s = self.0.waiting.state.lock();
        let served_before = std::mem::replace(&mut s.served, true);
        let outside = s.leader().and_then(|leader| leader.outside.clone());
        drop(s);
        if served_before {
            drop(outside);
            let what = "somebody drives the ports of this event channel already";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
        }
        // Whoever leads at the moment comes out and follows, wherever he sleeps.
        self.0.ports[0].waker().call();
        if let Some(leader) = outside {
            leader.call();
        }
        Ok(Serving(self.clone()))
    }
}

/// The right to drive the ports of a channel, as long as it lives. See [`EventChannel::serve`].
pub struct Serving(EventChannel);

impl Drop for Serving {
    fn drop(&mut self) {
        if !fork::is_child() {
            let mut s = self.0.0.waiting.state.lock();
            s.served = false;
            self.0.release(s);
        }
    }
}
