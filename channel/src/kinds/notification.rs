//! Something that the application says to itself.

#![allow(unsafe_code)]

use super::EventKind;
use super::timer::TIMER;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::operation::Carry;
use crate::events::request::Request;

struct Held {
    wakes_all: bool,
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Notification as u8
    }

    fn is_immediate(&self) -> bool {
        true
    }

    fn point(&mut self) -> *const dyn Carry {
        // (One with a handler passes through a port.)
        &raw const TIMER
    }
}

impl Request {
    /// Complete as it is posted: one thread that waits in `get_event` (now or later) gets it.
    pub fn notification() -> Self {
        Self::of(Held { wakes_all: false })
    }

    /// For a notification without handler: everyone who waits when it is posted gets a copy (with the same id and
    /// token, without the context); if nobody does, the next one gets it.
    pub fn wake_all(mut self) -> Self {
        if let Some(held) = self.0.of_mut::<Held>() {
            held.wakes_all = true;
        }
        self
    }

    pub(crate) fn wakes_all(&self) -> bool {
        self.0.of::<Held>().is_some_and(|held| held.wakes_all)
    }
}

impl Event {
    /// For a notification to all: the same words for one more listener.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = Request::notification();
        (copy.0.common.id, copy.0.common.token) = (self.0.common.id, self.0.common.token);
        Event(copy.0)
    }
}
