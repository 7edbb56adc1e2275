//! In line: those who wait for a part of something that is counted keep their order, whatever happens.
//!
//! Several at the front may have their turn at the same time, as long as there is enough for all of them ([`Locked::offer`]): so much is
//! *promised*. Each takes it itself, under the lock of the list, as it leaves. Who is gone before that has taken nothing, and what it was
//! promised is for the next one.
//!
//! Who waits for other things as well keeps its place while it looks for those ([`KeptPlace`]).
//!
//! This file has `unsafe` in it: the list.

#![allow(unsafe_code)]

use super::face::{Ordering, look};
use super::first::One;
use super::list::{HAS_TURN, PASSED_OVER};
use super::waiters::{How, Locked, Place, Waited, Waiters, Wake};
use std::ptr;
use std::rc::Rc;

impl Waiters {
    /// As [`wait`](Self::wait), and keeps its place until it has been told. Whose turn it is `takes` what it wants under the lock, as it
    /// leaves the list. Calls `again`, without the lock, when the one whose turn it was may be gone: it [offers](Locked::offer).
    pub(crate) fn wait_in_line(
        &self,
        how: &How,
        mut nothing: impl FnMut(&mut Locked<'_>) -> bool,
        again: impl Fn(),
        mut takes: impl FnMut(&mut Locked<'_>),
        mut leaves: impl FnMut(&mut Locked<'_>),
    ) -> Waited {
        loop {
            let mut since = look();
            let place = Place::new(how);
            let sleeps = |place: &Place| loop {
                let verdict = place.wait(how, since);
                if place.is_told() || !matches!(verdict, Ok(true)) {
                    break verdict;
                }
                since = look();
                again();
            };
            let waited = self.stand(&place, false, &mut nothing, sleeps, &mut takes, &mut leaves);
            if !place.is_passed_over() {
                return waited;
            }
        }
    }

    /// Stands in line from now on, as one of several, unless there is `nothing` to wait for, which is asked under the lock.
    pub(crate) fn keep_place(
        &self,
        how: &How,
        one: One,
        nothing: impl FnOnce(&mut Locked<'_>) -> bool,
    ) -> Option<KeptPlace<'_>> {
        let place = Rc::new(Place::of(how, one));
        let mut list = self.lock();
        if nothing(&mut list) {
            return None;
        }
        // SAFETY: it stays where it is, whoever moves what refers to it: until it is out of the list, or for good if `KeptPlace` is leaked.
        unsafe { list.join(&place, false) };
        drop(list);
        Some(KeptPlace { waiters: self, place })
    }
}

/// A place in line that its waiter keeps while it does other things. It leaves the line with this.
pub(crate) struct KeptPlace<'a> {
    waiters: &'a Waiters,
    /// (Counted, since others look at it while its owner has all of this to himself.)
    place: Rc<Place>,
}

impl KeptPlace<'_> {
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Out of the line, by itself or by others.
    pub(crate) fn is_out(&self) -> bool {
        self.place.is_out()
    }

    pub(crate) fn has_turn(&self) -> bool {
        self.place.told.load(Ordering::Acquire) == HAS_TURN
    }

    /// It leaves the line, and calls this under the lock; `None`: it is out already.
    pub(crate) fn leave<R>(&self, leaves: impl FnOnce(&mut Locked<'_>) -> R) -> Option<R> {
        let mut list = self.waiters.lock();
        if self.place.is_out() {
            return None;
        }
        // SAFETY: it is in the list: nobody else takes it out without saying so.
        unsafe { list.take_out(&*self.place) };
        self.place.told.store(PASSED_OVER, Ordering::Release);
        Some(leaves(&mut list))
    }
}

impl Drop for KeptPlace<'_> {
    fn drop(&mut self) {
        self.leave(|_| ());
    }
}

impl Locked<'_> {
    /// Who has no turn yet.
    pub(crate) fn count_in_line(&self) -> usize {
        self.from(self.0.next).filter(|place| !place.sleeper.is_gone()).count()
    }

    /// Those who have their turn want so much together.
    pub(crate) fn promised(&mut self) -> usize {
        self.front();
        self.0.promised
    }

    /// Does everybody have his turn that is there?
    pub(crate) fn all_have_turn(&mut self) -> bool {
        self.next_in_line().is_none()
    }

    /// So much is there to be taken. The next one has its turn, if there is enough for it.
    pub(crate) fn offer(&mut self, have: usize) -> Option<Wake> {
        let left = have.saturating_sub(self.promised());
        let place = self.next_in_line().filter(|place| place.wants <= left)?;
        let (wants, behind) = (place.wants, place.behind.get());
        place.promised.set(wants);
        place.told.store(HAS_TURN, Ordering::Release);
        let wake = Wake(place.sleeper.clone());
        self.0.next = behind;
        self.0.promised += wants;
        Some(wake)
    }

    /// Tells the first that has no turn and takes it out, without anything, if it was there when so many had come.
    pub(crate) fn dismiss_older(&mut self, came: u64) -> Option<Wake> {
        let place = ptr::from_ref(self.next_in_line().filter(|place| place.came.get() < came)?);
        // SAFETY: in the list.
        Some(unsafe { self.tell(place) })
    }

    fn next_in_line(&mut self) -> Option<&Place> {
        let next = self.0.next;
        self.first_from(next)
    }
}
