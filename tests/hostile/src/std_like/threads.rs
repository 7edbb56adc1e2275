//! What a task is to `std::thread` and `std::sync`: a thread with an id, a park token and threads of its own.
//!
//! std's blocking calls block a worker each: the pool replaces it.

use crate::check::Check;
use crate::support::{BLOCKING, eventually, hop, hops, many, spawn, tasks};
use event_channel::task;
use std::cell::Cell;
use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, OnceLock, RwLock, mpsc};
use std::thread::{self, Thread};
use std::time::Duration;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_tasks_thread_id_is_its_own_for_its_life", thread_ids),
    Check::new("an_unpark_is_kept_over_hops", an_unpark_is_kept),
    Check::new("std_park_is_ended_by_threads_and_by_tasks", std_park_is_ended),
    Check::new("a_thread_handle_outlives_its_task", a_handle_outlives),
    Check::new("task_park_passes_a_token_round_a_ring", task_park_in_a_ring),
    Check::new("threads_started_in_a_task_have_thread_locals_of_their_own", threads_in_tasks),
    Check::new("a_scope_lends_the_tasks_stack_to_threads", scopes),
    Check::new("a_std_channel_from_thread_to_task", std_channel),
    Check::new("mutex_and_rwlock_guards_are_held_over_hops", guards_over_hops),
    Check::new("a_condvar_and_a_barrier_between_tasks_and_threads", condvar_and_barrier),
    Check::new("a_stdout_lock_held_over_hops_is_reentrant_and_exclusive", stdout_lock),
    Check::new("lazy_statics_are_made_once_by_tasks_that_hop_in_them", lazy_statics),
];

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
}

fn thread_ids() {
    let ids = Arc::new(Mutex::new(HashSet::from([thread::current().id()])));
    let (rounds, n) = (3, many(700));
    for _ in 0..rounds {
        let ids = ids.clone();
        tasks(n, move |_| {
            let id = thread::current().id();
            assert!(ids.lock().unwrap().insert(id), "another task's or thread's id");
            for _ in 0..20 {
                hop();
                assert_eq!(thread::current().id(), id);
            }
        });
    }
    assert_eq!(ids.lock().unwrap().len(), rounds * n + 1);
}

/// With the token anywhere but at the task's own handle, the `park` would never end.
fn an_unpark_is_kept() {
    tasks(many(500), |_| {
        for _ in 0..5 {
            thread::current().unpark();
            hop();
            thread::park();
            hop();
        }
    });
}

fn std_park_is_ended() {
    let (to_thread, handles) = mpsc::channel::<(Thread, Arc<AtomicBool>)>();
    let thread = thread::spawn(move || {
        for (handle, flag) in handles {
            flag.store(true, Ordering::Release);
            handle.unpark();
        }
    });
    let to_thread = Mutex::new(to_thread);
    tasks(2, move |_| {
        for round in 0..200 {
            let flag = Arc::new(AtomicBool::new(false));
            let me = (thread::current(), flag.clone());
            if round % 2 == 0 {
                to_thread.lock().unwrap().send(me).unwrap();
            } else {
                drop(spawn(move || {
                    hop();
                    me.1.store(true, Ordering::Release);
                    me.0.unpark();
                }));
            }
            while !flag.load(Ordering::Acquire) {
                thread::park();
            }
            hop();
        }
    });
    thread.join().expect("its channel is closed");
}

fn a_handle_outlives() {
    for _ in 0..20 {
        let old: Vec<_> = (0..20)
            .map(|_| {
                spawn(|| {
                    hop();
                    thread::current()
                })
            })
            .map(|task| task.join().expect("a handle"))
            .collect();
        tasks(20, move |n| {
            let mine = thread::current();
            old[n].unpark();
            hop();
            assert_ne!(old[n].id(), mine.id());
            drop(old[n].clone());
        });
    }
}

fn task_park_in_a_ring() {
    const ROUNDS: usize = 20;
    let n = many(200);
    let places: Arc<Vec<_>> = Arc::new((0..n).map(|_| (OnceLock::new(), AtomicUsize::new(0))).collect());
    tasks(n, move |me| {
        places[me].0.set(task::current()).expect("only once");
        eventually(|| places.iter().all(|place| place.0.get().is_some()));
        MINE.set(me);
        for round in 1..=ROUNDS {
            // The first begins each round; the others wait for the one before them.
            while me != 0 && places[me - 1].1.load(Ordering::Acquire) < round {
                task::park();
                assert_eq!(MINE.get(), me);
            }
            while me == 0 && places[n - 1].1.load(Ordering::Acquire) + 1 < round {
                task::park();
                assert_eq!(MINE.get(), me);
            }
            places[me].1.store(round, Ordering::Release);
            places[(me + 1) % n].0.get().expect("all are there").unpark();
        }
    });
}

fn threads_in_tasks() {
    tasks(many(200), |me| {
        MINE.set(me + 1);
        let thread = thread::spawn(move || {
            assert_eq!(MINE.get(), 0, "a thread begins anew");
            MINE.set(usize::MAX);
            (thread::current().id(), me)
        });
        hop();
        let (id, number) = thread.join().expect("it ends");
        assert_eq!((MINE.get(), number), (me + 1, me));
        assert_ne!(id, thread::current().id());
    });
}

fn scopes() {
    tasks(many(100), |me| {
        let (mut numbers, done) = (vec![me; 8], AtomicBool::new(false));
        let until_done = || {
            while !done.load(Ordering::Acquire) {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let (low, high) = numbers.split_at_mut(4);
            // The scope notes whom the last thread has to unpark; after these hops it must still be who parks.
            scope.spawn(move || {
                until_done();
                low.iter_mut().for_each(|n| *n += 1);
            });
            hops(3);
            scope.spawn(move || {
                until_done();
                thread::sleep(Duration::from_millis(1));
                high.iter_mut().for_each(|n| *n += 2);
            });
            hops(3);
            done.store(true, Ordering::Release);
        });
        assert_eq!(numbers.iter().sum::<usize>(), 8 * me + 12);
    });
}

fn std_channel() {
    tasks(BLOCKING, |me| {
        let (send, receive) = mpsc::sync_channel(2);
        let thread = thread::spawn(move || (0..300).try_for_each(|n| send.send(n * me)));
        for n in 0..300 {
            assert_eq!(receive.recv(), Ok(n * me));
            if n % 4 == 0 {
                hop();
            }
        }
        thread.join().unwrap().expect("all were received");
    });
}

fn guards_over_hops() {
    let shared = Arc::new((Mutex::new(0_usize), RwLock::new(0_usize), AtomicUsize::new(0)));
    let n = many(400);
    let counted = shared.clone();
    tasks(n, move |_| {
        let (mutex, lock, inside) = &*counted;
        for _ in 0..3 {
            // Tried, not waited for: each of so many waits would take a thread.
            let mut guard = loop {
                match mutex.try_lock() {
                    Ok(guard) => break guard,
                    Err(_) => task::yield_now(),
                }
            };
            assert_eq!(inside.fetch_add(1, Ordering::AcqRel), 0);
            let before = *guard;
            task::yield_now();
            *guard = before + 1;
            inside.fetch_sub(1, Ordering::AcqRel);
            drop(guard);
            if let Ok(mut write) = lock.try_write() {
                *write += 1;
                task::yield_now();
            } else if let Ok(read) = lock.try_read() {
                let before = *read;
                task::yield_now();
                assert_eq!(*read, before);
            }
        }
    });
    assert_eq!(*shared.0.lock().unwrap(), n * 3);
}

fn condvar_and_barrier() {
    let parties = BLOCKING + 1; // the tasks, and a thread
    let barrier = Arc::new(Barrier::new(parties));
    let turn = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let play = {
        let (barrier, turn) = (barrier.clone(), turn.clone());
        move |me: usize, suspend: fn()| {
            for round in 0..50 {
                barrier.wait();
                suspend();
                let mut now = turn.0.lock().unwrap();
                while *now != round * parties + me {
                    now = turn.1.wait(now).unwrap();
                }
                *now += 1;
                turn.1.notify_all();
                drop(now);
                suspend();
            }
        }
    };
    let thread = thread::spawn({
        let play = play.clone();
        move || play(BLOCKING, || ())
    });
    tasks(BLOCKING, move |me| play(me, hop));
    thread.join().expect("it ends");
    assert_eq!(*turn.0.lock().unwrap(), 50 * parties);
}

fn stdout_lock() {
    static HELD: AtomicBool = AtomicBool::new(false);
    static ASKED: AtomicBool = AtomicBool::new(false);
    static ENTERED: AtomicBool = AtomicBool::new(false);
    tasks(2, move |me| {
        if me == 0 {
            let mut lock = std::io::stdout().lock();
            HELD.store(true, Ordering::Release);
            while !ASKED.load(Ordering::Acquire) {
                hop();
            }
            for _ in 0..100 {
                hop();
                // Again by the owner: with another owner's id this would wait for ever.
                writeln!(std::io::stdout().lock(), "still mine").unwrap();
                assert!(!ENTERED.load(Ordering::Acquire), "two tasks have the lock");
            }
            writeln!(lock, "done").unwrap();
        } else {
            eventually(|| HELD.load(Ordering::Acquire));
            ASKED.store(true, Ordering::Release);
            let _lock = std::io::stdout().lock();
            ENTERED.store(true, Ordering::Release);
            hop();
        }
    });
}

fn lazy_statics() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    static FLAG: OnceLock<usize> = OnceLock::new();
    static LAZY: LazyLock<usize> = LazyLock::new(|| {
        (0..3).for_each(|_| hop());
        MADE.fetch_add(1, Ordering::Relaxed)
    });
    // One makes it, and hops meanwhile; all the others block in it.
    tasks(BLOCKING, |_| assert_eq!(*LAZY, 0));
    tasks(many(300), |me| {
        let before = *FLAG.get_or_init(|| me);
        hop();
        assert_eq!((*LAZY, FLAG.get()), (0, Some(&before)));
    });
    assert_eq!(MADE.load(Ordering::Relaxed), 1);
}
