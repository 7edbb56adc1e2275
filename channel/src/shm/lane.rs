//! The protocol of a lane: one poster puts records into its slots in turn, many readers take them, whoever dies.
//!
//! Each step is one change of one word, so that whoever is killed has made it or has not:
//!
//! | step | word | who |
//! | --- | --- | --- |
//! | post | free for lap n → full | the lane's poster, when the record's bytes are written |
//! | take | full → taken by me | a reader, which then copies the bytes |
//! | release | taken by me → free for lap n + 1 | that reader |
//! | give back | taken by it → full, again | that reader, or the owner of the queue when it has died |
//!
//! So the bytes of a slot are written by one and read by one at a time. Where the next record goes is known to the poster alone; a new
//! poster of a lane finds it by the words. Each reader has a cursor of its own in each lane: what is before it is not to be taken by this
//! reader, unless it is given back. The lane counts that, and a reader that sees the count changed begins again at the front.
//!
//! Who finds nothing says that he sleeps ([`Memory::sleepers`], a bit for each member), and looks once more. Who has changed a word looks
//! afterwards who sleeps, takes the bit away and rings that member's bell. One who is killed between the two rings nobody: the owner, who
//! notices each death, rings them all.
//!
//! What other processes write here may be anything. Each loop has its bound, and each word is checked.

use super::word::{FIRST_LAP, MOST_MEMBERS, Member, Numbers, State, Word};
use crate::sync::{AtomicU64, Ordering, fence};

/// The words, wherever they lie.
pub(crate) trait Memory {
    fn lanes(&self) -> usize;
    fn numbers(&self) -> Numbers;
    fn word(&self, lane: usize, slot: usize) -> &AtomicU64;
    /// Counts what was given back in a lane.
    fn returns(&self, lane: usize) -> &AtomicU64;
    fn sleepers(&self) -> &AtomicU64;
}

/// A word is what no member can have made of it: one of the processes writes what it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// A record that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) lane: usize,
    pub(crate) number: u64,
    pub(crate) again: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Taken(Held),
    Nothing,
    /// Others change more than can be followed: to be looked at again.
    Busy,
}

/// Before anybody has a place.
pub(crate) fn clear(memory: &impl Memory) {
    for lane in 0..memory.lanes() {
        for slot in 0..memory.numbers().slots() {
            memory.word(lane, slot).store(Word::free(FIRST_LAP).pack(), Ordering::Relaxed);
        }
    }
}

fn load(memory: &impl Memory, lane: usize, slot: usize) -> Result<Word, Corrupt> {
    Word::unpack(memory.word(lane, slot).load(Ordering::Acquire)).ok_or(Corrupt)
}

fn change(memory: &impl Memory, lane: usize, slot: usize, from: Word, to: Word) -> bool {
    let word = memory.word(lane, slot);
    word.compare_exchange(from.pack(), to.pack(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// The newest record that any of these words speaks of.
fn newest(memory: &impl Memory, lane: usize) -> Result<u64, Corrupt> {
    let numbers = memory.numbers();
    let mut newest = numbers.used(0, load(memory, lane, 0)?);
    for slot in 1..numbers.slots() {
        let used = numbers.used(slot, load(memory, lane, slot)?);
        if numbers.distance(newest, used) > 0 {
            newest = used;
        }
    }
    Ok(newest)
}

/// The poster's end of a lane.
#[derive(Debug)]
pub(crate) struct Tail {
    lane: usize,
    next: u64,
}

impl Tail {
    /// Where the lane's last poster has left it.
    pub(crate) fn find(memory: &impl Memory, lane: usize) -> Result<Tail, Corrupt> {
        let numbers = memory.numbers();
        let newest = newest(memory, lane)?;
        for slot in 0..numbers.slots() {
            let age = numbers.distance(numbers.used(slot, load(memory, lane, slot)?), newest);
            if !(0..numbers.slots() as i64).contains(&age) {
                return Err(Corrupt);
            }
        }
        Ok(Tail { lane, next: numbers.after(newest, 1) })
    }

    /// The number of the next record.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether there is room. Then the bytes of the slot are the poster's until it publishes.
    pub(crate) fn has_room(&self, memory: &impl Memory) -> Result<bool, Corrupt> {
        let numbers = memory.numbers();
        let word = load(memory, self.lane, numbers.slot(self.next))?;
        if word == Word::free(numbers.lap(self.next)) {
            return Ok(true);
        }
        let is_before = numbers.used(numbers.slot(self.next), word)
            == numbers.after(self.next, -(numbers.slots() as i64))
            && word.state != State::Free;
        if is_before { Ok(false) } else { Err(Corrupt) }
    }

    /// The bytes are written.
    pub(crate) fn publish(&mut self, memory: &impl Memory) -> Result<(), Corrupt> {
        let numbers = memory.numbers();
        let free = Word::free(numbers.lap(self.next));
        let full = Word { state: State::Full { again: false }, ..free };
        if !change(memory, self.lane, numbers.slot(self.next), free, full) {
            return Err(Corrupt);
        }
        self.next = numbers.after(self.next, 1);
        Ok(())
    }
}

/// Where a reader is in a lane.
#[derive(Debug)]
pub(crate) struct Cursor {
    lane: usize,
    next: u64,
    /// The count of what was given back, when it began at the front. `None`: it has not begun.
    returns: Option<u64>,
}

impl Cursor {
    pub(crate) fn new(lane: usize) -> Self {
        Cursor { lane, next: 0, returns: None }
    }

    fn begin_again(&mut self, memory: &impl Memory) -> Result<(), Corrupt> {
        let returns = memory.returns(self.lane).load(Ordering::Acquire);
        if self.returns != Some(returns) {
            // What is older than that has been released, for newer ones lie in its slots.
            let numbers = memory.numbers();
            self.next = numbers.after(newest(memory, self.lane)?, 1 - numbers.slots() as i64);
            self.returns = Some(returns);
        }
        Ok(())
    }

    /// Takes the oldest record that is full.
    pub(crate) fn take(&mut self, memory: &impl Memory, me: Member) -> Result<Look, Corrupt> {
        self.begin_again(memory)?;
        let numbers = memory.numbers();
        for _ in 0..4 * numbers.slots() + 64 {
            let slot = numbers.slot(self.next);
            let word = load(memory, self.lane, slot)?;
            let used = numbers.used(slot, word);
            match (numbers.distance(self.next, used), word.state) {
                (0, State::Full { again }) => {
                    let taken = Word { state: State::Taken { again, by: me }, ..word };
                    // (Else somebody was faster, or something was given back: it is looked at again.)
                    if change(memory, self.lane, slot, word, taken) {
                        let held = Held { lane: self.lane, number: self.next, again };
                        self.next = numbers.after(self.next, 1);
                        return Ok(Look::Taken(held));
                    }
                }
                (0, _) => self.next = numbers.after(self.next, 1),
                // It is of a later lap: what lies this far back has been released.
                (1.., _) => self.next = numbers.after(used, 1 - numbers.slots() as i64),
                // Nothing has been posted here yet.
                _ => return Ok(Look::Nothing),
            }
        }
        Ok(Look::Busy)
    }
}

fn taken_word(memory: &impl Memory, held: Held, me: Member) -> Word {
    Word { lap: memory.numbers().lap(held.number), state: State::Taken { again: held.again, by: me } }
}

/// What was taken will not come again, and its slot is free.
pub(crate) fn release(memory: &impl Memory, held: Held, me: Member) -> Result<(), Corrupt> {
    let taken = taken_word(memory, held, me);
    let free = Word::free(taken.lap.wrapping_add(1));
    let slot = memory.numbers().slot(held.number);
    if change(memory, held.lane, slot, taken, free) { Ok(()) } else { Err(Corrupt) }
}

/// What was taken comes again. (Called is to be one who sleeps.)
pub(crate) fn give_back(memory: &impl Memory, held: Held, me: Member) -> Result<(), Corrupt> {
    let taken = taken_word(memory, held, me);
    let full = Word { state: State::Full { again: true }, ..taken };
    let done = change(memory, held.lane, memory.numbers().slot(held.number), taken, full);
    memory.returns(held.lane).fetch_add(1, Ordering::Release);
    if done { Ok(()) } else { Err(Corrupt) }
}

/// Whether this is (still) the word of a record that the member has taken.
pub(crate) fn is_taken(memory: &impl Memory, lane: usize, number: u64, by: Member) -> bool {
    let numbers = memory.numbers();
    let word = load(memory, lane, numbers.slot(number)).ok().filter(|word| word.lap == numbers.lap(number));
    matches!(word, Some(Word { state: State::Taken { by: taker, .. }, .. }) if taker == by)
}

/// Whether this record was posted, and not released yet.
pub(crate) fn is_there(memory: &impl Memory, lane: usize, number: u64) -> bool {
    let numbers = memory.numbers();
    let word = load(memory, lane, numbers.slot(number)).ok().filter(|word| word.lap == numbers.lap(number));
    word.is_some_and(|word| word.state != State::Free)
}

/// Whether this record was released.
pub(crate) fn is_over(memory: &impl Memory, lane: usize, number: u64) -> bool {
    let numbers = memory.numbers();
    let slot = numbers.slot(number);
    load(memory, lane, slot).is_ok_and(|word| {
        let later = numbers.distance(number, numbers.used(slot, word));
        later > 0 || later == 0 && word.state == State::Free
    })
}

/// The member with this number is gone: what it had taken comes again. By the owner alone, who then [calls](wake_all) all, and gives the
/// place to nobody before. Whatever the member was about to do is done, or comes to nothing.
pub(crate) fn recover(memory: &impl Memory, index: usize) {
    for lane in 0..memory.lanes() {
        for slot in 0..memory.numbers().slots() {
            let Ok(word) = load(memory, lane, slot) else { continue };
            if let State::Taken { by, .. } = word.state
                && by.index == index
            {
                let full = Word { state: State::Full { again: true }, ..word };
                // (What somebody alive changes meanwhile was not the dead one's.)
                change(memory, lane, slot, word, full);
            }
        }
        // Also if nothing was found: it may have died when it had given back, and not counted that.
        memory.returns(lane).fetch_add(1, Ordering::Release);
    }
}

/// From now on the member is rung for. It has to look once more before it sleeps.
pub(crate) fn fall_asleep(memory: &impl Memory, index: usize) {
    memory.sleepers().fetch_or(1 << index, Ordering::Relaxed);
    fence(Ordering::SeqCst);
}

/// It is not rung for any more. True: it has been.
pub(crate) fn wake_up(memory: &impl Memory, index: usize) -> bool {
    memory.sleepers().fetch_and(!(1 << index), Ordering::Relaxed) & 1 << index == 0
}

/// After a change: one of these (bits) who sleep, to be rung for.
pub(crate) fn call_one(memory: &impl Memory, of: u64) -> Option<usize> {
    fence(Ordering::SeqCst);
    let mut last = None;
    for _ in 0..MOST_MEMBERS {
        let asleep = memory.sleepers().load(Ordering::Relaxed) & of;
        if asleep == 0 {
            return None;
        }
        let index = asleep.trailing_zeros() as usize;
        if !wake_up(memory, index) {
            return Some(index);
        }
        last = Some(index);
    }
    // Others call as fast. One who is rung for in vain looks, and sleeps again.
    last
}

/// Nobody counts as asleep: all are to be rung for.
pub(crate) fn wake_all(memory: &impl Memory) {
    memory.sleepers().swap(0, Ordering::AcqRel);
}
