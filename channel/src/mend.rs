//! A queue in a forked child: what threads of the parent were in the middle of.

#![allow(unsafe_code)]

use crate::queue::{Block, CLOSED, HAS_NEXT, ONE, Queue, offset};
use crate::sync::{Ordering, SLOTS};
use std::ptr;

impl<T> Queue<T> {
    /// In a forked child, before anybody uses it there: nobody gets ready with a place any more that a thread of the parent had, nor with
    /// a block. What was being put in or taken out is in the queue no longer (nor is it dropped: it was that thread's). All else stays, in its
    /// order; but for what others may have put in behind a block that was not in its place yet, if they have filled more than one block by
    /// then. Nothing is allocated or freed: blocks that are left over are forgotten.
    pub fn mend(&mut self) {
        // Nobody stays between two blocks.
        let settled = |at: usize| if offset(at) == SLOTS { at.wrapping_add(ONE) } else { at };
        let back = self.back.at.load(Ordering::Relaxed);
        let (closed, mut end) = (back & CLOSED, settled(back & !CLOSED));
        let mut start = settled(self.front.at.load(Ordering::Relaxed) & !HAS_NEXT);
        let (mut first, last) =
            (self.front.block.load(Ordering::Relaxed), self.back.block.load(Ordering::Relaxed));
        // SAFETY: blocks that an end, or one that is in the queue, refers to are there; and nobody else is here.
        unsafe {
            if offset(start) == 0 && (*first).first != start {
                // All of it has been claimed.
                match Block::behind(first, last) {
                    Some(next) => first = next,
                    None => (*first).restart(start),
                }
                // (If the one between is lost.)
                start = (*first).first;
            }
            let (mut from, mut at) = (first, start);
            let (mut to, mut free) = (first, start);
            while at != end {
                let slot = &(*from).slots[offset(at)];
                if slot.written.load(Ordering::Relaxed) {
                    if offset(free) == SLOTS {
                        to = (*to).next.load(Ordering::Relaxed);
                        free = (*to).first;
                    }
                    let item = slot.value.with(|value| (*value).assume_init_read());
                    slot.written.store(false, Ordering::Relaxed);
                    let place = &(*to).slots[offset(free)];
                    place.value.with_mut(|value| (*value).write(item));
                    place.written.store(true, Ordering::Relaxed);
                    free = free.wrapping_add(ONE);
                }
                at = at.wrapping_add(ONE);
                if offset(at) == SLOTS {
                    at = at.wrapping_add(ONE);
                    if at != end {
                        let next = Block::behind(from, last).expect("the places up to the end have blocks");
                        (*from).next.store(next, Ordering::Relaxed);
                        // (Less, if the one between is lost.)
                        end = end.wrapping_sub((*next).first.wrapping_sub(at));
                        (*next).first = at;
                        from = next;
                    }
                }
            }
            // Whoever takes the last place of a block brings the next one; if he has not, that place is not filled.
            if offset(free) == SLOTS {
                to = Block::behind(to, last).expect("a block that is full has one behind it");
                free = free.wrapping_add(ONE);
                (*to).restart(free);
            }
            (*to).next.store(ptr::null_mut(), Ordering::Relaxed);
            for slot in &(&(*first).slots)[..offset(start)] {
                slot.written.store(false, Ordering::Relaxed);
            }
            (*first).emptied.store(offset(start), Ordering::Relaxed);
            self.front.block.store(first, Ordering::Relaxed);
            self.front.at.store(start, Ordering::Relaxed);
            self.back.block.store(to, Ordering::Relaxed);
            self.back.at.store(free | closed, Ordering::Relaxed);
        }
    }
}

impl<T> Block<T> {
    /// The one behind `it`, which may be in its place or not yet; `last` is that of the back.
    ///
    /// # Safety
    /// Both are there.
    unsafe fn behind(it: *mut Self, last: *mut Self) -> Option<*mut Self> {
        // SAFETY: by contract.
        let next = unsafe { (*it).next.load(Ordering::Relaxed) };
        if !next.is_null() {
            return Some(next);
        }
        (it != last).then_some(last)
    }

    /// As a new one, whose places begin with this number.
    fn restart(&mut self, first: usize) {
        self.first = first;
        self.emptied.store(0, Ordering::Relaxed);
        self.next.store(ptr::null_mut(), Ordering::Relaxed);
        self.slots.iter().for_each(|slot| slot.written.store(false, Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::LAP;

    /// What is in it, and that it works as a new one; the numbers that it is given are as many as there are threads that are gone.
    fn is_in_order(mut queue: Queue<Box<usize>>, items: impl IntoIterator<Item = usize>) {
        queue.mend();
        let items: Vec<usize> = items.into_iter().collect();
        assert_eq!(queue.len(), items.len());
        assert!(items.into_iter().all(|item| queue.pop().as_deref() == Some(&item)));
        assert!(queue.is_empty() && queue.pop().is_none());
        for round in 0..5 * LAP {
            queue.push(Box::new(round));
            queue.push(Box::new(round));
            assert_eq!(queue.pop().as_deref(), Some(&(round / 2)), "{round}");
        }
        queue.close();
        assert!(queue.push_open(Box::new(0)).is_err());
        assert!((0..5 * LAP).all(|_| queue.pop().is_some()));
        assert!(queue.pop().is_none());
    }

    fn of(items: std::ops::Range<usize>, lap: usize) -> Queue<Box<usize>> {
        let queue = Queue::with_lap(lap);
        items.for_each(|item| queue.push(Box::new(item)));
        queue
    }

    /// The numbers begin anew with the second lap, or not.
    const LAPS: [usize; 2] = [0, usize::MAX / (LAP * ONE) - 1];

    #[test]
    fn what_others_were_putting_in_or_taking_out_is_not_there() {
        for lap in LAPS {
            for many in [1, 2, SLOTS - 1, SLOTS, SLOTS + 1, 2 * SLOTS, 3 * SLOTS + 7] {
                for taken in 0..=many.min(SLOTS + 2) {
                    // Holes at the front, and at the back.
                    let queue = of(0..many, lap);
                    let claimed: Vec<_> = (0..taken).map(|_| queue.claim(1).unwrap()).collect();
                    let reserved = (0..many % 3).map(|_| queue.reserve(1, &mut None).unwrap());
                    let reserved: Vec<_> = reserved.collect();
                    is_in_order(queue, taken..many);
                    drop((claimed, reserved));
                }
                // One hole, and many behind it.
                let queue = of(0..many, lap);
                queue.reserve(3, &mut None).unwrap();
                (many..many + 50).for_each(|item| queue.push(Box::new(item)));
                is_in_order(queue, 0..many + 50);
            }
        }
    }

    /// Nothing is to be done, and all stays.
    #[test]
    fn what_is_whole_stays() {
        for lap in LAPS {
            for many in 0..3 * LAP {
                is_in_order(of(0..many, lap), 0..many);
                let mut queue = of(0..many, lap);
                queue.close();
                queue.mend();
                assert!(queue.push_open(Box::new(0)).is_err());
                assert!((0..many).all(|item| queue.pop().as_deref() == Some(&item)) && queue.pop().is_none());
            }
        }
    }

    /// One has taken the last place of a block, and has got so far with the next one.
    fn stop_between(queue: &Queue<Box<usize>>, steps: u32) {
        let at = queue.back.at.load(Ordering::Relaxed);
        assert_eq!(offset(at), SLOTS - 1, "the last place is the next one");
        let last = queue.back.block.load(Ordering::Relaxed);
        queue.back.at.store(at + ONE, Ordering::Relaxed);
        let mut next = Block::new();
        next.first = at.wrapping_add(2 * ONE);
        let next = Box::into_raw(next);
        if steps > 0 {
            queue.back.block.store(next, Ordering::Relaxed);
        }
        if steps > 1 {
            queue.back.at.fetch_add(ONE, Ordering::Relaxed);
        }
        if steps > 2 {
            // SAFETY: it is the last one.
            unsafe { (*last).next.store(next, Ordering::Relaxed) };
        }
    }

    #[test]
    fn a_block_that_was_just_put_in_is_in_its_place() {
        for (lap, steps) in LAPS.into_iter().flat_map(|lap| (0..4).map(move |steps| (lap, steps))) {
            for taken in 0..SLOTS {
                for blocks in 0..2 {
                    let many = blocks * SLOTS + SLOTS - 1;
                    let queue = of(0..many, lap);
                    let taken = taken.min(many);
                    (0..taken).for_each(|_| drop(queue.pop()));
                    stop_between(&queue, steps);
                    is_in_order(queue, taken..many);
                }
            }
            // And all that is there has been claimed, the last place too, by one that waits for the block.
            let queue = of(0..SLOTS - 1, lap);
            (0..SLOTS - 1).for_each(|_| drop(queue.pop()));
            stop_between(&queue, steps);
            queue.front.at.fetch_add(ONE, Ordering::Relaxed);
            is_in_order(queue, []);
            if steps < 2 {
                continue;
            }
            // Others have put something in meanwhile.
            for more in 1..SLOTS + 5 {
                let queue = of(0..SLOTS - 1, lap);
                stop_between(&queue, steps);
                (100..100 + more).for_each(|item| queue.push(Box::new(item)));
                // (A block that nobody knows is lost, if it is full.)
                let lost = if steps == 2 && more >= SLOTS { SLOTS } else { 0 };
                is_in_order(queue, (0..SLOTS - 1).chain(100 + lost..100 + more));
            }
        }
    }
}
