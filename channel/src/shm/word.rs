//! The word of a slot: its state, whose it is, and in which lap. One step of an atomic changes all of it.
//!
//! A slot is free for the record of a lap, then full, then taken by a member, then free for the record of the next lap. What was taken
//! and is given back (by its taker, or by the owner when that has died) is full again, and says so. A word that is none of these is
//! nobody's honest work.

/// Bits of a lap's number. After the last lap comes lap 0: all comparisons know that.
const LAP_BITS: u32 = 43;
const LAP_MASK: u64 = (1 << LAP_BITS) - 1;
const LAP_AT: u32 = 64 - LAP_BITS;
const GENERATION_AT: u32 = 9;
const INDEX_AT: u32 = 3;
const AGAIN: u64 = 1 << 2;
const STATE: u64 = 3;
const FREE: u64 = 0;
const FULL: u64 = 1;
const TAKEN: u64 = 2;

/// Numbers of members.
pub(crate) const MOST_MEMBERS: usize = 1 << (GENERATION_AT - INDEX_AT);
/// Numbers of those who have had a place one after the other; they begin again from 0.
pub(crate) const GENERATIONS: u16 = 1 << (LAP_AT - GENERATION_AT);
/// The first lap. (The number wraps soon, so that whatever runs goes through that.)
pub(crate) const FIRST_LAP: u64 = LAP_MASK - 1;

/// A place in the queue, and who has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) index: usize,
    pub(crate) generation: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    Full { again: bool },
    Taken { again: bool, by: Member },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) lap: u64,
    pub(crate) state: State,
}

impl Word {
    pub(crate) fn free(lap: u64) -> Self {
        Word { lap: lap & LAP_MASK, state: State::Free }
    }

    pub(crate) fn pack(self) -> u64 {
        let flag = |again: bool| if again { AGAIN } else { 0 };
        let state = match self.state {
            State::Free => FREE,
            State::Full { again } => FULL | flag(again),
            State::Taken { again, by } => {
                TAKEN
                    | flag(again)
                    | (by.index as u64) << INDEX_AT
                    | u64::from(by.generation) << GENERATION_AT
            }
        };
        self.lap << LAP_AT | state
    }

    /// `None`: nobody honest has written that.
    pub(crate) fn unpack(raw: u64) -> Option<Self> {
        let again = raw & AGAIN != 0;
        let index = (raw >> INDEX_AT) as usize % MOST_MEMBERS;
        let generation = (raw >> GENERATION_AT) as u16 % GENERATIONS;
        let state = match raw & STATE {
            FREE => State::Free,
            FULL => State::Full { again },
            TAKEN => State::Taken { again, by: Member { index, generation } },
            _ => return None,
        };
        let word = Word { lap: raw >> LAP_AT, state };
        (word.pack() == raw).then_some(word)
    }
}

/// How records of a lane are numbered: the slot is in the lower bits, the lap above.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    slot_bits: u32,
}

impl Numbers {
    /// `slots` is a power of two.
    pub(crate) fn new(slots: usize) -> Self {
        Numbers { slot_bits: slots.trailing_zeros() }
    }

    pub(crate) fn slots(self) -> usize {
        1 << self.slot_bits
    }

    pub(crate) fn slot(self, number: u64) -> usize {
        number as usize & (self.slots() - 1)
    }

    pub(crate) fn lap(self, number: u64) -> u64 {
        (number >> self.slot_bits) & LAP_MASK
    }

    /// The record that lies in this slot, or lay there last.
    pub(crate) fn used(self, slot: usize, word: Word) -> u64 {
        let lap = if word.state == State::Free { word.lap.wrapping_sub(1) } else { word.lap };
        ((lap & LAP_MASK) << self.slot_bits) | slot as u64
    }

    pub(crate) fn after(self, number: u64, by: i64) -> u64 {
        let bits = LAP_BITS + self.slot_bits;
        number.wrapping_add_signed(by) & (u64::MAX >> (64 - bits))
    }

    /// How far `number` is behind `from`, in the order of posting; negative: before it.
    pub(crate) fn distance(self, from: u64, number: u64) -> i64 {
        let unused = 64 - LAP_BITS - self.slot_bits;
        (number.wrapping_sub(from) << unused) as i64 >> unused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_what_was_packed_or_nothing() {
        let by = Member { index: MOST_MEMBERS - 1, generation: GENERATIONS - 1 };
        for again in [false, true] {
            for state in [State::Free, State::Full { again }, State::Taken { again, by }] {
                for lap in [0, 1, FIRST_LAP, LAP_MASK] {
                    let word = Word { lap, state };
                    assert_eq!(Word::unpack(word.pack()), Some(word));
                }
            }
        }
        let full = Word { lap: 7, state: State::Full { again: false } }.pack();
        for bad in [3, full | 1 << INDEX_AT, full | 1 << GENERATION_AT, FREE | AGAIN] {
            assert_eq!(Word::unpack(bad), None, "{bad:x}");
        }
    }

    #[test]
    fn numbers_go_on_behind_the_last_lap() {
        for slots in [2, 64, 1 << 20] {
            let numbers = Numbers::new(slots);
            let first = numbers.after(numbers.used(0, Word::free(FIRST_LAP)), slots as i64);
            assert_eq!((numbers.lap(first), numbers.slot(first)), (FIRST_LAP, 0));
            let far = numbers.after(first, 2 * slots as i64 + 1);
            assert_eq!((numbers.lap(far), numbers.slot(far)), (0, 1));
            assert_eq!(numbers.distance(first, far), 2 * slots as i64 + 1);
            assert_eq!(numbers.distance(far, first), -(2 * slots as i64 + 1));
            assert_eq!(numbers.after(far, -numbers.distance(first, far)), first);
        }
    }
}
