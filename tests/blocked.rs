//! Tasks that block their thread for real: each costs the pool a thread for as long as it lasts, and nobody else waits.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::net::TcpStream;
use event_channel::sync::Notification;
use event_channel::task::JoinHandle;
use event_channel::{Runtime, task, time};
use net_common::{each_runtime_of, eventually, pair};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(10);
const CORES: [usize; 3] = [1, 2, 8];

/// What the task needs that all others, blocked, wait for. By then nothing runs any more.
#[derive(Clone, Copy, Debug)]
enum Need {
    Timer,
    Socket,
    Notification,
    Join,
    File,
    /// Nothing is complete when all are blocked; then a timer is, then a connection.
    TimerThenSocket,
}

const NEEDS: [Need; 6] =
    [Need::Timer, Need::Socket, Need::Notification, Need::Join, Need::File, Need::TimerThenSocket];

/// A connection on which something arrives after a while, sent by a thread.
fn later() -> TcpStream {
    let (here, mut there) = pair();
    thread::spawn(move || {
        thread::sleep(SHORT);
        there.write_all(b"x").unwrap();
        // Until the reader has gone.
        let _ = there.read(&mut [0]);
    });
    here
}

fn read_one(mut stream: &TcpStream) {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
}

impl Need {
    fn suspend(self) {
        match self {
            Need::Timer => time::sleep(SHORT),
            Need::Socket => read_one(&later()),
            Need::Notification => {
                let notification = Arc::new(Notification::new());
                let theirs = notification.clone();
                thread::spawn(move || {
                    thread::sleep(SHORT);
                    theirs.post();
                });
                notification.wait();
            }
            Need::Join => task::spawn(|| time::sleep(SHORT)).join().unwrap(),
            Need::File => {
                // So that all are blocked by then.
                time::sleep(SHORT);
                assert!(!std::fs::read(std::env::current_exe().unwrap()).unwrap().is_empty());
            }
            Need::TimerThenSocket => {
                let stream = later();
                time::sleep(2 * SHORT);
                read_one(&stream);
            }
        }
    }
}

/// Runs `shape` on each driver, with each number of cores, for each need. It says so where it hangs.
fn each(shape: impl Fn(&Runtime, usize, Need) + Sync) {
    each_runtime_of(&CORES, |runtime| {
        let (driver, cores) = (runtime.channel().driver().kind(), runtime.metrics().cores);
        for need in NEEDS {
            let (done, watch) = mpsc::channel::<()>();
            thread::scope(|scope| {
                scope.spawn(move || {
                    let end = watch.recv_timeout(Duration::from_secs(20));
                    if end == Err(mpsc::RecvTimeoutError::Timeout) {
                        eprintln!("stuck: {driver}, {cores} cores, {need:?}");
                    }
                });
                shape(runtime, cores, need);
                drop(done);
            });
        }
        runtime.shutdown(Duration::from_secs(10)).unwrap();
    });
}

fn join(tasks: Vec<JoinHandle<()>>) {
    tasks.into_iter().for_each(|task| task.join().unwrap());
}

#[test]
fn a_lock_whose_holder_is_suspended() {
    limit(300, || {
        each(|runtime, cores, need| {
            let lock = Arc::new(Mutex::new(0));
            let (locked, is_locked) = mpsc::channel();
            let holder = {
                let lock = lock.clone();
                runtime.spawn(move || {
                    let mut held = lock.lock().unwrap();
                    locked.send(()).unwrap();
                    need.suspend();
                    *held += 1;
                })
            };
            is_locked.recv().unwrap();
            let others = (0..2 * cores).map(|_| {
                let lock = lock.clone();
                runtime.spawn(move || *lock.lock().unwrap() += 1)
            });
            join(others.collect());
            holder.join().unwrap();
            assert_eq!(*lock.lock().unwrap(), 2 * cores + 1);
        });
    });
}

#[test]
fn a_condition_that_a_suspended_task_will_make_true() {
    limit(300, || {
        each(|runtime, cores, need| {
            let it = Arc::new((Mutex::new(false), Condvar::new()));
            let waiters = (0..2 * cores).map(|_| {
                let it = it.clone();
                runtime.spawn(move || drop(it.1.wait_while(it.0.lock().unwrap(), |ready| !*ready).unwrap()))
            });
            let waiters = waiters.collect();
            let other = it.clone();
            let caller = runtime.spawn(move || {
                need.suspend();
                *other.0.lock().unwrap() = true;
                other.1.notify_all();
            });
            join(waiters);
            caller.join().unwrap();
        });
    });
}

#[test]
fn a_message_that_a_suspended_task_will_send() {
    limit(300, || {
        each(|runtime, cores, need| {
            let (senders, receivers): (Vec<_>, Vec<_>) = (0..2 * cores).map(|_| mpsc::channel()).unzip();
            let receivers = receivers
                .into_iter()
                .map(|receiver| runtime.spawn(move || assert_eq!(receiver.recv(), Ok(7))));
            let receivers = receivers.collect();
            let sender = runtime.spawn(move || {
                need.suspend();
                senders.iter().for_each(|sender| sender.send(7).unwrap());
            });
            join(receivers);
            sender.join().unwrap();
        });
    });
}

#[test]
fn a_value_that_a_suspended_task_is_making() {
    limit(300, || {
        each(|runtime, cores, need| {
            let value = Arc::new(OnceLock::new());
            let (begun, has_begun) = mpsc::channel();
            let maker = {
                let value = value.clone();
                runtime.spawn(move || {
                    value.get_or_init(|| {
                        begun.send(()).unwrap();
                        need.suspend();
                        7
                    });
                })
            };
            has_begun.recv().unwrap();
            let others = (0..2 * cores).map(|_| {
                let value = value.clone();
                runtime.spawn(move || assert_eq!(*value.get_or_init(|| 8), 7))
            });
            join(others.collect());
            maker.join().unwrap();
        });
    });
}

#[test]
fn a_pipe_into_which_a_suspended_task_will_write() {
    limit(300, || {
        each(|runtime, cores, need| {
            let (reader, mut writer) = std::io::pipe().unwrap();
            let readers = (0..2 * cores).map(|_| {
                let mut reader = reader.try_clone().unwrap();
                runtime.spawn(move || reader.read_exact(&mut [0]).unwrap())
            });
            let readers = readers.collect();
            let writer = runtime.spawn(move || {
                need.suspend();
                writer.write_all(&vec![1; 2 * cores]).unwrap();
            });
            join(readers);
            writer.join().unwrap();
        });
    });
}

/// A channel's handler runs on a worker too.
#[test]
fn a_handler_that_waits_for_a_task() {
    limit(60, || {
        use event_channel::channel::Request;
        for cores in CORES {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            let handled = Arc::new(AtomicUsize::new(0));
            let (sender, receiver) = mpsc::channel();
            let receiver = Arc::new(Mutex::new(receiver));
            for _ in 0..2 * cores {
                let (receiver, handled) = (receiver.clone(), handled.clone());
                let wait = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                    receiver.lock().unwrap().recv().unwrap();
                    handled.fetch_add(1, Ordering::SeqCst);
                });
                runtime.channel().post(wait).unwrap();
            }
            runtime
                .spawn(move || {
                    time::sleep(SHORT);
                    (0..2 * cores).for_each(|_| sender.send(()).unwrap());
                })
                .join()
                .unwrap();
            eventually(|| handled.load(Ordering::SeqCst) == 2 * cores);
        }
    });
}

/// While tasks compute, new ones hardly begin; but one of them may be what the others wait for.
#[test]
fn a_task_that_spins_until_one_that_is_new_has_run() {
    limit(60, || {
        for cores in CORES {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            let tasks = (0..cores).map(|_| {
                runtime.spawn(|| {
                    let start = Instant::now();
                    while start.elapsed() < 3 * SHORT {}
                    let flag = Arc::new(AtomicUsize::new(0));
                    let theirs = flag.clone();
                    let child = task::spawn(move || theirs.store(1, Ordering::SeqCst));
                    while flag.load(Ordering::SeqCst) == 0 {
                        std::hint::spin_loop();
                    }
                    child.join().unwrap();
                })
            });
            join(tasks.collect());
        }
    });
}

/// Who has computed and then blocks is no longer one of those that compute.
#[test]
fn a_task_that_computes_and_then_waits_for_one_that_is_new() {
    limit(60, || {
        for cores in CORES {
            let runtime = Runtime::builder().cores(cores).build().unwrap();
            let tasks = (0..3 * cores).map(|_| {
                runtime.spawn(|| {
                    let start = Instant::now();
                    while start.elapsed() < 3 * SHORT {
                        std::hint::spin_loop();
                    }
                    let (sender, receiver) = mpsc::channel();
                    drop(task::spawn(move || sender.send(7).unwrap()));
                    assert_eq!(receiver.recv(), Ok(7));
                })
            });
            join(tasks.collect());
        }
    });
}

#[test]
fn blocking_hands_the_core_over_and_means_the_same() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        for _ in 0..20 {
            let (sender, receiver) = mpsc::channel();
            let inside = Arc::new(AtomicBool::new(false));
            let seen = inside.clone();
            let blocked = runtime.spawn(move || {
                task::blocking(|| {
                    inside.store(true, Ordering::Relaxed);
                    receiver.recv().unwrap()
                })
            });
            let sender = runtime.spawn(move || {
                while !seen.load(Ordering::Relaxed) {
                    task::yield_now();
                }
                sender.send(7).unwrap();
            });
            assert_eq!(blocked.join().unwrap(), 7);
            sender.join().unwrap();
        }
        assert!(!task::migrates() || runtime.metrics().handed_over >= 20);
        // On plain threads and in dedicated tasks it is the call, and nothing else.
        assert_eq!(task::blocking(|| 8), 8);
        assert_eq!(
            task::Builder::new().dedicated().spawn(|| task::blocking(|| 9)).unwrap().join().unwrap(),
            9
        );
    });
}

#[test]
fn a_task_that_blocked_goes_on_and_suspends_as_before() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let tasks = (0..20).map(|_| {
            runtime.spawn(|| {
                for _ in 0..5 {
                    thread::sleep(SHORT);
                    time::sleep(SHORT / 10);
                    task::yield_now();
                }
            })
        });
        join(tasks.collect());
        assert_eq!(runtime.metrics().events_lost, 0);
    });
}

#[test]
fn a_panic_on_a_thread_without_a_core_is_delivered_and_costs_nothing() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        for _ in 0..10 {
            let handed = runtime.metrics().handed_over;
            let (go_on, waits) = mpsc::channel();
            let panics = runtime.spawn(move || {
                waits.recv().unwrap();
                panic!("on purpose");
            });
            eventually(|| !task::migrates() || runtime.metrics().handed_over > handed);
            go_on.send(()).unwrap();
            assert!(panics.join().is_err());
        }
        assert_eq!(runtime.run(|| 7), 7);
        eventually(|| runtime.metrics().workers_stray == 0);
    });
}

/// Nothing can cancel a system call of somebody else's: the call goes on, and the next point tells.
#[test]
fn a_cancel_of_a_task_that_blocks_is_delivered_when_it_suspends() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (a, _b) = pair();
        let task = runtime.spawn(move || {
            begun.send(()).unwrap();
            thread::sleep(3 * SHORT);
            assert!(task::is_cancelled());
            (&a).read(&mut [0]).unwrap_err().kind()
        });
        has_begun.recv().unwrap();
        task.cancel();
        assert!(!task.is_finished());
        assert_eq!(task.join().unwrap(), std::io::ErrorKind::Other);
    });
}

#[test]
fn a_deadline_that_comes_while_the_task_blocks_is_delivered_when_it_suspends() {
    limit(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let (a, _b) = pair();
        let task = runtime.spawn(move || {
            let start = Instant::now();
            let kind = time::timeout(SHORT, || {
                thread::sleep(3 * SHORT);
                (&a).read(&mut [0]).unwrap_err().kind()
            });
            (kind, start.elapsed())
        });
        let (kind, took) = task.join().unwrap();
        assert_eq!(kind, std::io::ErrorKind::TimedOut, "the read found the deadline over");
        assert!(took >= 3 * SHORT, "the blocking call was not cut short");
    });
}

/// The threads leave after `keep_alive`, and what they had submitted does not go with them.
#[test]
fn the_pool_shrinks_back_to_its_cores_and_connections_go_on() {
    limit(120, || {
        for driver in Driver::ALL {
            let keep = Duration::from_millis(100);
            let Ok(runtime) = Runtime::builder().cores(2).keep_alive(keep).driver(driver).build() else {
                ec_test_support::skipped(&format!("{driver} is not to be had"));
                continue;
            };
            let (mine, theirs): (Vec<_>, Vec<_>) = (0..100).map(|_| pair()).unzip();
            let echoes = mine.into_iter().map(|stream| {
                runtime.spawn(move || {
                    let mut byte = [0];
                    while let Ok(1) = (&stream).read(&mut byte) {
                        // Now and then on a thread that will lose its core and leave.
                        if byte[0] % 10 == 0 {
                            thread::sleep(SHORT);
                        }
                        (&stream).write_all(&byte).unwrap();
                    }
                })
            });
            let echoes = echoes.collect();
            let mut round = 0;
            while round < 3 || (task::migrates() && runtime.metrics().grown == 0) {
                round += 1;
                for (index, mut stream) in theirs.iter().enumerate() {
                    stream.write_all(&[(index + round) as u8]).unwrap();
                }
                for (index, mut stream) in theirs.iter().enumerate() {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    assert_eq!(byte[0], (index + round) as u8);
                }
                eventually(|| runtime.metrics().workers == 2);
            }
            let metrics = runtime.metrics();
            assert_eq!((metrics.grown, metrics.workers_stray, metrics.workers_spare), (metrics.shrunk, 0, 0));
            drop(theirs);
            join(echoes);
        }
    });
}

/// A short sleep that one look of the pool's shows may be over at the next one. Then it was not worth a thread.
#[test]
fn short_sleeps_bring_no_threads() {
    const SLEEPS: Duration = Duration::from_micros(20);
    const RUNTIMES: usize = 10;
    limit(60, || {
        let mut grown = 0;
        for _ in 0..RUNTIMES {
            let runtime = Runtime::builder().cores(2).build().unwrap();
            let end = Instant::now() + 10 * SHORT;
            let sleepers = (0..4).map(|_| {
                runtime.spawn(move || {
                    while Instant::now() < end {
                        thread::sleep(SLEEPS);
                        task::yield_now();
                    }
                })
            });
            sleepers.collect::<Vec<_>>().into_iter().for_each(|sleeper| sleeper.join().unwrap());
            grown += usize::from(runtime.metrics().grown > 0);
        }
        // (Where CPUs are scarce a short sleep is a long one at times.)
        assert!(grown < RUNTIMES, "each has grown");
    });
}
