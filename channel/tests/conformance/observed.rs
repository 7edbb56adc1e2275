//! What the table sees of a channel, so that there can be others than the product's.

use ec_channel::{Event, EventChannel, EventId, EventKind, Interest, PostError, Request};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

pub trait Channel: Sync {
    fn post(&self, request: Request) -> Result<EventId, PostError>;

    /// `None`: nothing came for so long. An error: the channel was shut down, and all has come back.
    fn get(&self, time: Duration) -> io::Result<Option<Got>>;

    fn cancel(&self, id: EventId) -> bool;

    fn shutdown(&self);
}

/// What an event says.
#[derive(Debug)]
pub struct Got {
    pub id: EventId,
    pub token: u64,
    pub kind: EventKind,
    /// Or an errno.
    pub result: Result<usize, i32>,
    pub buffer: Vec<u8>,
    pub address: Option<SocketAddr>,
    pub accepted: Option<OwnedFd>,
    pub ready: Interest,
    pub truncated: bool,
    /// For what only some kinds have.
    pub event: Option<Event>,
}

impl From<Event> for Got {
    fn from(mut event: Event) -> Self {
        Got {
            id: event.id(),
            token: event.token(),
            kind: event.kind(),
            result: event
                .failure()
                .map_or_else(|| Ok(event.result().unwrap()), |failure| Err(failure.errno())),
            buffer: event.take_buffer(),
            address: event.address(),
            accepted: event.take_accepted(),
            ready: event.ready(),
            truncated: event.is_truncated(),
            event: Some(event),
        }
    }
}

impl Channel for EventChannel {
    fn post(&self, request: Request) -> Result<EventId, PostError> {
        EventChannel::post(self, request)
    }

    fn get(&self, time: Duration) -> io::Result<Option<Got>> {
        Ok(self.get_event_timeout(time)?.map(Got::from))
    }

    fn cancel(&self, id: EventId) -> bool {
        EventChannel::cancel(self, id)
    }

    fn shutdown(&self) {
        EventChannel::shutdown(self);
    }
}
