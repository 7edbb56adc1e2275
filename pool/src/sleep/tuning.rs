//! Every number of the idle policy, with its unit and its reason. (How many may search at once, half of the workers, is part of the
//! protocol in `idle.rs`, which is checked as a whole.)

use std::time::Duration;

// How often a busy worker looks up from its run queue: `poll_interval.rs`.

/// Runs, at most. It is a prime, so that it does not beat with a program's own rhythm.
pub(crate) const MOST_RUNS: u32 = 61;
/// The wished time between two looks: a timer is late by as much.
pub(crate) const POLL_EVERY: Duration = Duration::from_micros(500);

// Whether a worker yields its CPU before it parks, and for how long it spins: `payoff.rs`, `policy.rs`.

/// A yield that takes longer has met somebody who computes: a client answers sooner.
pub(crate) const KEPT: Duration = Duration::from_millis(1);
/// A yield that is shorter has met nobody: no other thread wants the CPU.
pub(crate) const ALONE: Duration = Duration::from_micros(10);
/// For so long a worker spins. To wake a CPU that has gone to sleep takes as long.
pub(crate) const SPIN: Duration = Duration::from_micros(50);
/// So many times that it paid make up for once that it did not.
pub(crate) const SHORT: u32 = 4;
/// Times that are remembered at most, so that a load that has changed is noticed after a few.
pub(crate) const MOST_CREDIT: u32 = 4 * SHORT;
/// Parks to let pass at most: where it never pays it is tried once in 1,024 parks.
pub(crate) const MOST_PAUSE: u32 = 1023;

// Whether a worker in a conversation wakes a partner: `conversation.rs`.

/// For so long a worker spins that may wake a partner. What comes from the same CPU is there by then; what does not
/// comes from a CPU that had to be woken.
pub(crate) const SPIN_WITH_PARTNER: Duration = Duration::from_micros(15);
/// A sleep that is shorter has cost as much as it gave.
pub(crate) const BRIEF: Duration = Duration::from_micros(100);
/// So many messages are timed together, since a look at the clock is not free.
pub(crate) const BLOCK: u32 = 64;
/// A pause that is longer counts as this long: it is no part of a conversation.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_micros(200);
/// With a partner a message has to be faster by one part of so many. For what makes no difference nobody is to be kept busy.
pub(crate) const WORTH: u32 = 8;
/// So many blocks are judged together: it takes the kernel some tenths of a second to settle.
pub(crate) const TRIAL: u32 = 16;
/// Where a message takes no longer, nobody had to be woken.
pub(crate) const GOOD: Duration = Duration::from_micros(25);
/// So many trials that are not good are compared with one without a partner.
pub(crate) const TRIALS: u32 = 8;
/// So many at most, where a partner was faster again and again.
pub(crate) const MOST_TRIALS: u32 = 256;
/// So many messages the partner is left out for, the first time: eight trials' worth.
pub(crate) const LEFT_OUT: u32 = 8 * BLOCK * TRIAL;
/// So many at most, where it was left out again and again.
pub(crate) const MOST_LEFT_OUT: u32 = 16 * LEFT_OUT;
