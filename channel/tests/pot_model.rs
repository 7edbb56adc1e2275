//! What exclusive waiters share, model-checked by loom: who waits is told, whoever goes meanwhile.
#![cfg(loom)]

#[path = "../src/occurrences.rs"]
#[allow(dead_code)] // (Nobody sleeps here.)
mod occurrences;
#[path = "../src/pot.rs"]
mod pot;
#[path = "../src/visits.rs"]
mod visits;

mod lock {
    /// As the channel's.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }
}

mod posts {
    /// As the channel's.
    pub(crate) trait Bell {
        fn ring(&self);
        fn hush(&self);
    }
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use loom::thread;
use occurrences::Occurrences;
use pot::Pot;
use visits::Visits;

/// Every schedule with up to two preemptions.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(f);
}

fn none() -> Occurrences {
    Occurrences { count: AtomicU64::new(0), sender: AtomicU64::new(0) }
}

fn nobody() -> Visits {
    Visits { inside: AtomicU32::new(0) }
}

/// As `sys/signals.rs` has it.
struct Waiter {
    wants: AtomicBool,
    is_exclusive: AtomicBool,
    handlers: Visits,
    own: Occurrences,
}

impl Waiter {
    fn new() -> Self {
        let (wants, is_exclusive) = (AtomicBool::new(true), AtomicBool::new(false));
        Waiter { wants, is_exclusive, handlers: nobody(), own: none() }
    }

    fn set_exclusive(&self, pot: &Pot) {
        pot.join(thread::yield_now);
        self.is_exclusive.store(true, Ordering::SeqCst);
    }

    fn go(&self, pot: &Pot) {
        self.wants.store(false, Ordering::SeqCst);
        self.handlers.until_left(thread::yield_now);
        pot.leave();
    }

    fn take(&self, pot: &Pot) -> u64 {
        self.own.take().or_else(|| pot.inside.take()).map_or(0, |(_, count)| count)
    }
}

struct Signal {
    pot: Pot,
    waiters: [Waiter; 2],
}

impl Signal {
    /// The first of those who wait is exclusive.
    fn new() -> Arc<Self> {
        let pot = Pot { inside: none(), members: lock::Mutex::new(0), handlers: nobody() };
        let it = Signal { pot, waiters: [Waiter::new(), Waiter::new()] };
        it.waiters[0].set_exclusive(&it.pot);
        Arc::new(it)
    }

    fn handle(&self) {
        let mut telling = self.pot.tell(1);
        for waiter in &self.waiters {
            waiter.handlers.enter();
            if waiter.wants.load(Ordering::SeqCst) {
                telling.one(&waiter.own, &waiter.is_exclusive);
            }
            waiter.handlers.leave();
        }
    }
}

/// The one goes that was the last, another one becomes exclusive, and a signal comes. That one is told, since he waits all the time.
#[test]
fn who_becomes_exclusive_loses_nothing_to_one_who_goes() {
    model(|| {
        let signal = Signal::new();
        let (theirs, his) = (signal.clone(), signal.clone());
        let handler = thread::spawn(move || theirs.handle());
        let goes = thread::spawn(move || his.waiters[0].go(&his.pot));
        let stays = &signal.waiters[1];
        stays.set_exclusive(&signal.pot);
        handler.join().unwrap();
        goes.join().unwrap();
        // (What has come while he was not exclusive he has of his own, and may inherit as well.)
        assert_eq!(stays.take(&signal.pot), 1);
    });
}

/// The signal comes to the one who stays, in whose thread the handler runs.
#[test]
fn what_comes_to_one_who_is_exclusive_is_not_thrown_away_by_one_who_goes() {
    model(|| {
        let signal = Signal::new();
        let his = signal.clone();
        let goes = thread::spawn(move || his.waiters[0].go(&his.pot));
        let stays = &signal.waiters[1];
        stays.set_exclusive(&signal.pot);
        signal.handle();
        goes.join().unwrap();
        assert_eq!(stays.take(&signal.pot), 1);
    });
}
