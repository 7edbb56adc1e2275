//! In the pool: a runtime of one core, as users have it, with std's threads for comparison.

use crate::{Group, Rival};
use event_channel::Runtime;
use event_channel::task::{self, JoinHandle};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
enum Kind {
    Lean,
    Own,
}

const KINDS: [(&str, Kind); 2] = [("lean", Kind::Lean), ("own (task::spawn)", Kind::Own)];

fn spawn<T: Send + 'static>(kind: Kind, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match kind {
        Kind::Own => task::spawn(f),
        // SAFETY: the tasks keep nothing of a thread's across a suspension.
        Kind::Lean => unsafe { task::Builder::new().spawn_lean(f) }.expect("a task"),
    }
}

/// A turn for each kind, in a task of that kind on a runtime of one core.
fn rivals(operations: u32, turn: fn(Kind, u32) -> Duration) -> Vec<Rival> {
    let runtime = Arc::new(Runtime::builder().cores(1).build().expect("a runtime"));
    KINDS
        .map(|(name, kind)| {
            let runtime = runtime.clone();
            let inside = move |operations| {
                spawn(kind, move || turn(kind, operations)).join().expect("it does not panic")
            };
            Rival::new(name, operations, move |operations| runtime.run(|| inside(operations)))
        })
        .into()
}

/// Two tasks that yield to each other.
pub fn yields() -> Group {
    fn turn(kind: Kind, operations: u32) -> Duration {
        let start = Instant::now();
        let half = move || (0..operations / 2).for_each(|_| task::yield_now());
        let other = spawn(kind, half);
        half();
        other.join().expect("it does not panic");
        start.elapsed()
    }
    Group { title: "yield_now among two tasks, a pool of one core", rivals: rivals(20_000, turn) }
}

/// Two tasks that wake each other; an operation is one way.
pub fn ping_pong() -> Group {
    fn turn(kind: Kind, operations: u32) -> Duration {
        let start = Instant::now();
        let me = task::current();
        let other = spawn(kind, move || {
            for _ in 0..operations / 2 {
                task::park();
                me.unpark();
            }
        });
        for _ in 0..operations / 2 {
            other.task().unpark();
            task::park();
        }
        other.join().expect("it does not panic");
        start.elapsed()
    }
    fn threads(operations: u32) -> Duration {
        let start = Instant::now();
        let me = thread::current();
        let other = thread::spawn(move || {
            for _ in 0..operations / 2 {
                thread::park();
                me.unpark();
            }
        });
        for _ in 0..operations / 2 {
            other.thread().unpark();
            thread::park();
        }
        other.join().expect("it does not panic");
        start.elapsed()
    }
    let mut rivals = rivals(20_000, turn);
    rivals.push(Rival::new("std::thread", 2_000, threads));
    Group { title: "park and unpark, one way, a pool of one core", rivals }
}

/// From the spawn until the result of the join.
pub fn spawn_and_join() -> Group {
    fn turn(kind: Kind, operations: u32) -> Duration {
        let start = Instant::now();
        for number in 0..operations {
            assert_eq!(spawn(kind, move || number).join().ok(), Some(number));
        }
        start.elapsed()
    }
    fn threads(operations: u32) -> Duration {
        let start = Instant::now();
        for number in 0..operations {
            assert_eq!(thread::spawn(move || number).join().ok(), Some(number));
        }
        start.elapsed()
    }
    let mut rivals = rivals(5_000, turn);
    rivals.push(Rival::new("std::thread", 200, threads));
    Group { title: "spawn and join, a pool of one core", rivals }
}
