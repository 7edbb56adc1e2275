//! Runs one operation many times, for callgrind to count: `counts NAME`; `counts --list` gives the names.
//! `benches/counts/check` runs it and compares. See the README there.

mod bare;
mod callgrind;
mod channel;
mod clock;
mod pool;
mod waiting;

use ec_tasks::Kind::{Lean, Own};
use std::process::ExitCode;

/// The status that says: not on this machine.
const CANNOT: u8 = 3;

type Count = (&'static str, fn());

const COUNTS: [Count; 21] = [
    ("switch_own", || bare::switch(Own)),
    ("switch_lean", || bare::switch(Lean)),
    ("spawn_own", || bare::spawn(Own)),
    ("spawn_lean", || bare::spawn(Lean)),
    ("pool_yield_own", || pool::yields(Own)),
    ("pool_yield_lean", || pool::yields(Lean)),
    ("pool_spawn_own", || pool::spawns(Own)),
    ("pool_spawn_lean", || pool::spawns(Lean)),
    ("pool_notify_own", || pool::notify(Own)),
    ("pool_notify_lean", || pool::notify(Lean)),
    ("pool_event_own", || pool::event(Own)),
    ("pool_event_lean", || pool::event(Lean)),
    ("pool_echo_own", || pool::echo(Own)),
    ("pool_echo_lean", || pool::echo(Lean)),
    ("pool_lock", waiting::lock),
    ("pool_hand_over", waiting::hand_over),
    ("event", channel::event),
    ("event_again", channel::again),
    ("event_batch_32", channel::batch),
    ("timer", || channel::timer(0)),
    ("timer_among_1000", || channel::timer(1000)),
];

/// They are of tasks of that kind, though their names do not say so.
const OF_OWN: [&str; 2] = ["pool_lock", "pool_hand_over"];

/// Does `operations` once and twice, each to be counted by itself: the difference is what so many cost, without
/// whatever comes once. The first time warms up.
fn count(operations: u32, mut run: impl FnMut(u32)) {
    run(2 * operations);
    callgrind::dump(c"before");
    run(operations);
    callgrind::dump(c"once");
    run(2 * operations);
    callgrind::dump(c"twice");
    println!("{operations}");
}

fn main() -> ExitCode {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    if wanted == "--list" {
        COUNTS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    let Some((name, run)) = COUNTS.iter().find(|(name, _)| *name == wanted) else {
        eprintln!("usage: counts NAME | --list");
        return ExitCode::from(2);
    };
    if (name.ends_with("_own") || OF_OWN.contains(name))
        && let Err(why) = ec_tasks::own_thread_locals()
    {
        eprintln!("tasks have no thread-locals of their own here: {why}");
        return ExitCode::from(CANNOT);
    }
    run();
    ExitCode::SUCCESS
}
