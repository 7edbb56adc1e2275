//! Many posts.

use crate::SOON;
use crate::common::{each_driver, none_for, room, until_asleep};
use ec_channel::{Event, EventKind, Request, Source};
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

#[test]
fn what_panics_amid_many_posts_costs_none_of_those_before() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let getter = s.spawn(|| channel.get_event().unwrap().token());
                until_asleep(&channel);
                let requests =
                    (0..3).map(|n| if n == 1 { panic!("on purpose") } else { Request::notification() });
                let posted =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| channel.post_all(requests)));
                assert!(posted.is_err());
                assert_eq!(getter.join().unwrap(), 0);
            });
            none_for(&channel, Duration::ZERO);
        })
    });
}
