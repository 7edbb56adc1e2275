//! The back ends: one small trait, one file each, chosen at run time.
//!
//! A driver belongs to one port. It is only called under that port's lock, by whichever thread drives the port at the
//! time. It knows requests by their ids and hands back `(id, result)` pairs. The rest is the port's business: whose the
//! requests are, deadlines, retries and cancellation races.

mod at_exit;
mod backend;
mod cancels;
mod direct;
mod epoll;
mod no_ring;
mod parted;
mod poll;
mod readiness;
mod rest;
mod selector;
mod submitters;
mod uring;
mod waiters;

use crate::foreign::quietly;
use crate::sys::is_setuid;
use crate::waker::Waker;
use std::fmt;
use std::io;
use std::sync::Arc;

pub(crate) use backend::{Backend, Done};
pub use rest::Pace;
pub(crate) use rest::Rests;
pub(crate) use submitters::exited;
pub use submitters::will_submit;

/// The techniques a channel can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring, in its plain mode (any thread may submit and reap). Linux 5.13 and later.
    IoUring,
    /// epoll, with non-blocking calls. Interest is one-shot; the sockets of those who [register](crate::EventChannel::register) them stay
    /// registered.
    Epoll,
    /// poll(2) and non-blocking calls: for any Unix. A wait costs as much as there are descriptors, and its timers are those of poll(2), in
    /// milliseconds. A task that drives such a channel blocks its thread for 10 ms at a time.
    Poll,
    /// No poller at all, for plain clients: requests are carried out in `get_event`, in the order of their posting, one at a time. Only by
    /// choice, and not for a pool. One that waits holds up those behind it, but for timers and notifications.
    Direct,
}

impl Driver {
    /// Those that carry out requests side by side, the preferred first: all but [`Direct`](Self::Direct).
    pub const ALL: [Driver; 3] = [Driver::IoUring, Driver::Epoll, Driver::Poll];

    /// The name that `EVENT_CHANNEL_DRIVER` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
            Driver::Poll => "poll",
            Driver::Direct => "direct",
        }
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Driver {
    type Err = io::Error;

    fn from_str(s: &str) -> io::Result<Self> {
        let all = || Driver::ALL.into_iter().chain([Driver::Direct]);
        all().find(|d| d.name() == s).ok_or_else(|| {
            let valid = all().map(Driver::name).collect::<Vec<_>>().join(", ");
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("no event channel driver is called {s:?}; valid are: {valid}"),
            )
        })
    }
}

/// Which driver a channel took, and why. Shown as `epoll (io_uring: Operation not permitted ...)`.
#[derive(Clone, Debug)]
pub struct DriverInfo {
    kind: Driver,
    reason: String,
}

impl DriverInfo {
    /// The driver in use.
    pub fn kind(&self) -> Driver {
        self.kind
    }

    /// Why it was this one.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for DriverInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.reason)
    }
}

/// The environment variable that forces a driver.
pub const DRIVER_VARIABLE: &str = "EVENT_CHANNEL_DRIVER";

/// The environment variable that names drivers that are not to be chosen, with commas between them. (To ask for one by name overrides it.)
pub const EXCLUDE_VARIABLE: &str = "EVENT_CHANNEL_EXCLUDE";

/// A back end and what wakes the thread that sleeps in it.
pub(crate) type Opened = (Box<dyn Backend>, Arc<Waker>);

/// What a variable says. Nothing in a setuid process.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty() && !is_setuid())
        .map(|value| value.to_string_lossy().into_owned())
}

fn named(variable: &str, name: &str) -> io::Result<Driver> {
    name.trim().parse::<Driver>().map_err(|e| io::Error::new(e.kind(), format!("{variable}: {e}")))
}

/// Makes `ports` back ends of one kind: the one asked for, else the one the environment names,
/// else the first that works and is not excluded. `depth` is that of their queues, where they have any.
pub(crate) fn open(
    asked: Option<Driver>,
    ports: usize,
    depth: Option<usize>,
) -> io::Result<(DriverInfo, Vec<Opened>)> {
    let forced = match (asked, variable(DRIVER_VARIABLE)) {
        (Some(driver), _) => Some((driver, "chosen by the program".to_owned())),
        (None, Some(name)) => Some((named(DRIVER_VARIABLE, &name)?, format!("{DRIVER_VARIABLE} says so"))),
        (None, None) => None,
    };
    let (kind, reason, backends) = match forced {
        Some((kind, reason)) => {
            let backends = open_all(kind, ports, depth).map_err(|e| {
                io::Error::new(e.kind(), format!("the {kind} driver was asked for ({reason}) but fails: {e}"))
            })?;
            (kind, reason, backends)
        }
        None => first_of(&excluded()?, ports, depth)?,
    };
    let info = DriverInfo { kind, reason };
    quietly!(info, "event channel: driver {info}, {ports} port(s)");
    Ok((info, backends))
}

fn excluded() -> io::Result<Vec<Driver>> {
    let list = variable(EXCLUDE_VARIABLE).unwrap_or_default();
    list.split(',').filter(|name| !name.trim().is_empty()).map(|name| named(EXCLUDE_VARIABLE, name)).collect()
}

/// The first that works, and why none before it.
fn first_of(
    excluded: &[Driver],
    ports: usize,
    depth: Option<usize>,
) -> io::Result<(Driver, String, Vec<Opened>)> {
    let mut why_not = Vec::new();
    let mut last = None;
    for driver in Driver::ALL {
        if excluded.contains(&driver) {
            why_not.push(format!("{driver}: {EXCLUDE_VARIABLE} says so"));
            continue;
        }
        match open_all(driver, ports, depth) {
            Ok(backends) if why_not.is_empty() => {
                return Ok((driver, "the kernel has all that it needs".to_owned(), backends));
            }
            Ok(backends) => return Ok((driver, why_not.join("; "), backends)),
            Err(e) => {
                why_not.push(format!("{driver}: {e}"));
                last = Some(e.kind());
            }
        }
    }
    let what = format!("no driver for an event channel: {}", why_not.join("; "));
    Err(io::Error::new(last.unwrap_or(io::ErrorKind::Unsupported), what))
}

fn open_all(kind: Driver, ports: usize, depth: Option<usize>) -> io::Result<Vec<Opened>> {
    (0..ports)
        .map(|_| -> io::Result<Opened> {
            let waker = Arc::new(Waker::new());
            let backend: Box<dyn Backend> = match kind {
                Driver::IoUring => Box::new(uring::Uring::new(waker.clone(), depth)?),
                Driver::Epoll => Box::new(readiness::Readiness::new(epoll::Epoll::new(waker.clone())?)),
                Driver::Direct => Box::new(direct::Direct::new(waker.clone())?),
                Driver::Poll => Box::new(readiness::Readiness::new(poll::Poll::new(waker.clone())?)),
            };
            Ok((backend, waker))
        })
        .collect()
}
