//! The protocol of a lane in shared memory, model-checked by loom, with a member that is killed before any step of its own: what it had
//! taken comes again, nothing is lost or comes twice without saying so, nobody sleeps beside a record.
#![cfg(loom)]
#![allow(dead_code)]

#[path = "../src/shm"]
mod shm {
    pub(crate) mod lane;
    pub(crate) mod word;
}

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use loom::thread;
use shm::lane::{self, Cursor, Held, Look, Memory, Tail};
use shm::word::{Member, Numbers};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const SLOTS: usize = 2;
const POSTER: Member = Member { index: 0, generation: 0 };
const ONE: Member = Member { index: 1, generation: 0 };
const OTHER: Member = Member { index: 2, generation: 0 };
const READERS: u64 = 0b110;

struct Lane {
    words: [AtomicU64; SLOTS],
    returns: AtomicU64,
    sleepers: AtomicU64,
    /// What was posted. (In the memory that is bytes; here loom sees it if two use it at once.)
    records: [UnsafeCell<u64>; SLOTS],
    /// Rings, of each member.
    bells: [AtomicUsize; 3],
}

loom::thread_local! {
    /// Steps that this thread has left, if it is to be killed.
    static LEFT: Cell<Option<usize>> = Cell::new(None);
}

struct Killed;

/// Before each access to the memory.
fn step() {
    LEFT.with(|steps| {
        if let Some(left) = steps.get() {
            if left == 0 {
                // (No words.)
                resume_unwind(Box::new(Killed));
            }
            steps.set(Some(left - 1));
        }
    });
}

/// Runs `f`, which is killed before its step of this number. `None`: it was.
fn killed_after<R>(steps: usize, f: impl FnOnce() -> R) -> Option<R> {
    LEFT.with(|left| left.set(Some(steps)));
    let done = catch_unwind(AssertUnwindSafe(f));
    LEFT.with(|left| left.set(None));
    match done {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<Killed>() => None,
        Err(panic) => resume_unwind(panic),
    }
}

impl Memory for Lane {
    fn lanes(&self) -> usize {
        1
    }

    fn numbers(&self) -> Numbers {
        Numbers::new(SLOTS)
    }

    fn word(&self, _lane: usize, slot: usize) -> &AtomicU64 {
        step();
        &self.words[slot]
    }

    fn returns(&self, _lane: usize) -> &AtomicU64 {
        step();
        &self.returns
    }

    fn sleepers(&self) -> &AtomicU64 {
        step();
        &self.sleepers
    }
}

impl Lane {
    fn new() -> Arc<Self> {
        let lane = Lane {
            words: [(); SLOTS].map(|()| AtomicU64::new(0)),
            returns: AtomicU64::new(0),
            sleepers: AtomicU64::new(0),
            records: [(); SLOTS].map(|()| UnsafeCell::new(0)),
            bells: [(); 3].map(|()| AtomicUsize::new(0)),
        };
        lane::clear(&lane);
        Arc::new(lane)
    }

    fn ring(&self, index: usize) {
        step();
        self.bells[index].fetch_add(1, Ordering::Relaxed);
    }

    fn call_one(&self, of: u64) {
        if let Some(index) = lane::call_one(self, of) {
            self.ring(index);
        }
    }

    fn post(&self, tail: &mut Tail, value: u64) -> bool {
        if !tail.has_room(self).unwrap() {
            return false;
        }
        let slot = self.numbers().slot(tail.next());
        self.records[slot].with_mut(|record| unsafe { *record = value });
        tail.publish(self).unwrap();
        self.call_one(READERS);
        true
    }

    fn take(&self, cursor: &mut Cursor, me: Member) -> Option<(Held, u64)> {
        match cursor.take(self, me).unwrap() {
            Look::Taken(held) => {
                let slot = self.numbers().slot(held.number);
                Some((held, self.records[slot].with(|record| unsafe { *record })))
            }
            Look::Nothing => None,
            Look::Busy => panic!("it has to be enough for so few"),
        }
    }

    fn release(&self, held: Held, me: Member) {
        lane::release(self, held, me).unwrap();
        self.call_one(1 << POSTER.index);
    }

    /// As the owner does.
    fn is_dead(&self, index: usize) {
        lane::recover(self, index);
        lane::wake_all(self);
        (0..3).for_each(|index| self.ring(index));
    }

    /// `None`: it sleeps until its bell rings.
    fn take_or_sleep(&self, cursor: &mut Cursor, me: Member) -> Option<(Held, u64)> {
        if let Some(taken) = self.take(cursor, me) {
            return Some(taken);
        }
        lane::fall_asleep(self, me.index);
        if let Some(taken) = self.take(cursor, me) {
            return Some(taken);
        }
        None
    }
}

fn model(preemptions: usize, f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(f);
}

/// All that is there for a reader, released.
fn rest(lane: &Lane, cursor: &mut Cursor, me: Member) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    while let Some((held, value)) = lane.take(cursor, me) {
        lane.release(held, me);
        all.push((value, held.again));
    }
    all
}

/// Takes up to two, one after the other, and releases each.
fn take_two(lane: &Lane, me: Member) -> Vec<u64> {
    let mut cursor = Cursor::new(0);
    let mut taken = Vec::new();
    for _ in 0..2 {
        if let Some((held, value)) = lane.take(&mut cursor, me) {
            lane.release(held, me);
            taken.push(value);
        }
        thread::yield_now();
    }
    taken
}

#[test]
fn what_is_posted_is_taken_once_in_order_while_others_take_and_room_comes_again() {
    model(2, || {
        let lane = Lane::new();
        let mut tail = Tail::find(&*lane, 0).unwrap();
        assert!(lane.post(&mut tail, 0));
        let theirs = lane.clone();
        let poster = thread::spawn(move || {
            assert!(theirs.post(&mut tail, 1));
            thread::yield_now();
            2 + u64::from(theirs.post(&mut tail, 2))
        });
        let theirs = lane.clone();
        let other = thread::spawn(move || take_two(&theirs, OTHER));
        let mine = take_two(&lane, ONE);
        let posted = poster.join().unwrap();
        let theirs = other.join().unwrap();
        let left = rest(&lane, &mut Cursor::new(0), ONE);
        let left: Vec<_> =
            left.into_iter().map(|(value, again)| (!again).then_some(value).unwrap()).collect();
        assert!(mine.is_sorted() && theirs.is_sorted() && left.is_sorted());
        let mut all = [mine, theirs, left].concat();
        all.sort_unstable();
        assert!(all.iter().copied().eq(0..posted), "{all:?} of {posted}");
        // The next poster finds where this one was.
        let tail = Tail::find(&*lane, 0).unwrap();
        let first = Tail::find(&*Lane::new(), 0).unwrap();
        assert_eq!(lane.numbers().distance(first.next(), tail.next()), posted as i64);
    });
}

/// Whatever the step before which it is killed, and whatever the poster does meanwhile.
#[test]
fn what_a_reader_had_taken_that_is_killed_comes_again() {
    for steps in 0..24 {
        model(4, move || {
            let lane = Lane::new();
            let mut tail = Tail::find(&*lane, 0).unwrap();
            assert!(lane.post(&mut tail, 0));
            let theirs = lane.clone();
            let dies = thread::spawn(move || {
                let (taken, released) = (Cell::new(None), Cell::new(false));
                killed_after(steps, || {
                    let mut cursor = Cursor::new(0);
                    if let Some((held, value)) = theirs.take_or_sleep(&mut cursor, OTHER) {
                        taken.set(Some(value));
                        if lane::release(&*theirs, held, OTHER).is_ok() {
                            released.set(true);
                        }
                        theirs.call_one(1);
                    }
                });
                (taken.get(), released.get())
            });
            assert!(lane.post(&mut tail, 1));
            let (taken, released) = dies.join().unwrap();
            lane.is_dead(OTHER.index);
            let mut cursor = Cursor::new(0);
            let left = rest(&lane, &mut cursor, ONE);
            match (taken, released) {
                (Some(0), true) => assert_eq!(left, [(1, false)]),
                (Some(0), false) => assert_eq!(left, [(0, true), (1, false)]),
                // Killed between the take and the copy.
                (None, _) => assert!(left == [(0, false), (1, false)] || left == [(0, true), (1, false)]),
                other => panic!("{other:?}, {left:?}"),
            }
            // There is room for as many as before.
            assert!((2..4).all(|n| lane.post(&mut tail, n)) && !lane.post(&mut tail, 9));
            assert_eq!(rest(&lane, &mut cursor, ONE), [(2, false), (3, false)]);
        });
    }
}

/// A reader that gives back, or is killed meanwhile, beside one that takes and falls asleep: nobody sleeps beside a record.
#[test]
fn nobody_sleeps_beside_what_was_posted_or_given_back_by_one_who_is_killed() {
    for steps in 0..16 {
        model(4, move || {
            let lane = Lane::new();
            let mut tail = Tail::find(&*lane, 0).unwrap();
            assert!(lane.post(&mut tail, 7));
            let (held, _) = lane.take(&mut Cursor::new(0), OTHER).unwrap();
            let theirs = lane.clone();
            let dies = thread::spawn(move || {
                let whole = killed_after(steps, || {
                    lane::give_back(&*theirs, held, OTHER).unwrap();
                    theirs.call_one(READERS);
                });
                if whole.is_none() {
                    theirs.is_dead(OTHER.index);
                }
            });
            let mut cursor = Cursor::new(0);
            let mut taken = lane.take_or_sleep(&mut cursor, ONE);
            dies.join().unwrap();
            if taken.is_none() {
                assert!(lane.bells[ONE.index].load(Ordering::Relaxed) > 0, "it sleeps for ever");
                taken = lane.take(&mut cursor, ONE);
            }
            let (held, value) = taken.expect("it was called for this");
            assert!(held.again && value == 7);
        });
    }
}

#[test]
fn nobody_sleeps_beside_what_a_poster_has_posted_that_is_killed() {
    for steps in 0..12 {
        model(5, move || {
            let lane = Lane::new();
            let theirs = lane.clone();
            let dies = thread::spawn(move || {
                let whole = killed_after(steps, || {
                    let mut tail = Tail::find(&*theirs, 0).unwrap();
                    assert!(theirs.post(&mut tail, 0));
                });
                if whole.is_none() {
                    theirs.is_dead(POSTER.index);
                }
            });
            let mut cursor = Cursor::new(0);
            let mut taken = lane.take_or_sleep(&mut cursor, ONE);
            dies.join().unwrap();
            if taken.is_none() && lane.bells[ONE.index].load(Ordering::Relaxed) > 0 {
                taken = lane.take(&mut cursor, ONE);
            }
            // It was posted, or it was not: the next poster's is the only one, or the second.
            let mut tail = Tail::find(&*lane, 0).unwrap();
            assert!(lane.post(&mut tail, 1));
            let left = rest(&lane, &mut cursor, ONE);
            assert!(left == [(1, false)], "{left:?}: it slept beside a record");
            assert!(taken.is_none_or(|(_, value)| value == 0));
        });
    }
}

#[test]
fn a_poster_that_waits_for_room_hears_of_it() {
    model(5, || {
        let lane = Lane::new();
        let mut tail = Tail::find(&*lane, 0).unwrap();
        assert!(lane.post(&mut tail, 0) && lane.post(&mut tail, 1));
        let theirs = lane.clone();
        let reader = thread::spawn(move || {
            let (held, _) = theirs.take(&mut Cursor::new(0), ONE).unwrap();
            theirs.release(held, ONE);
        });
        let mut posted = lane.post(&mut tail, 2);
        if !posted {
            lane::fall_asleep(&*lane, POSTER.index);
            posted = lane.post(&mut tail, 2);
        }
        reader.join().unwrap();
        assert!(posted || lane.bells[POSTER.index].load(Ordering::Relaxed) > 0, "it sleeps for ever");
        assert!(posted || lane.post(&mut tail, 2));
    });
}

/// Whoever has changed something calls somebody, and not one whom another one has called meanwhile.
#[test]
fn two_who_call_ring_for_two_who_sleep() {
    model(4, || {
        let lane = Lane::new();
        [ONE, OTHER].iter().for_each(|member| lane::fall_asleep(&*lane, member.index));
        let theirs = lane.clone();
        let calls = thread::spawn(move || theirs.call_one(READERS));
        lane.call_one(READERS);
        calls.join().unwrap();
        let rung = [ONE, OTHER].map(|member| lane.bells[member.index].load(Ordering::Relaxed));
        assert_eq!(rung, [1, 1]);
    });
}
