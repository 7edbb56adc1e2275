//! One side of a channel: those who wait to send, or those who wait to receive.
//!
//! ```text
//!   WAITED    somebody is in the list, or was
//!   FAIR      one in the list has waited for too long: who comes waits behind it
//!   REST      who comes lets others run before it tries
//!   TOLD      the first in the list has been told, and has not run since: it looks itself, and tells the next one
//! ```
//! * Whoever comes tries first, then waits. Whoever brings something for this side (an item, a place for one) looks afterwards whether
//!   anybody waits, and tells the first: [`notify`](Side::notify). Who is about to wait says so first, and looks afterwards whether
//!   there is something. So one of them sees the other, and with nobody in the list neither touches it.
//! * Who was told competes with all others. If it comes too late it waits in front; if it has waited for half a millisecond by then (behind
//!   others, or since it was too late first), it makes the side *fair*, as that of a lock (`lock.rs`), until one that has waited gets
//!   something. So does one that has gone on for long without waiting, at times ([`rest`](Side::rest)). Who has taken something does not let
//!   others run before it has returned with it: it might not run again. The next one that comes does, instead.
//! * Who was told and has got something tells the next one, if there is more. So nothing lies there that somebody waits for, although several
//!   may have come for one that was told once.

use super::face::{
    Arc, AtomicU32, Instant, Ordering, Stop, after_step, const_fn, has_lost_for_long, let_others_run, look,
};
use super::first::{Among, Claim, One, Stood};
use super::waiters::{How, Locked, Place, Waited, Waiters, Wake};
use std::cell::Cell;

const WAITED: u32 = 1;
const FAIR: u32 = 2;
const REST: u32 = 4;
const TOLD: u32 = 8;

/// Of one that waits.
#[derive(Default)]
pub(crate) struct Turn {
    /// It was told before, and came too late.
    has_waited: bool,
    /// When it came to wait behind others, or else was too late for the first time.
    since: Option<Instant>,
    /// The [number](Place::number) of the place where it has waited last.
    place: Option<u64>,
}

impl Turn {
    pub(crate) fn place(&self) -> Option<u64> {
        self.place
    }
}

/// See the module.
pub(crate) struct Side {
    word: AtomicU32,
    waiters: Waiters,
}

impl Side {
    const_fn! {
        pub(crate) fn new() -> Side {
            Side { word: AtomicU32::new(0), waiters: Waiters::new() }
        }
    }

    /// May one go ahead that has just come?
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.word.load(Ordering::Relaxed) & FAIR == 0
    }

    /// As [`is_open`](Self::is_open), for one that does not wait. (Who has waited for too long may have gone, or be gone.)
    #[inline]
    pub(crate) fn is_open_now(&self) -> bool {
        self.is_open() || self.is_open_by_now()
    }

    #[cold]
    fn is_open_by_now(&self) -> bool {
        self.see_to_the_rest(&mut self.waiters.lock());
        self.is_open()
    }

    /// There is something for this side, by a step of the caller's just now.
    #[inline]
    pub(crate) fn notify(&self) {
        after_step();
        if self.word.load(Ordering::SeqCst) & (WAITED | TOLD) == WAITED {
            self.notify_first();
        }
    }

    #[cold]
    fn notify_first(&self) {
        let mut list = self.waiters.lock();
        let is_fair = self.word.load(Ordering::Relaxed) & FAIR != 0;
        let wake = if is_fair { self.give_turn(&mut list) } else { list.tell_first() };
        self.see_to_the_rest(&mut list);
        drop(list);
        wake.into_iter().for_each(Wake::wake);
    }

    /// Under the list's lock.
    fn give_turn(&self, list: &mut Locked<'_>) -> Option<Wake> {
        let wake = list.give_turn()?;
        self.word.fetch_or(TOLD, Ordering::SeqCst);
        Some(wake)
    }

    /// Nothing is as before: all look again.
    pub(crate) fn notify_all(&self) {
        self.waiters.tell_all();
    }

    /// Does anybody wait, or has?
    pub(crate) fn is_waited_at(&self) -> bool {
        self.word.load(Ordering::SeqCst) & WAITED != 0
    }

    /// Those who wait. Whoever tells one of them [sees](Self::see_to_the_rest) to the rest afterwards.
    pub(crate) fn lock(&self) -> Locked<'_> {
        self.waiters.lock()
    }

    /// An attempt was in vain: waits until another one gives something. `None`: until the deadline of its own, in vain. `is_ready`: it may give something now, by
    /// loads that are [`SeqCst`](Ordering::SeqCst). It is asked under the list's lock.
    pub(crate) fn wait<R>(
        &self,
        how: How,
        mut attempt: impl FnMut(&Turn) -> Option<R>,
        is_ready: impl Fn() -> bool,
    ) -> Result<Option<R>, Stop> {
        let mut turn = Turn::default();
        loop {
            let since = look();
            match self.stand(&mut turn, &how, None, &is_ready, |place| place.wait(&how, since)) {
                Waited::Not | Waited::Told => (),
                Waited::Late => return Ok(None),
                Waited::Stopped(stop) => return Err(stop),
            }
            if let Some(got) = self.attempt(&turn, || attempt(&turn), &is_ready) {
                return Ok(Some(got));
            }
        }
    }

    /// Makes the attempt, if the caller may go ahead.
    #[inline]
    pub(crate) fn attempt<R>(
        &self,
        turn: &Turn,
        attempt: impl FnOnce() -> Option<R>,
        is_ready: impl Fn() -> bool,
    ) -> Option<R> {
        let word = if turn.has_waited { 0 } else { self.word.load(Ordering::Relaxed) };
        if word & (FAIR | REST) != 0 && !self.is_open_after_rest() {
            return None;
        }
        let got = attempt()?;
        if turn.has_waited {
            self.pass_on(is_ready);
        }
        Some(got)
    }

    #[cold]
    fn is_open_after_rest(&self) -> bool {
        if self.word.fetch_and(!REST, Ordering::Relaxed) & REST != 0 {
            let_others_run();
        }
        self.is_open()
    }

    /// An attempt was in vain: waits, in a way of the caller's, unless `is_ready` says that another one is worth it.
    pub(crate) fn stand(
        &self,
        turn: &mut Turn,
        how: &How,
        one: Option<One>,
        is_ready: impl Fn() -> bool,
        sleeps: impl FnOnce(&Place) -> Result<bool, Stop>,
    ) -> Waited {
        let has_waited = turn.has_waited;
        let impatient = has_waited && has_lost_for_long(&mut turn.since);
        let mark = if impatient { WAITED | FAIR } else { WAITED };
        let nothing = |list: &mut Locked<'_>| {
            self.see_to_the_rest(list);
            let word = self.word.fetch_or(mark, Ordering::SeqCst);
            after_step();
            let is_open = has_waited || word & FAIR == 0;
            let there_is = is_open && is_ready();
            if there_is {
                self.see_to_the_rest(list);
            } else if turn.since.is_none() && !list.is_empty() {
                turn.since = Some(Instant::now());
            }
            there_is
        };
        let how = How { in_front: has_waited, ..*how };
        let number = Cell::new(None);
        let sleeps = |place: &Place| {
            number.set(Some(place.number()));
            sleeps(place)
        };
        let waited = self.waiters.wait_by(&how, one, nothing, sleeps, |list| self.see_to_the_rest(list));
        turn.place = number.get();
        turn.has_waited |= matches!(waited, Waited::Told);
        waited
    }

    /// As [`stand`](Self::stand), as one of several.
    pub(crate) fn stand_among(
        &self,
        turn: &mut Turn,
        how: &How,
        claim: Option<(Arc<Claim>, usize)>,
        is_ready: impl Fn() -> bool,
        among: &Among<'_>,
        inner: &mut dyn FnMut(&Among<'_>),
    ) -> Stood {
        let one = Some(among.one(claim));
        self.stand(turn, how, one, is_ready, |place| among.sleep_at(place, inner)).into()
    }

    /// One that was told has got something else instead.
    pub(crate) fn pass_on_unused(&self, is_ready: impl Fn() -> bool) {
        if self.word.load(Ordering::SeqCst) & WAITED != 0 && is_ready() {
            self.notify_first();
        }
    }

    /// As [`rest`](Self::rest), of one that has taken something. The next one that comes lets others run, before it tries.
    #[cold]
    pub(crate) fn rest_next(&self, is_ready: impl Fn() -> bool) {
        self.rest(is_ready);
        self.word.fetch_or(REST, Ordering::Relaxed);
    }

    /// The caller has gone on for long without waiting: if others wait, its next call waits behind them.
    #[cold]
    pub(crate) fn rest(&self, is_ready: impl Fn() -> bool) {
        if self.word.load(Ordering::Relaxed) & WAITED == 0 {
            return;
        }
        let mut list = self.waiters.lock();
        self.word.fetch_or(FAIR, Ordering::SeqCst);
        after_step();
        // (Nobody but those who have waited takes it from here on: so one of them is to know.)
        let wake = if is_ready() { self.give_turn(&mut list) } else { None };
        self.see_to_the_rest(&mut list);
        drop(list);
        wake.into_iter().for_each(Wake::wake);
    }

    /// One that has waited has got something.
    fn pass_on(&self, is_ready: impl Fn() -> bool) {
        if self.word.load(Ordering::SeqCst) & FAIR != 0 {
            // Whoever waits for too long says so again. (Who has come to wait behind it is seen below.)
            self.word.fetch_and(!(FAIR | TOLD), Ordering::SeqCst);
        }
        self.pass_on_unused(is_ready);
    }

    /// Under the list's lock, when some have left the list: if nobody waits nobody has waited for too long; and who was told may be gone.
    pub(crate) fn see_to_the_rest(&self, list: &mut Locked<'_>) {
        list.see_to_the_rest(&self.word, WAITED | FAIR | TOLD, TOLD);
    }
}
