//! The locks under load, with cancels and limits at any moment, while some tasks block their threads: nothing is lost, and nothing is had
//! twice.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::sync::{Arc, Barrier, Condvar, Mutex, Notification, RwLock, Semaphore};
use event_channel::task;
use event_channel::time::{self, Duration};
use net_common::{Numbers, each_runtime_of};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const PERMITS: usize = 4;

/// What they use, and what must be true of it.
#[derive(Default)]
struct Shared {
    mutex: Mutex<u64>,
    lock: RwLock<(u64, u64)>,
    some: Some,
    posts: Notification,
    tokens: (Mutex<u64>, Condvar),
    pair: Pair,
    inside: AtomicUsize,
    // What was done.
    added: AtomicUsize,
    wrote: AtomicUsize,
    taken: AtomicUsize,
    woken: AtomicUsize,
    led: AtomicUsize,
    followed: AtomicUsize,
}

struct Some(Semaphore);
struct Pair(Barrier);

impl Default for Some {
    fn default() -> Self {
        Some(Semaphore::new(PERMITS))
    }
}

impl Default for Pair {
    fn default() -> Self {
        Pair(Barrier::new(2))
    }
}

fn counts(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Shared {
    /// One thing, for at most `span`; or an error, and then nothing.
    fn does(&self, what: u64, span: Duration, numbers: &mut Numbers) -> io::Result<()> {
        let dwells = numbers.below(4) == 0;
        let dwell = || {
            if dwells {
                task::yield_now()
            }
        };
        match what {
            0 => {
                let mut sum = self.mutex.lock_cancellable()?.unwrap();
                let before = *sum;
                dwell();
                *sum = before + 1;
                counts(&self.added);
            }
            1 => {
                let mut both = self.lock.write_cancellable()?.unwrap();
                both.0 += 1;
                dwell();
                both.1 += 1;
                counts(&self.wrote);
            }
            2 => {
                let both = self.lock.read_cancellable()?.unwrap();
                dwell();
                assert_eq!(both.0, both.1);
            }
            3 => {
                let wants = numbers.below(PERMITS as u64 + 1) as usize;
                let permit = if numbers.below(2) == 0 {
                    self.some.0.acquire_many_cancellable(wants)?
                } else {
                    let Option::Some(permit) = self.some.0.acquire_many_timeout(wants, span) else {
                        return Ok(());
                    };
                    permit
                };
                assert!(self.inside.fetch_add(wants, Ordering::SeqCst) + wants <= PERMITS);
                dwell();
                self.inside.fetch_sub(wants, Ordering::SeqCst);
                drop(permit);
            }
            4 => {
                if self.posts.wait_timeout(span) {
                    counts(&self.taken);
                }
            }
            5 => {
                let mut tokens = self.tokens.0.lock_cancellable()?.unwrap();
                while *tokens == 0 {
                    tokens = self.tokens.1.wait_cancellable(tokens)?.unwrap();
                }
                *tokens -= 1;
                counts(&self.woken);
            }
            6 => {
                let leads = self.pair.0.wait_cancellable()?.is_leader();
                counts(if leads { &self.led } else { &self.followed });
            }
            // The pool needs another thread meanwhile.
            _ => thread::sleep(span),
        }
        Ok(())
    }

    fn runs(&self, seed: u64, rounds: usize) {
        let mut numbers = Numbers(seed);
        for _ in 0..rounds {
            let span = Duration::from_micros(numbers.below(300));
            let what = numbers.below(if seed.is_multiple_of(4) { 8 } else { 7 });
            let _ = time::timeout(span, || self.does(what, span, &mut numbers));
        }
    }
}

#[test]
fn nothing_is_lost_to_cancels_and_limits_while_threads_block() {
    limit(120, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            const PUT: usize = 300;
            let shared = Arc::new(Shared::default());
            let runs = |seed: u64, rounds: usize| {
                let shared = shared.clone();
                move || shared.runs(seed, rounds)
            };
            let threads: Vec<_> = (0..3).map(|n| thread::spawn(runs(100 + n, 150))).collect();
            let tasks: Vec<_> = (0..16).map(|n| runtime.spawn(runs(n, 150))).collect();
            let mut numbers = Numbers(7);
            for _ in 0..PUT {
                shared.posts.post();
                *shared.tokens.0.lock().unwrap() += 1;
                shared.tokens.1.notify_one();
                tasks[numbers.below(16) as usize].cancel();
                if numbers.below(8) == 0 {
                    thread::sleep(Duration::from_micros(numbers.below(200)));
                }
            }
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
            // What was counted is what was done; and all is free: without a wait, so nobody is in a list any more.
            assert_eq!(*shared.mutex.try_lock().unwrap() as usize, count(&shared.added));
            let wrote = count(&shared.wrote) as u64;
            assert_eq!(*shared.lock.try_write().unwrap(), (wrote, wrote));
            assert_eq!(shared.some.0.try_acquire_many(PERMITS).unwrap().permits(), PERMITS);
            assert_eq!(*shared.tokens.0.try_lock().unwrap() as usize, PUT - count(&shared.woken));
            let mut left = 0;
            while shared.posts.try_wait() {
                left += 1;
            }
            assert_eq!(left, PUT - count(&shared.taken));
            assert_eq!(count(&shared.led), count(&shared.followed));
        });
    });
}
