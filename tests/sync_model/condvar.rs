//! `Condvar`, on the lock under `Mutex`.

use crate::sync::base::face::{Sleeper, all_through};
use crate::sync::condvar::Condvar;
use crate::sync::mutex::Mutex;
use crate::{explore, spawn, spawn_as};
use ec_test_support::limit;
use loom::sync::Arc;

/// Tokens, and who waits for some.
struct Tokens {
    there: Mutex<usize>,
    more: Condvar,
}

impl Tokens {
    fn new() -> Arc<Tokens> {
        Arc::new(Tokens { there: Mutex::new(0), more: Condvar::new() })
    }

    fn put(&self) {
        *self.there.lock().unwrap() += 1;
        self.more.notify_one();
    }

    fn take(&self) {
        let mut there = self.more.wait_while(self.there.lock().unwrap(), |there| *there == 0).unwrap();
        *there -= 1;
    }

    /// True: it took one.
    fn take_cancellable(&self) -> bool {
        let mut there = self.there.lock().unwrap();
        while *there == 0 {
            let Ok(guard) = self.more.wait_cancellable(there) else { return false };
            there = guard.unwrap();
        }
        *there -= 1;
        true
    }
}

#[test]
fn each_notification_lets_one_go_on() {
    limit(120, || {
        let ends = explore(2, || {
            let tokens = Tokens::new();
            let takers = [0, 1].map(|_| {
                let tokens = tokens.clone();
                spawn(move || tokens.take())
            });
            tokens.put();
            tokens.put();
            takers.into_iter().for_each(|taker| taker.join().unwrap());
            let left = *tokens.there.lock().unwrap();
            left
        });
        assert_eq!(ends, [0]);
    });
}

#[test]
fn all_are_notified() {
    limit(120, || {
        let ends = explore(2, || {
            let tokens = Tokens::new();
            let waits = [0, 1].map(|_| {
                let tokens = tokens.clone();
                spawn(move || {
                    let guard = tokens.there.lock().unwrap();
                    drop(tokens.more.wait_while(guard, |there| *there == 0).unwrap());
                })
            });
            *tokens.there.lock().unwrap() = 1;
            tokens.more.notify_all();
            waits.into_iter().for_each(|waits| waits.join().unwrap());
        });
        assert_eq!(ends, [()]);
    });
}

/// Two wait, and one of them is cancelled or left: one token is enough for the other.
#[test]
fn no_notification_goes_with_one_that_gives_up() {
    limit(240, || {
        for gone in [false, true] {
            let ends = explore(2, move || {
                let tokens = Tokens::new();
                let first = Sleeper::new();
                let gives_up = {
                    let tokens = tokens.clone();
                    spawn_as(&first, move || tokens.take_cancellable())
                };
                let waits = {
                    let tokens = tokens.clone();
                    spawn(move || tokens.take())
                };
                tokens.put();
                if gone {
                    // (It may have been left with the lock: then others wait for good, as for a thread that does not return.)
                    let guard = tokens.there.lock().unwrap();
                    first.leave();
                    drop(guard);
                } else {
                    first.cancel();
                }
                // One more, if the one that gives up had the first.
                tokens.put();
                waits.join().unwrap();
                all_through();
                let took = gives_up.join().unwrap();
                let left = *tokens.there.lock().unwrap();
                left + usize::from(took)
            });
            assert_eq!(ends, [1]);
        }
    });
}
