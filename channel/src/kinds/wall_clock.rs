//! A point in time by the system's clock, which may be set meanwhile.
//!
//! Each request has a timerfd of its own. The kernel sees to it that it is ready when the clock says so, however that comes about: it looks
//! at all its absolute timers when the clock is set, steps for a leap second, or the machine wakes up. A timer in the port's wheel would need
//! one that tells of all this, and a reckoning of it that is right; that would save a descriptor, which is dear where thousands wait for times
//! of day. Nobody has yet.

#![allow(unsafe_code)]

use super::EventKind;
use super::readiness::Poll;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::operation::{Carry, Readiness, Verdict};
use crate::sys;
use io_uring::squeue;
use std::cell::LazyCell;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Waits for the timer, if there is one.
struct Await(Option<Poll>);

impl Await {
    fn poll(&self) -> Poll {
        self.0.unwrap_or(Poll { fd: -1, events: libc::POLLIN })
    }
}

// SAFETY: as `Poll`, which touches nothing.
unsafe impl Carry for Await {
    fn needs_driver(&self) -> bool {
        self.0.is_some()
    }

    fn waits_for(&self) -> Option<Readiness> {
        self.poll().waits_for()
    }

    fn entry(&self) -> Option<squeue::Entry> {
        self.poll().entry()
    }

    unsafe fn attempt(&self, revents: i16) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.poll().attempt(revents) }
    }

    unsafe fn first_attempt(&self, resting: bool) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.poll().first_attempt(resting) }
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        // SAFETY: by contract.
        unsafe { self.poll().last_attempt() }
    }

    fn judge(&self, result: i32) -> Verdict {
        self.poll().judge(result)
    }

    fn judge_success(&self, result: i32) -> Verdict {
        self.0.map_or(Verdict::Final, |poll| poll.judge_success(result))
    }
}

struct Held {
    at: SystemTime,
    /// If the time had not come as it was posted. Or why there is none.
    timer: Result<Option<OwnedFd>, i32>,
    operation: Await,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::WallClock as u8
    }

    fn prepare(&mut self) {
        self.timer = match self.at <= SystemTime::now() {
            true => Ok(None),
            false => timer_at(self.at).map(Some),
        };
        let fd = self.timer.as_ref().ok().and_then(Option::as_ref).map(AsRawFd::as_raw_fd);
        self.operation = Await(fd.map(|fd| Poll { fd, events: libc::POLLIN }));
    }

    /// What needs no driver is over at once.
    fn deadline(&mut self, _now: &LazyCell<Instant>, limit: Option<Instant>) -> Option<Instant> {
        limit.filter(|_| self.operation.needs_driver())
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        match self.timer {
            Ok(_) => result.min(0),
            Err(errno) => -errno,
        }
    }
}

/// A timer of the kernel's that is ready from this time on, which lies in the future; or an errno. (What lies beyond the kernel's own time,
/// in some hundred years, never comes.)
fn timer_at(at: SystemTime) -> Result<OwnedFd, i32> {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    // SAFETY: all zero is a valid value of this plain structure.
    let mut times: libc::itimerspec = unsafe { std::mem::zeroed() };
    // (Where they are 32 bits.)
    times.it_value.tv_sec = since.as_secs().try_into().unwrap_or(i32::MAX.into());
    // (No time at all would be no timer.)
    times.it_value.tv_nsec = since.subsec_nanos().max(1) as _;
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::timerfd_create(libc::CLOCK_REALTIME, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) };
    if fd < 0 {
        return Err(sys::errno());
    }
    // SAFETY: the descriptor is new and ours.
    let timer = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: a live time; nobody wants the one before.
    match unsafe { libc::timerfd_settime(fd, libc::TFD_TIMER_ABSTIME, &times, ptr::null_mut()) } {
        0 => Ok(timer),
        _ => Err(sys::errno()),
    }
}

impl Request {
    /// Completes when the system's clock shows this time, or a later one: at once if it does so already. If the clock is set meanwhile,
    /// forward or back, it is what it shows then that counts; and the time goes on while the machine sleeps. What is posted
    /// [again](crate::Event::again) is for the same time.
    ///
    /// If it has to wait it takes a descriptor, until its event is dropped. Where there is none to be had it fails, with `EMFILE` or
    /// `ENFILE`. For a span of time, which nobody can set, there is [`timer`](Self::timer).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::time::{Duration, SystemTime};
    /// let channel = EventChannel::new()?;
    /// let at = SystemTime::now() + Duration::from_millis(5);
    /// channel.post(Request::wall_clock(at))?;
    /// channel.get_event()?.result()?;
    /// assert!(SystemTime::now() >= at);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn wall_clock(at: SystemTime) -> Self {
        Self::of(Held { at, timer: Ok(None), operation: Await(None) })
    }
}
