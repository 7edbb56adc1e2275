//! A request in flight, as the model knows it.

use super::course::Course;
use super::steps::{Ask, What};
use ec_channel::EventId;
use std::time::{Duration, Instant};

/// A request in flight.
pub struct Posted {
    pub id: EventId,
    pub ask: Ask,
    /// Its place among those that were posted, and streams that went on.
    pub serial: usize,
    pub cancelled: bool,
    /// Just before it was posted, and after.
    pub between: (Instant, Instant),
    /// So many bytes had been written on its pair, and some were still to be received. (When a stream went on.)
    pub fed: usize,
    pub was_readable: bool,
    pub stream: Option<Course>,
}

impl Posted {
    pub fn limit(&self) -> Option<Duration> {
        let ms = match self.ask.what {
            What::Timer(ms) => ms,
            What::Notification => None,
            _ => self.ask.limit,
        };
        ms.map(|ms| Duration::from_millis(ms.into()))
    }

    /// A stream that waits for its item to be dropped.
    pub fn is_held(&self) -> bool {
        self.stream.as_ref().is_some_and(|course| course.is_held)
    }

    pub fn needs_driver(&self) -> bool {
        !matches!(self.ask.what, What::Timer(_) | What::Notification | What::Interval { .. } | What::Work)
    }
}
