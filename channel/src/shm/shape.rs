//! How large a queue is, and where in its memory everything lies.

use super::word::{MOST_MEMBERS, Member, Numbers};
use std::io;

/// How large a queue is: what [`Queue::create`](super::Queue::create) needs to know.
///
/// ```
/// use ec_channel::shm::Shape;
/// let shape = Shape { readers: 4, ..Shape::default() };
/// assert_eq!((shape.posters, shape.slots, shape.bytes), (1, 256, 256));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many posters there may be at a time. Each has room of its own.
    pub posters: usize,
    /// How many readers there may be at a time. Posters and readers are 64 together, at most.
    pub readers: usize,
    /// Room of each poster: so many records that are not released yet; a power of two, from 2 to 65,536.
    pub slots: usize,
    /// The bytes that a record can have, at most: up to 1 MiB. (The memory is taken when the queue is created.)
    pub bytes: usize,
}

/// One poster, one reader, 256 records of up to 256 bytes.
impl Default for Shape {
    fn default() -> Self {
        Shape { posters: 1, readers: 1, slots: 256, bytes: 256 }
    }
}

/// Bytes of a cache's line: what different members write lies in different ones.
const LINE: usize = 64;
/// The numbers of a record, before its bytes.
pub(crate) const NUMBERS_OF_A_RECORD: usize = 3;
const WORD: usize = size_of::<u64>();
const MOST_MEMORY: usize = 1 << 32;

/// Where it lies: the sleepers' word and those that concern the whole queue, of each lane the count of what was given back, all slots' words, all slots' records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    /// Words of a record.
    stride: usize,
    words_at: usize,
    records_at: usize,
    pub(crate) size: usize,
}

impl Layout {
    /// An error of `InvalidInput` says what it is that cannot be. (The numbers may be those of a hostile process.)
    pub(crate) fn new(shape: Shape) -> io::Result<Self> {
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let Shape { posters, readers, slots, bytes } = shape;
        if posters < 1 || readers < 1 || posters > MOST_MEMBERS || readers > MOST_MEMBERS - posters {
            return wrong(
                "a queue in shared memory has at least one poster and one reader, and at most 64 of both",
            );
        }
        if !slots.is_power_of_two() || !(2..=1 << 16).contains(&slots) {
            return wrong("the slots of a queue in shared memory are a power of two from 2 to 65,536");
        }
        if bytes > 1 << 20 {
            return wrong("a record of a queue in shared memory has at most 1 MiB");
        }
        let stride = (NUMBERS_OF_A_RECORD * WORD + bytes).next_multiple_of(LINE);
        let words_at = LINE + posters * LINE;
        let records_at = (words_at + posters * slots * WORD).next_multiple_of(LINE);
        // (At most 2^6 · 2^16 · 2^21.)
        let size = records_at as u64 + posters as u64 * slots as u64 * stride as u64;
        match usize::try_from(size) {
            Ok(size) if size <= MOST_MEMORY => Ok(Layout { shape, stride, words_at, records_at, size }),
            _ => wrong("a queue in shared memory has at most 4 GiB"),
        }
    }

    pub(crate) fn numbers(&self) -> Numbers {
        Numbers::new(self.shape.slots)
    }

    pub(crate) fn members(&self) -> usize {
        self.shape.posters + self.shape.readers
    }

    /// The readers' bits in the sleepers' word. (The posters are the lower ones, each with the number of its lane.)
    pub(crate) fn readers(&self) -> u64 {
        let lowest = |n: usize| if n == 64 { u64::MAX } else { (1 << n) - 1 };
        lowest(self.members()) & !lowest(self.shape.posters)
    }

    pub(crate) fn is_of(&self, member: Member, reads: bool) -> bool {
        member.index < self.members() && (member.index >= self.shape.posters) == reads
    }

    /// Behind the sleepers' word: it is seldom written to.
    pub(crate) const UNSAID_AT: usize = WORD;
    pub(crate) const ENDED_AT: usize = 2 * WORD;

    pub(crate) fn returns_at(&self, lane: usize) -> usize {
        LINE + lane * LINE
    }

    fn nth(&self, lane: usize, slot: usize) -> usize {
        debug_assert!(lane < self.shape.posters && slot < self.shape.slots);
        lane * self.shape.slots + slot
    }

    pub(crate) fn word_at(&self, lane: usize, slot: usize) -> usize {
        self.words_at + self.nth(lane, slot) * WORD
    }

    pub(crate) fn record_at(&self, lane: usize, slot: usize) -> usize {
        self.records_at + self.nth(lane, slot) * self.stride
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_a_place_of_its_own_inside() {
        for (posters, readers, slots, bytes) in [(1, 1, 2, 0), (3, 5, 8, 1), (63, 1, 2, 100), (1, 63, 16, 8)]
        {
            let layout = Layout::new(Shape { posters, readers, slots, bytes }).unwrap();
            let record = NUMBERS_OF_A_RECORD * WORD + bytes.next_multiple_of(WORD);
            let mut places = vec![(0, WORD)];
            for lane in 0..posters {
                places.push((layout.returns_at(lane), WORD));
                for slot in 0..slots {
                    places.push((layout.word_at(lane, slot), WORD));
                    places.push((layout.record_at(lane, slot), record));
                }
            }
            places.sort_unstable();
            assert!(places.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0 && two[1].0 % WORD == 0));
            let (at, long) = places[places.len() - 1];
            assert!(at + long <= layout.size);
            assert_eq!(layout.readers().count_ones() as usize, readers);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let fine = Shape::default();
        let bad = [
            Shape { posters: 0, ..fine },
            Shape { readers: 0, ..fine },
            Shape { posters: 64, ..fine },
            Shape { readers: usize::MAX, ..fine },
            Shape { slots: 0, ..fine },
            Shape { slots: 3, ..fine },
            Shape { slots: 1 << 17, ..fine },
            Shape { bytes: usize::MAX, ..fine },
            Shape { posters: 8, slots: 1 << 16, bytes: 1 << 20, ..fine },
        ];
        for shape in bad {
            let error = Layout::new(shape).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{shape:?}: {error}");
        }
    }
}
