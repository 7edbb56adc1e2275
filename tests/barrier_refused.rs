//! A kernel that refuses `membarrier`, from the beginning or from some moment on: no core is taken without the order that it made, and
//! nobody waits for ever. Each case runs in a process of its own, for the refusal is for all of it and for good.

mod net_common;

use ec_test_support::{limit, skipped, this_test_again, threads_and_files};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::runtime::PoolEvent;
use event_channel::{Runtime, task, time};
use net_common::eventually;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(2);

/// From now on the kernel refuses. False: this machine does not allow that.
fn refuse() -> bool {
    ec_test_support::refuse(&[libc::SYS_membarrier], libc::ENOMEM)
}

/// What a runtime has told.
#[derive(Default)]
struct Told {
    refused: AtomicUsize,
    grown: AtomicUsize,
}

/// A runtime of two cores, and what it tells. `None`: this machine does not have the driver.
fn runtime(driver: Driver, keep_alive: Duration) -> Option<(Runtime, Arc<Told>)> {
    let told = Arc::new(Told::default());
    let theirs = told.clone();
    let listener = move |event: &PoolEvent| match event {
        PoolEvent::BarrierRefused { error } => {
            assert!(error.contains("memory"), "{error}");
            theirs.refused.fetch_add(1, Ordering::SeqCst);
        }
        PoolEvent::Grown { .. } => _ = theirs.grown.fetch_add(1, Ordering::SeqCst),
        _ => {}
    };
    let builder = Runtime::builder().cores(2).keep_alive(keep_alive).driver(driver).on_event(listener);
    match builder.build() {
        Ok(runtime) => Some((runtime, told)),
        Err(error) => {
            skipped(&format!("{driver} is not to be had: {error}"));
            None
        }
    }
}

/// Six tasks block on what another one sends that is suspended meanwhile: without hand-over they block for ever.
fn blocked_tasks_go_on(runtime: &Runtime) {
    runtime.run(|| {
        for _ in 0..5 {
            let (senders, tasks): (Vec<_>, Vec<_>) = (0..6)
                .map(|_| {
                    let (sender, receiver) = mpsc::channel();
                    (sender, task::spawn(move || receiver.recv().unwrap()))
                })
                .unzip();
            time::sleep(SHORT);
            for (number, sender) in senders.iter().enumerate() {
                sender.send(number).unwrap();
            }
            let got: Vec<usize> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
            assert_eq!(got, [0, 1, 2, 3, 4, 5]);
        }
    });
}

/// Runs `case` with each driver in a child process each.
fn in_children(test: &str, case: impl FnOnce(Driver)) {
    const DRIVER: &str = "EC_TEST_DRIVER";
    if this_test_again(test).is_some() {
        for driver in Driver::ALL {
            let mut child = this_test_again(test).expect("this is the parent");
            let status = limit(90, || child.env(DRIVER, driver.to_string()).status().unwrap());
            assert!(status.success(), "{driver}: {status}");
        }
        return;
    }
    if !task::migrates() {
        return skipped("here each task is a thread of its own");
    }
    let asked = std::env::var(DRIVER).unwrap();
    limit(60, || case(Driver::ALL.into_iter().find(|driver| driver.to_string() == asked).unwrap()));
}

#[test]
fn where_the_kernel_always_refuses_cores_are_handed_over_all_the_same() {
    in_children("where_the_kernel_always_refuses_cores_are_handed_over_all_the_same", |driver| {
        if !refuse() {
            return skipped("this machine does not allow seccomp filters");
        }
        // The second one learns of what the first has found out.
        for _ in 0..2 {
            let Some((runtime, told)) = runtime(driver, Duration::from_secs(10)) else { return };
            blocked_tasks_go_on(&runtime);
            assert!(runtime.metrics().handed_over > 0);
            eventually(|| told.refused.load(Ordering::SeqCst) > 0);
            runtime.shutdown(Duration::from_secs(5)).unwrap();
            assert_eq!(told.refused.load(Ordering::SeqCst), 1, "told once");
        }
    });
}

#[test]
fn a_core_whose_worker_went_out_before_the_kernel_refused_is_kept_until_that_comes_back() {
    in_children(
        "a_core_whose_worker_went_out_before_the_kernel_refused_is_kept_until_that_comes_back",
        |driver| {
            // (The process's threads are counted.)
            ec_unkind::no_other_runtime();
            let Some((runtime, told)) = runtime(driver, SHORT) else { return };
            let idle = self::runtime(driver, SHORT);
            // Cores are handed over as ever so far.
            blocked_tasks_go_on(&runtime);
            let before = runtime.metrics().handed_over;
            assert!(before > 0 && told.refused.load(Ordering::SeqCst) == 0);
            let (go_on, waits) = mpsc::channel::<()>();
            let (once_more, waits_again) = mpsc::channel::<()>();
            let (said, hears) = mpsc::channel();
            let stuck = runtime.spawn(move || {
                // With a request at the port that stays without a worker, so that somebody has to look after it.
                let timer = task::spawn(|| (0..20).for_each(|_| time::sleep(SHORT)));
                task::yield_now();
                said.send(refuse()).unwrap();
                waits.recv().unwrap();
                // It comes back, for the length of a crossing.
                drop(task::spawn(|| ()));
                waits_again.recv().unwrap();
                timer.join().unwrap();
            });
            if !hears.recv().unwrap() {
                drop((go_on, once_more));
                let _ = stuck.join();
                return skipped("this machine does not allow seccomp filters");
            }
            eventually(|| told.refused.load(Ordering::SeqCst) == 1);
            let began = runtime.metrics();
            // What does not block goes on beside it.
            let end = Arc::new(AtomicBool::new(false));
            let others = {
                let end = end.clone();
                runtime.spawn(move || {
                    let mut rounds = 0;
                    while !end.load(Ordering::Relaxed) {
                        task::spawn(|| time::sleep(SHORT)).join().unwrap();
                        rounds += 1;
                    }
                    rounds
                })
            };
            eventually(|| runtime.metrics().monitor_looks > began.monitor_looks + 100);
            let now = runtime.metrics();
            assert_eq!(now.handed_over, before, "its core is not taken");
            assert!(now.grown <= began.grown + 1, "no thread after the other is started for it");
            // (Those of before may still be on their way out.)
            eventually(|| threads_and_files().0 < 12);
            go_on.send(()).unwrap();
            // Back once, it is taken from as ever.
            eventually(|| runtime.metrics().handed_over > before);
            once_more.send(()).unwrap();
            stuck.join().unwrap();
            end.store(true, Ordering::Relaxed);
            assert!(others.join().unwrap() > 5);
            let before = runtime.metrics().handed_over;
            blocked_tasks_go_on(&runtime);
            assert!(runtime.metrics().handed_over > before);
            runtime.shutdown(Duration::from_secs(5)).unwrap();
            assert_eq!(told.refused.load(Ordering::SeqCst), 1, "told once");
            // Another one that slept meanwhile, too.
            let (idle, told) = idle.expect("the driver is to be had");
            blocked_tasks_go_on(&idle);
            eventually(|| told.refused.load(Ordering::SeqCst) == 1);
            // One that is made now is told at once that it is so.
            let (late, told) = self::runtime(driver, SHORT).expect("the driver is to be had");
            blocked_tasks_go_on(&late);
            eventually(|| told.refused.load(Ordering::SeqCst) == 1);
            assert!(late.metrics().handed_over > 0);
        },
    );
}

#[test]
fn where_all_cores_are_kept_what_they_wait_for_is_run_all_the_same() {
    in_children("where_all_cores_are_kept_what_they_wait_for_is_run_all_the_same", |driver| {
        let Some((runtime, told)) = runtime(driver, SHORT) else { return };
        // How many have gone out so far; they spin, for who sleeps loses its core.
        let stage = Arc::new(AtomicUsize::new(0));
        let until = |stage: Arc<AtomicUsize>, is| {
            while stage.load(Ordering::SeqCst) < is {
                std::hint::spin_loop();
            }
        };
        let [one, two] = [true, false].map(|refuses| {
            let stage = stage.clone();
            runtime.spawn(move || {
                let (sender, receiver) = mpsc::channel();
                let number = stage.fetch_add(1, Ordering::SeqCst);
                // Ready on this core, whose worker comes to it no more; and it suspends a few times.
                let sends = task::spawn(move || {
                    (0..10).for_each(|_| time::sleep(SHORT / 4));
                    sender.send(number).unwrap();
                });
                until(stage.clone(), 2);
                let allowed = !refuses || refuse();
                stage.fetch_add(1, Ordering::SeqCst);
                until(stage, 4);
                assert_eq!(receiver.recv().unwrap(), number);
                sends.join().unwrap();
                allowed
            })
        });
        let allowed = [one.join().unwrap(), two.join().unwrap()];
        if allowed != [true, true] {
            return skipped("this machine does not allow seccomp filters");
        }
        eventually(|| told.refused.load(Ordering::SeqCst) == 1);
        blocked_tasks_go_on(&runtime);
    });
}

#[test]
fn nothing_hangs_when_the_kernel_refuses_while_cores_change_hands() {
    in_children("nothing_hangs_when_the_kernel_refuses_while_cores_change_hands", |driver| {
        let Some((runtime, told)) = runtime(driver, Duration::from_secs(10)) else { return };
        let end = Arc::new(AtomicBool::new(false));
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let end = end.clone();
                runtime.spawn(move || {
                    let mut turns = 0;
                    while !end.load(Ordering::Relaxed) {
                        // (Each ends by itself: a core that is kept comes back.)
                        thread::sleep(SHORT / (1 + number % 4));
                        time::sleep(SHORT / 4);
                        turns += 1;
                    }
                    turns
                })
            })
            .collect();
        eventually(|| runtime.metrics().handed_over + runtime.metrics().lent > 20);
        let allowed = refuse();
        let before = runtime.metrics();
        eventually(|| {
            runtime.metrics().handed_over + runtime.metrics().lent > before.handed_over + before.lent + 20
        });
        end.store(true, Ordering::Relaxed);
        assert!(tasks.into_iter().all(|task| task.join().unwrap() > 0));
        blocked_tasks_go_on(&runtime);
        runtime.shutdown(Duration::from_secs(5)).unwrap();
        match allowed {
            true => assert_eq!(told.refused.load(Ordering::SeqCst), 1, "told once"),
            false => skipped("this machine does not allow seccomp filters"),
        }
    });
}
