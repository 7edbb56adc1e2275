//! How many threads a pool has: as many as it needs, no more than it may, and its cores again afterwards.

mod net_common;
mod pool_common;

use ec_test_support::{limit, skipped, threads_and_files, without_poll};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::runtime::{AtCap, PoolEvent};
use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};
use net_common::{eventually, in_a_process_for_each};
use parking_lot::Mutex;
use pool_common::{Peak, alone, compute, in_a_process_of_its_own, ordinary_load, random, two_cores};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(10);

/// Resident memory in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn load_that_does_not_block_brings_no_threads() {
    alone(60, || {
        let (runtime, said) = two_cores();
        let peak = Peak::new();
        let slept = ordinary_load(&runtime);
        let most = peak.most();
        assert!(
            most <= 2 + 3 + slept,
            "{most} threads, the monitor's and the notifier's included; {slept} sleeps: {:?}",
            said.lock()
        );
    });
}

/// On one CPU, whatever the pool believes.
#[test]
fn nor_does_it_where_the_workers_share_a_cpu() {
    alone(60, || {
        let (runtime, said) = two_cores();
        let first = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).unwrap();
        let cpu = (0..1024).find(|&cpu| first.is_set(cpu).unwrap()).unwrap();
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut one = nix::sched::CpuSet::new();
        one.set(cpu).unwrap();
        for thread in tasks {
            let tid = thread.file_name().to_string_lossy().parse().unwrap();
            let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(tid), &one);
        }
        let peak = Peak::new();
        let slept = ordinary_load(&runtime);
        let most = peak.most();
        nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &first).unwrap();
        assert!(
            most <= 2 + 3 + slept,
            "{most} threads, the monitor's and the notifier's included; {slept} sleeps: {:?}",
            said.lock()
        );
    });
}

#[test]
fn nor_beside_programs_that_want_all_cpus() {
    alone(60, || {
        let hog =
            || Command::new("sh").args(["-c", "while :; do :; done"]).stdout(Stdio::null()).spawn().unwrap();
        let mut hogs: Vec<_> = (0..4).map(|_| hog()).collect();
        let (runtime, said) = two_cores();
        let peak = Peak::new();
        let slept = ordinary_load(&runtime);
        let most = peak.most();
        hogs.iter_mut().for_each(|hog| {
            hog.kill().unwrap();
            hog.wait().unwrap();
        });
        assert!(
            most <= 2 + 3 + slept,
            "{most} threads, the monitor's and the notifier's included; {slept} sleeps: {:?}",
            said.lock()
        );
    });
}

/// Of tasks that compute about as many as cores go on without one; the rest has to wait for its turn.
#[test]
fn computing_brings_about_as_many_threads_again_as_cores() {
    alone(120, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let peak = Peak::new();
        let hogs: Vec<_> = (0..60).map(|_| runtime.spawn(|| compute(4 * SHORT))).collect();
        hogs.into_iter().for_each(|hog| hog.join().unwrap());
        // The holders, the strays, exceptions (some more where it takes longer), spares, the monitor: not sixty.
        assert!(peak.most() < 30, "{}", peak.most());
        assert!(runtime.metrics().handed_over > 0);
    });
}

/// For a second in each of three rounds; `EC_STRESS_SECONDS` makes it longer. Each driver has a process of its own, all at the same time.
#[test]
fn ten_thousand_tasks_that_block_at_random_stay_under_the_cap_and_leave_nothing() {
    const NAME: &str = "ten_thousand_tasks_that_block_at_random_stay_under_the_cap_and_leave_nothing";
    let seconds = std::env::var("EC_STRESS_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    alone(120 + 20 * seconds, || {
        let drivers = Driver::ALL.into_iter().filter(|driver| *driver != Driver::Poll || !without_poll());
        if !in_a_process_for_each(drivers, NAME) {
            return;
        }
        let keep = Duration::from_millis(200);
        let runtime = match Runtime::builder().cores(2).max_threads(100).keep_alive(keep).build() {
            Ok(runtime) => runtime,
            Err(error) => return skipped(&error.to_string()),
        };
        eventually(|| threads_and_files().0 == 3);
        let before = threads_and_files();
        let mut memory = None;
        for _ in 0..3 {
            let peak = Peak::new();
            let end = Instant::now() + Duration::from_secs(seconds);
            let tasks: Vec<_> = (0..10_000)
                .map(|_| {
                    runtime.spawn(move || {
                        loop {
                            time::sleep(Duration::from_millis(random(1_000)));
                            if Instant::now() >= end {
                                break;
                            }
                            thread::sleep(SHORT);
                        }
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            // (The monitor, and the notifier where there is something to log.)
            assert!(peak.most() <= 100 + 2, "{}", peak.most());
            // (Looking costs threads nothing, but takes a core's time.)
            eventually(|| runtime.metrics().workers == 2);
            eventually(|| threads_and_files().0 <= before.0 && threads_and_files().1 <= before.1);
            // The stacks' memory goes back in the course of some seconds.
            let limit = *memory.get_or_insert_with(|| {
                thread::sleep(Duration::from_secs(2));
                resident() * 6 / 5 + 8192
            });
            eventually(|| resident() <= limit);
        }
        let metrics = runtime.metrics();
        println!("at most {} KiB, {metrics:?}", memory.unwrap_or_default());
        assert_eq!((metrics.grown, metrics.events_lost), (metrics.shrunk, 0));
    });
}

#[test]
fn at_the_cap_it_is_told_once_and_what_has_begun_goes_on() {
    alone(60, || {
        let told: Arc<Mutex<Vec<AtCap>>> = Arc::default();
        let theirs = told.clone();
        let runtime = Runtime::builder()
            .cores(2)
            .max_threads(16)
            .on_event(move |event| {
                if let PoolEvent::AtCap(at_cap) = event {
                    theirs.lock().push(at_cap.clone());
                }
            })
            .build()
            .unwrap();
        // A task that has begun, and goes on all the time.
        let beats = Arc::new(AtomicUsize::new(0));
        let heart = {
            let beats = beats.clone();
            runtime.spawn(move || {
                while !task::is_cancelled() {
                    time::sleep(Duration::from_millis(1));
                    beats.fetch_add(1, Ordering::SeqCst);
                }
            })
        };
        eventually(|| beats.load(Ordering::SeqCst) > 0);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        for index in 0..32 {
            let held = held.clone();
            let builder = task::Builder::new().name(format!("blocker {index}"));
            drop(runtime.spawn_with(builder, move || held.lock().unwrap().recv().is_ok()).unwrap());
        }
        eventually(|| !told.lock().is_empty());
        let told_first = told.lock()[0].clone();
        assert!(told_first.blocked.len() >= 10, "{told_first}");
        let words = told_first.to_string();
        assert!(words.contains("'blocker ") && words.contains("futex"), "{words}");
        // For some time, to see that it is told once.
        let (now, metrics) = (beats.load(Ordering::SeqCst), runtime.metrics());
        eventually(|| beats.load(Ordering::SeqCst) > now + 100);
        assert_eq!((runtime.metrics().cap_hits, told.lock().len()), (1, 1));
        assert!(metrics.workers <= 16, "{metrics:?}");
        // The end comes, and names them.
        let error = runtime.shutdown(5 * SHORT).unwrap_err();
        let named = error.names().iter().filter(|name| name.contains("blocker")).count();
        assert_eq!(named, 32, "{error}");
        heart.join().unwrap();
        drop(let_go);
    });
}

#[test]
fn when_there_is_room_again_the_tasks_that_had_to_wait_begin() {
    alone(60, || {
        let runtime = Runtime::builder().cores(1).max_threads(6).build().unwrap();
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let held = held.clone();
                runtime.spawn(move || held.lock().unwrap().recv().is_err())
            })
            .collect();
        eventually(|| runtime.metrics().cap_hits > 0);
        drop(let_go);
        tasks.into_iter().for_each(|task| assert!(task.join().unwrap()));
        assert_eq!(runtime.run(|| 7), 7);
    });
}

/// As soon as threads may leave, one that is started for a core is not gone before it has it.
#[test]
fn where_spare_threads_leave_at_once_cores_are_handed_over_all_the_same() {
    alone(60, || {
        const ROUNDS: usize = 50;
        let runtime = Runtime::builder().cores(1).keep_alive(Duration::ZERO).build().unwrap();
        for round in 0..ROUNDS {
            let (sender, receiver) = std::sync::mpsc::channel();
            let waits = runtime.spawn(move || receiver.recv().unwrap());
            let sends = runtime.spawn(move || {
                time::sleep(SHORT / 10);
                sender.send(round).unwrap();
            });
            assert_eq!(waits.join().unwrap(), round);
            sends.join().unwrap();
        }
        let metrics = runtime.metrics();
        assert!(!task::migrates() || metrics.handed_over > 0, "{metrics:?}");
        assert!(metrics.grown <= 10 * ROUNDS as u64, "{metrics:?}");
    });
}

/// The monitor has gone to sleep while the tasks block, and nothing wakes it.
#[test]
fn spare_threads_leave_although_nothing_happens_any_more() {
    alone(60, || {
        let runtime = Runtime::builder().cores(2).keep_alive(SHORT).build().unwrap();
        let left_unseen = || {
            let tasks: Vec<_> = (0..16).map(|_| runtime.spawn(|| thread::sleep(30 * SHORT))).collect();
            thread::sleep(20 * SHORT);
            let looks = runtime.metrics().monitor_looks;
            eventually(|| tasks.iter().all(|task| task.is_finished()));
            eventually(|| runtime.metrics().workers == 2);
            runtime.metrics().monitor_looks == looks
        };
        // (Now and then a worker wakes up to give memory back.)
        assert!((0..10).any(|_| left_unseen()));
        assert!(runtime.metrics().workers_peak > 2);
    });
}

/// With as many threads as cores at most, nothing can be handed over: said, and counted.
#[test]
fn a_pool_that_may_not_grow_says_so_when_it_should() {
    alone(60, || {
        let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
        runtime.spawn(|| thread::sleep(5 * SHORT)).join().unwrap();
        let metrics = runtime.metrics();
        assert_eq!((metrics.cap_hits, metrics.handed_over, metrics.workers_peak), (1, 0, 1));
    });
}

/// A task that has said that it would block, and then suspends, does not block.
#[test]
fn a_hint_of_a_task_that_suspends_is_not_taken_for_others() {
    alone(60, || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let goes_on = Arc::new(Notification::new());
        let waits = {
            let goes_on = goes_on.clone();
            runtime.spawn(move || task::blocking(|| goes_on.wait()))
        };
        eventually(|| runtime.dump().tasks.iter().all(|task| task.waits_for.is_some()));
        let before = runtime.metrics().handed_over;
        // Longer than the monitor lets pass between two looks, shorter than what it calls computing.
        let span = Duration::from_millis(6);
        (0..20).for_each(|_| runtime.spawn(move || compute(span)).join().unwrap());
        assert_eq!(runtime.metrics().handed_over, before);
        goes_on.post();
        waits.join().unwrap();
    });
}

#[test]
fn a_hint_is_told_as_a_hand_over() {
    alone(60, || {
        let (runtime, said) = two_cores();
        // Leaves a spare thread.
        runtime.spawn(|| thread::sleep(5 * SHORT)).join().unwrap();
        eventually(|| runtime.metrics().workers_spare > 0);
        let told = || said.lock().iter().filter(|said| matches!(said, PoolEvent::HandedOver { .. })).count();
        let (before, metrics) = (told(), runtime.metrics());
        runtime.spawn(|| task::blocking(|| ())).join().unwrap();
        assert_eq!((told() - before, runtime.metrics().handed_over - metrics.handed_over), (1, 1));
    });
}

/// A shutdown waits for the threads of the pool; the one that tells is one of them.
#[test]
fn whoever_is_told_may_end_the_runtime() {
    let grown: fn(&PoolEvent) -> bool = |event| matches!(event, PoolEvent::Grown { .. });
    let handed_over: fn(&PoolEvent) -> bool = |event| matches!(event, PoolEvent::HandedOver { .. });
    let shrunk: fn(&PoolEvent) -> bool = |event| matches!(event, PoolEvent::Shrunk { .. });
    for is_it in [grown, handed_over, shrunk] {
        alone(60, || {
            let place: Arc<Mutex<Option<Runtime>>> = Arc::default();
            let theirs = place.clone();
            let builder = Runtime::builder().cores(1).keep_alive(SHORT);
            let builder = builder.on_event(move |event| {
                if is_it(event) {
                    drop(theirs.lock().take());
                }
            });
            {
                let mut place = place.lock();
                let runtime = builder.build().unwrap();
                drop(runtime.spawn(|| thread::sleep(5 * SHORT)));
                *place = Some(runtime);
            }
            eventually(|| place.lock().is_none());
            eventually(|| threads_and_files().0 == 0);
        });
    }
}

/// Makes each attempt of this process to start a thread fail as if there were too many. False: this machine does not
/// allow that.
fn refuse_threads() -> bool {
    ec_test_support::refuse(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN)
}

/// In a child of its own, in which no more threads can be had.
#[test]
fn when_the_system_has_no_threads_to_give_the_pool_goes_on() {
    const NAME: &str = "when_the_system_has_no_threads_to_give_the_pool_goes_on";
    if !in_a_process_of_its_own(NAME) {
        return;
    }
    limit(30, || {
        let refused = Arc::new(AtomicUsize::new(0));
        let theirs = refused.clone();
        let runtime = Runtime::builder()
            .cores(2)
            .on_event(move |event| {
                theirs.fetch_add(usize::from(matches!(event, PoolEvent::Refused { .. })), Ordering::SeqCst);
            })
            .build()
            .unwrap();
        // What the first task needs is there.
        assert_eq!(runtime.run(|| 7), 7);
        if !refuse_threads() {
            return skipped("no seccomp filter can be set here");
        }
        let tasks: Vec<_> = (0..20).map(|_| runtime.spawn(|| thread::sleep(3 * SHORT))).collect();
        tasks.into_iter().for_each(|task| task.join().unwrap());
        // It has asked again.
        assert!(refused.load(Ordering::SeqCst) > 1);
        assert_eq!(runtime.metrics().workers_peak, 2);
        assert_eq!(runtime.run(|| 7), 7);
    });
}
