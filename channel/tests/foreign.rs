//! Code of the program's that is called by a channel: `AsFd`, handlers, destructors of what an event holds. Whatever it does, others
//! get what is theirs.

mod common;

use common::each_driver;
use ec_channel::{EventChannel, Interest, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// A descriptor whose owner does something each time that it is asked for it.
struct Asked<F>(UnixStream, F);

impl<F: Fn()> AsFd for Asked<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        (self.1)();
        self.0.as_fd()
    }
}

/// All that was posted has come back, and the channel says so.
fn ends(channel: &EventChannel) {
    channel.shutdown();
    while channel.get_event_timeout(Duration::from_secs(10)).unwrap_or(None).is_some() {}
    assert!(channel.get_event_timeout(SOON).is_err(), "nothing is left that anybody could wait for");
    assert_eq!((channel.metrics().in_flight, channel.metrics().handlers_due), (0, 0));
}

#[test]
fn an_as_fd_that_panics_leaves_nothing_behind() {
    limit(30, || {
        each_driver(|channel| {
            for handled in [false, true] {
                let bad = Arc::new(Asked(UnixStream::pair().unwrap().0, || panic!("on purpose")));
                let mut request = Request::readiness(bad.clone(), Interest::READABLE);
                if handled {
                    request = request.on_complete(|_, _| ());
                }
                assert!(catch_unwind(AssertUnwindSafe(|| channel.post(request).map(drop))).is_err());
                assert_eq!(Arc::strong_count(&bad), 1);
            }
            ends(&channel);
        });
    });
}

#[test]
fn an_as_fd_may_use_the_channel_and_take_its_time() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let inside = channel.clone();
            let asks = move || {
                let id = inside.post(Request::timer(Duration::from_secs(60)).token(1)).unwrap();
                assert!(inside.cancel(id));
                inside.post(Request::notification().token(2)).unwrap();
                assert!(inside.get_event_timeout(Duration::from_secs(10)).unwrap().is_some());
                std::thread::sleep(Duration::from_millis(1));
            };
            channel.post(Request::readiness(Arc::new(Asked(a, asks)), Interest::READABLE).token(3)).unwrap();
            b.write_all(b"x").unwrap();
            let mut tokens: Vec<_> = (0..2).map(|_| channel.get_event().unwrap().token()).collect();
            tokens.sort_unstable();
            assert!(tokens == [1, 3] || tokens == [2, 3], "{tokens:?}");
            ends(&channel);
        });
    });
}

/// An `AsFd` that panics in a shut-down channel, or is asked in one.
#[test]
fn an_as_fd_that_shuts_the_channel_down_gets_its_request_back() {
    limit(30, || {
        each_driver(|channel| {
            let inside = channel.clone();
            let asked = Asked(UnixStream::pair().unwrap().0, move || inside.shutdown());
            let refused = channel.post(Request::readiness(Arc::new(asked), Interest::READABLE)).unwrap_err();
            drop(refused.into_request());
            ends(&channel);
        });
    });
}

/// Does something when it goes.
struct Goes<F: FnMut()>(F);

impl<F: FnMut()> Drop for Goes<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn what_goes_with_an_event_may_use_the_channel_and_panic() {
    limit(30, || {
        each_driver(|channel| {
            let inside = channel.clone();
            let context = Goes(move || {
                inside.post(Request::notification().token(2)).unwrap();
                panic!("on purpose");
            });
            let request = Request::timer(Duration::ZERO).token(1).context(Box::new(context));
            channel.post(request).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.token(), 1);
            assert!(catch_unwind(AssertUnwindSafe(|| drop(event))).is_err());
            assert_eq!(channel.get_event().unwrap().token(), 2);
            ends(&channel);
        });
    });
}

#[test]
fn what_a_handler_holds_may_use_the_channel_and_panic_as_it_goes() {
    limit(30, || {
        each_driver(|channel| {
            let (inside, gone) = (channel.clone(), Arc::new(AtomicBool::new(false)));
            let goes = gone.clone();
            let held = Goes(move || {
                goes.store(true, SeqCst);
                inside.post(Request::notification().token(2)).unwrap();
                panic!("on purpose");
            });
            let handler = move |_: &EventChannel, _| {
                let _ = &held.0;
            };
            channel.post(Request::timer(Duration::ZERO).on_complete(handler)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            assert!(gone.load(SeqCst));
            ends(&channel);
        });
    });
}

/// Handlers run one after the other, without the channel's lock: each may get events itself, and post more.
#[test]
fn a_handler_may_get_events_and_post_others_with_handlers() {
    limit(30, || {
        each_driver(|channel| {
            let ran = Arc::new(AtomicUsize::new(0));
            let counts = ran.clone();
            let handler = move |channel: &EventChannel, event: ec_channel::Event| {
                if counts.fetch_add(1, SeqCst) < 20 {
                    let _ = channel.try_get_event().unwrap();
                    channel.post(event.again()).unwrap();
                }
            };
            channel.post(Request::timer(Duration::ZERO).on_complete(handler)).unwrap();
            while ran.load(SeqCst) < 21 {
                assert!(channel.get_event_timeout(SOON).unwrap().is_none());
            }
            ends(&channel);
        });
    });
}

#[test]
fn an_id_says_nothing_to_another_channel() {
    limit(30, || {
        each_driver(|channel| {
            let other = EventChannel::builder().driver(channel.driver().kind()).build().unwrap();
            let far = || Request::timer(Duration::from_secs(60));
            // The same slots, ports and generations in both.
            let ids: Vec<_> = (0..4).map(|_| channel.post(far()).unwrap()).collect();
            let others: Vec<_> = (0..4).map(|_| other.post(far()).unwrap()).collect();
            for (id, theirs) in ids.iter().zip(&others) {
                assert_eq!(id.as_u64(), theirs.as_u64());
                assert_ne!(id, theirs);
                assert!(!other.cancel(*id) && !channel.cancel(*theirs));
            }
            assert!(channel.get_event_timeout(SOON).unwrap().is_none());
            assert!(other.get_event_timeout(SOON).unwrap().is_none());
            assert!(ids.into_iter().all(|id| channel.cancel(id)));
            ends(&channel);
            ends(&other);
        });
    });
}

#[test]
fn a_channel_is_served_by_one() {
    limit(30, || {
        each_driver(|channel| {
            let serving = common::serve(&channel);
            // SAFETY: it is refused.
            let second = unsafe { channel.serve() };
            assert_eq!(second.map(drop).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
            drop(serving);
            drop(common::serve(&channel));
            channel.post(Request::timer(Duration::ZERO).token(5)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 5);
        });
    });
}
