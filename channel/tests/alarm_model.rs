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
}

/// The inbox: posted under its lock, the sleeper rung for only if it sleeps; the driver looks again after it has announced its sleep.
#[test]
fn what_is_posted_to_the_inbox_is_found() {
    model(|| {
        let port = Port::new();
        let posters: Vec<_> = (0..2)
            .map(|_| {
                let port = port.clone();
                thread::spawn(move || {
                    *port.work.lock().unwrap() += 1;
                    if port.alarm.call_if_asleep() {
                        port.ring();
                    }
                })
            })
            .collect();
        let mut found = 0;
        while found < 2 {
            found += port.take();
            if found < 2 && port.alarm.sleep() {
                if *port.work.lock().unwrap() == 0 {
                    port.sleep_until_rung();
                }
                port.alarm.awake();
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
        let caller = port.clone();
        let caller = thread::spawn(move || {
            *caller.work.lock().unwrap() += 1;
            if caller.alarm.call() {
                caller.ring();
            }
        });
        while port.take() == 0 {
            if port.alarm.sleep() {
                port.sleep_until_rung();
                port.alarm.awake();
            }
        }
        caller.join().unwrap();
    });
}
