//! Something that the application says to itself.

use super::EventKind;
use crate::events::inside::Inside;
use crate::events::request::Request;

impl Request {
    /// Complete as it is posted: one thread that waits in `get_event` (now or later) gets it. Nothing is allocated for one without context
    /// and handler.
    pub fn notification() -> Self {
        Self(Inside::bare(EventKind::Notification as u8))
    }

    /// For a notification without handler: everyone who waits when it is posted gets a copy (with the same id and
    /// token, without the context); if nobody does, the next one gets it.
    pub fn wake_all(mut self) -> Self {
        self.0.set_wakes_all();
        self
    }
}
