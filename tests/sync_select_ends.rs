//! `select!` under load, and how it ends: cancels and limits at any moment, shutdowns, forks, what it leaves behind.

mod fork_common;
mod net_common;

use ec_test_support::{in_child, limit, skipped, went_well};
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::net::UdpSocket;
use event_channel::sync::channel::{Receiver, Sender};
use event_channel::sync::{Arc, Notification, channel, select};
use event_channel::task::{self, JoinHandle};
use event_channel::time::{self, Duration, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, run};
use fork_common::{End, fork};
use net_common::{Numbers, each_runtime_of, eventually, until_waiting};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(3600);

/// What they use: each channel has room for another number.
struct Shared {
    channels: Vec<(Sender<u64>, Receiver<u64>)>,
    posts: Notification,
    // What was done, and with which values.
    sent: AtomicUsize,
    received: AtomicUsize,
    values: [std::sync::atomic::AtomicU64; 2],
    taken: AtomicUsize,
}

impl Shared {
    fn new() -> Shared {
        let some = [Some(0), Some(0), Some(1), Some(3), None].map(|places| match places {
            Some(places) => channel::bounded(places),
            None => channel::unbounded(),
        });
        Shared {
            channels: some.into(),
            posts: Notification::new(),
            sent: AtomicUsize::new(0),
            received: AtomicUsize::new(0),
            values: Default::default(),
            taken: AtomicUsize::new(0),
        }
    }

    fn has_sent(&self, value: u64) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        self.values[0].fetch_add(value, Ordering::Relaxed);
    }

    fn has_received(&self, value: u64) {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.values[1].fetch_add(value, Ordering::Relaxed);
    }

    /// One of several things, or an error, and then none. Some by calls that wait for one thing alone.
    fn does(&self, child: &mut JoinHandle<()>, span: Duration, numbers: &mut Numbers) -> io::Result<()> {
        let mut any = || &self.channels[numbers.below(self.channels.len() as u64) as usize];
        let ((out, _), (_, one), (also_out, _), (_, other)) = (any(), any(), any(), any());
        let (value, mut kept) = (numbers.below(1 << 32), Some(numbers.below(1 << 32)));
        let offered = kept.unwrap_or_default();
        match numbers.below(10) {
            0 => {
                out.send(value)?;
                self.has_sent(value);
            }
            1 => self.has_received(one.recv()?),
            2 => {
                if out.try_send(value).is_ok() {
                    self.has_sent(value);
                }
            }
            3 => {
                if self.posts.wait_timeout(span) {
                    self.taken.fetch_add(1, Ordering::Relaxed);
                }
            }
            4 => thread::sleep(span),
            _ => {
                select! {
                    send(out, value) -> sent => {
                        sent.unwrap();
                        self.has_sent(value);
                    }
                    recv(one) -> value => self.has_received(value.unwrap()),
                    send_from(also_out, &mut kept) -> sent, if offered.is_multiple_of(2) => {
                        sent.unwrap();
                        self.has_sent(offered);
                    }
                    recv(other) -> value, if offered.is_multiple_of(3) => self.has_received(value.unwrap()),
                    wait(&self.posts), if offered.is_multiple_of(5) => _ = self.taken.fetch_add(1, Ordering::Relaxed),
                    join(child) -> _, if offered.is_multiple_of(7) => panic!("it sleeps"),
                    sleep(span), if offered.is_multiple_of(11) => (),
                }?;
                assert!(kept.is_none_or(|kept| kept == offered));
            }
        }
        Ok(())
    }

    fn runs(&self, seed: u64, rounds: usize) {
        let mut numbers = Numbers(seed);
        let mut child = task::spawn(|| time::sleep_cancellable(LONG).unwrap_or(()));
        for _ in 0..rounds {
            let span = Duration::from_micros(numbers.below(300));
            match timeout(span, || self.does(&mut child, span, &mut numbers)) {
                Err(error) => assert!(is_cancelled(&error) || is_deadline(&error), "{error}"),
                Ok(()) => assert!(child.task().name().is_none()),
            }
        }
        child.cancel();
        child.join().unwrap();
    }
}

/// What was sent was received once, or is there; each post was taken once, or is there. Nobody is in any list.
#[test]
fn nothing_is_lost_and_nothing_happens_twice() {
    limit(120, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            const POSTS: usize = 300;
            let shared = Arc::new(Shared::new());
            let runs = |seed: u64| {
                let shared = shared.clone();
                move || shared.runs(seed, 150)
            };
            let threads: Vec<_> = (0..3).map(|n| thread::spawn(runs(100 + n))).collect();
            let tasks: Vec<_> = (0..16).map(|n| runtime.spawn(runs(n))).collect();
            let mut numbers = Numbers(7);
            for _ in 0..POSTS {
                shared.posts.post();
                tasks[numbers.below(16) as usize].cancel();
                if numbers.below(8) == 0 {
                    thread::sleep(Duration::from_micros(numbers.below(200)));
                }
            }
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            for (sender, receiver) in &shared.channels {
                let has_no_places = sender.capacity() == Some(0);
                while let Ok(value) = receiver.try_recv() {
                    assert!(!has_no_places, "what was handed over had somebody who takes it");
                    shared.has_received(value);
                }
                // Nobody waits for it.
                assert_eq!(sender.try_send(0).is_ok(), !has_no_places);
            }
            let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
            assert_eq!(count(&shared.sent), count(&shared.received));
            let [sent, received] = shared.values.each_ref().map(|sum| sum.load(Ordering::Relaxed));
            assert_eq!(sent, received);
            let mut left = 0;
            while shared.posts.try_wait() {
                left += 1;
            }
            assert_eq!(left, POSTS - count(&shared.taken));
        });
    });
}

/// A request for readiness that is not the first is taken back before the select returns.
#[test]
fn nothing_of_it_is_in_flight_afterwards() {
    limit(60, || {
        each_runtime_of(&[1, 4], |runtime| {
            let quiet = || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                select! {
                    wait_readable(&socket) -> _ => panic!("nobody sends"),
                    sleep(Duration::from_micros(100)) => (),
                }
                .unwrap();
                // (Its number is another one's soon.)
                drop(socket);
            };
            runtime.run(|| {
                let tasks: Vec<_> =
                    (0..8).map(|_| task::spawn(move || (0..20).for_each(|_| quiet()))).collect();
                tasks.into_iter().for_each(|task| task.join().unwrap());
            });
            assert_eq!(runtime.channel().metrics().in_flight, 0);
        });
    });
}

/// What one that is left behind has offered, and its places, are in nobody's way.
#[test]
fn one_that_is_left_behind_holds_up_nobody() {
    if let Some(why) = task::why_not() {
        // (They go on, as threads.)
        return skipped(why);
    }
    limit(60, || {
        for _ in 0..20 {
            let (left, right) = (channel::bounded(0), channel::bounded(0));
            let posts = Arc::new(Notification::new());
            let runtime = Runtime::builder().cores(1).build().unwrap();
            for _ in 0..3 {
                let ((out, _), (_, input), posts) = (left.clone(), right.clone(), posts.clone());
                runtime.spawn(move || {
                    // (It goes on after each cancel.)
                    loop {
                        let _ = select! {
                            send(&out, 1) -> _ => panic!("nobody receives while it runs"),
                            recv(&input) -> _ => panic!("nobody sends while it runs"),
                            wait(&posts) => panic!("nobody posts while it runs"),
                        };
                    }
                });
            }
            until_waiting(&runtime, "select");
            assert!(runtime.shutdown(SHORT).is_err(), "they do not stop");
            posts.post();
            assert_eq!(select! { wait(&posts) => 1, sleep(LONG) => 2 }, Ok(1));
            assert_eq!(right.0.try_send(1).map_err(|_| ()), Err(()), "nobody is there who takes it");
            let (give, take) = right;
            let other =
                thread::spawn(move || select! { send(&give, 7) -> sent => sent.unwrap(), sleep(LONG) => () });
            assert_eq!(take.recv(), Ok(7));
            other.join().unwrap().unwrap();
            drop(left);
        }
    });
}

/// A plain thread that waits for readiness in the default runtime, as that is shut down.
#[test]
fn readiness_ends_with_its_runtime() {
    let name = "readiness_ends_with_its_runtime";
    went_well(in_child(name, || {
        limit(60, || {
            let waits = thread::spawn(|| {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let never = Notification::new();
                select! {
                    wait_readable(&socket) -> ready => ready.unwrap_err(),
                    wait(&never) => unreachable!(),
                }
            });
            eventually(|| run(|| Runtime::current().unwrap().channel().metrics().in_flight > 0));
            event_channel::shutdown(LONG).unwrap();
            // As whoever asks from then on is told.
            let error = waits.join().unwrap().unwrap();
            assert_eq!(error.to_string(), "the event channel was shut down");
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let next = select! { wait_readable(&socket) -> ready => ready, sleep(LONG) => Ok(()) };
            assert_eq!(next.unwrap().unwrap_err().to_string(), error.to_string());
        });
    }));
}

/// A dedicated task goes on when its runtime has ended: what it has asked for, and gives up, comes back to it although no worker does.
#[test]
fn what_goes_on_without_its_runtime_gives_readiness_up() {
    const ROUNDS: usize = 100;
    const DEDICATED: usize = 3;
    limit(60, || {
        for round in 0..ROUNDS {
            let runtime = Runtime::builder().cores(1 + round % 2).build().unwrap();
            let (over, looks) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let tasks: Vec<_> = (0..2 * DEDICATED)
                .map(|number| {
                    let (over, looks) = (over.clone(), looks.clone());
                    let selects = move || {
                        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                        let mut pause = number as u64;
                        while !over.load(Ordering::Relaxed) {
                            pause = (pause + 37) % 300;
                            _ = select! {
                                wait_readable(&socket) -> _ => (),
                                sleep(Duration::from_micros(pause)) => (),
                            };
                            looks.fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    let builder = task::Builder::new();
                    // (The others may be abandoned.)
                    let builder = if number < DEDICATED { builder.dedicated() } else { builder };
                    runtime.spawn_with(builder, selects).unwrap()
                })
                .collect();
            while looks.load(Ordering::Relaxed) < 7 * round % 50 {
                thread::yield_now();
            }
            // (They would not end, so they are named.)
            let _ = runtime.shutdown(Duration::ZERO);
            over.store(true, Ordering::Relaxed);
            tasks.into_iter().take(DEDICATED).for_each(|task| task.join().unwrap());
        }
    });
}

/// What a runtime without a free thread is asked for ends at its time, and comes.
fn needs_no_worker(channel: &EventChannel) {
    let [near, far] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let addr = near.local_addr().unwrap();
    let never = Notification::new();
    for _ in 0..3 {
        assert_eq!(select! { wait_readable(&near) -> _ => 1, sleep(SHORT) => 2 }, Ok(2));
        let stopped = timeout(SHORT, || select! { wait_readable(&near) -> _ => (), wait(&never) => () });
        assert_eq!(stopped, Err(select::SelectError::TimedOut));
        assert!(channel.get_event_timeout(SHORT).unwrap().is_none());
    }
    let sends = thread::spawn(move || {
        thread::sleep(SHORT);
        far.send_to(&[1], addr).unwrap();
    });
    assert_eq!(select! { wait_readable(&near) -> ready => ready.is_ok(), wait(&never) => false }, Ok(true));
    sends.join().unwrap();
    channel.post(Request::timer(SHORT).token(7)).unwrap();
    assert_eq!(channel.get_event().unwrap().token(), 7);
}

/// The threads of a runtime may all be busy with the caller, who waits on one of them, or with what the caller holds.
#[test]
fn it_ends_although_no_worker_comes() {
    limit(60, || {
        let small = |most| Runtime::builder().cores(1).max_threads(most).build().unwrap();
        let one = small(1);
        let channel = one.channel().clone();
        one.run(|| task::on_thread(|| needs_no_worker(&channel)));
        // In a handler.
        let (done, told) = std::sync::mpsc::channel();
        let handled = Request::notification().on_complete(move |channel, _| {
            let well = catch_unwind(AssertUnwindSafe(|| needs_no_worker(channel)));
            done.send(well.is_ok()).unwrap();
        });
        one.channel().post(handled).unwrap();
        assert!(told.recv().unwrap());
        // Of a task with a thread of its own.
        let two = small(2);
        let (lock, channel) = (Arc::new(std::sync::Mutex::new(())), two.channel().clone());
        let held = lock.clone();
        let (begins, has_begun) = std::sync::mpsc::channel();
        let (busy, are_busy) = std::sync::mpsc::channel();
        let dedicated = two.spawn_with(task::Builder::new().dedicated(), move || {
            let _held = held.lock().unwrap();
            begins.send(()).unwrap();
            (0..2).for_each(|_| are_busy.recv().unwrap());
            needs_no_worker(&channel);
        });
        has_begun.recv().unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let (lock, busy) = (lock.clone(), busy.clone());
                two.spawn(move || {
                    // (Some begin when it does not ask any more.)
                    let _ = busy.send(());
                    drop(lock.lock().unwrap());
                })
            })
            .collect();
        dedicated.unwrap().join().unwrap();
        waiting.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// In a forked child nobody of the parent is there; what needs nobody comes.
#[test]
fn in_a_forked_child() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let (out, input) = channel::bounded(0);
        let posts = Arc::new(Notification::new());
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let (out, posts) = (out.clone(), posts.clone());
            waiting.push(runtime.spawn(move || select! { send(&out, 1) -> _ => (), wait(&posts) => () }));
        }
        let mut parents = runtime.spawn(|| task::park_cancellable().is_err());
        until_waiting(&runtime, "select");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let serve = || {
            posts.post();
            assert_eq!(select! { wait(&posts) => 1, sleep(LONG) => 2 }, Ok(1));
            assert_eq!(select! { wait(&posts) => 1, sleep(SHORT) => 2 }, Ok(2));
            let joined = select! { join(&mut parents) -> result => result.is_err(), sleep(LONG) => false };
            assert_eq!(joined, Ok(true));
            let refused = select! { wait_readable(&socket) -> ready => ready, sleep(LONG) => Ok(()) };
            let refused = refused.unwrap().unwrap_err().to_string();
            assert!(
                refused.starts_with("readiness cannot be waited for: this is a forked child"),
                "{refused}"
            );
        };
        let end = fork(|| {
            let served = catch_unwind(AssertUnwindSafe(serve));
            // SAFETY: ends the child, which has the test's harness on its stack.
            unsafe { libc::_exit(i32::from(served.is_err())) }
        });
        assert_eq!(end, Some(End::Code(0)));
        parents.cancel();
        assert!(parents.join().unwrap());
        // (They are there, in this process.)
        assert_eq!(input.recv(), Ok(1));
        posts.post_all();
        waiting.into_iter().for_each(|waits| waits.join().unwrap().unwrap());
    });
}
