//! Others accept from the same listener, by plain calls that block.

mod common;

use common::each_driver;
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const RIVALS: usize = 3;
const BURSTS: usize = 60;
const BURST: usize = 20;

/// Whoever is first has the connection. A rival's call waits, as it should. The port goes on when it has come too late.
#[test]
fn each_connection_comes_once_no_rival_is_sent_away_and_the_port_goes_on() {
    limit(60, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let addr = listener.local_addr().unwrap();
            let (accepted, over) = (AtomicUsize::new(0), AtomicBool::new(false));
            let rival = || {
                while !over.load(Ordering::SeqCst) {
                    listener.accept().expect("a blocking accept waits");
                    accepted.fetch_add(1, Ordering::SeqCst);
                }
            };
            let accept = || channel.post(Request::accept(listener.clone())).unwrap();
            std::thread::scope(|s| {
                for _ in 0..RIVALS {
                    s.spawn(rival);
                }
                let accepting = Cell::new(accept());
                let a_timer_completes = || {
                    channel.post(Request::timer(Duration::from_millis(2))).unwrap();
                    loop {
                        let event = channel.get_event().unwrap();
                        if event.kind() == EventKind::Timer {
                            return;
                        }
                        event.result().unwrap();
                        accepted.fetch_add(1, Ordering::SeqCst);
                        accepting.set(accept());
                    }
                };
                for burst in 1..=BURSTS {
                    s.spawn(|| (0..BURST).for_each(|_| drop(TcpStream::connect(addr).unwrap())));
                    // No further connection frees a port that is held up.
                    while accepted.load(Ordering::SeqCst) < burst * BURST {
                        a_timer_completes();
                    }
                    a_timer_completes();
                }
                assert_eq!(accepted.load(Ordering::SeqCst), BURSTS * BURST);
                channel.cancel(accepting.get());
                assert!(channel.get_event().unwrap().is_cancelled());
                over.store(true, Ordering::SeqCst);
                // Each rival has one more.
                (0..RIVALS).for_each(|_| drop(TcpStream::connect(addr).unwrap()));
            });
        })
    });
}
