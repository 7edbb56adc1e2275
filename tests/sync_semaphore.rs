//! `Semaphore` and `Barrier`, from tasks, threads and both.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::sync::{Arc, Barrier, Notification, Semaphore};
use event_channel::time::{self, Duration};
use event_channel::{Runtime, task};
use net_common::{Numbers, each_runtime_of, eventually};
use std::io::ErrorKind;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

const SHORT: Duration = Duration::from_millis(2);

fn waiters(semaphore: &Semaphore) -> usize {
    let said = format!("{semaphore:?}");
    said.split("waiters: ").nth(1).unwrap().trim_end_matches(" }").parse().unwrap()
}

#[test]
fn there_are_never_more_inside_than_permits() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            const PERMITS: usize = 5;
            let shared = Arc::new((Semaphore::new(PERMITS), AtomicUsize::new(0)));
            let uses = |seed: u64| {
                let shared = shared.clone();
                move || {
                    let mut numbers = Numbers(seed);
                    for _ in 0..300 {
                        let wants = numbers.below(PERMITS as u64 + 1) as usize;
                        let permit = shared.0.acquire_many(wants);
                        assert!(shared.1.fetch_add(wants, Ordering::SeqCst) + wants <= PERMITS);
                        if numbers.below(4) == 0 {
                            task::yield_now();
                        }
                        shared.1.fetch_sub(wants, Ordering::SeqCst);
                        drop(permit);
                    }
                }
            };
            let tasks: Vec<_> = (0..8).map(|seed| runtime.spawn(uses(seed))).collect();
            let threads: Vec<_> = (8..10).map(|seed| thread::spawn(uses(seed))).collect();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(shared.0.available_permits(), PERMITS);
        });
    });
}

/// Tasks and threads in one line; one that wants much is not passed over.
#[test]
fn who_comes_first_is_served_first() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let semaphore = Arc::new(Semaphore::new(0));
            let (tell, told) = mpsc::channel();
            for (n, wants) in [1, 3, 1, 2].into_iter().enumerate() {
                let (theirs, tell) = (semaphore.clone(), tell.clone());
                let takes = move || {
                    theirs.acquire_many(wants).forget();
                    tell.send(wants).unwrap();
                };
                if n % 2 == 0 {
                    drop(runtime.spawn(takes));
                } else {
                    drop(thread::spawn(takes));
                }
                eventually(|| waiters(&semaphore) == n + 1);
            }
            let mut served = Vec::new();
            for n in 0..7 {
                assert!(semaphore.try_acquire().is_none(), "who comes now waits behind them");
                semaphore.add_permits(1);
                if [0, 3, 4, 6].contains(&n) {
                    served.push(told.recv().unwrap());
                }
            }
            assert_eq!(served, [1, 3, 1, 2]);
            assert_eq!(semaphore.available_permits(), 0);
        });
    });
}

#[test]
fn permits_come_back_or_are_forgotten() {
    fn as_std<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    static NAMED: Semaphore = Semaphore::named(3, "slots");
    as_std(&NAMED);
    let semaphore = Arc::new(Semaphore::new(3));
    let two = semaphore.acquire_many(2);
    assert_eq!(format!("{two:?}"), "SemaphorePermit { permits: 2, .. }");
    assert!(semaphore.try_acquire_many(2).is_none());
    assert_eq!(semaphore.available_permits(), 1, "what was not had does not come back");
    let one = semaphore.try_acquire_owned().unwrap();
    assert!(semaphore.try_acquire().is_none() && semaphore.try_acquire_owned().is_none());
    drop(semaphore.try_acquire_many(0).unwrap());
    assert!(Arc::ptr_eq(one.semaphore(), &semaphore));
    let back = thread::spawn(move || drop(one));
    back.join().unwrap();
    two.forget();
    assert_eq!(semaphore.available_permits(), 1);
    semaphore.acquire_owned().forget();
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.add_permits(usize::MAX);
    semaphore.add_permits(usize::MAX);
    assert_eq!(semaphore.available_permits(), usize::MAX / 2);
    drop(semaphore.acquire_many_owned(usize::MAX / 2));
    assert!(semaphore.try_acquire_many(usize::MAX).is_none(), "there are never so many");
    assert_eq!(format!("{NAMED:?}"), "Semaphore { name: \"slots\", permits: 3, waiters: 0 }");
}

#[test]
fn waits_with_a_limit_end_and_take_nothing() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let waits = || {
                let semaphore = Arc::new(Semaphore::new(2));
                let held = semaphore.acquire();
                assert!(semaphore.acquire_many_timeout(2, SHORT).is_none());
                let late = time::timeout(SHORT, || semaphore.acquire_many_cancellable(2).map(drop));
                assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
                assert_eq!(semaphore.available_permits(), 1);
                drop(semaphore.acquire_timeout(SHORT).unwrap());
                drop(semaphore.acquire_owned_cancellable().unwrap());
                drop(held);
                assert_eq!(semaphore.available_permits(), 2);
            };
            waits();
            runtime.spawn(waits).join().unwrap();
        });
    });
}

/// In front of another one, for which there would be enough.
#[test]
fn who_is_cancelled_or_left_behind_holds_up_nobody() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let semaphore = Arc::new(Semaphore::new(1));
            let theirs = semaphore.clone();
            let wants_much = runtime.spawn(move || theirs.acquire_many_cancellable(2).map(drop));
            eventually(|| waiters(&semaphore) == 1);
            let theirs = semaphore.clone();
            let wants_one = thread::spawn(move || drop(theirs.acquire()));
            eventually(|| waiters(&semaphore) == 2);
            wants_much.cancel();
            assert!(wants_much.join().unwrap().is_err());
            wants_one.join().unwrap();
            assert_eq!(semaphore.available_permits(), 1);
            if !task::migrates() {
                return;
            }
            let theirs = semaphore.clone();
            drop(runtime.spawn(move || drop(theirs.acquire_many(2))));
            eventually(|| waiters(&semaphore) == 1);
            let theirs = semaphore.clone();
            let wants_one = thread::spawn(move || drop(theirs.acquire()));
            eventually(|| waiters(&semaphore) == 2);
            // (More come behind, and are left behind as well.)
            let theirs = semaphore.clone();
            (0..3).for_each(|_| {
                let theirs = theirs.clone();
                drop(runtime.spawn(move || drop(theirs.acquire_many(2))));
            });
            eventually(|| waiters(&semaphore) == 5);
            let nothing = Arc::new(Semaphore::new(0));
            let (theirs, also) = (nothing.clone(), nothing.clone());
            drop(runtime.spawn(move || drop(theirs.acquire())));
            let is_there = thread::spawn(move || drop(also.acquire()));
            eventually(|| waiters(&nothing) == 2);
            assert!(runtime.shutdown(Duration::ZERO).is_err());
            wants_one.join().unwrap();
            assert_eq!(semaphore.available_permits(), 1);
            // Who is left behind is not counted.
            assert_eq!((waiters(&semaphore), waiters(&nothing)), (0, 1));
            nothing.add_permits(1);
            is_there.join().unwrap();
        });
    });
}

/// The runtime's one worker is inside a task that blocks, so the one that has its turn does not run; and then it is left behind. What it
/// was promised is for the next one, also if that came later than the turn was given.
#[test]
fn a_turn_that_nobody_takes_is_the_next_ones() {
    if let Some(why) = task::why_not() {
        return skipped(why);
    }
    limit(60, || {
        for posts in [true, false] {
            let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
            let (semaphore, notification) = (Arc::new(Semaphore::new(0)), Arc::new(Notification::new()));
            let wait = move |semaphore: &Semaphore, notification: &Notification| {
                if posts { notification.wait() } else { semaphore.acquire().forget() }
            };
            let (theirs, also) = (semaphore.clone(), notification.clone());
            drop(runtime.spawn(move || wait(&theirs, &also)));
            let waiting = || format!("{semaphore:?} {notification:?}").matches("waiters: 0").count();
            eventually(|| waiting() == 1);
            let (hold, held) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            let blocks = runtime.spawn(move || {
                tell.send(()).unwrap();
                let _ = held.recv();
            });
            told.recv().unwrap();
            if posts {
                notification.post()
            } else {
                semaphore.add_permits(1)
            }
            eventually(|| waiting() == 2);
            let (theirs, also) = (semaphore.clone(), notification.clone());
            let next = thread::spawn(move || wait(&theirs, &also));
            eventually(|| waiting() == 1);
            assert!(runtime.shutdown(Duration::ZERO).is_err());
            next.join().unwrap();
            drop(hold);
            drop(blocks);
            assert!(!notification.try_wait() && semaphore.available_permits() == 0);
        }
    });
}

#[test]
fn all_go_on_when_the_last_one_comes_and_one_leads() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            const OF_THEM: usize = 10;
            const ROUNDS: usize = 30;
            let shared = Arc::new((Barrier::new(OF_THEM), AtomicUsize::new(0), AtomicUsize::new(0)));
            let comes = |shared: Arc<(Barrier, AtomicUsize, AtomicUsize)>| {
                move || {
                    for round in 0..ROUNDS {
                        shared.1.fetch_add(1, Ordering::SeqCst);
                        let leads = shared.0.wait().is_leader();
                        // All of this round have come, and none is farther than the next one.
                        let came = shared.1.load(Ordering::SeqCst);
                        assert!((OF_THEM * (round + 1)..OF_THEM * (round + 2)).contains(&came));
                        shared.2.fetch_add(usize::from(leads), Ordering::SeqCst);
                    }
                }
            };
            let tasks: Vec<_> = (0..OF_THEM - 2).map(|_| runtime.spawn(comes(shared.clone()))).collect();
            let threads = [(); 2].map(|()| thread::spawn(comes(shared.clone())));
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(shared.2.load(Ordering::SeqCst), ROUNDS);
        });
    });
}

#[test]
fn who_gives_up_at_a_barrier_is_not_counted() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let barrier = Arc::new(Barrier::named(2, "pair"));
            let gives_up = |barrier: &Barrier| {
                assert!(barrier.wait_timeout(SHORT).is_none());
                let late = time::timeout(SHORT, || barrier.wait_cancellable());
                assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
            };
            gives_up(&barrier);
            let theirs = barrier.clone();
            runtime.spawn(move || gives_up(&theirs)).join().unwrap();
            let theirs = barrier.clone();
            let cancelled = runtime.spawn(move || theirs.wait_cancellable().is_err());
            eventually(|| runtime.dump().to_string().contains("'pair' at"));
            cancelled.cancel();
            assert!(cancelled.join().unwrap());
            if task::migrates() {
                let other = Runtime::builder().cores(1).build().unwrap();
                let theirs = barrier.clone();
                drop(other.spawn(move || _ = theirs.wait()));
                eventually(|| other.dump().to_string().contains("'pair' at"));
                assert!(other.shutdown(Duration::ZERO).is_err());
            }
            // So these are two, and no third one has come.
            let theirs = barrier.clone();
            let task = runtime.spawn(move || theirs.wait().is_leader());
            eventually(|| task.is_finished() || runtime.dump().to_string().contains("'pair' at"));
            assert!(!task.is_finished());
            let leads = barrier.wait().is_leader();
            assert!(leads != task.join().unwrap());
        });
    });
}

#[test]
fn a_barrier_for_one_or_for_nobody_is_open() {
    fn as_std<T: Send + Sync + UnwindSafe + RefUnwindSafe>(_: &T) {}
    for size in [0, 1] {
        let barrier = Barrier::new(size);
        as_std(&barrier);
        for _ in 0..3 {
            assert!(barrier.wait().is_leader());
            assert!(barrier.wait_cancellable().unwrap().is_leader());
        }
        assert_eq!(format!("{:?}", barrier.wait()), "BarrierWaitResult { is_leader: true }");
    }
}

/// Nobody looks through all that wait: whoever comes next would be kept by that, with the thread that it is on.
#[test]
fn very_many_keep_no_threads() {
    limit(120, || {
        const MANY: usize = 8000;
        let runtime = Runtime::builder().cores(2).stack_size(16 << 10).build().unwrap();
        if !task::migrates() {
            return skipped("each task is a thread");
        }
        let shared = Arc::new((Barrier::new(MANY), Semaphore::new(0)));
        let comes = |_| {
            let shared = shared.clone();
            runtime.spawn(move || {
                let leads = shared.0.wait().is_leader();
                assert_eq!(shared.1.available_permits(), 0);
                shared.1.acquire().forget();
                leads
            })
        };
        let tasks: Vec<_> = (0..MANY).map(comes).collect();
        eventually(|| waiters(&shared.1) == MANY);
        shared.1.add_permits(MANY);
        assert_eq!(tasks.into_iter().map(|task| task.join().unwrap()).filter(|leads| *leads).count(), 1);
        let peak = runtime.metrics().workers_peak;
        assert!(peak < 40, "{peak} workers");
    });
}
