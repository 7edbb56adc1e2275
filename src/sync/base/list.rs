//! The list of [`Waiters`](super::waiters::Waiters), and the places in it.
//!
//! This file has `unsafe` in it: the list.

#![allow(unsafe_code)]

use super::face::{
    Arc, AtomicU8, AtomicU32, Forked, Instant, Look, MutexGuard, Ordering, Sleeper, Stop,
    has_waited_for_long, some_may_be_gone,
};
use super::first::{Claim, One};
use super::waiters::{How, Wake};
use std::cell::Cell;
use std::ptr;

/// Used under the lock. The places in it are those of frames of `wait` that have not been left.
pub(super) struct List {
    first: *const Place,
    last: *const Place,
    /// How many have come.
    came: u64,
    // In line: those before this one have their turn, and want so much together.
    pub(super) next: *const Place,
    pub(super) promised: usize,
    /// See [`Locked::has_begun`].
    begun: Option<Instant>,
    /// See [`Locked::awaits_from_now`].
    awaited: Option<Instant>,
    /// See [`Locked::was_late`].
    late: bool,
}

pub(super) const NOBODY: List = List {
    first: ptr::null(),
    last: ptr::null(),
    came: 0,
    next: ptr::null(),
    promised: 0,
    begun: None,
    awaited: None,
    late: false,
};

/// In a forked child: those in it are of the parent, and their stacks may be others' by now.
impl Forked for List {
    fn left_half() -> Self {
        NOBODY
    }

    fn left_whole(&mut self) {
        // (Who has come is counted on: others remember a number of it.)
        *self = List { came: self.came, ..NOBODY };
    }
}

// SAFETY: the places belong to whoever has the lock.
unsafe impl Send for List {}

/// Where a waiter stands.
pub(crate) struct Place {
    pub(super) sleeper: Sleeper,
    /// [`NOT_TOLD`] and so on. Written under the lock.
    pub(super) told: AtomicU8,
    pub(super) wants: usize,
    since: Option<Instant>,
    // Of whoever has the lock, from here on.
    pub(super) promised: Cell<usize>,
    before: Cell<*const Place>,
    pub(super) behind: Cell<*const Place>,
    pub(super) came: Cell<u64>,
    key: u64,
    /// It is one of several, and this is the claim that one of them wins.
    claim: Option<(Arc<Claim>, usize)>,
}

/// So many in front are looked at under the lock.
const FROM_THE_FRONT: usize = 256;

const NOT_TOLD: u8 = 0;
/// And not in the list any more. Nobody but its waiter uses the place from here on.
const TAKEN_OUT: u8 = 1;
/// And still in the list.
pub(super) const HAS_TURN: u8 = 2;
/// Taken out as one that is gone, or that goes.
pub(super) const PASSED_OVER: u8 = 3;

impl Place {
    pub(super) fn new(how: &How) -> Place {
        // SAFETY: such a place lies in the frame of its waiter, and others use it under the list's lock, as long as it is in the list.
        Place::by(how, unsafe { Sleeper::in_frame() }, None)
    }

    /// Of one that waits for several things.
    pub(super) fn of(how: &How, one: One) -> Place {
        Place::by(how, one.sleeper, one.claim)
    }

    fn by(how: &How, sleeper: Sleeper, claim: Option<(Arc<Claim>, usize)>) -> Place {
        Place {
            sleeper,
            told: AtomicU8::new(NOT_TOLD),
            wants: how.wants,
            since: how.since,
            promised: Cell::new(0),
            before: Cell::new(ptr::null()),
            behind: Cell::new(ptr::null()),
            came: Cell::new(0),
            key: how.key,
            claim,
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire) != NOT_TOLD
    }

    /// No other place in this list ever has this one. (For who has the lock, and for the waiter, when it is in the list or has been.)
    pub(crate) fn number(&self) -> u64 {
        self.came.get()
    }

    /// May it be handed something, which it takes then?
    fn wins(&self) -> bool {
        self.claim.as_ref().is_none_or(|(claim, arm)| claim.win(*arm))
    }

    /// Out of the list. (Else its waiter takes it out.)
    pub(super) fn is_out(&self) -> bool {
        matches!(self.told.load(Ordering::Acquire), TAKEN_OUT | PASSED_OVER)
    }

    pub(super) fn is_passed_over(&self) -> bool {
        self.told.load(Ordering::Relaxed) == PASSED_OVER
    }

    pub(crate) fn wait(&self, how: &How, since: Look) -> Result<bool, Stop> {
        let told = || self.is_told();
        self.sleeper.wait((how.kind, [0, how.detail]), how.deadline, how.point, since, told)
    }
}

/// See [`Waiters::lock`].
pub(crate) struct Locked<'a>(pub(super) MutexGuard<'a, List>);

impl Locked<'_> {
    /// Is there nobody? (Those who are gone are taken out.)
    pub(crate) fn is_empty(&mut self) -> bool {
        self.front().is_none()
    }

    /// So many have come, ever: see [`tell_older`](Self::tell_older).
    pub(crate) fn came(&self) -> u64 {
        self.0.came
    }

    /// Tells the first and takes it out.
    pub(crate) fn tell_first(&mut self) -> Option<Wake> {
        self.tell_older(u64::MAX)
    }

    /// Tells the first and takes it out, if it was there when so many had [come](Self::came).
    pub(crate) fn tell_older(&mut self, came: u64) -> Option<Wake> {
        let place = ptr::from_ref(self.front().filter(|place| place.came.get() < came)?);
        // SAFETY: in the list.
        Some(unsafe { self.tell(place) })
    }

    /// So many that have come since `came` wait. (Those who are gone are not counted.)
    pub(crate) fn count_since(&self, came: u64) -> usize {
        let from = self.0.first;
        self.from(from).filter(|place| place.came.get() >= came && !place.sleeper.is_gone()).count()
    }

    /// Those in the list from this one on.
    pub(super) fn from(&self, mut next: *const Place) -> impl Iterator<Item = &Place> {
        std::iter::from_fn(move || {
            // SAFETY: in the list, whose lock is held.
            let place = unsafe { next.as_ref()? };
            next = place.behind.get();
            Some(place)
        })
    }

    /// Tells the first that takes what is handed to it, and takes it out: one that waits for other things as well does not, if it has got
    /// one of those. Gives the [number](Place::number) of its place.
    pub(crate) fn tell_taker(&mut self) -> Option<(u64, Wake)> {
        let first = ptr::from_ref(self.front()?);
        let place = ptr::from_ref(self.from(first).find(|place| !place.sleeper.is_gone() && place.wins())?);
        // SAFETY: it is in the list.
        unsafe {
            let number = (*place).number();
            Some((number, self.tell(place)))
        }
    }

    /// Tells the first with this key and takes it out.
    pub(crate) fn tell_one(&mut self, key: u64) -> Option<Wake> {
        let place = ptr::from_ref(self.from(self.0.first).find(|place| place.key == key)?);
        // SAFETY: it is in the list.
        Some(unsafe { self.tell(place) })
    }

    /// Takes it out and says so to its waiter.
    ///
    /// # Safety
    /// It is in this list.
    pub(super) unsafe fn tell(&mut self, place: *const Place) -> Wake {
        // SAFETY: in the list, whose lock is held. The place is its waiter's alone as soon as it says `TAKEN_OUT`: that is last.
        unsafe {
            self.take_out(place);
            let wake = Wake((*place).sleeper.clone());
            (*place).told.store(TAKEN_OUT, Ordering::Release);
            wake
        }
    }

    /// When some have left the list: takes back in `word` what says that the first has been `told`, if it has not, or `all` that is said of
    /// those in the list, if there is nobody.
    pub(crate) fn see_to_the_rest(&mut self, word: &AtomicU32, all: u32, told: u32) {
        let over = match self.front().map(Place::is_told) {
            None => all,
            Some(false) => told,
            Some(true) => return,
        };
        if word.load(Ordering::Relaxed) & over != 0 {
            word.fetch_and(!over, Ordering::SeqCst);
        }
    }

    /// Tells the first that it is its turn, and leaves it where it is. `None`: there is nobody, or it knows.
    pub(crate) fn give_turn(&mut self) -> Option<Wake> {
        let place = self.front()?;
        let told = place.told.swap(HAS_TURN, Ordering::AcqRel);
        (told == NOT_TOLD).then(|| Wake(place.sleeper.clone()))
    }

    /// As [`give_turn`](Self::give_turn), to so many that do not know yet, as far as those in front are tasks.
    pub(crate) fn give_turns<const MANY: usize>(&mut self) -> [Option<Wake>; MANY] {
        let tasks = self.from(self.0.first).take(FROM_THE_FRONT).take_while(|place| place.sleeper.is_task());
        let mut untold = tasks.filter(|place| !place.is_told());
        [(); MANY].map(|()| {
            let place = untold.next()?;
            place.told.store(HAS_TURN, Ordering::Release);
            Some(Wake(place.sleeper.clone()))
        })
    }

    /// One that has waited has got what it waited for.
    pub(crate) fn has_begun(&mut self) {
        self.0.late = self.is_late();
        self.0.begun = Some(Instant::now());
    }

    /// Has the first one waited for too long, also since one that has waited [has begun](Self::has_begun)?
    pub(crate) fn is_overdue(&mut self) -> bool {
        let begun = self.0.begun;
        let since = self.front().and_then(|place| place.since);
        since.is_some_and(|since| has_waited_for_long(begun.map_or(since, |begun| begun.max(since))))
    }

    /// From now on all depends on one that was told, and has not run.
    pub(crate) fn awaits_from_now(&mut self) {
        self.0.awaited = Some(Instant::now());
    }

    /// Has that one not come for long? (Many others are queued before it.)
    pub(crate) fn is_late(&self) -> bool {
        self.0.awaited.is_some_and(has_waited_for_long)
    }

    /// Was the last one that [has begun](Self::has_begun) late? Tells it once.
    pub(crate) fn was_late(&mut self) -> bool {
        std::mem::take(&mut self.0.late)
    }

    /// The first that is not gone.
    pub(super) fn front(&mut self) -> Option<&Place> {
        let first = self.0.first;
        self.first_from(first)
    }

    /// The first that is not gone, from this one on, which is in the list (or nobody). Those before it are taken out.
    #[inline]
    pub(super) fn first_from(&mut self, next: *const Place) -> Option<&Place> {
        if some_may_be_gone() {
            return self.first_there_from(next);
        }
        // SAFETY: in the list, whose lock is held.
        unsafe { next.as_ref() }
    }

    #[cold]
    fn first_there_from(&mut self, mut next: *const Place) -> Option<&Place> {
        loop {
            // SAFETY: in the list, whose lock is held.
            let place = unsafe { next.as_ref()? };
            if !place.sleeper.is_gone() {
                return Some(place);
            }
            // SAFETY: as above. (It may be on a thread still, as one that the end of its pool has not waited for. Then it looks
            // whether it is in the list.)
            unsafe { self.take_out(next) };
            next = place.behind.get();
            place.told.store(PASSED_OVER, Ordering::Release);
        }
    }

    /// # Safety
    /// It is in no list, and stays where it is until it has been taken out.
    pub(super) unsafe fn join(&mut self, place: &Place, in_front: bool) {
        let list = &mut *self.0;
        place.came.set(list.came);
        list.came += 1;
        let (before, behind) = if in_front { list.front_for(place.since) } else { (list.last, ptr::null()) };
        place.before.set(before);
        place.behind.set(behind);
        if list.next.is_null() {
            list.next = place;
        }
        // SAFETY: what is in the list is there, and the lock is held.
        unsafe { list.link(before, behind, place, place) };
    }

    /// # Safety
    /// It is in this list.
    pub(super) unsafe fn take_out(&mut self, place: *const Place) {
        // SAFETY: what is in the list is there, and the lock is held.
        unsafe {
            let (before, behind) = ((*place).before.get(), (*place).behind.get());
            self.0.promised -= (*place).promised.replace(0);
            if self.0.next == place {
                self.0.next = behind;
            }
            self.0.link(before, behind, behind, before);
        }
    }
}

impl List {
    /// Where one stands that stood in front before: behind those that came before it, as far as they say when that was.
    fn front_for(&self, came: Option<Instant>) -> (*const Place, *const Place) {
        let (mut before, mut behind) = (ptr::null(), self.first);
        // SAFETY: what is in the list is there, and the lock is held.
        while let Some(place) = unsafe { behind.as_ref() }
            && place.since.is_some_and(|theirs| came.is_some_and(|came| theirs < came))
        {
            (before, behind) = (behind, place.behind.get());
        }
        (before, behind)
    }

    /// Behind `before` comes `next`, and before `behind` stands `previous`.
    ///
    /// # Safety
    /// What is in the list is there, and the lock is held.
    unsafe fn link(
        &mut self,
        before: *const Place,
        behind: *const Place,
        next: *const Place,
        previous: *const Place,
    ) {
        // SAFETY: by contract.
        match unsafe { before.as_ref() } {
            Some(before) => before.behind.set(next),
            None => self.first = next,
        }
        // SAFETY: by contract.
        match unsafe { behind.as_ref() } {
            Some(behind) => behind.before.set(previous),
            None => self.last = previous,
        }
    }
}
