//! What may come of what is in flight, and whether anything has to.

use super::{Checked, KEPT, Play};
use crate::course::Get;
use crate::posted::Posted;
use crate::steps::What;
use ec_channel::{Driver, Event, EventKind, Interest};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::time::{Duration, Instant};

impl Play<'_> {
    /// Is it to come now?
    pub(super) fn is_due(&self, posted: &Posted) -> bool {
        let over = posted.limit().is_some_and(|limit| posted.between.1.elapsed() >= limit);
        over || posted.cancelled
            || self.shut_down
            || match posted.ask.what {
                What::Notification | What::Connect | What::SendTo | What::ReadAt(_) | What::Work => true,
                // (The next tick is not far.)
                What::Interval { .. } => true,
                What::ReadableAgain(_) if posted.is_held() => false,
                What::Timer(_) => false,
                What::Recv { pair, .. } | What::Readable(pair) | What::ReadableAgain(pair) => {
                    self.pairs[pair].unreceived() || self.pairs[pair].is_closed()
                }
                What::Send { pair, .. } | What::Writable(pair) => self.pairs[pair].takes(),
                What::Accept => self.connected > self.accepted,
                What::RecvFrom => self.datagrams > self.datagrams_received,
            }
    }

    /// Will something come, whatever else is done? (Where one request is carried out at a time, those behind it wait for it.)
    fn something_comes(&self) -> bool {
        let direct = self.channel.driver().kind() == Driver::Direct;
        let first =
            self.flying.values().filter(|it| it.needs_driver() && !it.is_held()).map(|it| it.serial).min();
        self.flying.values().any(|it| {
            let has_its_turn = !direct || !it.needs_driver() || first == Some(it.serial);
            let ends = it.limit().is_some() || it.cancelled || self.shut_down;
            ends || has_its_turn && self.is_due(it)
        })
    }

    pub(super) fn get(&mut self, many: usize, waits: bool) -> Checked {
        let comes = self.something_comes();
        let at_once = self.flying.values().any(|it| it.ask.what == What::Notification);
        let time = if comes { self.patience } else { Duration::from_millis(1) };
        let (mut events, finds_nothing, began) = (Vec::new(), self.unfetched() == 0, Instant::now());
        let got = match (many, waits) {
            (1, false) => self.channel.try_get_event().map(|event| events.extend(event)),
            (1, true) => self.channel.get_event_timeout(time).map(|event| events.extend(event)),
            _ => self.channel.get_events(&mut events, many, Some(time)).map(drop),
        };
        let get = Get { began, over: Instant::now(), finds_nothing };
        if let Err(error) = got {
            prop_assert!(self.shut_down && self.flying.is_empty(), "{}", error);
            return Ok(());
        }
        prop_assert!(!(self.shut_down && self.flying.is_empty()), "no error where nothing can come any more");
        prop_assert!(events.len() <= many);
        let must = if waits { comes } else { at_once };
        prop_assert!(!must || !events.is_empty(), "nothing came of what is in flight");
        events.into_iter().try_for_each(|event| self.came(event, &get))
    }

    /// An event has come back: may it, and with this?
    fn came(&mut self, event: Event, get: &Get) -> Checked {
        if !event.is_last() {
            return self.item(event, get);
        }
        let Some(posted) = self.flying.remove(&event.token()) else {
            return Err(TestCaseError::fail(format!("{event:?} was not in flight")));
        };
        prop_assert_eq!(event.id(), posted.id);
        let (ask, errno) = (posted.ask, event.failure().map_or(0, |failure| failure.errno()));
        match errno {
            0 => self.succeeded(&posted, &event)?,
            libc::ECANCELED => {
                prop_assert!(posted.cancelled || self.shut_down, "nobody cancelled {:?}", ask);
                self.cancelled += 1;
            }
            libc::ETIME => {
                let over = posted.limit().is_some_and(|limit| posted.between.0.elapsed() >= limit);
                prop_assert!(
                    over && (posted.needs_driver() || posted.stream.is_some() || ask.what == What::Work),
                    "{:?} is timed out",
                    ask
                );
            }
            libc::EPIPE | libc::ECONNRESET => {
                let (What::Recv { pair, .. } | What::Send { pair, .. }) = ask.what else {
                    return Err(TestCaseError::fail(format!("{event:?}")));
                };
                prop_assert!(self.pairs[pair].is_closed(), "{:?}", event);
            }
            _ => return Err(TestCaseError::fail(format!("{ask:?} came to {event:?}"))),
        }
        // (A closure runs once.)
        let ends = ask.what == What::Connect || ask.what == What::Work && errno == 0;
        if self.kept.len() < KEPT && !ends {
            self.kept.push((event, ask));
        }
        Ok(())
    }

    fn succeeded(&mut self, posted: &Posted, event: &Event) -> Checked {
        let n = event.result().unwrap();
        let kind = match posted.ask.what {
            What::Notification => EventKind::Notification,
            What::Timer(_) => {
                let over = posted.limit().is_some_and(|limit| posted.between.0.elapsed() >= limit);
                prop_assert!(over, "a timer came early");
                EventKind::Timer
            }
            What::Recv { pair, room } => {
                prop_assert!(n == event.buffer().len() && n <= room);
                prop_assert!(n > 0 || self.pairs[pair].is_closed(), "the end of a stream that goes on");
                self.pairs[pair].receive(event.buffer())?;
                EventKind::Recv
            }
            What::Send { pair, bytes } => {
                prop_assert!(n == bytes && self.pairs[pair].takes(), "sent into a full buffer");
                self.pairs[pair].sent += n;
                EventKind::Send
            }
            What::Readable(pair) => {
                prop_assert_eq!(event.ready(), Interest::READABLE);
                let pair = &self.pairs[pair];
                prop_assert!(
                    posted.was_readable || pair.fed > posted.fed || pair.is_closed(),
                    "nothing to read"
                );
                EventKind::Readiness
            }
            What::Writable(pair) => {
                prop_assert_eq!(event.ready(), Interest::WRITABLE);
                prop_assert!(self.pairs[pair].takes(), "no room to write");
                EventKind::Readiness
            }
            What::Accept => {
                self.accepted += 1;
                prop_assert!(self.accepted <= self.connected + self.connects, "nobody has connected");
                EventKind::Accept
            }
            What::Connect => {
                self.connected += 1;
                self.connects -= 1;
                EventKind::Connect
            }
            What::RecvFrom => {
                prop_assert_eq!(event.buffer(), b"datagram");
                prop_assert_eq!(event.address(), self.far.local_addr().ok());
                self.datagrams_received += 1;
                prop_assert!(self.datagrams_received <= self.datagrams + self.send_tos, "from nowhere");
                EventKind::RecvFrom
            }
            What::ReadAt(offset) => {
                let due: Vec<u8> = b"0123456789".get(usize::from(offset)).copied().into_iter().collect();
                prop_assert_eq!(event.buffer(), due, "at {}", offset);
                EventKind::ReadAt
            }
            What::Work => {
                self.done += 1;
                EventKind::Work
            }
            What::Interval { .. } | What::ReadableAgain(_) => {
                return Err(TestCaseError::fail(format!("a stream ends by itself: {event:?}")));
            }
            What::SendTo => {
                prop_assert_eq!(n, 8);
                self.datagrams += 1;
                self.send_tos -= 1;
                EventKind::SendTo
            }
        };
        prop_assert_eq!(event.kind(), kind);
        Ok(())
    }
}
