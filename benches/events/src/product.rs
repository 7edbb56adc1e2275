//! The event channel.

use crate::{Carrier, na};
use event_channel::channel::{Driver, EventChannel, Request};

pub struct Channel(EventChannel);

/// With the driver of that name; the channel's own choice if there is none.
pub fn channel(name: &str) -> EventChannel {
    let mut builder = EventChannel::builder();
    if !name.is_empty() {
        let driver = Driver::ALL.into_iter().find(|driver| driver.name() == name);
        builder = builder.driver(driver.unwrap_or_else(|| na(&format!("there is no driver {name}"))));
    }
    builder.build().unwrap_or_else(|error| na(&format!("no channel: {error}")))
}

impl Channel {
    /// See [`channel`].
    pub fn new(name: &str) -> Channel {
        Channel(channel(name))
    }
}

impl Carrier for Channel {
    fn post(&self, n: u64) {
        self.0.post(Request::notification().token(n)).expect("post");
    }

    fn post_all(&self, numbers: std::ops::Range<u64>) {
        self.0.post_all(numbers.map(|n| Request::notification().token(n))).expect("post");
    }

    fn close(&self) {
        self.0.shutdown();
    }

    fn get_all(&self, batch: usize, got: &mut dyn FnMut(usize)) {
        if batch == 1 {
            while self.0.get_event().is_ok() {
                got(1);
            }
            return;
        }
        let mut events = Vec::with_capacity(batch);
        while let Ok(n) = self.0.get_events(&mut events, batch, None) {
            events.clear();
            got(n);
        }
    }
}
