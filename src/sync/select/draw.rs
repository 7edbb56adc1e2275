//! Numbers at random, for who chooses among several.
//!
//! Each task and thread has a sequence of its own, so that they do not meet. Where it begins is drawn from one sequence of the process's, and
//! that begins at random. So nobody's first number says anything about another one's, also if each draws once.

use std::array;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// All of the numbers below `N`, in an order at random: each order is as likely.
pub(super) fn order<const N: usize>() -> [usize; N] {
    let mut order = array::from_fn(|number| number);
    // Fisher and Yates.
    (1..N).rev().for_each(|last| order.swap(last, below(last + 1)));
    order
}

fn below(bound: usize) -> usize {
    ((u128::from(number()) * bound as u128) >> u64::BITS) as usize
}

/// Vigna's splitmix64: the states are so far apart.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

fn number() -> u64 {
    // (Zero: it has not begun.)
    std::thread_local!(static STATE: Cell<u64> = const { Cell::new(0) });
    STATE.with(|state| {
        let before = if state.get() == 0 { beginning() } else { state.get() };
        state.set(before.wrapping_add(STEP));
        mixed(state.get())
    })
}

/// Where a sequence begins: a number of the process's sequence.
fn beginning() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    if NEXT.load(Ordering::Relaxed) == 0 {
        // (Others may do the same: it is the first one's. No lock: a child may be forked in the middle.)
        let seed = RandomState::new().hash_one(STEP);
        let _ = NEXT.compare_exchange(0, seed, Ordering::Relaxed, Ordering::Relaxed);
    }
    mixed(NEXT.fetch_add(STEP, Ordering::Relaxed))
}
