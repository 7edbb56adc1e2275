//! A descriptor is registered with a port, and not any more, while others wait for it: they hear of what comes all the same. On each
//! driver; only epoll has use for registrations.

mod common;

use common::{Random, each_driver, none_for, room, until_asleep};
use ec_channel::raw::Registration;
use ec_channel::{EventChannel, EventKind, Interest, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// Where the driver has use for it there is a registration.
fn register(channel: &EventChannel, fd: RawFd) -> Option<Registration> {
    // SAFETY: nobody is told of it, and whoever calls this keeps the descriptor open.
    let registration = unsafe { channel.register(0, fd) };
    assert_eq!(registration.is_some(), channel.registers(), "{}", channel.driver());
    registration
}

/// A socket that stays ours while requests have it too, and its peer.
fn shared_pair() -> (Arc<UnixStream>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Arc::new(near), far)
}

fn await_readable(channel: &EventChannel, it: &Arc<UnixStream>) {
    channel.post(Request::readiness(it.clone(), Interest::READABLE)).unwrap();
}

fn comes(channel: &EventChannel) {
    let event = channel.get_event_timeout(LONG).unwrap().expect("something has come for who waits");
    assert!(event.result().is_ok());
}

#[test]
fn who_waits_before_a_registration_hears_after_it() {
    limit(60, || {
        each_driver(|channel| {
            let (near, mut far) = shared_pair();
            await_readable(&channel, &near);
            none_for(&channel, SOON);
            drop(register(&channel, near.as_raw_fd()));
            far.write_all(b"x").unwrap();
            comes(&channel);
        })
    });
}

#[test]
fn who_begins_to_wait_during_a_registration_hears_in_it_and_after_it() {
    limit(60, || {
        each_driver(|channel| {
            // Whether the port has heard of it before, or not; and whether what comes does so in it, or after it.
            for (heard, within) in [(false, false), (false, true), (true, false), (true, true)] {
                let (near, mut far) = shared_pair();
                let mut registration = register(&channel, near.as_raw_fd());
                if heard {
                    none_for(&channel, SOON);
                }
                await_readable(&channel, &near);
                channel.post(Request::recv(near.clone(), room(8))).unwrap();
                none_for(&channel, SOON);
                if !within {
                    registration.take();
                }
                far.write_all(b"x").unwrap();
                comes(&channel);
                comes(&channel);
            }
        })
    });
}

/// What came before it, too, and by whichever registration they hear of it.
#[test]
fn who_waits_hears_through_registration_after_registration() {
    limit(60, || {
        each_driver(|channel| {
            for heard in [false, true] {
                let (near, mut far) = shared_pair();
                await_readable(&channel, &near);
                for _ in 0..5 {
                    let registration = register(&channel, near.as_raw_fd());
                    if heard {
                        none_for(&channel, SOON);
                    }
                    drop(registration);
                    // (The next one comes before the port has looked after this one.)
                    drop(register(&channel, near.as_raw_fd()));
                }
                let last = register(&channel, near.as_raw_fd());
                none_for(&channel, SOON);
                drop(last);
                far.write_all(b"x").unwrap();
                comes(&channel);
                none_for(&channel, SOON);
            }
        })
    });
}

#[test]
fn a_getter_that_sleeps_hears_after_a_registration() {
    limit(60, || {
        each_driver(|channel| {
            let (near, mut far) = shared_pair();
            await_readable(&channel, &near);
            none_for(&channel, SOON);
            let registration = register(&channel, near.as_raw_fd());
            std::thread::scope(|s| {
                let getter = s.spawn(|| comes(&channel));
                until_asleep(&channel);
                drop(registration);
                far.write_all(b"x").unwrap();
                getter.join().unwrap();
            });
        })
    });
}

#[test]
fn all_hear_of_whom_many_lose_their_registrations_at_once() {
    limit(60, || {
        each_driver(|channel| {
            let pairs: Vec<_> = (0..40).map(|_| shared_pair()).collect();
            pairs.iter().for_each(|(near, _)| await_readable(&channel, near));
            none_for(&channel, SOON);
            for _ in 0..2 {
                let all: Vec<_> =
                    pairs.iter().filter_map(|(near, _)| register(&channel, near.as_raw_fd())).collect();
                drop(all);
                none_for(&channel, SOON);
            }
            pairs.iter().for_each(|(_, far)| (&*far).write_all(b"x").unwrap());
            pairs.iter().for_each(|_| comes(&channel));
        })
    });
}

/// A wait that is given up, or that was for another descriptor, is nobody's.
#[test]
fn nobody_hears_who_waits_no_more() {
    limit(60, || {
        each_driver(|channel| {
            let (near, mut far) = shared_pair();
            let given_up = channel.post(Request::readiness(near.clone(), Interest::READABLE)).unwrap();
            none_for(&channel, SOON);
            let registration = register(&channel, near.as_raw_fd());
            channel.cancel(given_up);
            assert!(channel.get_event().unwrap().is_cancelled());
            drop(registration);
            far.write_all(b"x").unwrap();
            none_for(&channel, SOON);
        })
    });
}

/// Its owner has never dropped it (it was leaked), and the descriptor has been closed all the same.
#[test]
fn a_registration_that_was_leaked_is_not_the_next_owner_s() {
    limit(60, || {
        each_driver(|channel| {
            for heard in [false, true] {
                let (near, mut far) = UnixStream::pair().unwrap();
                // The file lives on, and will have something to say.
                let _duplicate = near.try_clone().unwrap();
                let number = near.into_raw_fd();
                std::mem::forget(register(&channel, number));
                if heard {
                    none_for(&channel, SOON);
                }
                let (next, mut far_of_next) = in_place_of(number);
                far.write_all(b"old").unwrap();
                await_readable(&channel, &next);
                none_for(&channel, SOON);
                far_of_next.write_all(b"x").unwrap();
                comes(&channel);
                // And its next owner can be registered.
                std::mem::forget(register(&channel, number));
                std::mem::forget(next);
                let (next, mut far_of_next) = in_place_of(number);
                let registration = register(&channel, number);
                await_readable(&channel, &next);
                none_for(&channel, SOON);
                drop(registration);
                far_of_next.write_all(b"x").unwrap();
                comes(&channel);
            }
        })
    });
}

/// A pair of which the first has this number. The file that had it has it no more.
fn in_place_of(number: RawFd) -> (Arc<UnixStream>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    // SAFETY: nobody has that number any more but the caller, who gives it away.
    let near = unsafe {
        assert_eq!(libc::dup2(near.as_raw_fd(), number), number);
        UnixStream::from_raw_fd(number)
    };
    (Arc::new(near), far)
}

/// Registrations come and go at any moment, in another thread, while events wait, are given up, and come. (But not while it is seen who has
/// come: the next registration would tell him whom the last one has left.)
#[test]
fn none_is_lost_while_registrations_come_and_go() {
    limit(120, || {
        each_driver(|channel| {
            let sockets: Vec<_> = (0..3).map(|_| tcp_pair()).collect();
            let (end, rest, rests) = (AtomicBool::new(false), AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|s| {
                s.spawn(|| {
                    let mut random = Random(5);
                    while !end.load(Ordering::SeqCst) {
                        while rest.load(Ordering::SeqCst) && !end.load(Ordering::SeqCst) {
                            rests.store(true, Ordering::SeqCst);
                            std::thread::yield_now();
                        }
                        rests.store(false, Ordering::SeqCst);
                        let (near, _) = &sockets[random.below(3) as usize];
                        let registration = register(&channel, near.as_raw_fd());
                        for _ in 0..random.below(3000) {
                            std::hint::spin_loop();
                        }
                        drop(registration);
                        for _ in 0..random.below(3000) {
                            std::hint::spin_loop();
                        }
                    }
                });
                let _ends = Ends(&end);
                let mut random = Random(6);
                for round in 0..300 {
                    let (near, far) = &sockets[random.below(3) as usize];
                    let given_up = Request::readiness(near.clone(), Interest::PRIORITY);
                    let given_up = channel.post(given_up).unwrap();
                    let others = random.below(3);
                    for _ in 0..others {
                        channel.post(Request::readiness(near.clone(), Interest::READABLE)).unwrap();
                    }
                    if random.below(2) == 0 {
                        assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
                    }
                    rest.store(true, Ordering::SeqCst);
                    while !rests.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    (&**far).write_all(b"x").unwrap();
                    for n in 0..others {
                        let event = channel.get_event_timeout(LONG).unwrap();
                        let event = event.unwrap_or_else(|| panic!("round {round}: {n} of {others} came"));
                        assert_eq!((event.kind(), event.result().is_ok()), (EventKind::Readiness, true));
                    }
                    channel.cancel(given_up);
                    assert!(channel.get_event().unwrap().is_cancelled());
                    channel.post(Request::recv(near.clone(), room(8))).unwrap();
                    assert_eq!(channel.get_event().unwrap().result().unwrap(), 1);
                    rests.store(false, Ordering::SeqCst);
                    rest.store(false, Ordering::SeqCst);
                }
            });
        })
    });
}

/// The other thread ends with this one, also if that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn tcp_pair() -> (Arc<TcpStream>, Arc<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    (Arc::new(near), Arc::new(far))
}
