//! Others accept from the same listener, by plain calls that block.

mod common;

use common::{each_driver, fleeting_socket};
use ec_channel::{EventChannel, EventKind, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::cell::Cell;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
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

/// One accept is given up just as somebody connects, another waits behind it in `others`: one of the two has the connection.
fn given_up_as_somebody_connects(channel: &EventChannel, others: &EventChannel, by_deadline: bool) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let addr = listener.local_addr().unwrap();
    let connect = || Request::connect(OwnedFd::from(fleeting_socket()), addr);
    let first = Request::accept(listener.clone());
    let id = channel.post(if by_deadline { first.within(Duration::from_millis(1)) } else { first }).unwrap();
    if let Some(early) = channel.try_get_event().unwrap() {
        // (This thread has not run for so long.)
        assert!(by_deadline && early.is_timed_out());
        return;
    }
    others.post(Request::accept(listener.clone())).unwrap();
    assert!(by_deadline || others.try_get_event().unwrap().is_none());
    if by_deadline {
        std::thread::sleep(Duration::from_millis(1));
    } else {
        channel.cancel(id);
    }
    channel.post(connect()).unwrap();
    let (a, b) = (channel.get_event().unwrap(), channel.get_event().unwrap());
    let both = [&a, &b].map(|event| (event.kind(), event.failure().is_none()));
    let accepted = match both {
        [(EventKind::Connect, true), (EventKind::Accept, accepted)]
        | [(EventKind::Accept, accepted), (EventKind::Connect, true)] => accepted,
        _ => panic!("{both:?}"),
    };
    if !accepted {
        assert!(others.get_event().unwrap().failure().is_none());
        return;
    }
    // Then the other one has the next.
    channel.post(connect()).unwrap();
    channel.get_event().unwrap().result().unwrap();
    assert!(others.get_event().unwrap().failure().is_none());
}

#[test]
fn an_accept_that_is_given_up_takes_no_connection_from_another() {
    limit(60, || {
        each_driver(|channel| {
            let others = EventChannel::builder().driver(channel.driver().kind()).build().unwrap();
            for round in 0..200 {
                given_up_as_somebody_connects(&channel, &others, round % 2 == 1);
            }
        })
    });
}
