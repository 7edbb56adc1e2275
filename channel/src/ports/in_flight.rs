//! What is told of a request in flight.

use crate::id::EventId;
use crate::kinds::EventKind;
use std::fmt;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

/// A posted request that has not come back yet: see [`EventChannel::in_flight`](crate::EventChannel::in_flight). Printed by `{}` it is one
/// line of words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InFlight {
    /// As the post gave it.
    pub id: EventId,
    /// What is asked for.
    pub kind: EventKind,
    /// The application's number.
    pub token: u64,
    /// What it is on, by the number that this had when it was posted; of two descriptors the one that is read from.
    pub descriptor: Option<RawFd>,
    /// Who has it.
    pub stage: Stage,
    /// For how long, since it was taken in, to some milliseconds. `None`: it has not been.
    pub since: Option<Duration>,
    /// When it is over: the time of a timer, the next tick of an interval, or a [limit](crate::Request::within).
    pub deadline: Option<Instant>,
    /// It was cancelled, or its time is over, or the driver has failed, and it has not come back for that yet: what is in the hands of a helper
    /// or of the kernel cannot always be stopped.
    pub is_given_up: bool,
}

/// Who has a request that is [in flight](InFlight).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Nobody has taken it in. If it stays there, nobody drives the channel: no thread is in `get_event`, or those that could are busy.
    Posted,
    /// The driver has it: the kernel, on io_uring; on [`Driver::Direct`](crate::Driver::Direct) it waits for its turn, or is carried out.
    Driver,
    /// It waits until its descriptor is ready.
    Readiness,
    /// A helper thread makes the call, or is to make it.
    Helper,
    /// Its descriptor was ready in vain. It is tried again after a moment.
    Resting,
    /// There is something to be received, and no [buffer](crate::BufferPool) for it.
    Lacking,
    /// It waits for its time.
    Timer,
    /// A stream: as many of its items as it has [credit](crate::Request::credit) for have not been fetched, or not been dropped, or its handler
    /// has not returned.
    Paused,
    /// A stream that ends when the handler of its last item has returned.
    Ending,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Posted => "posted, and not taken in",
            Stage::Driver => "with the driver",
            Stage::Readiness => "waits until it is ready",
            Stage::Helper => "with a helper",
            Stage::Resting => "was ready in vain, and rests",
            Stage::Lacking => "lacks a buffer",
            Stage::Timer => "waits for its time",
            Stage::Paused => "paused, without credit",
            Stage::Ending => "ends when its handler has returned",
        })
    }
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, token {}", self.kind, self.token)?;
        if let Some(descriptor) = self.descriptor {
            write!(f, ", descriptor {descriptor}")?;
        }
        write!(f, ": {}", self.stage)?;
        if let Some(since) = self.since {
            write!(f, ", {since:.0?}")?;
        }
        f.write_str(if self.is_given_up { ", given up" } else { "" })
    }
}
