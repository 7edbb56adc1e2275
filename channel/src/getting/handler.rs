//! Calling the handlers of events.
//!
//! Most are the program's, and wait until somebody is free for them. Those of a caller that itself waits for the event are called where
//! the port is driven.
//!
//! This file has `unsafe` in it: whose handlers those are.

#![allow(unsafe_code)]

use crate::EventChannel;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::foreign::{self, quietly};

impl Request {
    /// As [`on_complete`](Self::on_complete), for a handler that waits for nobody: whoever drives the port calls it, before it goes on. In a
    /// pool that may be a thread that runs no other handlers, at a time when none is free that does.
    ///
    /// # Safety
    /// It neither waits nor panics, and calls no code of others. It keeps the event, for somebody else to drop.
    pub unsafe fn on_complete_at_once(
        self,
        handler: impl Fn(&EventChannel, Event) + Send + Sync + 'static,
    ) -> Self {
        let mut body = self.on_complete(handler).0.with_body();
        body.common.at_once = true;
        Self(Inside::Body(body))
    }
}

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

    /// It is to be run here and now: see [`Request::on_complete_at_once`](crate::Request::on_complete_at_once).
    pub fn is_at_once(&self) -> bool {
        let body = self.event.as_ref().and_then(|event| event.0.body());
        body.is_some_and(|body| body.common.at_once)
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
