//! What signal handlers count, model-checked by loom: each occurrence is taken once, and who takes does not sleep while one is due.
//!
//! A taker that sleeps although something is due shows as a deadlock, which loom reports.
#![cfg(loom)]

#[path = "../src/occurrences.rs"]
mod occurrences;

mod posts {
    /// As the channel's.
    pub(crate) trait Bell {
        fn ring(&self);
        fn hush(&self);
    }
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use loom::sync::atomic::AtomicU64;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use occurrences::{Occurrences, take_or_hush};
use posts::Bell;

/// Every schedule with up to three preemptions.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(f);
}

#[derive(Default)]
struct TestBell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell for TestBell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.rings.notify_one();
    }

    fn hush(&self) {
        *self.rung.lock().unwrap() = false;
    }
}

struct Waiter {
    bell: TestBell,
    all: Arc<Occurrences>,
}

impl Waiter {
    fn new(all: &Arc<Occurrences>) -> Arc<Self> {
        Arc::new(Waiter { bell: TestBell::default(), all: all.clone() })
    }

    /// As the stream does on a driver that polls for the bell before each item. Gives how many it has taken.
    fn wait(&self) -> u64 {
        let mut rung = self.bell.rung.lock().unwrap();
        while !*rung {
            rung = self.bell.rings.wait(rung).unwrap();
        }
        drop(rung);
        take_or_hush(&self.bell, || self.all.take()).map_or(0, |(sender, count)| {
            assert!(sender == 1 || sender == 2, "sent by {sender}");
            count
        })
    }
}

fn none() -> Arc<Occurrences> {
    Arc::new(Occurrences { count: AtomicU64::new(0), sender: AtomicU64::new(0) })
}

/// Two handlers at once.
#[test]
fn each_occurrence_is_taken_once() {
    model(|| {
        let waiter = Waiter::new(&none());
        let handlers: Vec<_> = [1, 2]
            .into_iter()
            .map(|sender| {
                let waiter = waiter.clone();
                thread::spawn(move || {
                    waiter.all.add(sender);
                    waiter.bell.ring();
                })
            })
            .collect();
        let mut taken = 0;
        while taken < 2 {
            taken += waiter.wait();
        }
        assert_eq!(taken, 2);
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
        assert_eq!(take_or_hush(&waiter.bell, || waiter.all.take()), None);
    });
}

/// A handler that rings for two, who take from one pot.
#[test]
fn of_two_who_are_rung_for_one_takes_it() {
    model(|| {
        let pot = none();
        let waiters = [Waiter::new(&pot), Waiter::new(&pot)];
        let theirs = waiters.clone();
        let handler = thread::spawn(move || {
            theirs[0].all.add(1);
            theirs.iter().for_each(|waiter| waiter.bell.ring());
        });
        let [one, other] = waiters;
        let one = thread::spawn(move || one.wait());
        assert_eq!(other.wait() + one.join().unwrap(), 1);
        handler.join().unwrap();
    });
}
