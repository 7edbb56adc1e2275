//! Streams in the model: their items, and what is counted.

use super::{Checked, KEPT, Play};
use crate::course::{Course, Get};
use crate::posted::Posted;
use crate::steps::What;
use ec_channel::{Driver, Event, EventKind, Interest};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use std::time::Instant;

impl Play<'_> {
    /// An item has come: may it, and with this?
    pub(super) fn item(&mut self, event: Event, get: &Get) -> Checked {
        let (Some(posted), failure) = (self.flying.get_mut(&event.token()), event.failure()) else {
            return Err(TestCaseError::fail(format!("{event:?} is of nothing in flight")));
        };
        prop_assert_eq!(event.id(), posted.id);
        prop_assert!(failure.is_none(), "{:?}", event);
        let limit = posted.limit();
        let Some(course) = &mut posted.stream else {
            return Err(TestCaseError::fail(format!("{event:?} is of no stream")));
        };
        course.item(event.missed(), get, posted.between, limit)?;
        match posted.ask.what {
            What::ReadableAgain(pair) => {
                prop_assert_eq!((event.kind(), event.ready()), (EventKind::Readiness, Interest::READABLE));
                let pair = &self.pairs[pair];
                let to_read = posted.was_readable || pair.fed > posted.fed || pair.is_closed();
                prop_assert!(to_read, "nothing to read");
            }
            _ => prop_assert_eq!(event.kind(), EventKind::Timer),
        }
        self.items += 1;
        self.held.push(event);
        if self.held.len() > KEPT { self.let_go(0, false) } else { Ok(()) }
    }

    /// Lets go of an item: its stream, if it has paused for it, looks again. Or tries to post it first.
    pub(super) fn let_go(&mut self, at: usize, posts: bool) -> Checked {
        let (item, serial) = (self.held.swap_remove(at), self.next_serial());
        if let Some(posted) = self.flying.get_mut(&item.token())
            && let (What::ReadableAgain(pair), Some(course)) = (posted.ask.what, &mut posted.stream)
        {
            let pair = &self.pairs[pair];
            course.is_held = false;
            (posted.fed, posted.was_readable) = (pair.fed, pair.unreceived());
            // (Behind what was posted meanwhile.)
            posted.serial = serial;
        }
        if posts {
            let refused = self.channel.post(item.again());
            prop_assert!(refused.is_err(), "an item was posted");
        }
        Ok(())
    }

    /// Items that have come, and that nobody has fetched.
    pub(super) fn unfetched(&self) -> usize {
        self.channel.metrics().items as usize - self.items
    }

    /// What the channel counts, beside what the model does.
    pub(super) fn check_counts(&self) -> Checked {
        let m = self.channel.metrics();
        prop_assert_eq!(m.posted, self.posts as u64);
        prop_assert_eq!(m.in_flight, m.posted - m.completed);
        // (Who has come back may be ready, and not fetched.)
        let sure = self.flying.values().filter(|it| !self.may_be_ready(it)).count() as u64;
        let most = self.flying.len() as u64;
        prop_assert!((sure..=most).contains(&m.in_flight), "{} of {}..={}", m.in_flight, sure, most);
        let streams = self.flying.values().filter_map(|it| it.stream.as_ref());
        let room: usize = streams.map(Course::room).sum();
        prop_assert!(
            (self.items..=self.items + room).contains(&(m.items as usize)),
            "{} items came, {} of them were fetched, and there was room for {}",
            m.items,
            self.items,
            room
        );
        Ok(())
    }

    /// May it be complete, whatever others do?
    pub(super) fn may_be_ready(&self, posted: &Posted) -> bool {
        let stays = posted.ask.what == What::Timer(None) || posted.stream.is_some();
        !stays || posted.limit().is_some() || posted.cancelled || self.shut_down
    }

    /// Each stream that has something to give gives it: as much as shows that credit is given back. What has a limit ends.
    pub(super) fn streams_go_on(&mut self) -> Checked {
        let streams = self.flying.iter().filter_map(|(token, it)| Some((*token, it.stream.as_ref()?)));
        let streams: Vec<_> =
            streams.map(|(token, course)| (token, course.items + course.goes_on_with())).collect();
        let began = Instant::now();
        for (token, items) in streams {
            while self.goes_on(token, items) {
                prop_assert!(began.elapsed() < self.patience, "the stream {} does not go on", token);
                self.get(1, true)?;
            }
        }
        // What has a limit ends, also if it pauses.
        while self.flying.values().any(|it| it.limit().is_some()) {
            prop_assert!(began.elapsed() < self.patience, "what is over does not end");
            self.get(1, true)?;
        }
        Ok(())
    }

    /// Has it something to give, before there were so many items of it? (Others may take what there is to read.)
    fn goes_on(&self, token: u64, items: usize) -> bool {
        let direct = self.channel.driver().kind() == Driver::Direct;
        self.flying.get(&token).is_some_and(|it| {
            let is_short = it.stream.as_ref().is_some_and(|course| course.items < items);
            // (Where one request is carried out at a time others may hold it up.)
            is_short && !self.may_be_ready(it) && self.is_due(it) && !(direct && it.needs_driver())
        })
    }
}
