//! `EventChannel::get_event` in a task: it suspends the task, whoever drives the channel.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{Driver, Event, EventChannel, Interest, Request};
use event_channel::sync::Notification;
use event_channel::time::{Duration, timeout};
use event_channel::{Cancelled, Runtime, task};
use net_common::build;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Runs `f` on a runtime with one core, so that a blocked thread would show, for each driver: with the runtime's own
/// channel, and with one of the test's that nobody else drives.
fn each_channel(f: impl Fn(&EventChannel) + Send + Sync) {
    each_of(|_, channel| f(channel));
}

/// `f` gets the runtime's channel, too.
fn each_of(f: impl Fn(&EventChannel, &EventChannel) + Send + Sync) {
    for driver in Driver::ALL {
        let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { continue };
        let own = EventChannel::builder().driver(driver).build().expect("as the runtime's");
        runtime.run(|| f(runtime.channel(), runtime.channel()));
        runtime.run(|| f(runtime.channel(), &own));
    }
}

#[test]
fn a_task_that_waits_for_an_event_lets_others_run() {
    limit(30, || {
        each_channel(|channel| {
            let (posts, taken) = (channel.clone(), Arc::new(Notification::new()));
            let first = taken.clone();
            let poster = task::spawn(move || {
                task::sleep(Duration::from_millis(5));
                posts.post(Request::timer(Duration::from_millis(5)).token(1)).unwrap();
                // Complete together they might come in any order.
                first.wait();
                task::sleep(Duration::from_millis(5));
                posts.post(Request::notification().token(2)).unwrap();
            });
            assert_eq!(channel.get_event().unwrap().token(), 1);
            taken.post();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            poster.join().unwrap();
        });
    });
}

#[test]
fn several_tasks_wait_for_one_event_each() {
    limit(30, || {
        each_channel(|channel| {
            let getters: Vec<_> = (0..5)
                .map(|_| {
                    let channel = channel.clone();
                    task::spawn(move || channel.get_event().unwrap().token())
                })
                .collect();
            for token in [1, 10, 100, 1_000, 10_000] {
                channel.post(Request::timer(Duration::from_millis(token % 7)).token(token)).unwrap();
            }
            assert_eq!(getters.into_iter().map(|getter| getter.join().unwrap()).sum::<u64>(), 11_111);
        });
    });
}

#[test]
fn time_runs_out_without_an_event() {
    limit(30, || {
        each_channel(|channel| {
            assert!(channel.get_event_timeout(Duration::from_millis(5)).unwrap().is_none());
            let error = timeout(Duration::from_millis(5), || channel.get_event()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    });
}

#[test]
fn a_cancel_is_delivered_once_and_takes_no_event_with_it() {
    limit(30, || {
        each_channel(|channel| {
            let delivered = Arc::new(Notification::new());
            let getter = {
                let (channel, delivered) = (channel.clone(), delivered.clone());
                task::spawn(move || {
                    let first = channel.get_event().unwrap_err();
                    delivered.post();
                    (Cancelled::is(&first), channel.get_event().unwrap().token())
                })
            };
            task::sleep(Duration::from_millis(5));
            getter.cancel();
            // An event that is there already would be returned instead.
            delivered.wait();
            channel.post(Request::notification().token(3)).unwrap();
            assert_eq!(getter.join().unwrap(), (true, 3));
        });
    });
}

/// Lean tasks share the thread-locals of the thread that runs them.
#[test]
fn a_lean_task_that_leads_is_not_taken_for_another_one_on_its_thread() {
    limit(30, || {
        each_of(|of_runtime, channel| {
            let waits = |channel: &EventChannel| {
                let channel = channel.clone();
                let f = move || channel.get_event_timeout(Duration::from_millis(30));
                // SAFETY: it uses no thread-local across a suspension.
                unsafe { task::Builder::new().spawn_lean(f) }.unwrap()
            };
            let waiting = [waits(channel), waits(channel)];
            task::sleep(Duration::from_millis(5));
            // And a handler on the same thread.
            let (theirs, done) = (channel.clone(), Arc::new(Notification::new()));
            let posts = done.clone();
            let handler = Request::notification().on_complete(move |_, _| {
                assert!(theirs.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
                posts.post();
            });
            of_runtime.post(handler).unwrap();
            done.wait();
            for task in waiting {
                assert!(task.join().unwrap().unwrap().is_none());
            }
        });
    });
}

/// epoll does not watch one in which others are nested too deeply: the channel's is one of them, the runtime's may be one too many.
#[test]
fn a_channel_that_cannot_be_waited_for_says_so() {
    limit(60, || {
        let refused = AtomicUsize::new(0);
        each_channel(|channel| {
            for depth in 1..=5 {
                refused.fetch_add(usize::from(waits_for_nested(channel, depth)), Ordering::Relaxed);
            }
        });
        assert!(refused.load(Ordering::Relaxed) > 0, "every depth can be waited for: what is tested?");
    });
}

/// Each wait ends, by itself or by its limit, the deadline around it or a cancel. True: some wait was refused.
fn waits_for_nested(channel: &EventChannel, depth: usize) -> bool {
    let (end, _other) = UnixStream::pair().unwrap();
    let (mut inner, mut outer) = (OwnedFd::from(end), Vec::new());
    for _ in 0..depth {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap();
        if epoll.add(&inner, EpollEvent::new(EpollFlags::EPOLLIN, 0)).is_err() {
            break;
        }
        outer.push(std::mem::replace(&mut inner, epoll.0));
    }
    let nested = Arc::new(inner);
    let id = channel.post(Request::readiness(nested.clone(), Interest::READABLE)).unwrap();
    let limited = channel.get_event_timeout(Duration::from_millis(5));
    let within = timeout(Duration::from_millis(5), || channel.get_event().map(Some));
    let getter = {
        let channel = channel.clone();
        task::spawn(move || channel.get_event().map(Some))
    };
    task::sleep(Duration::from_millis(5));
    getter.cancel();
    let cancelled = getter.join().unwrap();
    if channel.cancel(id) {
        // (It comes back, and if the task cannot wait for it a thread can.)
        let channel = channel.clone();
        std::thread::spawn(move || channel.get_event()).join().unwrap().unwrap();
    }
    let in_words = |result: &io::Result<Option<Event>>| match result {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    [limited, within, cancelled].iter().map(in_words).any(|words| words.contains("cannot be waited for"))
}

/// On a channel of its own, whose handlers the task calls itself, one after the other.
#[test]
fn handlers_that_become_ready_time_and_again_hold_off_no_cancel_and_no_deadline() {
    limit(30, || {
        each_channel(|channel| {
            let (writable, _other) = UnixStream::pair().unwrap();
            let ends = Arc::new(AtomicBool::new(false));
            let again = || {
                let ended = ends.clone();
                move |channel: &EventChannel, event: Event| {
                    if !ended.load(Ordering::Relaxed) {
                        let _ = channel.post(event.again());
                    }
                }
            };
            channel.post(Request::readiness(writable, Interest::WRITABLE).on_complete(again())).unwrap();
            channel.post(Request::notification().on_complete(again())).unwrap();
            let error = timeout(Duration::from_millis(5), || channel.get_event()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            let getter = {
                let channel = channel.clone();
                task::spawn(move || channel.get_event().map(|_| ()))
            };
            task::sleep(Duration::from_millis(5));
            getter.cancel();
            assert!(Cancelled::is(&getter.join().unwrap().unwrap_err()));
            ends.store(true, Ordering::Relaxed);
        });
    });
}
