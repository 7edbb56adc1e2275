//! A point in time.

use super::EventKind;
use crate::events::body::{Body, When};
use crate::events::inside::{Inside, Plain};
use crate::events::request::Request;
use std::time::{Duration, Instant};

impl Request {
    /// Completes `after` it was posted: never earlier, and as a rule less than 0.1 ms later.
    pub fn timer(after: Duration) -> Self {
        Self::of(Plain::new(EventKind::Timer as u8)).within(after)
    }

    /// Completes at a point in time; at once if that has passed.
    pub fn timer_at(at: Instant) -> Self {
        let mut body = Body::new(Plain::new(EventKind::Timer as u8));
        body.common.when = When::At(at);
        Self(Inside::Body(body))
    }
}
