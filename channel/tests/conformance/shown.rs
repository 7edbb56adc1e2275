//! What is printed, counted, and given back.

use crate::common::{drivers, pair, room, until_asleep};
use ec_channel::{Event, EventChannel, Interest, Request};
use ec_test_support::limit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn requests_and_events_say_what_they_are_of() {
    limit(30, || {
        let channel = EventChannel::new().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        let fd = near.as_raw_fd();
        let request = Request::recv(near, room(4)).token(41);
        assert_eq!(
            format!("{request:?}"),
            format!("Request {{ kind: Recv, token: 41, descriptor: {fd}, .. }}")
        );
        assert_eq!(
            format!("{:?}", Request::notification().token(3)),
            "Request { kind: Notification, token: 3, .. }"
        );
        let id = channel.post(request).unwrap();
        std::io::Write::write_all(&mut far, b"x").unwrap();
        let event = channel.get_event().unwrap();
        let shown = format!("token: 41, descriptor: {fd}, is_last: true, result: Ok(1), .. }}");
        assert_eq!(format!("{event:?}"), format!("Event {{ id: {id:?}, kind: Recv, {shown}"));
        // An item has no descriptor of its own.
        channel.post(Request::readiness_stream(far, Interest::WRITABLE).token(5)).unwrap();
        let item = format!("{:?}", channel.get_event().unwrap());
        assert!(item.ends_with("kind: Readiness, token: 5, is_last: false, result: Ok(0), .. }"), "{item}");
        // Each kind that has one says so.
        let (source, _far) = pair();
        let to = "127.0.0.1:9".parse().unwrap();
        for request in [
            Request::accept(source.clone()),
            Request::connect(source.clone(), to),
            Request::send(source.clone(), vec![]),
            Request::recv_from(source.clone(), vec![]),
            Request::send_to(source.clone(), vec![], to),
            Request::recv_vectored(source.clone(), vec![]),
            Request::send_vectored(source.clone(), vec![]),
            Request::recv_msg(source.clone(), vec![], 0),
            Request::send_msg(source.clone(), vec![], Default::default()),
            Request::recv_pooled(source.clone(), &ec_channel::BufferPool::new(1, 1)),
            Request::send_zero_copy(source.clone(), vec![]),
            Request::shutdown(source.clone(), std::net::Shutdown::Both),
            Request::readiness(source.clone(), Interest::READABLE),
            Request::readiness_stream(source, Interest::READABLE),
        ] {
            assert!(format!("{request:?}").contains("descriptor: "), "{request:?}");
        }
    });
}

#[test]
fn an_interest_has_names_and_parts() {
    let all = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
    assert_eq!(format!("{all:?}"), "READABLE | WRITABLE | PRIORITY");
    assert_eq!(format!("{:?}", Interest::PRIORITY), "PRIORITY");
    let nothing = Interest::READABLE & Interest::WRITABLE;
    assert_eq!(format!("{nothing:?}"), "NOTHING");
    assert!(all.contains(Interest::READABLE) && all.contains(nothing) && !Interest::READABLE.contains(all));
    assert_eq!(all & Interest::WRITABLE, Interest::WRITABLE);
}

#[test]
fn what_was_refused_can_be_got_back() {
    let channel = EventChannel::new().unwrap();
    channel.shutdown();
    let (near, _far) = pair();
    let request = Request::send(near, b"unsaid".to_vec()).token(9).context(Box::new(77u8));
    let refused = channel.post(request).unwrap_err();
    assert!(format!("{refused:?}").starts_with("PostError(Request { kind: Send, token: 9, descriptor: "));
    let mut request = refused.into_request();
    assert_eq!(*request.take_context().unwrap().downcast::<u8>().unwrap(), 77);
    assert!(request.take_context().is_none());
    assert_eq!((request.take_buffer(), request.take_buffer()), (b"unsaid".to_vec(), vec![]));
    assert!(Request::notification().take_context().is_none());
}

#[test]
fn what_is_ready_is_counted_until_it_is_fetched() {
    limit(30, || {
        let channel = EventChannel::new().unwrap();
        channel.post_all((0..100).map(|_| Request::notification())).unwrap();
        channel.post(Request::notification().on_complete(|_, _| ())).unwrap();
        assert_eq!((channel.metrics().ready, channel.metrics().in_flight), (100, 1));
        let mut out: Vec<Event> = Vec::new();
        assert_eq!(channel.get_events(&mut out, 40, None).unwrap(), 40);
        assert_eq!(channel.metrics().ready, 60);
        while channel.metrics().ready + channel.metrics().handlers_due > 0 {
            channel.get_events(&mut out, 40, Some(Duration::ZERO)).unwrap();
        }
        assert_eq!((out.len(), channel.metrics().in_flight), (100, 0));
    });
}

#[test]
fn a_leader_that_is_called_for_an_event_counts_as_woken() {
    limit(30, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            std::thread::scope(|scope| {
                for _ in 0..5 {
                    let before = channel.metrics().wakeups;
                    let getter = scope.spawn(|| channel.get_event().map(drop));
                    until_asleep(&channel);
                    channel.post(Request::notification()).unwrap();
                    getter.join().unwrap().unwrap();
                    assert_eq!(channel.metrics().wakeups, before + 1);
                }
            });
        }
    });
}

/// On each driver, for that of one request at a time as well.
#[test]
fn what_cannot_be_polled_is_always_ready_for_whatever_is_asked() {
    let memory = || {
        // SAFETY: a new descriptor.
        unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(libc::memfd_create(c"x".as_ptr(), 0)) }
    };
    let open = |path: &str| OwnedFd::from(std::fs::File::open(path).unwrap());
    let own = std::env::current_exe().unwrap();
    limit(60, || {
        for driver in drivers().into_iter().chain([ec_channel::Driver::Direct]) {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let all = Interest::READABLE | Interest::WRITABLE | Interest::PRIORITY;
            for fd in [memory(), open("/dev/null"), open("/"), open(own.to_str().unwrap())] {
                let source = ec_channel::Source::from(fd);
                let ready = |interest| {
                    channel.post(Request::readiness(source.clone(), interest)).unwrap();
                    let event = channel.get_event().unwrap();
                    assert!(event.result().is_ok(), "{driver}: {event:?}");
                    event.ready()
                };
                assert_eq!(ready(Interest::PRIORITY), Interest::PRIORITY, "{driver}");
                assert_eq!(ready(all), Interest::READABLE | Interest::WRITABLE, "{driver}");
                let id = channel.post(Request::readiness_stream(source.clone(), Interest::PRIORITY)).unwrap();
                for _ in 0..3 {
                    let item = channel.get_event().unwrap();
                    assert!(!item.is_last() && item.ready() == Interest::PRIORITY, "{driver}: {item:?}");
                }
                channel.cancel(id);
                while !channel.get_event().unwrap().is_last() {}
            }
            // What can be polled waits for it.
            let (near, _far) = pair();
            channel.post(Request::readiness(near, Interest::PRIORITY)).unwrap();
            crate::common::none_for(&channel, Duration::from_millis(5));
        }
    });
}
