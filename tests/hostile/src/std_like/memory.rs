//! Memory: a task that has ended leaves nothing behind.

use crate::check::Check;
use crate::support::{hop, resident, spawn};
use event_channel::task;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_million_short_tasks_leave_no_memory_behind", a_million_short_tasks),
    Check::new("malloc_heavy_tasks_leave_no_memory_behind", malloc_heavy_tasks),
];

/// How many tasks for `full`: fewer where each is a thread, and in a build that is not optimised.
fn scaled(full: usize) -> usize {
    full / if task::migrates() { 1 } else { 50 } / if cfg!(debug_assertions) { 5 } else { 1 }
}

/// Runs `all` tasks, some at a time, and looks at the memory after the first tenth.
fn stays_flat(all: usize, at_a_time: usize, body: fn(usize) -> Vec<String>) {
    crate::support::with_a_fixed_number_of_threads();
    let run = |n: usize| {
        for wave in 0..n / at_a_time {
            let tasks: Vec<_> = (0..at_a_time).map(|i| spawn(move || body(wave * at_a_time + i))).collect();
            // What the tasks allocated is freed here.
            assert!(tasks.into_iter().all(|task| task.join().is_ok_and(|result| !result.is_empty())));
        }
    };
    run(all / 10);
    let before = resident();
    run(all - all / 10);
    let grown = resident().saturating_sub(before);
    // Of 900,000 tasks: 36 bytes each would show. What the allocator keeps varies by some megabytes.
    assert!(grown < 32 << 20, "{grown} bytes more after {all} tasks than after {}", all / 10);
}

fn a_million_short_tasks() {
    thread_local! {
        static KEPT: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    }
    stays_flat(scaled(1_000_000), 100, |me| {
        KEPT.with_borrow_mut(|kept| kept.extend((0..4).map(|n| vec![n; 64 << n].into())));
        if me % 8 == 0 {
            task::yield_now();
        }
        vec![me.to_string()]
    });
}

fn malloc_heavy_tasks() {
    stays_flat(scaled(50_000), 200, |me| {
        let mut map = BTreeMap::new();
        for n in 0..200 {
            map.insert((n * 7919 + me) % 1009, vec![n as u8; 16 + n * 37 % 3000]);
            if n % 100 == 50 {
                hop();
            }
            if n % 3 == 0 {
                map.pop_first();
            }
        }
        map.into_iter().take(20).map(|(key, value)| format!("{key}: {}", value.len())).collect()
    });
}
