//! What the models share.
#![allow(dead_code)] // each uses a part

use std::collections::BTreeSet;
use std::sync::Arc;

/// `parking_lot`'s face on loom's mutex.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// Nobody watches in a model.
pub(crate) struct Crossing;

impl Crossing {
    pub(crate) fn enter(_: &'static str) -> Crossing {
        Crossing
    }
}

/// Runs `model` in all orders with at most `bound` preemptions, and gives the ends that there were.
pub(crate) fn explore<R>(bound: usize, model: impl Fn() -> R + Send + Sync + 'static) -> Vec<R>
where
    R: Ord + Send + 'static,
{
    let ends = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check({
        let ends = ends.clone();
        move || {
            let end = model();
            ends.lock().unwrap().insert(end);
        }
    });
    std::mem::take(&mut *ends.lock().unwrap()).into_iter().collect()
}
