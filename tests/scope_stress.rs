//! Many scopes at once, in each other, with cancels and panics at any moment: none returns before all that its children held is gone.

mod net_common;
mod scope_common;

use ec_unkind as _;
use event_channel::task::{self, CancelToken, Scope};
use event_channel::time::timeout;
use event_channel::{Runtime, run};
use net_common::{Numbers, each_runtime_of, members};
use scope_common::Counts;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What a scope lends: counted when it is handed out, and when it is gone.
#[derive(Default)]
struct Lent {
    out: AtomicUsize,
    back: AtomicUsize,
}

impl Lent {
    fn lend(&self) -> Counts<'_> {
        self.out.fetch_add(1, Ordering::Relaxed);
        Counts(&self.back)
    }
}

/// Thrown by children, and by the closures of scopes.
struct Thrown;

fn child<'scope>(s: &'scope Scope<'scope, '_>, lent: &'scope Lent, seed: u64) -> Counts<'scope> {
    let mut random = Numbers(seed);
    let next = random.below(1 << 30);
    match random.below(10) {
        0 => _ = scope_common::waits_at_most(Duration::from_millis(1 + random.below(3))),
        1 => resume_unwind(Box::new(Thrown)),
        2 => game(next, 1),
        3 => drop(s.spawn({
            let held = lent.lend();
            move || (held, child(s, lent, next)).1
        })),
        4 => thread::sleep(Duration::from_micros(random.below(300))),
        _ => (0..random.below(3)).for_each(|_| task::yield_now()),
    }
    lent.lend()
}

fn in_both(span: Duration, token: &CancelToken, f: impl FnOnce()) {
    timeout(span, || token.enter(f));
}

/// A scope with some children, in all ways.
fn game(seed: u64, depth: u64) {
    let mut random = Numbers(seed);
    let lent = Lent::default();
    let span = Duration::from_micros(random.below(20_000));
    let token = CancelToken::new();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        in_both(span, &token, || {
            task::scope(|s| {
                for _ in 0..random.below(6) {
                    let (held, seed) = (lent.lend(), random.below(1 << 30));
                    let builder = if random.below(16) == 0 {
                        task::Builder::new().dedicated()
                    } else {
                        task::Builder::new()
                    };
                    let body = {
                        let lent = &lent;
                        move || (held, child(s, lent, if depth > 0 { seed } else { 5 })).1
                    };
                    // Full is an error, too, and drops what it got.
                    let Ok(handle) = builder.spawn_scoped(s, body) else { continue };
                    match random.below(7) {
                        0 => drop(handle.join()),
                        1 => handle.cancel(),
                        2 => s.cancel(),
                        3 => drop(s.spawn(move || handle.join().is_ok())),
                        4 => token.cancel(),
                        5 => drop({ handle }.join_cancellable()),
                        _ => (),
                    }
                }
                if random.below(8) == 0 {
                    resume_unwind(Box::new(Thrown));
                }
            });
        })
    }));
    let (out, back) = (lent.out.load(Ordering::Relaxed), lent.back.load(Ordering::Relaxed));
    // (Aborted, not failed: what borrows from here would go on.)
    if out != back {
        eprintln!("a scope returned with {} of {out} things lent", out - back);
        std::process::abort();
    }
    assert_eq!(members(&token), 0);
    if let Err(panic) = ended {
        let is_known = panic.is::<Thrown>() || scope_common::words(&*panic) == "a scoped task panicked";
        assert!(is_known, "{}", scope_common::words(&*panic));
    }
}

/// Players in scopes of their own, from several threads.
fn games(runtime: &Runtime) {
    let play = |at: u64| {
        task::scope(|s| {
            for player in 0..3 {
                s.spawn(move || (0..20).for_each(|round| game(at * 1000 + player * 100 + round, 2)));
            }
        });
    };
    thread::scope(|threads| (0..4).for_each(|at| drop(threads.spawn(move || runtime.run(|| play(at))))));
}

#[test]
fn no_scope_returns_before_all_that_it_has_lent_is_back() {
    ec_test_support::limit(240, || {
        each_runtime_of(&[1, 2, 8], games);
        // And from plain threads, beside a task that owns some and is cancelled all the time.
        let owners: Vec<_> = (0..4)
            .map(|at| thread::spawn(move || (0..100).for_each(|round| game(at * 1000 + round, 2))))
            .collect();
        let task = run(|| task::spawn(|| (0..300).for_each(|round| game(round, 2))));
        while !task.is_finished() {
            task.cancel();
            thread::sleep(Duration::from_micros(50));
        }
        task.join().unwrap();
        owners.into_iter().for_each(|owner| owner.join().unwrap());
    });
}
