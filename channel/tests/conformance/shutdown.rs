//! A channel's end.

use crate::SOON;
use crate::common::{each_driver, none_for, room};
use ec_channel::Request;
use ec_test_support::limit;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn after_shutdown_what_is_in_flight_comes_back_and_then_an_error() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            channel.post(Request::timer(Duration::from_secs(100))).unwrap();
            channel.post(Request::notification().token(1)).unwrap();
            channel.shutdown();
            let mut cancelled = 0;
            for _ in 0..3 {
                cancelled += usize::from(channel.get_event().unwrap().is_cancelled());
            }
            assert_eq!(cancelled, 2);
            assert!(channel.get_event().unwrap_err().to_string().contains("shut down"));
            let refused =
                channel.post(Request::send(UnixStream::pair().unwrap().0, b"keep".to_vec())).unwrap_err();
            assert!(refused.to_string().contains("shut down"));
            assert_eq!(refused.into_request().into_buffer(), b"keep", "nothing is lost");
        })
    });
}

#[test]
fn shutdown_wakes_everyone_who_waits() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            std::thread::scope(|s| {
                let getters: Vec<_> = (0..5)
                    .map(|_| {
                        s.spawn(|| {
                            let mut events = 0;
                            while channel.get_event().is_ok() {
                                events += 1;
                            }
                            events
                        })
                    })
                    .collect();
                std::thread::sleep(SOON);
                channel.shutdown();
                assert_eq!(getters.into_iter().map(|g| g.join().unwrap()).sum::<usize>(), 1);
            });
        })
    });
}

#[test]
fn dropping_the_channel_frees_what_is_in_flight() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            none_for(&channel, SOON);
            drop(channel);
            assert_eq!(
                b.write(b"x").unwrap_err().kind(),
                io::ErrorKind::BrokenPipe,
                "the descriptor went with the request"
            );
        })
    });
}
