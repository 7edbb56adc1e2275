//! Keeps posters from running away, with counters that each thread writes alone.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most events on their way, but for what posters do between two looks.
const WINDOW: usize = 4096;
const LOOK_EVERY: usize = 64;

type Counts = Box<[CachePadded<AtomicUsize>]>;

pub struct Pace {
    posted: Counts,
    got: Counts,
}

fn counts(n: usize) -> Counts {
    (0..n).map(|_| CachePadded::default()).collect()
}

fn sum(counts: &Counts) -> usize {
    counts.iter().map(|count| count.load(Relaxed)).sum()
}

impl Pace {
    pub fn new(posters: usize, getters: usize) -> Pace {
        Pace { posted: counts(posters), got: counts(getters) }
    }

    /// Poster `i` is about to post its event number `k`.
    pub fn before_post(&self, i: usize, k: usize) {
        if k.is_multiple_of(LOOK_EVERY) {
            self.posted[i].store(k, Relaxed);
            while sum(&self.posted).saturating_sub(sum(&self.got)) > WINDOW {
                std::thread::yield_now();
            }
        }
    }

    /// Getter `i` has got `n` more.
    pub fn got(&self, i: usize, n: usize) {
        let count = &self.got[i];
        count.store(count.load(Relaxed) + n, Relaxed);
    }

    pub fn all_got(&self) -> usize {
        sum(&self.got)
    }
}
