//! What an actor may do next.

mod block;
pub mod net;
mod pool;
mod sync;
mod task;

use std::io;

use crate::actor::Actor;
use crate::random::Random;

/// An error says that the task was cancelled.
pub type Step = fn(&mut Actor) -> io::Result<()>;

/// Each with its weight.
const STEPS: [(u64, Step); 31] = [
    (12, block::sleeps),
    (6, block::hinted),
    (5, block::computes),
    (6, block::condition),
    (6, block::channel),
    (4, block::pipe),
    (4, block::lock),
    (3, block::std_stream),
    (3, block::handler),
    (2, block::file),
    (8, net::echo),
    (3, net::both_ways),
    (4, net::own_listener),
    (5, net::datagrams),
    (4, net::silence),
    (4, net::in_time),
    (8, sync::timers),
    (6, sync::notifications),
    (3, sync::nobody_posts),
    (3, sync::parked),
    (10, sync::messages),
    (4, task::family),
    (4, task::detached),
    (4, task::panics),
    (5, task::cancelled),
    (2, task::cancelled_while_blocked),
    (5, task::yields),
    (6, task::borrows),
    (1, task::dedicated),
    (2, task::lean),
    (1, pool::another),
];

pub fn choose(random: &mut Random) -> Step {
    let all: u64 = STEPS.iter().map(|(weight, _)| weight).sum();
    let mut at = random.number() % all;
    for (weight, step) in STEPS {
        if at < weight {
            return step;
        }
        at -= weight;
    }
    unreachable!("it is below the sum")
}
