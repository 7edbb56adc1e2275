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
//! This file has `unsafe` in it: the list (`list.rs`).

#![allow(unsafe_code)]

use super::face::{AbortOnUnwind, ForkMutex, Instant, Ordering, Sleeper, Stop, WaitKind, const_fn, look};
use super::first::{Among, One, Stood};
use super::list::{HAS_TURN, List, NOBODY};
pub(crate) use super::list::{Locked, Place};

/// See the module.
pub(crate) struct Waiters {
    list: ForkMutex<List>,
}

/// What must not be unwound.
const A_WAIT: &str = "a wait";

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

    pub(crate) fn whom(&self) -> Sleeper {
        self.0.clone()
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
        self.stand(&Place::new(how), how.in_front, nothing, sleeps, |_| (), leaves)
    }

    /// As [`wait`](Self::wait): it `sleeps` in the caller's way. It may be `one` of several. Also calls `leaves` when it was told that it is its
    /// turn.
    pub(crate) fn wait_by(
        &self,
        how: &How,
        one: Option<One>,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        sleeps: impl FnOnce(&Place) -> Result<bool, Stop>,
        leaves: impl Fn(&mut Locked<'_>),
    ) -> Waited {
        let place = one.map_or_else(|| Place::new(how), |one| Place::of(how, one));
        self.stand(&place, how.in_front, nothing, sleeps, &leaves, &leaves)
    }

    /// As [`wait`](Self::wait), and also calls `leaves` when it was told that it is its turn.
    pub(crate) fn wait_for_turn(
        &self,
        how: &How,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        leaves: impl Fn(&mut Locked<'_>),
    ) -> Waited {
        let since = look();
        self.wait_by(how, None, nothing, |place| place.wait(how, since), leaves)
    }

    /// As one of several.
    pub(crate) fn stand_among(
        &self,
        how: &How,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
        among: &Among<'_>,
        inner: &mut dyn FnMut(&Among<'_>),
    ) -> Stood {
        let one = Some(among.one(None));
        self.wait_by(how, one, nothing, |place| among.sleep_at(place, inner), |_| ()).into()
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
