//! rand: a generator in a thread-local, behind an `Rc` without a lock.

use crate::check::Check;
use crate::support::{hop, many, tasks};
use rand::Rng;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_thread_rng_is_held_over_hops", held_over_hops),
    Check::new("no_two_tasks_draw_the_same_numbers", no_two_the_same),
];

fn held_over_hops() {
    tasks(many(1000), |_| {
        let mut held = rand::rng();
        let mut seen = HashSet::new();
        for _ in 0..40 {
            assert!(seen.insert(held.random::<u128>()));
            hop();
            let mut again = rand::rng();
            assert!(seen.insert(again.random::<u128>()));
            hop();
            drop(again);
        }
    });
}

fn no_two_the_same() {
    let all = Arc::new(Mutex::new(HashSet::new()));
    for _ in 0..3 {
        let all = all.clone();
        tasks(many(700), move |_| {
            let mut mine = Vec::new();
            for _ in 0..10 {
                mine.push(rand::rng().random::<u128>());
                hop();
            }
            let mut all = all.lock().unwrap();
            assert!(mine.into_iter().all(|number| all.insert(number)), "a number was drawn twice");
        });
    }
}
