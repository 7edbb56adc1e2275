//! Posting from signal handlers: each post gives one event, whatever the handler has interrupted.

mod common;

use common::{each_driver, none_for};
use ec_channel::{Event, EventChannel, EventKind, Request, SignalPoster};
use ec_test_support::{alone, descriptors_of};
use ec_unkind as _;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// The next event, which is an item.
fn item(channel: &EventChannel) -> Event {
    let event = channel.get_event().unwrap();
    assert!(!event.is_last() && event.kind() == EventKind::Notification, "{event:?}");
    event
}

/// Where the handler finds its poster.
static POSTER: AtomicPtr<SignalPoster> = AtomicPtr::new(std::ptr::null_mut());
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn handler(_signal: i32) {
    // SAFETY: it is taken away before it is freed, with the signal blocked.
    if let Some(poster) = unsafe { POSTER.load(Ordering::SeqCst).as_ref() } {
        poster.post();
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
}

/// A timer of the kernel's interrupts whatever the process does, every 200 microseconds of CPU time: this thread posts, gets, allocates.
#[test]
fn what_signal_handlers_post_comes_once_each() {
    alone(60, || {
        let mut action: libc::sigaction = unsafe_zeroed();
        action.sa_sigaction = handler as extern "C" fn(i32) as usize;
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: the handler is async-signal-safe.
        unsafe { libc::sigaction(libc::SIGPROF, &action, std::ptr::null_mut()) };
        each_driver(|channel| {
            let (poster, posts) = Request::signal_posts().unwrap();
            channel.post(posts.token(5)).unwrap();
            HANDLED.store(0, Ordering::SeqCst);
            let poster = Box::into_raw(Box::new(poster));
            POSTER.store(poster, Ordering::SeqCst);
            set_timer(200);
            let (mut came, mut others) = (0, 0);
            while came < 200 {
                channel.post(Request::notification().context(Box::new([0u8; 100])).token(6)).unwrap();
                match channel.get_event().unwrap().token() {
                    5 => came += 1,
                    _ => others += 1,
                }
            }
            set_timer(0);
            // (The last one may be under way on another thread of the tests' harness; so nothing is freed before all has come.)
            std::thread::sleep(SOON);
            POSTER.store(std::ptr::null_mut(), Ordering::SeqCst);
            std::thread::sleep(SOON);
            while came < HANDLED.load(Ordering::SeqCst) {
                match channel.get_event().unwrap().token() {
                    5 => came += 1,
                    _ => others += 1,
                }
            }
            // SAFETY: no handler uses it any more.
            drop(unsafe { Box::from_raw(poster) });
            loop {
                let event = channel.get_event().unwrap();
                if event.is_last() && event.token() == 5 {
                    assert!(event.result().is_ok());
                    break;
                }
                assert_eq!(event.token(), 6, "more than were posted: {came} of them, {others} others");
            }
        });
    });
}

fn unsafe_zeroed() -> libc::sigaction {
    // SAFETY: all of it may be zero.
    unsafe { std::mem::zeroed() }
}

fn set_timer(micros: i64) {
    let span = libc::timeval { tv_sec: 0, tv_usec: micros };
    let timer = libc::itimerval { it_interval: span, it_value: span };
    // SAFETY: a live itimerval.
    unsafe { libc::setitimer(libc::ITIMER_PROF, &timer, std::ptr::null_mut()) };
}

#[test]
fn errno_is_kept() {
    alone(30, || {
        let (poster, _posts) = Request::signal_posts().unwrap();
        let set = |errno| {
            // SAFETY: errno is this thread's.
            unsafe { *libc::__errno_location() = errno }
        };
        set(libc::EXDEV);
        poster.post();
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    });
}

/// From several threads at once, with getters that pause the stream, and with posts that come before it does.
#[test]
fn posts_are_counted_exactly_whoever_posts() {
    alone(60, || {
        each_driver(|channel| {
            let (poster, posts) = Request::signal_posts().unwrap();
            let each = 3000;
            (0..100).for_each(|_| poster.post());
            channel.post(posts.token(5).credit(3)).unwrap();
            let mut came = 0;
            std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..3).map(|_| scope.spawn(|| (0..each).for_each(|_| poster.post()))).collect();
                while came < 100 + 3 * each {
                    drop(item(&channel));
                    came += 1;
                    if came % 500 == 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
            none_for(&channel, SOON);
            poster.post();
            drop(poster);
            assert_eq!(item(&channel).token(), 5, "what was posted before it went comes");
            let last = channel.get_event().unwrap();
            assert!(last.is_last() && last.result().is_ok(), "{last:?}");
            none_for(&channel, SOON);
        });
    });
}

#[test]
fn it_wakes_who_sleeps_and_ends_by_a_cancel() {
    alone(30, || {
        each_driver(|channel| {
            let (poster, posts) = Request::signal_posts().unwrap();
            let id = channel.post(posts).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..50 {
                    let getter = scope.spawn(|| item(&channel));
                    common::until_asleep(&channel);
                    poster.post();
                    assert_eq!(getter.join().unwrap().id(), id);
                }
            });
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
            // Nobody hears it.
            poster.post();
            none_for(&channel, SOON);
        });
    });
}

/// The child has the descriptor, and leaves it alone: the parent would hear of it.
#[test]
fn a_forked_child_posts_nothing() {
    alone(30, || {
        let others = descriptors_of(&["[eventfd]"]);
        let (poster, posts) = Request::signal_posts().unwrap();
        let bells = &descriptors_of(&["[eventfd]"]) - &others;
        let bell = bells.first().expect("it takes a descriptor");
        let rung = || {
            std::fs::read_to_string(format!("/proc/self/fdinfo/{bell}"))
                .unwrap()
                .contains("eventfd-count:                1")
        };
        // SAFETY: the child posts, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            poster.post();
            drop(poster);
            // SAFETY: no pointer is passed.
            unsafe { libc::_exit(0) };
        }
        let mut status = 0;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(status == 0 && !rung());
        poster.post();
        assert!(rung());
        drop(posts);
    });
}
