//! What the types of `event_channel::sync` stand on, model-checked by loom against the production source.
//!
//! A waiter that nobody tells any more shows as a deadlock, which loom reports.
#![cfg(loom)]

mod channel;
mod lock;
mod oneshot;
mod sync;

use std::collections::BTreeSet;
use std::sync::Arc;

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
