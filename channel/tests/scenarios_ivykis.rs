//! What ivykis's own test programs go through, anew, in its manner: one thread, and handlers that are called one at a time. (Signals,
//! children, watches and the pump have files of their own.)

mod common;

use common::{drivers, fleeting_socket, pair, room};
use ec_channel::{EventChannel, Interest, LocalChannel, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// On each driver that has several requests under way.
fn each(f: impl Fn(LocalChannel)) {
    for driver in drivers() {
        eprintln!("on {driver}");
        limit(60, || f(EventChannel::builder().single_threaded().driver(driver).build().unwrap()));
    }
}

/// A port where nobody listens.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn a_connect_that_fails_is_told_with_its_reason() {
    each(|channel| {
        let told = Rc::new(Cell::new(0));
        let theirs = told.clone();
        let connect = Request::connect(OwnedFd::from(fleeting_socket()), closed_port());
        channel
            .post_with(connect, move |_, event| {
                theirs.set(event.failure().unwrap().errno());
                None
            })
            .unwrap();
        channel.run().unwrap();
        assert_eq!(told.get(), libc::ECONNREFUSED);
    });
}

#[test]
fn a_connection_that_is_reset_is_told_to_who_reads() {
    each(|channel| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = listener.accept().unwrap().0;
        let told = Rc::new(Cell::new(0));
        let theirs = told.clone();
        channel
            .post_with(Request::recv(near, room(8)), move |_, event| {
                theirs.set(event.failure().unwrap().errno());
                None
            })
            .unwrap();
        // Closed so that it ends with a reset.
        socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        channel.run().unwrap();
        assert_eq!(told.get(), libc::ECONNRESET);
    });
}

/// Timers in the past come as well, and before those of the future.
#[test]
fn timers_come_in_their_order_whatever_order_they_are_posted_in() {
    each(|channel| {
        let (now, order) = (Instant::now(), Rc::new(RefCell::new(Vec::new())));
        for at in [7u32, 3, 9, 1, 5, 0, 8, 2, 6, 4] {
            let order = order.clone();
            // The first three lie in the past.
            let when = now - 20 * MS + 10 * MS * at;
            let handler = move |_: &LocalChannel, _| {
                assert!(Instant::now() >= when);
                order.borrow_mut().push(at);
                None
            };
            channel.post_with(Request::timer_at(when), handler).unwrap();
        }
        channel.run().unwrap();
        assert!(order.borrow().iter().copied().eq(0..10), "{order:?}");
    });
}

/// A timer of no time that its handler posts again and again is no reason to look at nothing else.
#[test]
fn timers_of_no_time_hold_up_no_descriptor() {
    each(|channel| {
        let (near, mut far) = pair();
        let (ticks, over) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let (counted, ends) = (ticks.clone(), over.clone());
        channel
            .post_with(Request::timer(Duration::ZERO), move |_, event| {
                counted.set(counted.get() + 1);
                (!ends.get()).then(|| event.again())
            })
            .unwrap();
        let received = over.clone();
        channel
            .post_with(Request::recv(near, room(8)), move |_, event| {
                received.set(event.buffer() == b"here");
                None
            })
            .unwrap();
        let counted = ticks.clone();
        let feeder = move |_: &LocalChannel, _| {
            assert!(counted.get() > 0);
            far.write_all(b"here").unwrap();
            None
        };
        channel.post_with(Request::timer(5 * MS), feeder).unwrap();
        channel.run().unwrap();
        assert!(over.get() && ticks.get() > 1, "{} ticks", ticks.get());
    });
}

/// Two descriptors that are always ready have their handlers called equally often.
#[test]
fn descriptors_that_are_always_ready_take_turns() {
    const CALLS: usize = 2000;
    each(|channel| {
        let pairs = [pair(), pair(), pair()];
        let calls: [Rc<Cell<usize>>; 3] = Default::default();
        for ((near, far), counted) in pairs.iter().zip(&calls) {
            (&*far).write_all(b"there").unwrap();
            let (counted, all) = (counted.clone(), calls.clone());
            let ready = Request::readiness(near.clone(), Interest::READABLE);
            channel
                .post_with(ready, move |_, event| {
                    counted.set(counted.get() + 1);
                    let sum: usize = all.iter().map(|calls| calls.get()).sum();
                    (sum < CALLS).then(|| event.again())
                })
                .unwrap();
        }
        channel.run().unwrap();
        let calls = calls.map(|calls| calls.get());
        assert!(calls.iter().all(|calls| *calls > CALLS / 5), "{calls:?}");
    });
}

#[test]
fn a_descriptor_is_given_up_by_its_own_handler() {
    each(|channel| {
        let (near, mut far) = pair();
        far.write_all(b"there").unwrap();
        let (items, ends) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (item, end) = (items.clone(), ends.clone());
        let ready = Request::readiness_stream(near.clone(), Interest::READABLE);
        channel
            .post_with(ready, move |channel, event| {
                if event.is_last() {
                    assert!(event.is_cancelled());
                    end.set(end.get() + 1);
                } else {
                    item.set(item.get() + 1);
                    assert_eq!(channel.cancel(event.id()), item.get() == 1);
                }
                None
            })
            .unwrap();
        channel.run().unwrap();
        assert_eq!((items.get(), ends.get()), (1, 1));
        // Nothing is left of it: the descriptor can be waited for anew.
        let again = Rc::new(Cell::new(0));
        let read = again.clone();
        channel
            .post_with(Request::recv(near, room(8)), move |_, event| {
                read.set(event.result().unwrap());
                None
            })
            .unwrap();
        channel.run().unwrap();
        assert_eq!(again.get(), 5);
    });
}

/// Closures run side by side elsewhere; what is done with their results is the owner's, one at a time.
#[test]
fn work_is_done_by_others_and_its_ends_are_the_owner_s() {
    each(|channel| {
        let (owner, sum) = (std::thread::current().id(), Rc::new(Cell::new(0)));
        for n in 0..100u64 {
            let sum = sum.clone();
            let work = Request::work(move || (std::thread::current().id(), n * n));
            channel
                .post_with(work, move |_, mut event| {
                    let (worker, square) =
                        event.take_work::<(std::thread::ThreadId, u64)>().unwrap().unwrap();
                    assert!(std::thread::current().id() == owner && worker != owner);
                    sum.set(sum.get() + square);
                    None
                })
                .unwrap();
        }
        channel.run().unwrap();
        assert_eq!(sum.get(), (0..100).map(|n| n * n).sum());
    });
}

/// Events from other threads, each of which has a channel of its own.
#[test]
fn threads_with_channels_of_their_own_call_each_other() {
    each(|channel| {
        let rounds = 1000u64;
        let (poster, driver) = (channel.poster(), channel.driver().kind());
        let (to_other, others) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let mine = EventChannel::builder().single_threaded().driver(driver).build().unwrap();
            to_other.send(mine.poster()).unwrap();
            let mut last = 0;
            while last < rounds {
                last = mine.get_event().unwrap().token();
                poster.post(last).unwrap();
            }
        });
        let to_other = others.recv().unwrap();
        for round in 1..=rounds {
            to_other.post(round).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), round);
        }
        other.join().unwrap();
    });
}

/// What was read stays where it is while others are at it: a descriptor that two requests share.
#[test]
fn one_descriptor_may_be_waited_for_many_times() {
    each(|channel| {
        let (near, mut far) = pair();
        let all = Rc::new(RefCell::new(Vec::new()));
        for _ in 0..5 {
            let all = all.clone();
            channel
                .post_with(Request::recv(near.clone(), room(2)), move |_, event| {
                    all.borrow_mut().extend_from_slice(event.buffer());
                    None
                })
                .unwrap();
        }
        far.write_all(b"0123456789").unwrap();
        channel.run().unwrap();
        assert_eq!(&all.borrow()[..], b"0123456789");
    });
}
