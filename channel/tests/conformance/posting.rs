//! Many posts.

use crate::SOON;
use crate::common::{each_driver, none_for, room, until_asleep};
use ec_channel::{Event, EventChannel, EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn more_requests_than_any_queue_holds_all_come_back() {
    limit(60, || {
        each_driver(|channel| {
            let n = 5_000;
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            for token in 0..n {
                channel.post(Request::recv(a.clone(), room(1)).token(token)).unwrap();
            }
            none_for(&channel, SOON);
            b.write_all(&vec![7; n as usize]).unwrap();
            let mut seen = vec![false; n as usize];
            for _ in 0..n {
                let event = channel.get_event().unwrap();
                assert_eq!(event.buffer(), [7]);
                assert!(!std::mem::replace(&mut seen[event.token() as usize], true), "twice");
            }
            assert_eq!(channel.metrics().in_flight, 0);
        })
    });
}

#[test]
fn many_posted_at_once_come_back_each_and_wake_who_sleeps() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let requests = || {
                let source = Source::from(a.try_clone().unwrap());
                let receive = Request::recv(source, room(1)).token(0);
                let timers = (1..20).map(|n| Request::timer(Duration::from_micros(n)).token(n));
                std::iter::once(receive)
                    .chain(timers)
                    .chain((20..40).map(|n| Request::notification().token(n)))
            };
            std::thread::scope(|s| {
                let getter = s.spawn(|| {
                    let mut got = Vec::new();
                    while got.len() < 40 {
                        channel.get_events(&mut got, 7, None).unwrap();
                    }
                    got
                });
                until_asleep(&channel);
                let ids = channel.post_all(requests()).unwrap();
                b.write_all(b"x").unwrap();
                let mut got = getter.join().unwrap();
                got.sort_by_key(Event::token);
                assert!(got.iter().map(Event::token).eq(0..40), "{got:?}");
                assert!(got.iter().map(Event::id).eq(ids), "ids are in the order of the requests");
            });
            channel.shutdown();
            let error = channel.post_all(requests()).unwrap_err();
            assert!(error.ids().is_empty() && error.to_string().contains("shut down"), "{error}");
            assert_eq!(error.into_first().into_request().kind(), EventKind::Recv);
        })
    });
}

/// A context whose destructor panics.
struct Unkind;

impl Drop for Unkind {
    fn drop(&mut self) {
        panic!("on purpose, too");
    }
}

#[test]
fn while_the_iterator_of_many_posts_runs_nothing_is_owed() {
    limit(30, || {
        each_driver(|channel| {
            // Whatever it does comes first: it posts, gets, looks and panics.
            let amid = |n| {
                if n == 1 {
                    channel.post(Request::notification().token(7)).unwrap();
                    assert_eq!(channel.metrics().posted, 1);
                    assert_eq!(channel.get_event().unwrap().token(), 7);
                }
                Request::notification().token(n)
            };
            assert_eq!(channel.post_all((0..3).map(amid)).unwrap().len(), 3);
            let mut got = Vec::new();
            channel.get_events(&mut got, 9, None).unwrap();
            assert!(got.iter().map(Event::token).eq(0..3));

            let panics = |n| if n == 2 { panic!("on purpose") } else { Request::notification() };
            let unkind = std::iter::once(Request::notification().context(Box::new(Unkind)));
            let requests = unkind.chain((0..3).map(panics));
            let posted =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| channel.post_all(requests)));
            assert!(posted.is_err());
            none_for(&channel, Duration::ZERO);

            // A shutdown is not held up by one that goes on.
            let ends = |n| {
                if n == 1 {
                    channel.shutdown();
                    assert!(channel.get_event().is_err());
                }
                Request::notification().token(n)
            };
            let (first, rest) = channel.post_all((0..3).map(ends)).unwrap_err().into_parts();
            assert_eq!((first.into_request().kind(), rest.len()), (EventKind::Notification, 2));
            assert_eq!(channel.metrics().posted, 4);
        })
    });
}

#[test]
fn of_many_posts_those_before_the_first_refused_are_posted_and_the_rest_comes_back() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::interval(Duration::from_millis(1))).unwrap();
            let item = channel.get_event().unwrap();
            let posts = |n| Request::notification().token(n);
            let requests = [posts(0), posts(1), item.again(), posts(3), posts(4)];
            let error = channel.post_all(requests).unwrap_err();
            assert_eq!(error.ids().len(), 2);
            let (first, rest) = error.into_parts();
            assert!(first.to_string().contains("an item of a stream"), "{first}");
            assert_eq!(rest.len(), 2);
            channel.post_all(rest).unwrap();
            let mut tokens = Vec::new();
            while tokens.len() < 4 {
                let event = channel.get_event().unwrap();
                tokens.extend((event.kind() == EventKind::Notification).then(|| event.token()));
            }
            assert_eq!(tokens, [0, 1, 3, 4]);
        })
    });
}

/// More than once the bits of a slot are counted through. (The number of what nobody has got is the id's alone.)
#[test]
fn notifications_that_nobody_has_got_have_each_an_id_of_its_own() {
    limit(60, || {
        let channel = EventChannel::new().unwrap();
        let ids = channel.post_all((0..(1 << 20) + 1).map(|_| Request::notification())).unwrap();
        // (The program that counts may be built without optimisation: the first is compared, for the numbers are one behind the other.)
        let first = ids[0];
        assert!(ids[1..].iter().all(|id| *id != first && id.as_u64() != first.as_u64()));
        assert!(!channel.cancel(first));
        let mut out = Vec::new();
        while out.len() < ids.len() {
            channel.get_events(&mut out, usize::MAX, None).unwrap();
        }
        assert!(out.iter().map(Event::id).eq(ids));
    });
}
