//! Cancellation points: the twins of what cannot fail, `task::check`, and how their errors are told apart.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpStream, UdpSocket};
use event_channel::sync::Notification;
use event_channel::task::{Builder, JoinHandle, check};
use event_channel::time::{Duration, Instant, sleep_cancellable, sleep_until_cancellable, timeout};
use event_channel::{Elapsed, Runtime, is_cancelled, is_deadline, is_read_timeout, task};
use net_common::{Numbers, each_run, each_runtime, each_runtime_of, eventually, until_waiting};
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const SHORT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(3600);

type Twin = (&'static str, fn() -> io::Result<()>);

/// Each waits for ever. With what a dump says of it.
const TWINS: [Twin; 6] = [
    ("sleep", || sleep_cancellable(LONG)),
    ("sleep", || sleep_until_cancellable(Instant::now() + LONG)),
    ("park", task::park_cancellable),
    ("park", || task::park_timeout_cancellable(LONG)),
    ("notification", || Notification::new().wait_cancellable()),
    ("notification", || Notification::new().wait_timeout_cancellable(LONG).map(drop)),
];

/// A task that ends when it is told to, and gives a seven.
fn held() -> (Arc<Notification>, JoinHandle<u32>) {
    let end = Arc::new(Notification::new());
    let theirs = end.clone();
    let task = task::spawn(move || {
        theirs.wait();
        7
    });
    (end, task)
}

/// The join of one that does not end. Afterwards it is joined all the same.
fn joins() -> io::Result<()> {
    let (end, mut task) = held();
    let result = task.join_cancellable();
    end.post();
    assert_eq!(task.join().unwrap(), 7);
    result.map(|joined| assert_eq!(joined.unwrap(), 7))
}

fn twins() -> impl Iterator<Item = Twin> {
    TWINS.into_iter().chain([("join", joins as fn() -> _)])
}

fn kinds() -> [Builder; 2] {
    [Builder::new(), Builder::new().dedicated()]
}

/// Runs `test` on a plain thread, and as a task of each kind in each runtime.
fn everywhere(test: fn()) {
    thread::spawn(test).join().unwrap();
    each_runtime(|runtime| {
        for kind in kinds() {
            runtime.spawn_with(kind, test).unwrap().join().unwrap();
        }
    });
}

fn assert_cancelled<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("cancelled");
    assert!(is_cancelled(&error) && !is_deadline(&error) && !is_read_timeout(&error), "{error}");
}

fn assert_over<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("the deadline has come");
    assert!(is_deadline(&error) && !is_cancelled(&error) && !is_read_timeout(&error), "{error}");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_cancel_ends_each_twin_once() {
    limit(60, || {
        each_runtime(|runtime| {
            for (what, call) in twins() {
                for kind in kinds() {
                    let waits = runtime.spawn_with(kind, move || {
                        assert_cancelled(call());
                        assert!(task::is_cancelled(), "it is latched");
                        check().expect("it was delivered");
                        sleep_cancellable(Duration::from_micros(1)).unwrap();
                    });
                    let waits = waits.unwrap();
                    until_waiting(runtime, what);
                    waits.cancel();
                    waits.join().unwrap();
                }
            }
        });
    });
}

#[test]
fn a_deadline_ends_each_twin_once() {
    limit(60, || {
        everywhere(|| {
            for (_, call) in twins() {
                let start = Instant::now();
                timeout(SHORT, || {
                    assert_over(call());
                    assert!(start.elapsed() >= SHORT);
                    check().expect("it was delivered");
                });
                assert!(!task::is_cancelled());
                // (On a plain thread the next park returns at once after a park that has failed.)
                task::park_timeout(Duration::ZERO);
            }
        });
    });
}

#[test]
fn what_is_due_is_delivered_on_entry() {
    limit(60, || {
        everywhere(|| {
            for (_, call) in twins() {
                timeout(Duration::ZERO, || assert_over(call()));
            }
            timeout(Duration::ZERO, || {
                assert_over(check());
                check().unwrap();
            });
            timeout(Duration::ZERO, || assert_over(sleep_cancellable(Duration::ZERO)));
            timeout(Duration::ZERO, || assert_over(sleep_until_cancellable(Instant::now())));
            // What is there stays there.
            let notification = Notification::new();
            notification.post();
            timeout(Duration::ZERO, || assert_over(notification.wait_cancellable()));
            notification.wait_cancellable().unwrap();
            let mut ended = task::spawn(|| 5);
            while !ended.is_finished() {
                task::yield_now();
            }
            timeout(Duration::ZERO, || assert_over(ended.join_cancellable()));
            assert_eq!(ended.join_cancellable().unwrap().unwrap(), 5);
        });
        each_runtime(|runtime| {
            for (_, call) in twins() {
                let begins = Arc::new(Notification::new());
                let theirs = begins.clone();
                let task = runtime.spawn(move || {
                    theirs.wait();
                    assert_cancelled(call());
                    check().unwrap();
                });
                task.cancel();
                begins.post();
                task.join().unwrap();
            }
        });
    });
}

#[test]
fn the_twins_do_what_their_namesakes_do() {
    limit(60, || {
        everywhere(|| {
            let start = Instant::now();
            sleep_cancellable(SHORT).unwrap();
            sleep_until_cancellable(start + 2 * SHORT).unwrap();
            task::park_timeout_cancellable(SHORT).unwrap();
            assert!(!Notification::new().wait_timeout_cancellable(SHORT).unwrap());
            assert!(start.elapsed() >= 4 * SHORT);
            task::current().unpark();
            task::park_cancellable().unwrap();
            task::current().unpark();
            task::park_timeout_cancellable(LONG).unwrap();
            let mut panics = task::spawn(|| panic!("on purpose"));
            assert!(panics.join_cancellable().unwrap().is_err());
            // A limit of their own that comes first is not the deadline's.
            timeout(LONG, || {
                sleep_cancellable(Duration::from_micros(1)).unwrap();
                task::park_timeout_cancellable(Duration::from_micros(1)).unwrap();
                assert!(!Notification::new().wait_timeout_cancellable(Duration::from_micros(1)).unwrap());
                check().unwrap();
            });
        });
    });
}

/// The program that `timeout` around `join` was no help for.
#[test]
fn a_join_that_is_given_up_leaves_the_handle_as_it_was() {
    limit(60, || {
        everywhere(|| {
            let (end, mut task) = held();
            assert_over(timeout(SHORT, || task.join_cancellable()));
            assert!(!task.is_finished());
            // Another thread, and another task, wait for it then.
            let mut task = thread::spawn(move || {
                assert_over(timeout(SHORT, || task.join_cancellable()));
                task
            })
            .join()
            .unwrap();
            let other = task::spawn(move || {
                assert_over(timeout(SHORT, || task.join_cancellable()));
                end.post();
                task.join_cancellable().unwrap().unwrap()
            });
            assert_eq!(other.join().unwrap(), 7);
            // Or nobody.
            let (end, mut task) = held();
            assert_over(timeout(SHORT, || task.join_cancellable()));
            drop(task);
            end.post();
        });
    });
}

/// What a task has left is there once; nobody loses it, and nobody keeps it from being dropped.
#[test]
fn a_result_is_given_once() {
    limit(60, || {
        everywhere(|| {
            let counted = Arc::new(());
            let theirs = counted.clone();
            let mut task = task::spawn(move || theirs);
            let result = task.join_cancellable().unwrap().unwrap();
            assert!(catch_unwind(AssertUnwindSafe(|| task.join_cancellable())).is_err());
            assert!(catch_unwind(AssertUnwindSafe(|| task.join())).is_err());
            assert_eq!(Arc::strong_count(&counted), 2);
            drop(result);
            let theirs = counted.clone();
            let (end, hold) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
            let (ends, holds) = (end.clone(), hold.clone());
            let mut task = task::spawn(move || {
                holds.wait();
                ends.post();
                theirs
            });
            assert_over(timeout(Duration::from_micros(100), || task.join_cancellable()));
            drop(task);
            hold.post();
            end.wait();
            eventually(|| Arc::strong_count(&counted) == 1);
        });
    });
}

/// Ends, deadlines and cancels at the same moments, tasks and threads mixed.
#[test]
fn no_end_is_missed_by_one_who_gives_up_and_comes_again() {
    const ROUNDS: u64 = 1_500;
    fn rounds(seed: u64, given_up: &AtomicUsize) {
        let mut numbers = Numbers(seed);
        for round in 0..ROUNDS {
            let turns = numbers.below(6);
            let mut child = task::spawn(move || {
                for _ in 0..turns {
                    task::yield_now();
                }
                round
            });
            loop {
                let span = Duration::from_nanos(numbers.below(60_000));
                match timeout(span, || child.join_cancellable()) {
                    Ok(result) => break assert_eq!(result.unwrap(), round),
                    Err(error) => {
                        assert!(is_deadline(&error) || is_cancelled(&error), "{error}");
                        given_up.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }
    limit(120, || {
        each_runtime(|runtime| {
            let given_up = Arc::new(AtomicUsize::new(0));
            let play = |seed| {
                let given_up = given_up.clone();
                move || rounds(seed, &given_up)
            };
            let thread = thread::spawn({
                let play = play(1);
                let runtime = runtime.run(|| Runtime::current().unwrap());
                move || {
                    runtime.run(|| ());
                    play();
                }
            });
            let tasks: Vec<_> = (2..5).map(|seed| runtime.spawn(play(seed))).collect();
            while !tasks.iter().all(JoinHandle::is_finished) {
                tasks.iter().for_each(JoinHandle::cancel);
                thread::sleep(Duration::from_micros(100));
            }
            tasks.into_iter().for_each(|task| task.join().unwrap());
            thread.join().unwrap();
            assert!(given_up.load(Ordering::Relaxed) > 10);
        });
    });
}

/// In each round one unpark and one cancel come at the same time: the task sees both, in whatever order.
#[test]
fn neither_an_unpark_nor_a_cancel_swallows_the_other() {
    const ROUNDS: usize = 2_000;
    limit(120, || {
        each_runtime(|runtime| {
            let (round, done) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
            let (begins, ends) = (round.clone(), done.clone());
            let parks = runtime.spawn(move || {
                for _ in 0..ROUNDS {
                    begins.post();
                    match task::park_cancellable() {
                        Ok(()) => assert_cancelled(task::park_cancellable()),
                        cancelled => {
                            assert_cancelled(cancelled);
                            task::park_cancellable().unwrap();
                        }
                    }
                    ends.wait();
                }
            });
            let mut numbers = Numbers(7);
            for _ in 0..ROUNDS {
                round.wait();
                let spins = numbers.below(2_000);
                let pause = || (0..spins).for_each(|_| std::hint::spin_loop());
                if numbers.below(2) == 0 {
                    parks.cancel();
                    pause();
                    parks.task().unpark();
                } else {
                    parks.task().unpark();
                    pause();
                    parks.cancel();
                }
                done.post();
            }
            parks.join().unwrap();
        });
    });
}

#[test]
fn a_shutdown_cancels_each_twin_again_and_again() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let waiting: Vec<_> = kinds()
                .into_iter()
                .map(|kind| {
                    let (end, mut task) = runtime.run(held);
                    let waits = move || {
                        assert_cancelled(task::park_cancellable());
                        for (_, call) in TWINS {
                            assert_cancelled(call());
                        }
                        assert_cancelled(task.join_cancellable());
                        assert_cancelled(check());
                        end.post();
                        task.join().unwrap()
                    };
                    runtime.spawn_with(kind, waits).unwrap()
                })
                .collect();
            let is_parked = |task: &&task::TaskInfo| task.waits_for.as_deref() == Some("park");
            eventually(|| runtime.dump().tasks.iter().filter(is_parked).count() == waiting.len());
            runtime.shutdown(LONG).unwrap();
            waiting.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 7));
        });
    });
}

#[test]
fn a_computation_is_cancelled_at_its_checks() {
    limit(60, || {
        each_runtime(|runtime| {
            let running = Arc::new(AtomicBool::new(false));
            let theirs = running.clone();
            let computes = runtime.spawn(move || {
                loop {
                    theirs.store(true, Ordering::Relaxed);
                    check()?;
                }
            });
            eventually(|| running.load(Ordering::Relaxed));
            computes.cancel();
            assert_cancelled::<()>(computes.join().unwrap());
        });
        everywhere(|| {
            assert_over::<()>(timeout(SHORT, || {
                loop {
                    check()?;
                }
            }));
        });
    });
}

#[test]
fn errors_of_the_same_kind_are_told_apart() {
    limit(60, || {
        everywhere(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let receive = || socket.recv(&mut [0; 1]).unwrap_err();
            let deadline = timeout(SHORT, receive);
            assert!(is_deadline(&deadline) && !is_read_timeout(&deadline));
            assert_eq!(deadline.get_ref().unwrap().downcast_ref(), Some(&Elapsed));
            socket.set_read_timeout(Some(SHORT)).unwrap();
            let limit = timeout(LONG, receive);
            assert!(is_read_timeout(&limit) && !is_deadline(&limit) && !is_cancelled(&limit));
            for other in [ErrorKind::TimedOut.into(), io::Error::from_raw_os_error(libc::ETIMEDOUT)] {
                assert!(!is_deadline(&other) && !is_cancelled(&other) && !is_read_timeout(&other));
            }
            assert!(!is_cancelled(&io::Error::from_raw_os_error(libc::ECANCELED)));
        });
    });
}

#[test]
fn a_connect_that_takes_too_long_is_no_deadline() {
    limit(60, || {
        // Its queue is full: further connects wait.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let silent = listener.local_addr().unwrap().as_socket().unwrap();
        let mut fill = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&silent, 20 * SHORT) {
            fill.push(stream);
        }
        let check = || {
            let error = TcpStream::connect_timeout(&silent, SHORT).unwrap_err();
            assert!(error.kind() == ErrorKind::TimedOut && !is_deadline(&error), "{error:?}");
            let error = timeout(LONG, || TcpStream::connect_timeout(&silent, SHORT)).unwrap_err();
            assert!(error.kind() == ErrorKind::TimedOut && !is_deadline(&error), "{error:?}");
            assert_over(timeout(SHORT, || TcpStream::connect(silent)));
            assert_over(timeout(SHORT, || TcpStream::connect_timeout(&silent, LONG)));
        };
        check();
        each_run(check);
    });
}
