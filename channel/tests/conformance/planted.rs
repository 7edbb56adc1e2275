//! Channels that are wrong on purpose: the table finds each, and says why.

use crate::observed::{Channel, Got};
use crate::row::{Cell, Column, Outcome, Row, Scene};
use crate::table::{Bench, PATIENCE, Wrong, all_drivers, channel_on};
use crate::{ROWS, recv};
use ec_channel::{Driver, EventChannel, EventId, EventKind, PostError, Request};
use ec_test_support::limit;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What becomes of the events of an honest channel.
trait Plant: Sync {
    /// What `get` returns in place of what `inner` does.
    fn get(&self, inner: &EventChannel, time: Duration) -> io::Result<Option<Got>>;
}

struct Planted<P> {
    inner: EventChannel,
    plant: P,
}

impl<P: Plant> Channel for Planted<P> {
    fn post(&self, request: Request) -> Result<EventId, PostError> {
        Channel::post(&self.inner, request)
    }

    fn get(&self, time: Duration) -> io::Result<Option<Got>> {
        self.plant.get(&self.inner, time)
    }

    fn cancel(&self, id: EventId) -> bool {
        Channel::cancel(&self.inner, id)
    }

    fn shutdown(&self) {
        Channel::shutdown(&self.inner);
    }
}

/// Whatever was done, it says that it was cancelled.
struct AlwaysCancelled;

impl Plant for AlwaysCancelled {
    fn get(&self, inner: &EventChannel, time: Duration) -> io::Result<Option<Got>> {
        let got = Channel::get(inner, time)?;
        Ok(got.map(|got| Got { result: Err(libc::ECANCELED), buffer: Vec::new(), accepted: None, ..got }))
    }
}

/// Each event comes again.
#[derive(Default)]
struct Twice(Mutex<Option<Got>>);

impl Plant for Twice {
    fn get(&self, inner: &EventChannel, time: Duration) -> io::Result<Option<Got>> {
        if let Some(again) = self.0.lock().unwrap().take() {
            return Ok(Some(again));
        }
        let got = Channel::get(inner, time)?;
        *self.0.lock().unwrap() = got.as_ref().map(copy);
        Ok(got)
    }
}

fn copy(got: &Got) -> Got {
    let accepted = got.accepted.as_ref().map(|fd| fd.try_clone().unwrap());
    Got { accepted, buffer: got.buffer.clone(), event: None, ..*got }
}

/// One event in a thousand never comes, counted over all its channels.
struct DropsOne<'a> {
    events: &'a AtomicU64,
    dropped: AtomicU64,
}

impl Plant for DropsOne<'_> {
    fn get(&self, inner: &EventChannel, time: Duration) -> io::Result<Option<Got>> {
        // (Nobody need wait long for what will not come.)
        let time = if self.dropped.load(Ordering::SeqCst) > 0 { Duration::ZERO } else { time };
        let got = Channel::get(inner, time)?;
        if got.is_some() && self.events.fetch_add(1, Ordering::SeqCst) % 1000 == 999 {
            self.dropped.fetch_add(1, Ordering::SeqCst);
            return Ok(None);
        }
        Ok(got)
    }
}

/// Why the rows of the table fail that do, each at its first cell that does.
fn failures<P: Plant + 'static>(driver: Driver, plant: impl Fn() -> P) -> Vec<(String, Wrong)> {
    let make = || Box::new(Planted { inner: channel_on(driver), plant: plant() }) as Box<dyn Channel>;
    let bench = Bench { make: &make, patience: PATIENCE };
    ROWS.iter().filter_map(|row| bench.row(row).err()).collect()
}

fn in_completes(wrong: Wrong) -> Vec<(String, Wrong)> {
    ROWS.iter().map(|row| (format!("{}, Completes", row.kind), wrong.clone())).collect()
}

#[test]
fn a_driver_that_always_cancels_fails_with_each_kind() {
    limit(60, || {
        for driver in all_drivers() {
            let wrong = Wrong::NotAllowed(Outcome::Cancelled);
            assert_eq!(failures(driver, || AlwaysCancelled), in_completes(wrong), "{driver}");
        }
    });
}

/// Where a cancel is allowed, too: what it says was cancelled has taken the bytes.
#[test]
fn a_driver_that_loses_what_it_received_fails() {
    limit(60, || {
        for driver in all_drivers() {
            let make = || {
                Box::new(Planted { inner: channel_on(driver), plant: AlwaysCancelled }) as Box<dyn Channel>
            };
            let bench = Bench { make: &make, patience: PATIENCE };
            let words = "received [], and in the socket []".to_owned();
            assert_eq!(bench.cell(&recv::ROW, Column::Races), Err(Wrong::Lost(words)), "{driver}");
        }
    });
}

#[test]
fn a_driver_that_completes_twice_fails_with_each_kind() {
    limit(60, || {
        for driver in all_drivers() {
            assert_eq!(failures(driver, Twice::default), in_completes(Wrong::Twice), "{driver}");
        }
    });
}

#[test]
fn a_driver_that_drops_one_event_in_a_thousand_fails() {
    limit(60, || {
        for driver in all_drivers() {
            let events = &*Box::leak(Box::new(AtomicU64::new(0)));
            let failures = failures(driver, || DropsOne { events, dropped: AtomicU64::new(0) });
            let events = events.load(Ordering::SeqCst);
            assert_eq!(failures.len() as u64, events / 1000, "on {driver}, of {events} events: {failures:?}");
            assert!(
                !failures.is_empty() && failures.iter().all(|(_, wrong)| *wrong == Wrong::Never),
                "{failures:?}"
            );
        }
    });
}

/// Both ends of a race have to be seen.
#[test]
fn an_outcome_that_never_comes_fails() {
    fn said() -> Scene {
        Scene::new(Request::notification())
    }
    let cell = |allowed| Cell::Can { make: said, allowed };
    let row = Row {
        kind: EventKind::Notification,
        on_descriptor: false,
        completes: cell(&[Outcome::Done]),
        fails: Cell::Cannot("as ever"),
        cancelled: cell(&[Outcome::Done]),
        races: cell(&[Outcome::Done, Outcome::Cancelled]),
        shut_down: cell(&[Outcome::Done]),
        inputs: &[],
    };
    limit(60, || {
        let make = || Box::new(EventChannel::new().unwrap()) as Box<dyn Channel>;
        let seen = Bench { make: &make, patience: PATIENCE }.cell(&row, Column::Races);
        assert_eq!(seen, Err(Wrong::NotSeen(Outcome::Cancelled, 10_000)));
    });
}
