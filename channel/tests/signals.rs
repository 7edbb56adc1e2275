//! Signals that are waited for: each occurrence is told of, to those whom it is for; nobody else's affairs are touched.

mod common;

use common::signals::{ONE, OTHER, SOON, next, raise, told};
use common::{each_driver, none_for};
use ec_channel::{EventChannel, Request};
use ec_test_support::{alone, in_child, went_well};
use ec_unkind as _;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn each_occurrence_is_told_of_with_its_sender() {
    alone(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::signals([ONE, OTHER, ONE]).unwrap().token(3)).unwrap();
            for signal in [OTHER, ONE, ONE] {
                raise(signal);
                let event = channel.get_event().unwrap();
                assert!(event.id() == id && event.token() == 3 && !event.is_last(), "{event:?}");
                let told = told(&event);
                assert_eq!((told.number, told.occurrences), (signal, 1));
                assert_eq!(told.sender.unwrap().pid, std::process::id());
            }
            // Another process.
            let script = format!("kill -{ONE} {}; echo $$", std::process::id());
            let said = Command::new("sh").args(["-c", &script]).output().unwrap();
            let sender = next(&channel).sender.unwrap();
            assert_eq!(sender.pid.to_string(), String::from_utf8_lossy(&said.stdout).trim());
            // SAFETY: no pointer is passed.
            assert_eq!(sender.uid, unsafe { libc::getuid() });
            none_for(&channel, SOON);
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}

#[test]
fn what_the_kernel_sends_has_no_sender() {
    alone(30, || {
        each_driver(|channel| {
            channel.post(Request::signal(libc::SIGALRM).unwrap()).unwrap();
            let span = libc::timeval { tv_sec: 0, tv_usec: 1000 };
            let timer =
                libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: span };
            // SAFETY: a live itimerval.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) };
            let told = next(&channel);
            assert_eq!((told.number, told.occurrences, told.sender), (libc::SIGALRM, 1, None));
        })
    });
}

/// The occurrences that have come to this channel, as soon as they are so many.
fn sum(channel: &EventChannel, all: u64) -> u64 {
    let mut sum = 0;
    while sum < all {
        sum += next(channel).occurrences;
    }
    none_for(channel, SOON);
    sum
}

#[test]
fn what_comes_faster_than_it_is_fetched_is_counted() {
    alone(30, || {
        each_driver(|channel| {
            let (credit, all) = (2, 1000);
            let request = Request::signal(ONE).unwrap().credit(credit);
            // From when it is made.
            raise(ONE);
            let id = channel.post(request).unwrap();
            (1..all).for_each(|_| raise(ONE));
            let first = next(&channel).occurrences;
            let items = channel.metrics().items;
            assert!(items <= u64::from(credit) + 1, "{items}");
            assert_eq!(first + sum(&channel, all - first), all);
            channel.cancel(id);
            let last = channel.get_event().unwrap();
            assert!(last.is_cancelled());
            // As long as the event is there it is caught, and comes when it is posted again.
            raise(ONE);
            none_for(&channel, SOON);
            channel.post(last.again()).unwrap();
            assert_eq!(next(&channel).occurrences, 1);
        })
    });
}

/// Three threads send, two others come and go who wait for the same.
#[test]
fn none_is_lost_and_none_told_twice_while_others_come_and_go() {
    alone(60, || {
        each_driver(|channel| {
            let (each, over) = (2000, AtomicBool::new(false));
            let other = EventChannel::new().unwrap();
            channel.post(Request::signal(ONE).unwrap()).unwrap();
            channel.post(Request::signals([ONE, OTHER]).unwrap().exclusive().token(1)).unwrap();
            other.post(Request::signal(ONE).unwrap().exclusive()).unwrap();
            std::thread::scope(|scope| {
                let senders: Vec<_> =
                    (0..3).map(|_| scope.spawn(|| (0..each).for_each(|_| raise(ONE)))).collect();
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !over.load(Ordering::SeqCst) {
                            let shared = Request::signals([ONE, OTHER]).unwrap();
                            let channel = EventChannel::new().unwrap();
                            channel.post(shared).unwrap();
                            drop(channel.try_get_event());
                        }
                    });
                }
                let (mut shared, mut exclusive) = (0, 0);
                let all = 3 * each as u64;
                while shared < all || exclusive < all {
                    while let Some(event) = channel.get_event_timeout(Duration::from_micros(100)).unwrap() {
                        let count = told(&event).occurrences;
                        *(if event.token() == 1 { &mut exclusive } else { &mut shared }) += count;
                    }
                    while let Some(event) = other.try_get_event().unwrap() {
                        exclusive += told(&event).occurrences;
                    }
                }
                senders.into_iter().for_each(|sender| sender.join().unwrap());
                over.store(true, Ordering::SeqCst);
                none_for(&channel, SOON);
                none_for(&other, SOON);
                assert_eq!((shared, exclusive), (all, all));
            });
        })
    });
}

#[test]
fn an_exclusive_one_that_goes_leaves_what_it_has_not_taken_to_the_others() {
    alone(30, || {
        each_driver(|channel| {
            let (one, other) = (Request::signal(ONE).unwrap(), Request::signal(ONE).unwrap());
            let (one, other) = (one.exclusive(), other.exclusive());
            (0..3).for_each(|_| raise(ONE));
            drop(one);
            channel.post(other).unwrap();
            assert_eq!(next(&channel).occurrences, 3);
            // Also to one that has come later.
            let one = Request::signal(ONE).unwrap().exclusive();
            channel.shutdown();
            let last = channel.get_event().unwrap();
            raise(ONE);
            let late = Request::signal(ONE).unwrap().exclusive();
            drop((last, one));
            let channel = EventChannel::builder().driver(channel.driver().kind()).build().unwrap();
            channel.post(late).unwrap();
            assert_eq!(next(&channel).occurrences, 1);
            // What the last one leaves nobody gets.
            channel.shutdown();
            let last = channel.get_event().unwrap();
            raise(ONE);
            drop(last);
            let channel = EventChannel::new().unwrap();
            channel.post(Request::signal(ONE).unwrap().exclusive()).unwrap();
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn what_cannot_be_caught_is_refused_with_words() {
    alone(30, || {
        for (signal, words) in [
            (0, "there is none"),
            (-1, "there is none"),
            (65, "there is none"),
            (libc::SIGKILL, "the kernel lets nobody catch it"),
            (libc::SIGSTOP, "the kernel lets nobody catch it"),
            (libc::SIGSEGV, "it says that the thread has done wrong"),
            (libc::SIGBUS, "it says that the thread has done wrong"),
            (libc::SIGFPE, "it says that the thread has done wrong"),
            (libc::SIGILL, "it says that the thread has done wrong"),
            (32, "libc has it for itself"),
            (33, "libc has it for itself"),
        ] {
            let error = Request::signals([ONE, signal]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            let begin = format!("signal {signal} cannot be waited for: {words}");
            assert!(error.to_string().starts_with(&begin), "{error}");
        }
        assert_eq!(Request::signals([]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    });
}

/// The signal that ends calls of accept4(2) that wait.
#[test]
fn the_channel_s_own_signal_is_refused() {
    alone(60, || {
        went_well(in_child("the_channel_s_own_signal_is_refused", || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let _near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            ec_channel::accept_now(std::os::fd::AsFd::as_fd(&listener)).unwrap();
            let is_own = |signal: &i32| match Request::signal(*signal) {
                Ok(_) => false,
                Err(error) => error.to_string().contains("the channel has it for itself"),
            };
            assert_eq!((libc::SIGRTMIN()..=libc::SIGRTMAX()).filter(is_own).count(), 1);
        }))
    });
}

#[test]
fn errno_is_kept() {
    alone(30, || {
        let _caught = Request::signal(ONE).unwrap();
        // SAFETY: errno is this thread's.
        unsafe { *libc::__errno_location() = libc::EXDEV };
        raise(ONE);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    });
}
