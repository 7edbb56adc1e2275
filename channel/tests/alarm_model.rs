//! The port's alarm, model-checked by loom: no sleeper is left asleep with work posted.
//!
//! A driver that sleeps although work is there shows as a deadlock, which loom reports.
#![cfg(loom)]

#[allow(dead_code)]
#[path = "../src/alarm.rs"]
mod alarm;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
}

use alarm::Alarm;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// Every schedule with up to three preemptions: the ones that lose a wake-up need two.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

/// A port as the alarm sees it: work behind a lock, and a bell.
struct Port {
    alarm: Alarm,
    work: Mutex<usize>,
    bell: (Mutex<bool>, Condvar),
}

impl Port {
    fn new() -> Arc<Self> {
        Arc::new(Self { alarm: Alarm::new(), work: Mutex::new(0), bell: (Mutex::new(false), Condvar::new()) })
    }

    fn ring(&self) {
        *self.bell.0.lock().unwrap() = true;
        self.bell.1.notify_one();
    }

    fn sleep_until_rung(&self) {
        let mut rung = self.bell.0.lock().unwrap();
        while !*rung {
            rung = self.bell.1.wait(rung).unwrap();
        }
        *rung = false;
    }

    fn take(&self) -> usize {
        std::mem::take(&mut *self.work.lock().unwrap())
    }

    /// Posts to the inbox, and rings if somebody sleeps.
    fn post(&self) {
        *self.work.lock().unwrap() += 1;
        if self.alarm.call_if_asleep() {
            self.ring();
        }
    }

    /// Sleeps, unless somebody has called, or has posted since the look before.
    fn sleep_if_nothing_came(&self) {
        if let Some(asleep) = self.alarm.sleep() {
            if *self.work.lock().unwrap() == 0 {
                self.sleep_until_rung();
            }
            self.alarm.awake(asleep);
        }
    }
}

/// Somebody queues work and calls in any case; the driver looks before it announces its sleep only.
fn finds_what_it_is_called_for(port: &Arc<Port>) {
    let caller = port.clone();
    let caller = thread::spawn(move || {
        *caller.work.lock().unwrap() += 1;
        if caller.alarm.call() {
            caller.ring();
        }
    });
    while port.take() == 0 {
        if let Some(asleep) = port.alarm.sleep() {
            port.sleep_until_rung();
            port.alarm.awake(asleep);
        }
    }
    caller.join().unwrap();
}

/// Run queues, which have no lock: each caller's work is there before its call. So whoever hears a call sees the work of all who have
/// called by then.
#[test]
fn of_two_who_call_both_are_heard() {
    model(|| {
        let port = Port::new();
        let queues = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let callers = [0, 1].map(|number| {
            let (port, queues) = (port.clone(), queues.clone());
            thread::spawn(move || {
                queues[number].store(1, Ordering::Relaxed);
                if port.alarm.call() {
                    port.ring();
                }
            })
        });
        while queues.iter().any(|queue| queue.load(Ordering::Relaxed) == 0) {
            if let Some(asleep) = port.alarm.sleep() {
                port.sleep_until_rung();
                port.alarm.awake(asleep);
            }
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

/// The inbox: posted under its lock, the sleeper rung for only if it sleeps; the driver looks again after it has announced its sleep.
#[test]
fn what_is_posted_to_the_inbox_is_found() {
    model(|| {
        let port = Port::new();
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let port = port.clone();
                thread::spawn(move || port.post())
            })
            .collect();
        let mut found = 0;
        while found < 2 {
            found += port.take();
            if found < 2 {
                port.sleep_if_nothing_came();
            }
        }
        posters.into_iter().for_each(|p| p.join().unwrap());
    });
}

/// A run queue: looked at before the announcement only; the caller calls in any case.
#[test]
fn a_call_before_the_sleep_makes_it_fail() {
    model(|| {
        let port = Port::new();
        finds_what_it_is_called_for(&port);
    });
}

/// Somebody who waits outside has announced a sleep; a pool begins to serve, and takes its place. Then the first one leaves, at any
/// moment: what is posted meanwhile is the pool's, and rings for it.
#[test]
fn who_leaves_takes_back_no_sleep_but_its_own() {
    model(|| {
        let port = Port::new();
        let outside = port.alarm.sleep().expect("nobody has called");
        let serves = port.clone();
        let serves = thread::spawn(move || {
            while serves.take() == 0 {
                serves.sleep_if_nothing_came();
            }
        });
        let posts = port.clone();
        let posts = thread::spawn(move || posts.post());
        port.alarm.awake(outside);
        serves.join().unwrap();
        posts.join().unwrap();
    });
}

/// The one outside never leaves: its runtime has ended.
#[test]
fn the_place_of_one_that_is_gone_is_taken() {
    model(|| {
        let port = Port::new();
        let gone = port.alarm.sleep().expect("nobody has called");
        finds_what_it_is_called_for(&port);
        let _ = gone;
    });
}
