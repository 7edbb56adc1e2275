//! What the program puts into a channel goes with the channel: once, last, wherever that is.

mod common;

use common::{drivers, pair, room};
use ec_channel::{Driver, EventChannel, Request, lock_held};
use ec_test_support::{alone, limit};
use ec_unkind as _;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// Who was dropped, where, in this order.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<(&'static str, ThreadId)>>>);

impl Record {
    fn names(&self) -> Vec<&'static str> {
        self.0.lock().unwrap().iter().map(|(name, _)| *name).collect()
    }
}

/// Is recorded as it is dropped, and may panic then.
struct Noted(&'static str, Record, bool);

impl Drop for Noted {
    fn drop(&mut self) {
        assert_eq!(lock_held(), None);
        self.1.0.lock().unwrap().push((self.0, thread::current().id()));
        if self.2 {
            panic_any("a destructor, as the test wants");
        }
    }
}

/// Runs `f` with a channel of each driver that has this data, and what is recorded.
fn each_with(panics: bool, f: impl Fn(EventChannel, Record)) {
    for driver in drivers().into_iter().chain([Driver::Direct]) {
        eprintln!("on {driver}");
        let record = Record::default();
        let data = Noted("data", record.clone(), panics);
        f(EventChannel::builder().driver(driver).user_data(data).build().unwrap(), record);
    }
}

#[test]
fn whoever_has_the_channel_reaches_it_by_its_type() {
    limit(30, || {
        each_with(false, |channel, record| {
            assert_eq!(channel.user_data::<Noted>().unwrap().0, "data");
            assert!(channel.clone().user_data::<String>().is_none());
            let seen = record.clone();
            let handler = move |channel: &EventChannel, _| {
                let it = channel.user_data::<Noted>().unwrap();
                assert!(Arc::ptr_eq(&it.1.0, &seen.0));
                seen.0.lock().unwrap().push(("handler", thread::current().id()));
            };
            channel.post(Request::notification().on_complete(handler)).unwrap();
            while record.names().is_empty() {
                assert!(channel.try_get_event().unwrap().is_none());
            }
            assert_eq!(record.names(), ["handler"]);
            drop(channel);
            assert_eq!(record.names(), ["handler", "data"]);
        });
        assert!(EventChannel::new().unwrap().user_data::<()>().is_none());
        let local = EventChannel::builder().user_data(7u32).single_threaded().build().unwrap();
        assert_eq!(local.user_data::<u32>(), Some(&7));
    });
}

/// In flight, ready for a getter, ready for a handler: all of it goes before.
#[test]
fn it_goes_once_after_what_is_in_the_events_that_nobody_has_got() {
    limit(30, || {
        each_with(false, |channel, record| {
            let context = |name| Box::new(Noted(name, record.clone(), false));
            let ((near, _far), captured) = (pair(), Noted("captured", record.clone(), false));
            channel.post(Request::recv(near, room(8)).context(context("receive"))).unwrap();
            channel.post(Request::timer(Duration::from_secs(100)).context(context("timer"))).unwrap();
            let due = Request::notification().context(context("due")).on_complete(move |_, _| {
                let _kept = &captured;
            });
            assert!(channel.try_get_event().unwrap().is_none());
            channel.post(Request::notification().context(context("ready"))).unwrap();
            channel.post(due).unwrap();
            let clone = channel.clone();
            drop(channel);
            assert_eq!(record.names(), [""; 0], "a clone is still there");
            drop(clone);
            let mut names = record.names();
            assert_eq!(names.pop(), Some("data"));
            names.sort_unstable();
            assert_eq!(names, ["captured", "due", "ready", "receive", "timer"]);
        });
    });
}

#[test]
fn an_event_that_somebody_has_got_may_live_longer() {
    limit(30, || {
        each_with(false, |channel, record| {
            let context = Noted("context", record.clone(), false);
            channel.post(Request::timer(Duration::ZERO).context(Box::new(context))).unwrap();
            let event = channel.get_event().unwrap();
            drop(channel);
            assert_eq!(record.names(), ["data"]);
            drop(event);
            assert_eq!(record.names(), ["data", "context"]);
        });
    });
}

#[test]
fn it_goes_on_the_thread_of_the_last_clone() {
    limit(30, || {
        each_with(false, |channel, record| {
            let (send, receive) = std::sync::mpsc::channel();
            let getter = thread::spawn(move || {
                channel.post(Request::timer(Duration::ZERO)).unwrap();
                channel.get_event().unwrap();
                receive.recv().unwrap();
                drop(channel);
                thread::current().id()
            });
            assert_eq!(record.names(), [""; 0]);
            send.send(()).unwrap();
            let there = getter.join().unwrap();
            assert_eq!(*record.0.lock().unwrap(), [("data", there)]);
        });
    });
}

#[test]
fn a_panic_of_its_destructor_does_not_come_out_not_even_while_another_unwinds() {
    limit(30, || {
        each_with(true, |channel, record| {
            channel.post(Request::timer(Duration::from_secs(100))).unwrap();
            drop(channel);
            assert_eq!(record.names(), ["data"]);
        });
        each_with(true, |channel, record| {
            let unwinds = || {
                let _held = channel;
                panic_any(7u32);
            };
            let panic = catch_unwind(AssertUnwindSafe(unwinds)).unwrap_err();
            assert_eq!((*panic.downcast::<u32>().unwrap(), record.names()), (7, vec!["data"]));
        });
    });
}

#[test]
fn a_build_that_fails_drops_it_unless_a_clone_of_the_builder_has_it_too() {
    limit(30, || {
        for panics in [false, true] {
            let record = Record::default();
            let builder = EventChannel::builder().ports(0).user_data(Noted("data", record.clone(), panics));
            assert!(format!("{builder:?}").contains("there"));
            let again = builder.clone();
            assert_eq!(builder.build().unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(record.names(), [""; 0]);
            let channel = again.clone().ports(1).build().unwrap();
            // Another in its place: of this builder only.
            let again = again.user_data(());
            assert!(channel.user_data::<Noted>().is_some());
            drop(channel);
            assert_eq!(record.names(), ["data"]);
            assert!(again.build().is_err());
            let alone = EventChannel::builder().ports(0).user_data(Noted("alone", record.clone(), panics));
            assert!(alone.build().is_err());
            assert_eq!(record.names(), ["data", "alone"]);
        }
    });
}

/// As its documentation says: it keeps itself.
#[test]
fn data_that_holds_its_channel_keeps_it_until_somebody_takes_that_out() {
    type Held = (Mutex<Option<EventChannel>>, Noted);
    limit(30, || {
        for driver in drivers() {
            let record = Record::default();
            let data: Held = (Mutex::new(None), Noted("data", record.clone(), false));
            let channel = EventChannel::builder().driver(driver).user_data(data).build().unwrap();
            *channel.user_data::<Held>().unwrap().0.lock().unwrap() = Some(channel.clone());
            let poster = channel.clone();
            drop(channel);
            assert_eq!(record.names(), [""; 0]);
            // (A handler could, too.)
            let taken = poster.user_data::<Held>().unwrap().0.lock().unwrap().take();
            drop(taken);
            assert_eq!(record.names(), [""; 0]);
            drop(poster);
            assert_eq!(record.names(), ["data"]);
        }
    });
}

#[test]
fn a_forked_child_can_look_at_it_and_drops_neither_it_nor_what_is_ready() {
    alone(30, || {
        each_with(false, |channel, record| {
            let context = Noted("ready", record.clone(), false);
            channel.post(Request::notification().context(Box::new(context))).unwrap();
            // SAFETY: the child looks at memory, and ends by _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let seen = channel.user_data::<Noted>().is_some_and(|it| it.0 == "data");
                drop(channel);
                let dropped = record.0.try_lock().map_or(99, |names| names.len() as i32);
                // SAFETY: ends the child.
                unsafe { libc::_exit(if seen { dropped } else { 98 }) };
            }
            let mut status = 0;
            // SAFETY: a live int, and the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "so many (times 256) were dropped in the child");
            drop(channel);
            assert_eq!(record.names(), ["ready", "data"]);
        });
    });
}
