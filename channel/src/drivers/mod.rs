//! The back ends: one small trait, one file each, chosen at run time.
//!
//! A driver belongs to one port. It is only called under that port's lock, by whichever thread drives the port at the
//! time. It knows requests by their ids and hands back `(id, result)` pairs. The rest is the port's business: whose the
//! requests are, deadlines, retries and cancellation races.

mod at_exit;
mod backend;
mod epoll;
mod readiness;
mod rest;
mod uring;
mod waiters;

use crate::foreign::quietly;
use crate::waker::Waker;
use std::fmt;
use std::io;
use std::sync::Arc;

pub(crate) use backend::{Backend, Done};
pub use rest::Pace;
pub(crate) use rest::Rests;

/// The techniques a channel can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Driver {
    /// io_uring, in its plain mode (any thread may submit and reap). Linux 5.13 and later.
    IoUring,
    /// epoll with one-shot interest and non-blocking calls.
    Epoll,
}

impl Driver {
    /// All of them, the preferred first.
    pub const ALL: [Driver; 2] = [Driver::IoUring, Driver::Epoll];

    /// The name that `EVENT_CHANNEL_DRIVER` knows it by.
    pub fn name(self) -> &'static str {
        match self {
            Driver::IoUring => "io_uring",
            Driver::Epoll => "epoll",
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
        Driver::ALL.into_iter().find(|d| d.name() == s).ok_or_else(|| {
            let valid = Driver::ALL.map(Driver::name).join(", ");
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

/// A back end and what wakes the thread that sleeps in it.
pub(crate) type Opened = (Box<dyn Backend>, Arc<Waker>);

/// Makes `ports` back ends of one kind: the one asked for, else the one the environment names,
/// else the first that works.
pub(crate) fn open(asked: Option<Driver>, ports: usize) -> io::Result<(DriverInfo, Vec<Opened>)> {
    let forced = match std::env::var_os(DRIVER_VARIABLE) {
        _ if asked.is_some() => asked.map(|d| (d, "chosen by the program".to_owned())),
        Some(v) if !v.is_empty() => {
            let named = v.to_string_lossy().parse::<Driver>();
            let named = named.map_err(|e| io::Error::new(e.kind(), format!("{DRIVER_VARIABLE}: {e}")))?;
            Some((named, format!("{DRIVER_VARIABLE} says so")))
        }
        _ => None,
    };
    let (kind, reason, backends) = match forced {
        Some((kind, reason)) => {
            let backends = open_all(kind, ports).map_err(|e| {
                io::Error::new(e.kind(), format!("the {kind} driver was asked for ({reason}) but fails: {e}"))
            })?;
            (kind, reason, backends)
        }
        None => match open_all(Driver::IoUring, ports) {
            Ok(b) => (Driver::IoUring, "the kernel has all that it needs".to_owned(), b),
            Err(e) => (Driver::Epoll, format!("io_uring: {e}"), open_all(Driver::Epoll, ports)?),
        },
    };
    let info = DriverInfo { kind, reason };
    quietly!(info, "event channel: driver {info}, {ports} port(s)");
    Ok((info, backends))
}

fn open_all(kind: Driver, ports: usize) -> io::Result<Vec<Opened>> {
    (0..ports)
        .map(|_| -> io::Result<Opened> {
            let waker = Arc::new(Waker::new());
            let backend: Box<dyn Backend> = match kind {
                Driver::IoUring => Box::new(uring::Uring::new(waker.clone())?),
                Driver::Epoll => Box::new(readiness::Readiness::new(epoll::Epoll::new(waker.clone())?)),
            };
            Ok((backend, waker))
        })
        .collect()
}
