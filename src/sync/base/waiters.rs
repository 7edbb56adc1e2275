//! Those who wait for one thing, in the order in which they came: tasks and plain threads in one list.
//!
//! A waiter's place in the list lies on its own stack. Nothing is allocated, and whoever leaves early leaves from where it stands.
//!
//! ```text
//!   wait() ── is there nothing to wait for? ── in the list ──► told and taken out ──► returns
//!     under the lock of the list                │    ▲  │
//!                                               │    │  └──► told, and stays: its turn ──► takes itself out, returns
//!                                               │    └ nobody has told it
//!                                               └──► its time is over, or it was cancelled: takes itself out, unless it was told first
//! ```
//! **Nobody is given anything here.** Who is told competes for what it waits for, and may find that another one was quicker. So a waiter
//! that goes away takes nothing with it. Who is told and does not want it any more tells the next one.
//!
//! **Its turn.** Who stays in the list when it is told keeps its place until it has run. So those who come later see that somebody was
//! there before them (`is_empty`), and wait behind it.
//!
//! `in_line.rs` has another way to wait in it.
//!
//! **Those who are gone.** A task that its pool has left behind does not run again; its stack stays as it is, for good, and so does its
//! place. Whoever meets it takes it out and looks further. If it was told before it was left, all others look again
//! (`ec_pool::wait::Sleeper`): `wait` returns to each as if it was told.
//!
//! In a forked child nobody of the parent is there: the list is empty, and its lock is free (`ec_tasks::lock::ForkMutex`).
//!
//! This file has `unsafe` in it: the list.

#![allow(unsafe_code)]

use super::face::{
    AbortOnUnwind, Arc, AtomicU8, ForkMutex, Forked, Instant, Look, MutexGuard, Ordering, Sleeper, Stop,
    WaitKind, const_fn, has_waited_for_long, look, some_may_be_gone,
};
use super::first::{Among, Claim, Stood};
use std::cell::Cell;
use std::ptr;

/// See the module.
pub(crate) struct Waiters {
    list: ForkMutex<List>,
}

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
}

const NOBODY: List =
    List { first: ptr::null(), last: ptr::null(), came: 0, next: ptr::null(), promised: 0, begun: None };

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

/// What must not be unwound.
const A_WAIT: &str = "a wait";

const NOT_TOLD: u8 = 0;
/// And not in the list any more. Nobody but its waiter uses the place from here on.
const TAKEN_OUT: u8 = 1;
/// And still in the list.
pub(super) const HAS_TURN: u8 = 2;
/// Taken out as one that is gone.
const PASSED_OVER: u8 = 3;

/// How to wait.
#[derive(Clone, Copy)]
pub(crate) struct How {
    pub(crate) kind: &'static WaitKind,
    pub(crate) detail: u64,
    /// Until then at most.
    pub(crate) deadline: Option<Instant>,
    /// Is it a cancellation point?
    pub(crate) point: bool,
    /// Before all others.
    pub(crate) in_front: bool,
    /// In line: how much it waits for.
    pub(crate) wants: usize,
    /// When it came, if it is not to be passed over for long ([`Locked::is_overdue`]).
    pub(crate) since: Option<Instant>,
    /// By this it can be [told](Locked::tell_one) among all others.
    pub(crate) key: u64,
}

impl How {
    pub(crate) fn new(kind: &'static WaitKind, detail: u64) -> How {
        How { kind, detail, deadline: None, point: false, in_front: false, wants: 0, since: None, key: 0 }
    }
}

/// What came of a wait.
pub(crate) enum Waited {
    /// There was nothing to wait for.
    Not,
    /// It was told, or is to look again.
    Told,
    /// The deadline of its own has come.
    Late,
    Stopped(Stop),
}

impl Waited {
    /// Has what was waited for come? `Ok(false)`: the deadline came first.
    #[inline]
    pub(crate) fn has_come(self) -> Result<bool, Stop> {
        match self {
            Waited::Not | Waited::Told => Ok(true),
            Waited::Late => Ok(false),
            Waited::Stopped(stop) => Err(stop),
        }
    }
}

/// Somebody was told, and is to be woken when the lock is free.
#[must_use = "it sleeps still"]
pub(crate) struct Wake(pub(super) Sleeper);

impl Wake {
    pub(crate) fn wake(self) {
        self.0.wake();
    }
}

impl Waiters {
    const_fn! {
        pub(crate) fn new() -> Self {
            Waiters { list: ForkMutex::new(NOBODY) }
        }
    }

    /// The list, locked: nobody comes or leaves. No code of others may run so long.
    pub(crate) fn lock(&self) -> Locked<'_> {
        Locked(self.list.lock())
    }

    /// Waits to be told, unless there is `nothing` to wait for, which is asked under the lock. Calls `joined`, without the lock, when it can
    /// be told, before it sleeps. Whoever goes without having been told calls `leaves` under the lock, when it is out of the list.
    pub(crate) fn wait(
        &self,
        how: &How,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        joined: impl FnOnce(),
        leaves: impl FnOnce(&mut Locked<'_>),
    ) -> Waited {
        let since = look();
        let sleeps = |place: &Place| {
            joined();
            place.wait(how, since)
        };
        self.wait_by(how, None, nothing, sleeps, leaves)
    }

    /// As [`wait`](Self::wait): it `sleeps` in the caller's way. With a `claim` it is one of several.
    pub(crate) fn wait_by(
        &self,
        how: &How,
        claim: Option<(Arc<Claim>, usize)>,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        sleeps: impl FnOnce(&Place) -> Result<bool, Stop>,
        leaves: impl FnOnce(&mut Locked<'_>),
    ) -> Waited {
        let place = Place { claim, ..Place::new(how) };
        self.stand(&place, how.in_front, nothing, sleeps, |_| (), leaves)
    }

    /// As one of several.
    pub(crate) fn stand_among(
        &self,
        how: &How,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        among: &Among<'_>,
        inner: &mut dyn FnMut(&Among<'_>),
    ) -> Stood {
        let sleeps = |place: &Place| {
            inner(&among.with(&|| place.is_told()));
            Ok(false)
        };
        match self.wait_by(how, None, nothing, sleeps, |_| ()) {
            Waited::Told => Stood::Told,
            _ => Stood::Idle,
        }
    }

    /// The place is in the list while its waiter `sleeps`. Calls `has_turn` under the lock when it is out of the list, if it was told that it
    /// is its turn.
    pub(super) fn stand(
        &self,
        place: &Place,
        in_front: bool,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        sleeps: impl FnOnce(&Place) -> Result<bool, Stop>,
        has_turn: impl FnOnce(&mut Locked<'_>),
        leaves: impl FnOnce(&mut Locked<'_>),
    ) -> Waited {
        let mut list = self.lock();
        if nothing(&mut list) {
            return Waited::Not;
        }
        // SAFETY: the place stays where it is until it is out of the list again: below, or by whoever tells. Nothing unwinds past it.
        unsafe { list.join(place, in_front) };
        let armed = AbortOnUnwind(A_WAIT);
        drop(list);
        let verdict = sleeps(place);
        let waited = self.out(place, verdict, has_turn, leaves);
        std::mem::forget(armed);
        waited
    }

    /// Tells all that wait at this moment, and takes them out.
    pub(crate) fn tell_all(&self) {
        let came = self.lock().came();
        self.tell_all_older(came);
    }

    /// Tells those that wait of whom were there when so many had [come](Locked::came), and takes them out.
    pub(crate) fn tell_all_older(&self, came: u64) {
        let next = || self.lock().tell_older(came);
        // (One by one: those that are told are woken without the lock.)
        while let Some(wake) = next() {
            wake.wake();
        }
    }

    /// The place is in the list no more.
    fn out(
        &self,
        place: &Place,
        verdict: Result<bool, Stop>,
        has_turn: impl FnOnce(&mut Locked<'_>),
        leaves: impl FnOnce(&mut Locked<'_>),
    ) -> Waited {
        if place.is_out() {
            return Waited::Told;
        }
        let mut list = self.lock();
        // (It may have been told meanwhile.)
        if place.is_out() {
            return Waited::Told;
        }
        // SAFETY: it is in the list: nobody else takes it out without saying so.
        unsafe { list.take_out(place) };
        if place.told.load(Ordering::Acquire) == HAS_TURN {
            has_turn(&mut list);
            return Waited::Told;
        }
        match verdict {
            // It is to look again.
            Ok(true) => Waited::Told,
            Ok(false) => {
                leaves(&mut list);
                Waited::Late
            }
            Err(stop) => {
                leaves(&mut list);
                Waited::Stopped(stop)
            }
        }
    }
}

impl Place {
    pub(super) fn new(how: &How) -> Place {
        Place {
            sleeper: Sleeper::current(),
            told: AtomicU8::new(NOT_TOLD),
            wants: how.wants,
            since: how.since,
            promised: Cell::new(0),
            before: Cell::new(ptr::null()),
            behind: Cell::new(ptr::null()),
            came: Cell::new(0),
            key: how.key,
            claim: None,
        }
    }

    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire) != NOT_TOLD
    }

    /// May it be handed something, which it takes then?
    fn wins(&self) -> bool {
        self.claim.as_ref().is_none_or(|(claim, arm)| claim.win(*arm))
    }

    /// Out of the list. (Else its waiter takes it out.)
    fn is_out(&self) -> bool {
        matches!(self.told.load(Ordering::Acquire), TAKEN_OUT | PASSED_OVER)
    }

    pub(super) fn is_passed_over(&self) -> bool {
        self.told.load(Ordering::Relaxed) == PASSED_OVER
    }

    pub(crate) fn wait(&self, how: &How, since: Look) -> Result<bool, Stop> {
        let told = || self.is_told();
        self.sleeper.wait((how.kind, how.detail), how.deadline, how.point, since, told)
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
    /// one of those. Nobody, if somebody knows that it is [its turn](Self::give_turn).
    pub(crate) fn tell_taker(&mut self) -> Option<Wake> {
        let first = self.front().filter(|place| !place.is_told()).map(ptr::from_ref)?;
        let place = ptr::from_ref(self.from(first).find(|place| !place.sleeper.is_gone() && place.wins())?);
        // SAFETY: it is in the list.
        Some(unsafe { self.tell(place) })
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

    /// Tells the first that it is its turn, and leaves it where it is. `None`: there is nobody, or it knows.
    pub(crate) fn give_turn(&mut self) -> Option<Wake> {
        let place = self.front()?;
        let told = place.told.swap(HAS_TURN, Ordering::AcqRel);
        (told == NOT_TOLD).then(|| Wake(place.sleeper.clone()))
    }

    /// One that has waited has got what it waited for.
    pub(crate) fn has_begun(&mut self) {
        self.0.begun = Some(Instant::now());
    }

    /// Has the first one waited for too long, also since one that has waited [has begun](Self::has_begun)?
    pub(crate) fn is_overdue(&mut self) -> bool {
        let begun = self.0.begun;
        let since = self.front().and_then(|place| place.since);
        since.is_some_and(|since| has_waited_for_long(begun.map_or(since, |begun| begun.max(since))))
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
    unsafe fn join(&mut self, place: &Place, in_front: bool) {
        let list = &mut *self.0;
        place.came.set(list.came);
        list.came += 1;
        let (before, behind) = if in_front { (ptr::null(), list.first) } else { (list.last, ptr::null()) };
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
    unsafe fn take_out(&mut self, place: *const Place) {
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
