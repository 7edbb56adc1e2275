//! What the handles of one socket know about it, and the path of a call that may wait.
//!
//! The kernel knows a socket's timeouts and whether it is non-blocking. Asking it at each call would
//! cost a system call. So the handles remember, in one place for all handles that `try_clone` made.
//!
//! [`Mode::call`] decides how a call is done:
//!
//! * plain threads and non-blocking sockets: by std's blocking call;
//! * plain threads inside a `timeout`: by poll(2) and a call that does not wait;
//! * tasks: by a call that does not wait, where it is likely to succeed, and else by an operation of the channel.

use super::ready::Ready;
use super::registered::Registered;
use super::sys::{self, Later, Origin};
use ec_channel::Luck;
use ec_channel::raw::Registration;
use ec_pool::wait::{self, Before, Limit, Stop};
use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Which way a call goes: what it polls for, and whose timeout holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

/// One handle's knowledge of its socket.
pub(super) struct Mode {
    shared: Arc<Remembered>,
    /// The last read of this handle filled its buffer: there may be more.
    more: AtomicBool,
    /// Whether attempts find something.
    luck: Luck,
    /// What this handle's calls have cost since the last one that waited.
    spent: AtomicUsize,
    /// How the driver knows this handle's descriptor, once a call of it has had to wait. (Goes before the descriptor is closed.)
    registered: Registered,
}

/// After so many bytes moved by calls that did not have to wait, the task lets others have the
/// core: some 50 µs of copying.
const TURN: usize = 128 * 1024;
/// What a call costs besides, so that many small ones have their end too.
const CALL: usize = 4 * 1024;
/// The most that one attempt to send is given, for it cannot be interrupted.
pub(super) const MOST_AT_ONCE: usize = 256 * 1024;

/// How many bytes a call has moved.
pub(super) trait Moved {
    fn moved(&self) -> usize;
}

impl Moved for usize {
    fn moved(&self) -> usize {
        *self
    }
}

impl<A> Moved for (usize, A) {
    fn moved(&self) -> usize {
        self.0
    }
}

impl<A> Moved for (std::net::TcpStream, A) {
    fn moved(&self) -> usize {
        0
    }
}

struct Remembered {
    origin: Origin,
    /// In nanoseconds; 0 is none.
    read: AtomicU64,
    write: AtomicU64,
    nonblocking: AtomicBool,
    /// The errno that a write has met after it had sent something; 0: none. The kernel has given it away by that, and the next call is
    /// to have it.
    error: AtomicI32,
    /// Somebody else has had the descriptor: the socket may have options that were not set here.
    given_out: AtomicBool,
}

impl Remembered {
    fn new(origin: Origin) -> Self {
        Remembered {
            origin,
            read: AtomicU64::new(0),
            write: AtomicU64::new(0),
            nonblocking: AtomicBool::new(false),
            error: AtomicI32::new(0),
            given_out: AtomicBool::new(false),
        }
    }
}

impl Mode {
    /// For a socket just made: no timeouts, blocking.
    pub(super) fn new(origin: Origin) -> Self {
        Self::with(Remembered::new(origin))
    }

    /// For a socket that comes from elsewhere. What is no socket has no timeouts; its calls will fail.
    pub(super) fn of(fd: BorrowedFd<'_>) -> Self {
        let socket = socket2::SockRef::from(&fd);
        let mode = Self::new(Origin::Elsewhere);
        mode.given_out();
        mode.set_timeout(Way::In, socket.read_timeout().ok().flatten());
        mode.set_timeout(Way::Out, socket.write_timeout().ok().flatten());
        mode.remember_nonblocking(ec_channel::nonblocking(fd).unwrap_or(false));
        mode
    }

    /// For a socket accepted from this one: it has inherited the options, not the mode.
    pub(super) fn accepted(&self) -> Self {
        let copy = |timeout: &AtomicU64| AtomicU64::new(timeout.load(Ordering::Relaxed));
        let (read, write) = (copy(&self.shared.read), copy(&self.shared.write));
        let given_out = AtomicBool::new(self.was_given_out());
        Self::with(Remembered { read, write, given_out, ..Remembered::new(self.shared.origin) })
    }

    /// For another handle of the same socket.
    pub(super) fn another(&self) -> Self {
        Self::sharing(self.shared.clone())
    }

    fn with(shared: Remembered) -> Self {
        Self::sharing(Arc::new(shared))
    }

    fn sharing(shared: Arc<Remembered>) -> Self {
        let (more, spent) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { shared, more, luck: Luck::default(), spent, registered: Registered::default() }
    }

    /// The descriptor is about to be closed, or to be somebody else's.
    pub(super) fn leave(&mut self) {
        self.registered.leave();
    }

    fn registration(&self, fd: BorrowedFd<'_>) -> Option<&Registration> {
        // SAFETY: `fd` is this handle's, and is closed after `leave`. Who is told of the registration borrows the handle as long.
        unsafe { self.registered.get(fd, self.shared.origin) }
    }

    /// Somebody else is about to have the descriptor.
    pub(super) fn given_out(&self) {
        if !self.was_given_out() {
            self.shared.given_out.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the socket may have options that its handles do not know of.
    pub(super) fn was_given_out(&self) -> bool {
        self.shared.given_out.load(Ordering::Relaxed)
    }

    /// Puts the socket into that mode. While a driver has changed it for an attempt, this waits.
    pub(super) fn set_nonblocking(&self, fd: BorrowedFd<'_>, nonblocking: bool) -> io::Result<()> {
        ec_channel::set_nonblocking(fd, nonblocking)?;
        self.remember_nonblocking(nonblocking);
        Ok(())
    }

    fn remember_nonblocking(&self, nonblocking: bool) {
        self.shared.nonblocking.store(nonblocking, Ordering::Relaxed);
    }

    pub(super) fn set_timeout(&self, way: Way, timeout: Option<Duration>) {
        let nanos = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX).max(1));
        self.timeout(way).store(nanos, Ordering::Relaxed);
    }

    fn timeout(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::In => &self.shared.read,
            Way::Out => &self.shared.write,
        }
    }

    fn limit(&self, way: Way) -> Option<Limit> {
        let nanos = self.timeout(way).load(Ordering::Relaxed);
        // A timeout too long to count is none, as with std.
        if nanos == 0 || nanos == u64::MAX {
            return None;
        }
        let at = Instant::now().checked_add(Duration::from_nanos(nanos))?;
        // As the kernel says it when SO_RCVTIMEO or SO_SNDTIMEO is over.
        Some(Limit { at, errno: libc::EAGAIN })
    }

    /// Whether a receive is worth a system call before it is posted: one that finds nothing costs more than it saves.
    pub(super) fn data_likely(&self) -> bool {
        self.more.load(Ordering::Relaxed) || self.luck.tries()
    }

    /// Keeps in mind whether a read has filled its buffer.
    pub(super) fn read_filled(&self, filled: bool) {
        if self.more.load(Ordering::Relaxed) != filled {
            self.more.store(filled, Ordering::Relaxed);
        }
    }

    /// The error that a write has met midway, once.
    pub(super) fn take_error(&self) -> Option<io::Error> {
        if self.shared.error.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let errno = self.shared.error.swap(0, Ordering::Relaxed);
        (errno != 0).then(|| io::Error::from_raw_os_error(errno))
    }

    /// One call that may have to wait. `std`: as std does it, blocking. `now`: without waiting
    /// ([`WouldBlock`](io::ErrorKind::WouldBlock) if it would have to). `later`: as an operation of the channel.
    pub(super) fn call<T: Moved>(
        &self,
        fd: BorrowedFd<'_>,
        way: Way,
        likely: bool,
        std: impl FnOnce() -> io::Result<T>,
        now: impl FnMut() -> io::Result<T>,
        later: impl FnOnce(Later<'_>) -> Result<T, Stop>,
    ) -> io::Result<T> {
        let result = self.do_call(fd, way, likely, std, now, later);
        if way == Way::In && result.as_ref().is_ok_and(|value| value.moved() == 0) {
            // What is read before an error comes before it.
            if let Some(error) = self.take_error() {
                return Err(error);
            }
        }
        result
    }

    fn do_call<T: Moved>(
        &self,
        fd: BorrowedFd<'_>,
        way: Way,
        likely: bool,
        std: impl FnOnce() -> io::Result<T>,
        mut now: impl FnMut() -> io::Result<T>,
        later: impl FnOnce(Later<'_>) -> Result<T, Stop>,
    ) -> io::Result<T> {
        let task = wait::in_task();
        if self.shared.nonblocking.load(Ordering::Relaxed) {
            // (The mode may change at this moment. A task is not to be caught in a call that blocks.)
            return if task { self.at_once(now) } else { std() };
        }
        wait::checkpoint()?;
        if !task {
            return if wait::scope_deadline().is_none() { std() } else { self.poll_first(fd, way, std, now) };
        }
        if likely {
            match self.at_once(&mut now) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.luck.was_bad(),
                result => {
                    self.luck.was_good();
                    return result;
                }
            }
        }
        self.spent.store(0, Ordering::Relaxed);
        let before = Before { tried: likely, registration: self.registration(fd) };
        later(Later { limit: self.limit(way), before }).map_err(Stop::deliver)
    }

    /// A plain thread inside a `timeout`.
    fn poll_first<T: Moved>(
        &self,
        fd: BorrowedFd<'_>,
        way: Way,
        std: impl FnOnce() -> io::Result<T>,
        mut now: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        let (limit, mut ready) = (self.limit(way), Ready::default());
        loop {
            match now() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                result => return result,
            }
            if ready.has_input_ended() {
                return std();
            }
            ready.wait(fd, way, limit).map_err(Stop::deliver)?;
        }
    }

    /// recv(2) with `flags`, of which only `MSG_PEEK` is meant; `std` is std's call for it.
    pub(super) fn receive(
        &self,
        fd: BorrowedFd<'_>,
        buf: &mut [u8],
        flags: i32,
        std: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let room = buf.len();
        let buf = RefCell::new(buf);
        let n = self.call(
            fd,
            Way::In,
            self.data_likely(),
            || std(&mut buf.borrow_mut()),
            || sys::recv_now(fd, &mut buf.borrow_mut(), flags),
            |later| sys::recv(fd, &mut buf.borrow_mut(), flags, later),
        )?;
        self.read_filled(n == room && n > 0);
        Ok(n)
    }

    /// Sends all `total` bytes, as a blocking send(2) does: less only if something stops it midway.
    /// `now` and `later` are given how many bytes have gone already.
    pub(super) fn send_all(
        &self,
        fd: BorrowedFd<'_>,
        total: usize,
        std: impl FnOnce() -> io::Result<usize>,
        mut now: impl FnMut(usize) -> io::Result<usize>,
        mut later: impl FnMut(usize, Later<'_>) -> Result<usize, Stop>,
    ) -> io::Result<usize> {
        if let Some(error) = self.take_error() {
            return Err(error);
        }
        let task = wait::in_task();
        if self.shared.nonblocking.load(Ordering::Relaxed) {
            return if task { self.at_once(|| now(0)) } else { std() };
        }
        wait::checkpoint()?;
        if !task && wait::scope_deadline().is_none() {
            return std();
        }
        let (mut sent, mut limit, mut ready) = (0, None, Ready::default());
        loop {
            let step = match self.at_once(|| now(sent)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.spent.store(0, Ordering::Relaxed);
                    limit = limit.or_else(|| self.limit(Way::Out));
                    let waited = if task {
                        let before = Before { tried: true, registration: self.registration(fd) };
                        later(sent, Later { limit, before })
                    } else {
                        ready.wait(fd, Way::Out, limit).map(|()| 0)
                    };
                    waited.map_err(Fail::Stop)
                }
                Ok(0) => return Ok(sent),
                result => {
                    ready.progress();
                    result.map_err(Fail::Error)
                }
            };
            match step {
                Ok(n) if sent + n >= total => return Ok(sent + n),
                Ok(n) => sent += n,
                // What has gone is reported; the reason to stop keeps for the next call.
                Err(fail) if sent > 0 => {
                    let errno = match fail {
                        Fail::Stop(Stop::Os(errno)) => errno,
                        Fail::Error(error) => error.raw_os_error().unwrap_or(0),
                        Fail::Stop(_) => 0,
                    };
                    // (A limit comes again, and so does the end of the channel, or of the sending side.)
                    if !matches!(errno, 0 | libc::EAGAIN | libc::ECANCELED | libc::EPIPE) {
                        self.shared.error.store(errno, Ordering::Relaxed);
                    }
                    return Ok(sent);
                }
                Err(Fail::Stop(stop)) => return Err(stop.deliver()),
                Err(Fail::Error(error)) => return Err(error),
            }
        }
    }

    /// A call that does not wait, again if a signal broke in.
    pub(super) fn at_once<T: Moved>(&self, mut now: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match now() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
                Ok(value) => {
                    self.spend(value.moved());
                    return Ok(value);
                }
            }
        }
    }

    /// A task that never has to wait would keep the core from all others: every now and then it
    /// steps aside. The count is not exact when several use the handle at once, and need not be.
    fn spend(&self, moved: usize) {
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(CALL).saturating_add(moved);
        let over = spent >= TURN;
        self.spent.store(if over { 0 } else { spent }, Ordering::Relaxed);
        if over && wait::in_task() {
            ec_tasks::yield_now();
        }
    }
}

enum Fail {
    Stop(Stop),
    Error(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_too_long_to_count_is_no_limit() {
        let mode = Mode::new(Origin::Here);
        mode.set_timeout(Way::In, Some(Duration::MAX));
        assert!(mode.limit(Way::In).is_none());
        mode.set_timeout(Way::In, Some(Duration::from_secs(1)));
        assert!(mode.limit(Way::In).is_some());
    }
}
