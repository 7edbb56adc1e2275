//! Who waits, and who is woken.

use crate::SOON;
use crate::common::{each_driver, none_for, room, until_asleep};
use ec_channel::{Event, EventKind, Request};
use ec_test_support::limit;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn a_post_reaches_a_getter_that_sleeps_in_the_kernel() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let (told, heard) = mpsc::channel();
                let theirs = &channel;
                s.spawn(move || (0..2).for_each(|_| told.send(theirs.get_event().unwrap().token()).unwrap()));
                until_asleep(&channel);
                channel.post(Request::timer(Duration::from_millis(1)).token(1)).unwrap();
                assert_eq!(heard.recv().unwrap(), 1);
                until_asleep(&channel);
                channel.post(Request::notification().token(2)).unwrap();
                assert_eq!(heard.recv().unwrap(), 2);
            });
        })
    });
}

#[test]
fn the_lead_passes_on_when_the_leader_leaves_with_its_event() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let getters: Vec<_> =
                    (0..3).map(|_| s.spawn(|| channel.get_event().unwrap().token())).collect();
                std::thread::sleep(SOON);
                for token in [1, 2, 4] {
                    channel.post(Request::timer(SOON * token as u32).token(token)).unwrap();
                }
                assert_eq!(getters.into_iter().map(|g| g.join().unwrap()).sum::<u64>(), 7);
            });
        })
    });
}

#[test]
fn a_batch_takes_what_is_there() {
    limit(30, || {
        each_driver(|channel| {
            for token in 0..10 {
                channel.post(Request::notification().token(token)).unwrap();
            }
            let mut out = Vec::new();
            assert_eq!(channel.get_events(&mut out, 4, None).unwrap(), 4);
            assert_eq!(channel.get_events(&mut out, 100, Some(SOON)).unwrap(), 6);
            assert_eq!(out.iter().map(Event::token).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            assert_eq!(channel.get_events(&mut out, 100, Some(SOON)).unwrap(), 0);
        })
    });
}

/// A request belongs to the thread that submitted it; when that exits, the kernel cancels it, and the channel submits it again.
#[test]
fn a_request_outlives_the_thread_that_submitted_it() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            channel.post(Request::recv(a, room(8))).unwrap();
            channel.post(Request::accept(listener.clone())).unwrap();
            std::thread::scope(|s| {
                s.spawn(|| none_for(&channel, SOON));
            });
            b.write_all(b"there").unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"there");
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            assert!(channel.get_event().unwrap().take_accepted().is_some());
            channel.post(Request::notification().token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            std::thread::scope(|s| {
                // the waker's own poll request went with that thread, too; its end is heard once, a new one must listen
                let (told, heard) = mpsc::channel();
                let theirs = &channel;
                s.spawn(move || (0..4).for_each(|_| told.send(theirs.get_event().unwrap().token()).unwrap()));
                for token in 0..4 {
                    until_asleep(&channel);
                    channel.post(Request::timer(Duration::ZERO).token(token)).unwrap();
                    assert_eq!(heard.recv().unwrap(), token);
                }
            });
        })
    });
}

/// Fails (does not return) if it takes what comes while it takes.
#[test]
fn a_batch_without_an_end_ends_while_others_post() {
    limit(30, || {
        each_driver(|channel| {
            let over = AtomicBool::new(false);
            std::thread::scope(|s| {
                for _ in 0..2 {
                    s.spawn(|| {
                        while !over.load(Ordering::SeqCst) {
                            channel.post_all((0..64).map(|_| Request::notification())).unwrap();
                        }
                    });
                }
                let mut out = Vec::new();
                // (They post faster than one takes: there is more each time.)
                for _ in 0..3 {
                    out.clear();
                    let n = channel.get_events(&mut out, usize::MAX, None).unwrap();
                    assert!(n > 0 && n == out.len());
                }
                over.store(true, Ordering::SeqCst);
            });
            // What is left comes at once.
            let mut rest = Vec::new();
            while channel.get_events(&mut rest, usize::MAX, Some(Duration::ZERO)).unwrap() > 0 {}
            assert!(rest.iter().all(|event| event.kind() == EventKind::Notification));
            channel.post_all((0..1000).map(|n| Request::notification().token(n))).unwrap();
            rest.clear();
            assert_eq!(channel.get_events(&mut rest, usize::MAX, None).unwrap(), 1000);
        })
    });
}
