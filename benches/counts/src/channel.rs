//! The channel by itself, on a plain thread, on epoll.

use crate::count;
use event_channel::EventChannel;
use event_channel::channel::{Driver, EventId, Request};
use std::time::Duration;

const FAR: Duration = Duration::from_secs(3600);

fn channel() -> EventChannel {
    EventChannel::builder().driver(Driver::Epoll).build().expect("a channel")
}

/// A notification posted and got, for each of which memory is taken and given back.
pub fn event() {
    let channel = channel();
    count(5_000, |operations| {
        for _ in 0..operations {
            channel.post(Request::notification()).expect("posted");
            drop(channel.get_event().expect("an event"));
        }
    });
}

/// The same event posted again and got.
pub fn again() {
    let channel = channel();
    channel.post(Request::notification()).expect("posted");
    count(5_000, |operations| {
        for _ in 0..operations {
            let event = channel.get_event().expect("an event");
            channel.post(event.again()).expect("posted");
        }
    });
}

/// An event of a batch: 32 are posted and got together.
pub fn batch() {
    const BATCH: usize = 32;
    let channel = channel();
    let mut events = Vec::with_capacity(BATCH);
    count(6_400, |operations| {
        for _ in 0..operations as usize / BATCH {
            channel.post_all((0..BATCH).map(|_| Request::notification())).expect("posted");
            assert_eq!(channel.get_events(&mut events, BATCH, None).ok(), Some(BATCH));
            events.clear();
        }
    });
}

fn post_timer(channel: &EventChannel) -> EventId {
    channel.post(Request::timer(FAR)).expect("posted")
}

/// A timer posted, cancelled and got back, while as many others are pending.
pub fn timer(others: u32) {
    let channel = channel();
    for _ in 0..others {
        post_timer(&channel);
    }
    count(2_000, |operations| {
        for _ in 0..operations {
            let id = post_timer(&channel);
            assert!(channel.cancel(id));
            assert!(channel.get_event().expect("an event").is_cancelled());
        }
    });
}
