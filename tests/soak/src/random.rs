//! Numbers that follow from a seed (xorshift, seeded by splitmix).

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Random(u64);

/// Spreads the bits of `x`: what a task of that seed has to return, too.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A seed that nobody has asked for.
pub fn seed() -> u64 {
    RandomState::new().hash_one(0) >> 32
}

impl Random {
    pub fn new(seed: u64) -> Random {
        // (All zeros would stay so.)
        Random(mix(seed).max(1))
    }

    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.number() % (high - low + 1)
    }

    /// One time in so many.
    pub fn one_in(&mut self, many: u64) -> bool {
        self.number().is_multiple_of(many)
    }

    pub fn milliseconds(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low * 1000, high * 1000))
    }
}
