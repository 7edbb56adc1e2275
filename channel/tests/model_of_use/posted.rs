//! A request in flight, as the model knows it.

use super::steps::{Ask, What};
use ec_channel::EventId;
use std::time::{Duration, Instant};

/// A request in flight.
pub struct Posted {
    pub id: EventId,
    pub ask: Ask,
    /// Which post it was.
    pub serial: usize,
    pub cancelled: bool,
    /// Just before it was posted, and after.
    pub between: (Instant, Instant),
    /// So many bytes had been written on its pair, and some were still to be received.
    pub fed: usize,
    pub was_readable: bool,
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

    pub fn needs_driver(&self) -> bool {
        !matches!(self.ask.what, What::Timer(_) | What::Notification)
    }
}
