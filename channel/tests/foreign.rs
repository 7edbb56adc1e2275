//! Code of the program's that the channel runs (`AsFd`, destructors, handlers, wake functions) does its worst.

mod common;

use common::{each_driver, serve};
use ec_channel::raw::{Op, Timer};
use ec_channel::{Completions, EventChannel, Interest, Request, Source, Wait, lock_held};
use ec_test_support::limit;
use ec_unkind as _;
use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

/// Has a descriptor, and something to do whenever it is asked for it.
struct Asked<F>(UdpSocket, F);

impl<F: Fn()> Asked<F> {
    fn new(f: F) -> Arc<Self> {
        Arc::new(Self(UdpSocket::bind("127.0.0.1:0").unwrap(), f))
    }
}

impl<F: Fn()> AsFd for Asked<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        assert_eq!(lock_held(), None);
        (self.1)();
        self.0.as_fd()
    }
}

/// Has something to do as it is dropped.
struct Dropped<F: FnMut()>(F);

impl<F: FnMut()> Drop for Dropped<F> {
    fn drop(&mut self) {
        assert_eq!(lock_held(), None);
        (self.0)();
    }
}

fn panics() -> Dropped<impl FnMut() + Send> {
    Dropped(|| panic_any("a destructor, as the test wants"))
}

fn counts(n: &Arc<AtomicUsize>) -> Dropped<impl FnMut() + Send + use<>> {
    let n = n.clone();
    Dropped(move || {
        n.fetch_add(1, Ordering::SeqCst);
    })
}

/// The channel ends as if nothing had been posted.
fn ends(channel: &EventChannel) {
    assert_eq!(channel.metrics().handlers_due, 0);
    channel.shutdown();
    let end = channel.get_event_timeout(Duration::from_secs(2));
    assert!(end.is_err(), "an error was promised, not {end:?}");
}

#[test]
fn a_descriptor_that_panics_leaves_nothing_behind() {
    limit(30, || {
        each_driver(|channel| {
            let bad = || Request::readiness(Asked::new(|| panic_any("no descriptor")), Interest::READABLE);
            for request in [bad(), bad().on_complete(|_, _| ()), bad().context(Box::new(panics()))] {
                assert!(catch_unwind(AssertUnwindSafe(|| channel.post(request))).is_err());
            }
            assert_eq!((channel.metrics().posted, channel.metrics().in_flight), (0, 0));
            ends(&channel);
        })
    });
}

#[test]
fn a_descriptor_may_use_the_channel_as_it_is_asked_for() {
    limit(30, || {
        each_driver(|channel| {
            let (theirs, asked) = (channel.clone(), Arc::new(AtomicUsize::new(0)));
            let counted = asked.clone();
            let socket = Asked::new(move || {
                let n = counted.fetch_add(1, Ordering::SeqCst);
                let id = theirs.post(Request::timer(Duration::from_secs(100))).unwrap();
                assert!(theirs.cancel(id));
                assert!(theirs.get_event().unwrap().is_cancelled());
                theirs.post(Request::notification().token(n as u64)).unwrap();
            });
            for n in 0..100 {
                let id = channel.post(Request::recv(socket.clone(), Vec::with_capacity(8)).token(n)).unwrap();
                assert_eq!(asked.load(Ordering::SeqCst), 1, "once for a post");
                asked.store(0, Ordering::SeqCst);
                assert_eq!(channel.get_event().unwrap().token(), 0);
                socket.0.send_to(b"x", socket.0.local_addr().unwrap()).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.token(), event.buffer()), (id, n, &b"x"[..]));
            }
            ends(&channel);
        })
    });
}

/// The number that was given is the one that is used, for the retries and the cancel too.
#[test]
fn a_descriptor_that_is_another_each_time_is_asked_once() {
    struct Many(Vec<UnixStream>, AtomicUsize);
    impl AsFd for Many {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0[self.1.fetch_add(1, Ordering::SeqCst) % self.0.len()].as_fd()
        }
    }
    limit(30, || {
        each_driver(|channel| {
            let (near, far): (Vec<_>, Vec<_>) = (0..3).map(|_| UnixStream::pair().unwrap()).unzip();
            let many = Source::from(Arc::new(Many(near, AtomicUsize::new(0))));
            let ids: Vec<_> = (0..3)
                .map(|n| channel.post(Request::recv(many.clone(), Vec::with_capacity(8)).token(n)).unwrap())
                .collect();
            assert!(channel.get_event_timeout(Duration::from_millis(10)).unwrap().is_none());
            std::io::Write::write_all(&mut &far[1], b"second").unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            assert!(format!("{many:?}").contains("fd"), "asked once more");
            assert!(channel.cancel(ids[0]) && channel.cancel(ids[2]));
            assert!((0..2).all(|_| channel.get_event().unwrap().is_cancelled()));
        })
    });
}

#[test]
fn a_descriptor_that_blocks_holds_up_nobody_but_its_poster() {
    limit(30, || {
        each_driver(|channel| {
            let (met, go) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
            let (theirs, gone) = (met.clone(), go.clone());
            let slow = Asked::new(move || {
                theirs.wait();
                gone.wait();
            });
            std::thread::scope(|s| {
                s.spawn(|| {
                    channel.post(Request::readiness(slow.clone(), Interest::WRITABLE).token(2)).unwrap()
                });
                met.wait();
                channel.post(Request::timer(Duration::ZERO).token(1)).unwrap();
                assert_eq!(channel.get_event().unwrap().token(), 1);
                go.wait();
                assert_eq!(channel.get_event().unwrap().token(), 2);
            });
        })
    });
}

#[test]
fn a_descriptor_that_ends_the_channel_has_its_own_request_refused() {
    limit(30, || {
        each_driver(|channel| {
            let theirs = channel.clone();
            let ends_it = Asked::new(move || theirs.shutdown());
            let request = Request::readiness(ends_it, Interest::READABLE).on_complete(|_, _| ());
            assert!(channel.post(request).is_err());
            ends(&channel);
        })
    });
}

#[test]
fn destructors_that_panic_as_the_channel_is_dropped_are_each_on_their_own() {
    limit(30, || {
        each_driver(|channel| {
            let dropped = Arc::new(AtomicUsize::new(0));
            for n in 0..9 {
                let (bomb, counted) = (panics(), counts(&dropped));
                let request = match n % 3 {
                    0 => Request::timer(Duration::from_secs(100)),
                    1 => Request::notification(),
                    _ => {
                        let captured = panics();
                        let handler = move |_: &EventChannel, _| {
                            let _kept = &captured;
                        };
                        Request::timer(Duration::from_secs(100)).on_complete(handler)
                    }
                };
                channel.post(request.context(Box::new((bomb, counted)))).unwrap();
            }
            drop(channel);
            assert_eq!(dropped.load(Ordering::SeqCst), 9);
        })
    });
}

#[test]
fn what_a_handler_captured_may_use_the_channel_as_it_goes() {
    limit(30, || {
        each_driver(|channel| {
            let theirs = Mutex::new(Some(channel.clone()));
            let captured = Dropped(move || {
                let channel = theirs.lock().unwrap().take().unwrap();
                channel.post(Request::notification().token(7)).unwrap();
                assert_eq!(channel.get_event().unwrap().token(), 7);
                channel.post(Request::notification().token(8)).unwrap();
            });
            let request = Request::notification().on_complete(move |_, _| {
                let _kept = &captured;
            });
            channel.post(request).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 8);
            ends(&channel);
        })
    });
}

#[test]
fn a_handler_and_what_it_captured_may_both_panic() {
    limit(30, || {
        each_driver(|channel| {
            let captured = panics();
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                let _kept = &captured;
                panic_any("a handler, as the test wants")
            });
            channel.post(request).unwrap();
            // (An event that is due by then might be got before the handler is called.)
            while channel.metrics().handlers_due > 0 {
                assert!(channel.get_event_timeout(Duration::from_millis(5)).unwrap().is_none());
            }
            channel.post(Request::timer(Duration::from_millis(5)).token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            ends(&channel);
        })
    });
}

#[test]
fn a_handler_s_call_that_is_dropped_is_over_whatever_the_event_s_destructors_do() {
    limit(30, || {
        each_driver(|channel| {
            let serving = serve(&channel);
            let captured = panics();
            let handler = move |_: &EventChannel, _| {
                let _kept = &captured;
            };
            channel.post(Request::notification().on_complete(handler).context(Box::new(panics()))).unwrap();
            let mut out = Completions::new();
            while out.is_empty() {
                serving.drive(0, Wait::Forever, &mut out).unwrap();
            }
            out.drain().for_each(drop);
            drop(serving);
            ends(&channel);
        })
    });
}

#[test]
fn a_wake_function_that_panics_keeps_no_other_from_being_called() {
    static WOKEN: AtomicUsize = AtomicUsize::new(0);
    fn wake(word: usize) {
        assert_eq!(lock_held(), None);
        WOKEN.fetch_add(1, Ordering::SeqCst);
        assert!(word.is_multiple_of(2), "as the test wants");
    }
    limit(30, || {
        each_driver(|channel| {
            WOKEN.store(0, Ordering::SeqCst);
            for word in 0..10 {
                let operation = Box::leak(Box::new(Op::new(Timer, wake, word)));
                // SAFETY: it stays for ever.
                unsafe { channel.submit_raw(0, operation.raw()) };
            }
            channel.post(Request::timer(Duration::from_millis(5)).token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            assert_eq!(WOKEN.load(Ordering::SeqCst), 10);
            ends(&channel);
        })
    });
}

#[test]
fn an_id_is_good_for_its_own_event_of_its_own_channel_only() {
    limit(30, || {
        each_driver(|channel| {
            let driver = channel.driver().kind();
            let other = EventChannel::builder().driver(driver).build().unwrap();
            let far = || Request::timer(Duration::from_secs(100));
            // The same slot, the same generation.
            let (ours, theirs) = (channel.post(far()).unwrap(), other.post(far()).unwrap());
            assert_eq!(ours.as_u64(), theirs.as_u64());
            assert_ne!(ours, theirs);
            assert!(!channel.cancel(theirs) && !other.cancel(ours));
            assert!(channel.get_event_timeout(Duration::from_millis(10)).unwrap().is_none());
            assert!(channel.cancel(ours));
            assert_eq!(channel.get_event().unwrap().id(), ours);
            // Now an operation has the slot.
            static DONE: AtomicUsize = AtomicUsize::new(0);
            DONE.store(0, Ordering::SeqCst);
            let wake = |_| {
                DONE.fetch_add(1, Ordering::SeqCst);
            };
            let operation = Box::leak(Box::new(Op::new(Timer, wake, 0)));
            operation.set_deadline(Some(std::time::Instant::now() + Duration::from_secs(100)));
            // SAFETY: it stays for ever.
            let id = unsafe { channel.submit_raw(0, operation.raw()) };
            assert_eq!(id.as_u64() & 0xff_ffff, ours.as_u64() & 0xff_ffff, "the same slot");
            assert!(!channel.cancel(ours));
            channel.shutdown();
            assert!(channel.get_event().is_err());
            assert_eq!(DONE.load(Ordering::SeqCst), 0, "operations go on");
            // SAFETY: it is ours.
            assert!(unsafe { channel.cancel_raw(id) && channel.cancel_raw(id) });
            drop(channel);
            assert_eq!(DONE.load(Ordering::SeqCst), 1);
        })
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
                if counts.fetch_add(1, Ordering::SeqCst) < 20 {
                    let _ = channel.try_get_event().unwrap();
                    channel.post(event.again()).unwrap();
                }
            };
            channel.post(Request::timer(Duration::ZERO).on_complete(handler)).unwrap();
            while ran.load(Ordering::SeqCst) < 21 {
                assert!(channel.get_event_timeout(Duration::from_millis(20)).unwrap().is_none());
            }
            ends(&channel);
        });
    });
}
