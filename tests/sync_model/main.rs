//! What the types of `event_channel::sync` stand on, model-checked by loom against the production source.
//!
//! A waiter that nobody tells any more shows as a deadlock, which loom reports.
#![cfg(loom)]

mod barrier;
mod channel;
mod condvar;
mod lock;
mod oneshot;
mod select;
mod semaphore;
mod sync;
mod twins;

use std::collections::BTreeSet;
use std::sync::Arc;
use sync::base::face::Sleeper;

/// A thread that calls `f` as a waiter of its own.
fn spawn<T: 'static>(f: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    spawn_as(&Sleeper::new(), f)
}

/// A thread that calls `f` as `who`.
fn spawn_as<T: 'static>(who: &Sleeper, f: impl FnOnce() -> T + 'static) -> loom::thread::JoinHandle<T> {
    let who = who.clone();
    loom::thread::spawn(move || {
        who.be();
        f()
    })
}

/// Runs `model` in all orders with at most `bound` preemptions, and gives the ends that there were: with waiters that wait for long, and
/// with others.
fn explore<R>(bound: usize, model: impl Fn() -> R + Send + Sync + 'static) -> Vec<R>
where
    R: Ord + Send + 'static,
{
    let ends = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let model = Arc::new(model);
    for patient in [true, false] {
        sync::base::face::set_patient(patient);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(bound);
        let (model, ends) = (model.clone(), ends.clone());
        builder.check(move || {
            let end = model();
            ends.lock().unwrap().insert(end);
        });
    }
    std::mem::take(&mut *ends.lock().unwrap()).into_iter().collect()
}
