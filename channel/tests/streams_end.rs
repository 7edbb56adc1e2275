//! How streams end: what has come by then is delivered before the last event, on each driver and however many threads drive.

mod common;

use common::signals::{ONE, raise};
use common::{each_driver, serve};
use ec_channel::{Completions, Driver, Event, EventChannel, Request, Wait, WatchFor};
use ec_test_support::{alone, skipped};
use ec_unkind as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);

/// A directory that goes with this.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("ec-streams-end-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const KINDS: usize = 4;

/// A stream of each kind that waits for a descriptor of its own, and what has something come of it.
fn stream(n: usize, at: &Directory) -> (Request, Box<dyn Fn() + Send>) {
    let file = at.0.join("new");
    let _ = std::fs::remove_file(&file);
    match n {
        0 => (Request::signal(ONE).unwrap(), Box::new(|| raise(ONE))),
        1 => (Request::signals([ONE, libc::SIGUSR2]).unwrap(), Box::new(|| raise(ONE))),
        2 => {
            let come = move || drop(std::fs::File::create(&file).unwrap());
            (Request::watch(&at.0, WatchFor::CREATED).unwrap(), Box::new(come))
        }
        _ => {
            let (poster, posts) = Request::signal_posts().unwrap();
            (posts, Box::new(move || poster.post()))
        }
    }
}

/// Nothing comes for a moment; then it is waited for.
fn settle(channel: &EventChannel) {
    assert!(channel.get_event_timeout(SOON).unwrap().is_none());
}

fn item_and_last(channel: &EventChannel, n: usize) -> Event {
    let item = channel.get_event().unwrap();
    assert!(!item.is_last(), "stream {n}: what had come is lost: {item:?}");
    let last = channel.get_event().unwrap();
    assert!(last.is_last(), "stream {n}: {last:?}");
    last
}

#[test]
fn what_has_come_before_a_cancel_or_the_time_limit_is_delivered() {
    alone(60, || {
        let at = Directory::new();
        each_driver(|channel| {
            for n in 0..KINDS {
                let (request, come) = stream(n, &at);
                let id = channel.post(request).unwrap();
                settle(&channel);
                come();
                channel.cancel(id);
                assert!(item_and_last(&channel, n).is_cancelled());
            }
            for n in 0..KINDS {
                let (request, come) = stream(n, &at);
                channel.post(request.within(3 * SOON)).unwrap();
                assert!(channel.try_get_event().unwrap().is_none());
                come();
                // (Nobody looks before it is over.)
                std::thread::sleep(3 * SOON);
                assert!(item_and_last(&channel, n).is_timed_out());
            }
        });
    });
}

/// On the ring: the thread that has submitted it computes, and has not heard that something has come when another one gives it up.
#[test]
fn also_where_the_thread_that_submitted_it_is_busy() {
    alone(60, || {
        let at = Directory::new();
        let channel = EventChannel::builder().driver(Driver::IoUring).build();
        let Ok(channel) = channel else { return skipped("there is no io_uring") };
        for n in 0..KINDS {
            let (request, come) = stream(n, &at);
            let id = channel.post(request).unwrap();
            let (submitted, over) = (AtomicBool::new(false), AtomicBool::new(false));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let nothing = channel.get_event_timeout(SOON).unwrap();
                    submitted.store(true, Ordering::SeqCst);
                    assert!(nothing.is_none());
                    // (It makes no system call.)
                    while !over.load(Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                });
                while !submitted.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
                come();
                channel.cancel(id);
                let first = channel.get_event().unwrap();
                over.store(true, Ordering::SeqCst);
                assert!(!first.is_last(), "stream {n}: what had come is lost: {first:?}");
                assert!(channel.get_event().unwrap().is_cancelled());
            });
        }
    });
}

/// What the events of a stream were, for one with a handler.
#[derive(Debug, PartialEq)]
enum Came {
    /// With the ticks that it stands for, or the occurrences of a signal.
    Item(u64),
    Last,
}

fn came(event: &Event) -> Came {
    match event.is_last() {
        true => Came::Last,
        false => Came::Item(event.signal().map_or(1 + event.missed(), |signal| signal.occurrences)),
    }
}

/// Two threads drive. While the handler of the first item is busy the other one sees that the time limit is over.
fn while_busy(
    channel: &EventChannel,
    stream: Request,
    first: impl Fn() + Send + Sync + 'static,
) -> Vec<Came> {
    const OVER: u64 = 9;
    let (tell, told) = mpsc::channel();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (all, told) = (seen.clone(), Mutex::new(told));
    let stream = stream.within(SOON).on_complete(move |channel, event| {
        let came = came(&event);
        let mut all = all.lock().unwrap();
        if all.is_empty() {
            first();
            // (It comes behind the time limit, which is seen with it or before.)
            channel.post(Request::timer(SOON).token(OVER)).unwrap();
            told.lock().unwrap().recv().unwrap();
        }
        all.push(came);
        if event.is_last() {
            assert!(event.is_timed_out(), "{event:?}");
            channel.shutdown();
        }
    });
    channel.post(stream).unwrap();
    std::thread::scope(|scope| {
        for tell in [tell.clone(), tell] {
            scope.spawn(move || {
                while let Ok(event) = channel.get_event() {
                    assert_eq!(event.token(), OVER);
                    tell.send(()).unwrap();
                }
            });
        }
    });
    let mut seen = seen.lock().unwrap();
    std::mem::take(&mut *seen)
}

#[test]
fn a_tick_that_is_due_by_the_time_limit_comes_though_a_handler_was_busy() {
    alone(60, || {
        each_driver(|channel| {
            let seen = while_busy(&channel, Request::interval(TICK), || ());
            // The first, what was due meanwhile as one, and the end: 20 ms are 20 ticks.
            assert!(
                matches!(seen[..], [Came::Item(n), Came::Item(m), Came::Last] if n + m == 20),
                "{seen:?}"
            );
        });
    });
}

#[test]
fn a_signal_that_comes_before_the_time_limit_is_told_of_though_a_handler_was_busy() {
    alone(60, || {
        each_driver(|channel| {
            let stream = Request::signal(ONE).unwrap();
            raise(ONE);
            let seen = while_busy(&channel, stream, || (0..2).for_each(|_| raise(ONE)));
            assert_eq!(seen, [Came::Item(1), Came::Item(2), Came::Last]);
        });
    });
}

/// Somebody drives, as a pool does, and nobody fetches.
#[test]
fn so_does_one_that_is_due_while_nobody_fetches_those_before() {
    alone(60, || {
        each_driver(|channel| {
            let id = channel.post(Request::interval(TICK).credit(1).within(SOON)).unwrap();
            let serving = serve(&channel);
            let mut out = Completions::new();
            // (It ends with a timer behind the limit.)
            channel.post(Request::timer(SOON + TICK).on_complete(|_, _| ())).unwrap();
            while out.is_empty() {
                serving.drive(0, Wait::Forever, &mut out).unwrap();
            }
            drop(serving);
            let (mut ticks, mut items) = (0, 0);
            loop {
                let event = channel.get_event().unwrap();
                assert_eq!(event.id(), id);
                match came(&event) {
                    Came::Item(n) => (ticks, items) = (ticks + n, items + 1),
                    Came::Last => break assert!(event.is_timed_out()),
                }
            }
            assert_eq!((ticks, items), (20, 2));
        });
    });
}
