//! A port: one driver, its timers, and the requests that passed through it.
//!
//! ```text
//!  any thread                          the thread that drives (one at a time)
//!  ----------                          --------------------------------------
//!  submit(op) -> slot + generation     drive():
//!  cancel(id)      |                     takes the inbox in
//!                  v                     arms timers, submits to the driver
//!          [ shared: slots, inbox ] -->  sleeps in the kernel until something completes
//!                  |                     settles what completed: retries, cancel races, deadlines
//!          wakes the sleeper, if any     frees the slots, hands the completions to its caller
//! ```
//! Everything that concerns the driver happens on the driving thread, in the order of the inbox. So a cancel never
//! overtakes its request and never races with its completion.
//!
//! A port has two locks:
//!
//! * `shared` is held for a few instructions at a time, and never over an allocation.
//! * `drive` is held for one pass, sleep included. Nobody waits for it: whoever finds it taken goes elsewhere. So an
//!   allocator that is called in a pass may do what it likes.

#![allow(unsafe_code)]

pub(crate) mod flight;
pub(crate) mod in_flight;
mod inbox;
mod lacking;
mod slots;
mod wait;
mod wheel;

use crate::alarm::Asleep;
use crate::blocker;
use crate::drivers::Backend;
use crate::id::OpId;
use crate::lock::{Mutex, TryLock, TryLockGuard};
use crate::operation::{Owner, RawOp};
use crate::ports::flight::failed::lasting;
use crate::ports::flight::helped::Home;
use crate::ports::flight::laid::{Laid, Look, Seen, Shown};
use crate::ports::flight::{Drive, Finished};
use crate::ports::in_flight::InFlight;
use crate::ports::inbox::{Counts, Message, PortShared};
use crate::registrar::{Registrar, Registration};
use crate::waker::{Rope, Waker};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use wait::Wait;

pub(crate) struct Port {
    index: usize,
    has_descriptor: bool,
    registrar: Option<Arc<Registrar>>,
    shared: Arc<Mutex<PortShared>>,
    drive: TryLock<Drive>,
    laid: Mutex<Laid>,
    /// Who makes a pass, as [`blocker::caller_number`] has it; 0: nobody.
    driven_by: AtomicU64,
    waker: Arc<Waker>,
    /// What others have of the waker.
    rope: Arc<Rope>,
}

// SAFETY: the operations that the driving side points to may be used from any thread and stay in place until they are
// complete (`submit_raw`'s contract); the port reaches them under its locks only.
unsafe impl Send for Port {}
// SAFETY: as above.
unsafe impl Sync for Port {}

impl Port {
    pub(crate) fn new(index: usize, backend: Box<dyn Backend>, waker: Arc<Waker>) -> Self {
        let shared = Arc::new(Mutex::default());
        let rope = Arc::new(Rope::new(waker.clone()));
        let home = Home { shared: shared.clone(), rope: rope.clone() };
        Self {
            index,
            has_descriptor: backend.as_fd().is_some(),
            registrar: backend.registrar(),
            shared,
            drive: TryLock::new(Drive::new(backend, home)),
            laid: Mutex::default(),
            driven_by: AtomicU64::new(0),
            waker,
            rope,
        }
    }

    /// Queues `op`; see [`EventChannel::submit_raw`](crate::EventChannel::submit_raw). Gives it back when all slots
    /// are taken. ([`wake`](Self::wake) is to follow.)
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn submit(&self, op: *mut RawOp) -> Result<OpId, *mut RawOp> {
        let mut s = PortShared::lock(&self.shared);
        // SAFETY: it is in place, and nobody else's yet.
        let of_event = unsafe { (*op).owner != Owner::Somebody };
        s.submit(self.index, of_event, op).ok_or(op)
    }

    /// Whoever sleeps here is to take in what was submitted.
    pub(crate) fn wake(&self) {
        self.waker.call_if_asleep();
    }

    /// Asks to cancel request `id`, if it is an event's or not, as said; false if it has already come back, or is not.
    pub(crate) fn cancel(&self, id: OpId, of_event: bool) -> bool {
        let is_live = PortShared::lock(&self.shared).cancel(id, of_event);
        if is_live {
            self.waker.call_if_asleep();
        }
        is_live
    }

    /// The stream `id` has credit again.
    pub(crate) fn resume(&self, id: OpId) {
        let mut s = PortShared::lock(&self.shared);
        if s.slots.is_live(id) {
            s.inbox.push(Message::Resume(id));
            drop(s);
            self.waker.call_if_asleep();
        }
    }

    /// Cancels the events, not the raw operations, that are in flight.
    pub(crate) fn cancel_events(&self) {
        PortShared::lock(&self.shared).cancel_events();
        self.waker.call();
    }

    /// See [`EventChannel::registers`](crate::EventChannel::registers).
    pub(crate) fn registers(&self) -> bool {
        self.registrar.is_some()
    }

    /// See [`EventChannel::register`](crate::EventChannel::register).
    pub(crate) fn register(&self, channel: u32, fd: RawFd) -> Option<Registration> {
        Registration::new(self.registrar.as_ref()?, channel, self.index, fd)
    }

    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// Whether anything is queued or in flight here.
    pub(crate) fn is_busy(&self) -> bool {
        self.taken() > 0
    }

    fn taken(&self) -> usize {
        self.shared.lock().slots.taken()
    }

    /// Is there anything that no pass has taken in?
    pub(crate) fn has_post(&self) -> bool {
        !self.shared.lock().inbox.is_empty()
    }

    /// The events that are in flight. `None`: the caller makes a pass, or somebody else does who does not come to an end, nor
    /// into the driver, for so long.
    pub(crate) fn in_flight(&self, channel: u32, limit: Duration) -> Option<Vec<InFlight>> {
        if self.is_driven_by(blocker::caller_number()) {
            return None;
        }
        let (mut seen, end) = (Seen::default(), Instant::now() + limit);
        loop {
            let look = match self.drive.try_lock() {
                Some(drive) => drive.look_at_all(channel, &self.shared, &mut seen),
                None => self.laid.lock().look(channel, &self.shared, &mut seen),
            };
            match look {
                Look::Done => return Some(seen.into_events(channel)),
                Look::Narrow(messages, events) => seen.make_room(messages, events),
                Look::Busy if Instant::now() >= end => return None,
                // (It is soon over, as a rule.)
                Look::Busy => std::thread::yield_now(),
            }
        }
    }

    /// Begins a pass. `None`: another thread makes one.
    pub(crate) fn begin_pass(&self) -> Option<Pass<'_>> {
        let drive = self.drive.try_lock()?;
        self.driven_by.store(blocker::caller_number(), Ordering::Relaxed);
        Some(Pass { port: self, drive })
    }

    /// Does the caller, whose number is `here`, make a pass of this port? (It asks what it has written itself.)
    pub(crate) fn is_driven_by(&self, here: u64) -> bool {
        self.driven_by.load(Ordering::Relaxed) == here
    }

    /// Is there a descriptor that one may wait for in place of a sleep in `drive`?
    pub(crate) fn has_descriptor(&self) -> bool {
        self.has_descriptor
    }

    /// For those who cannot sleep in `drive`: announces sleep and gives the descriptor to wait for and how long.
    /// `None`: there is something to do. (Only of a port that [has](Self::has_descriptor) one.)
    pub(crate) fn begin_sleep(&self) -> Option<OutsideSleep<'_>> {
        let mut d = self.drive.try_lock()?;
        if d.has_failed() || d.is_behind() || !d.backend.flush() {
            return None;
        }
        let asleep = self.waker.sleep()?;
        let fd = d.backend.as_fd().expect("asked for only where there is one").as_raw_fd();
        let sleep = OutsideSleep { port: self, asleep: Some(asleep), fd, timer: d.timeout(Wait::Forever) };
        (!self.has_post()).then_some(sleep)
    }

    /// Cancels all that is in flight and collects it, for at most `limit`. What a helper has by then that helper lets go of, when it is
    /// through with it. What the kernel does not give back stays where it is, for ever: it may still be written to. Gives how many that are.
    pub(crate) fn close(&self, limit: Duration, out: &mut Vec<Finished>) -> usize {
        let kept = if self.is_busy() { self.collect(limit, out) } else { 0 };
        self.rope.cut();
        kept
    }

    fn collect(&self, limit: Duration, out: &mut Vec<Finished>) -> usize {
        let end = Instant::now() + limit;
        let (ids, mine) = {
            // (The channel goes with this: nobody else drives it any more.)
            let Some(mut d) = self.drive.try_lock() else { return self.taken() };
            d.take_in(&self.shared);
            while d.is_behind() {
                d.take_in(&self.shared);
            }
            d.close_streams();
            // What had the last clone of the channel does not wait for itself.
            (d.ids(), d.run_by_caller())
        };
        for id in ids {
            // (Whatever it is.)
            let _ = self.cancel(id, true) || self.cancel(id, false);
        }
        while self.taken() > mine {
            let left = end.saturating_duration_since(Instant::now());
            let driven = self.pass(Wait::For(left.min(Duration::from_millis(50))), out);
            if !driven || left.is_zero() {
                break;
            }
        }
        // What came before is taken in yet.
        self.shared.lock().is_closed = true;
        let _ = self.pass(Wait::No, out);
        let with_helpers = self.drive.try_lock().map_or(0, |d| d.with_helpers());
        self.taken().saturating_sub(with_helpers)
    }

    /// A pass, as the channel goes. (It does not sleep while there is something in its hands.)
    fn pass(&self, wait: Wait, out: &mut Vec<Finished>) -> bool {
        let mut came = Vec::new();
        let driven = self.begin_pass().map(|mut pass| pass.drive(wait, &mut came));
        out.append(&mut came);
        matches!(driven, Some(Ok(())))
    }
}

/// Somebody sleeps, who waits for a port's descriptor and does not drive it. Taken back when this is dropped, if nobody has taken his
/// place meanwhile.
pub(crate) struct OutsideSleep<'a> {
    port: &'a Port,
    /// `None`: taken back.
    asleep: Option<Asleep>,
    pub(crate) fd: RawFd,
    /// The next timer of the port comes after so long.
    pub(crate) timer: Option<Duration>,
}

impl Drop for OutsideSleep<'_> {
    fn drop(&mut self) {
        if let Some(asleep) = self.asleep.take() {
            self.port.waker.awake(asleep);
        }
    }
}

/// A pass that is under way, until it is dropped: nobody else makes one of this port, and what is called meanwhile may ask for it
/// ([`Port::is_driven_by`]).
pub(crate) struct Pass<'a> {
    port: &'a Port,
    drive: TryLockGuard<'a, Drive>,
}

impl Pass<'_> {
    /// The whole pass, see the picture above.
    pub(crate) fn drive(&mut self, wait: Wait, out: &mut Vec<Finished>) -> io::Result<()> {
        let (port, d) = (self.port, &mut *self.drive);
        d.take_in(&port.shared);
        d.expire(out);
        let mut timeout = Some(Duration::ZERO);
        let mut asleep = None;
        if wait != Wait::No && out.is_empty() && !d.is_behind() {
            asleep = port.waker.sleep();
            if asleep.is_some() && !port.has_post() {
                timeout = d.timeout(wait);
            }
        }
        // (Where there is no descriptor to wait for a call may block, whatever is said.)
        let polled = match timeout == Some(Duration::ZERO) && port.has_descriptor {
            true => d.poll(timeout, &port.waker),
            false => Shown::begin(d, &port.laid).drive.poll(timeout, &port.waker),
        };
        self.see(&polled);
        let (port, d) = (self.port, &mut *self.drive);
        if let Some(asleep) = asleep {
            port.waker.awake(asleep);
        }
        d.settle(out);
        if timeout != Some(Duration::ZERO) {
            d.expire(out);
        }
        d.release(&port.shared);
        polled
    }

    /// What a pass fills, emptied, stays with the port: so that nothing is allocated for each pass.
    pub(crate) fn exchange_memory(&mut self, out: &mut Vec<Finished>) {
        if out.is_empty() {
            std::mem::swap(&mut self.drive.spare, out);
        }
    }

    /// Without waiting, and without a system call if the driver can do without: what was posted is taken in, what is
    /// complete already is collected.
    pub(crate) fn glance(&mut self, out: &mut Vec<Finished>) -> io::Result<()> {
        let d = &mut *self.drive;
        d.take_in(&self.port.shared);
        let looked = match d.has_failed() {
            false => d.backend.glance(&mut d.done),
            true => {
                d.look();
                Ok(())
            }
        };
        self.see(&looked);
        let d = &mut *self.drive;
        d.expire(out);
        d.release(&self.port.shared);
        looked
    }

    /// If the driver has failed for good, it is not asked any more.
    fn see(&mut self, looked: &io::Result<()>) {
        if let Some(errno) = looked.as_ref().err().and_then(lasting) {
            self.port.waker.nobody_hears();
            self.drive.fail(errno);
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        // (Before the lock is free.)
        self.port.driven_by.store(0, Ordering::Relaxed);
    }
}
