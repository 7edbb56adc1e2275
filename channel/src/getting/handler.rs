//! Calling the handlers of events.

use crate::EventChannel;
use crate::events::event::Event;
use crate::foreign::{self, quietly};

/// A completed event on its way to its handler. Run it, or the event is dropped unseen.
#[must_use = "a handler that is not run never sees its event"]
pub struct HandlerCall {
    /// `None`: it was run.
    event: Option<Event>,
    channel: EventChannel,
}

impl HandlerCall {
    pub(crate) fn new(event: Event, channel: EventChannel) -> Self {
        Self { event: Some(event), channel }
    }

    /// Calls the handler. A panic in it is caught and logged.
    pub fn run(mut self) {
        let Some(mut event) = self.event.take() else { return };
        // An item of a stream: the next one comes when this handler has returned.
        let _credit = event.0.take_credit();
        let (id, kind) = (event.id(), event.kind());
        let handler = event
            .0
            .body()
            .and_then(|body| body.common.handler.clone())
            .expect("only events with a handler get here");
        let returned = foreign::call(|| handler(&self.channel, event.0));
        // What it has captured may go now, and panic as it goes: not while a panic of the handler itself unwinds.
        let gone = foreign::call(move || drop(handler));
        if !(returned && gone) {
            quietly!(error, "the handler of the {kind} event {id:?} panicked");
        }
    }
}

impl Drop for HandlerCall {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            event.0.discard();
        }
        self.channel.handler_is_over();
    }
}
