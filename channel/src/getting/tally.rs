//! How many events have been posted, and how many taken: whether any is still to come.
//!
//! Those who post and those who take count at a place of their own, so that they seldom meet. A sum is read only when the channel ends.

use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

const PLACES: usize = 16;

/// See the module.
#[derive(Default)]
pub(crate) struct Tally([CachePadded<Place>; PLACES]);

#[derive(Default)]
struct Place {
    /// Posted, to come back from a port.
    posted: AtomicU64,
    /// Posted, and complete at once.
    immediate: AtomicU64,
    /// Of these, not posted after all.
    unused: AtomicU64,
    taken: AtomicU64,
    /// Of these, when somebody last began to look at the ports.
    looked: AtomicU64,
}

impl Tally {
    pub(crate) const STEP: u64 = PLACES as u64;

    #[inline]
    fn here(&self) -> (usize, &Place) {
        thread_local!(static HERE: u8 = const { 0 });
        let address = HERE.with(|here| std::ptr::from_ref(here).addr() as u64);
        // (Addresses of threads differ by multiples of some power of two: all of them are to count.)
        let place = (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % PLACES;
        (place, &self.0[place])
    }

    /// One is about to be posted.
    pub(crate) fn posted(&self) {
        self.here().1.posted.fetch_add(1, Ordering::SeqCst);
    }

    /// `n` are about to be posted that are complete at once. Gives the number of the first; the next one's is larger by
    /// [`STEP`](Self::STEP).
    #[inline]
    pub(crate) fn immediate(&self, n: u64) -> u64 {
        let (at, place) = self.here();
        place.immediate.fetch_add(n, Ordering::SeqCst) * PLACES as u64 + at as u64
    }

    /// One that was about to be posted was not.
    pub(crate) fn not_posted(&self) {
        self.here().1.posted.fetch_sub(1, Ordering::SeqCst);
    }

    /// `n` were not that were to be complete at once. (Their numbers are not given again.)
    pub(crate) fn unused(&self, n: u64) {
        self.here().1.unused.fetch_add(n, Ordering::SeqCst);
    }

    /// `n` were taken.
    pub(crate) fn taken(&self, n: usize) {
        self.here().1.taken.fetch_add(n as u64, Ordering::SeqCst);
    }

    /// Have so many been taken here since somebody here began to look at the ports?
    pub(crate) fn look_is_due(&self, every: u64) -> bool {
        let place = self.here().1;
        place.taken.load(Ordering::Relaxed).wrapping_sub(place.looked.load(Ordering::Relaxed)) >= every
    }

    /// Somebody begins to look at the ports.
    pub(crate) fn looks(&self) {
        let place = self.here().1;
        place.looked.store(place.taken.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Has all that was posted been taken? A yes holds until the next post.
    pub(crate) fn is_even(&self) -> bool {
        // In this order: each event is counted as posted first. If the sums are equal nothing was under way between the two.
        let gone = self.sum(|place| &place.taken).wrapping_add(self.sum(|place| &place.unused));
        gone == self.sum(|place| &place.posted).wrapping_add(self.sum(|place| &place.immediate))
    }

    /// How many were complete as they were posted.
    pub(crate) fn all_immediate(&self) -> u64 {
        let unused = self.sum(|place| &place.unused);
        self.sum(|place| &place.immediate).wrapping_sub(unused)
    }

    fn sum(&self, of: fn(&Place) -> &AtomicU64) -> u64 {
        self.0.iter().fold(0, |sum, place| sum.wrapping_add(of(place).load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn it_is_even_when_all_is_taken_and_numbers_come_once() {
        let tally = Tally::default();
        let numbers: Vec<u64> = thread::scope(|scope| {
            let post = || {
                tally.posted();
                (0..1000).map(|_| tally.immediate(1)).collect::<Vec<_>>()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(post)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let mut apart = numbers.clone();
        apart.sort_unstable();
        apart.dedup();
        assert_eq!((apart.len(), tally.all_immediate()), (4000, 4000));
        assert!(!tally.is_even());
        tally.taken(4003);
        assert!(!tally.is_even());
        thread::spawn(move || {
            tally.taken(1);
            assert!(tally.is_even());
            // Some are counted, and not posted after all.
            let first = tally.immediate(5);
            tally.unused(3);
            tally.posted();
            tally.not_posted();
            assert!(!tally.is_even());
            tally.taken(2);
            assert!(tally.is_even());
            assert_eq!(tally.all_immediate(), 4002);
            assert_eq!(tally.immediate(1), first + 5 * Tally::STEP, "no number comes twice");
        })
        .join()
        .unwrap();
    }
}
