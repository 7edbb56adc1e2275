//! Waiting for the first of several things at once: a place in the list of each, and one sleep.
//!
//! ```text
//!   first() ── try each ── one has come ───────────────────────────────────────────────► it is that one
//!                 ▲                                                                        ▲
//!                 │   stand ► stand ► .. ► sleep                                            │
//!                 │     each in its own list, each in a frame of its own, until one is told │
//!                 │   out   ◄ out   ◄ ..     each has noted whether it was told             │
//!                 └──────────┴── nobody has won by being told ──────────────────────────────┘
//! ```
//! **Nobody is given anything**, as in `waiters.rs`: who was told competes. So an arm that was told, and is not the first, tells the
//! next one of its list. Before `first` returns nothing is in any list any more.
//!
//! **Won by another's step.** Two steps of others decide for the waiter, and take effect while it sleeps: its item is taken from a
//! rendezvous, or one is handed to it there. There may be several such arms, and only one of them may win. So a round has a [`Claim`], one
//! word: whoever takes or hands wins it first. All else is taken after the sleep, in the order of the arms.
//!
//! **Several rounds are one wait.** Between them the waiter is in no list, and what leaves nothing behind would pass it by. So an arm may keep
//! its place from one round to the next, until it is to [`leave`](Arm::leave): that of a notification does (`stock.rs`).
//!
//! **One waiter.** Who it is that waits is asked once, and given to all arms ([`Among::one`], [`Inside::sleeper`]). Where thread-locals are
//! gone a second answer would be another one, whom nobody wakes who sleeps as the first.
//!
//! **Its own other end.** One may send to a rendezvous and receive from it in the same round, and must not meet itself. So those that offer
//! stand first, before they could be told of what they offer themselves; and who receives leaves out the offers of its own round
//! ([`Among::count_offers`]).

use super::face::{
    AbortOnUnwind, Arc, AtomicUsize, Instant, Look, Ordering, Sleeper, Stop, WaitKind, let_others_run, look,
};
use super::said::{What, words_of};
use super::waiters::{Place, Waited};
use std::cell::Cell;
use std::ptr;

/// Which arm of a round has won by a step of somebody else's.
pub struct Claim(AtomicUsize);

const OPEN: usize = 0;

impl Claim {
    fn new() -> Claim {
        Claim(AtomicUsize::new(OPEN))
    }

    /// True: the arm has won. False: another one has.
    pub(crate) fn win(&self, arm: usize) -> bool {
        self.0.compare_exchange(OPEN, arm + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn winner(&self) -> Option<usize> {
        self.0.load(Ordering::Acquire).checked_sub(1)
    }
}

/// One of several things that are waited for.
///
/// None runs code of others. Nothing but the first attempt may panic.
pub trait Arm {
    /// Has it come? Then it is taken, and kept for the caller.
    fn attempt(&mut self) -> bool;

    /// As [`attempt`](Self::attempt), of one that is not going to wait.
    fn attempt_at_once(&mut self) -> bool {
        self.attempt()
    }

    /// It comes by itself at this time.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// A step of somebody else's may make it the first.
    fn is_claimed(&self) -> bool {
        false
    }

    /// None has come yet. True: this one has, since it cannot be waited for.
    fn prepare(&mut self, _: Inside<'_>) -> bool {
        false
    }

    /// It stands before all others.
    fn offers(&self) -> bool {
        false
    }

    /// False: it never comes, whatever happens.
    fn is_there(&self) -> bool {
        true
    }

    /// For a dump. `None`: it is left out.
    fn what(&self) -> Option<What>;

    /// Has itself told, and calls `inner` once; or it has come meanwhile, and `inner` is not called.
    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        inner(among);
        Stood::Idle
    }

    /// It has stood, was told, and is not the first.
    fn pass_on(&mut self) {}

    /// It is known which is the first, or that none is: it stands nowhere any more. Nothing in it waits.
    fn leave(&mut self) {}

    /// The last call, if it was [prepared](Self::prepare): nothing of it is on its way any more when it returns.
    fn finish(&mut self) {}
}

/// Whoever has it sees to it that [`Arm::finish`] is called.
#[derive(Clone, Copy)]
pub struct Inside<'a>(&'a Sleeper);

impl Inside<'_> {
    /// Who waits.
    pub(crate) fn sleeper(&self) -> &Sleeper {
        self.0
    }
}

/// One that is left out never comes.
impl<A: Arm> Arm for Option<A> {
    fn attempt(&mut self) -> bool {
        self.as_mut().is_some_and(A::attempt)
    }

    fn attempt_at_once(&mut self) -> bool {
        self.as_mut().is_some_and(A::attempt_at_once)
    }

    fn deadline(&self) -> Option<Instant> {
        self.as_ref().and_then(A::deadline)
    }

    fn is_claimed(&self) -> bool {
        self.as_ref().is_some_and(A::is_claimed)
    }

    fn offers(&self) -> bool {
        self.as_ref().is_some_and(A::offers)
    }

    fn is_there(&self) -> bool {
        self.as_ref().is_some_and(A::is_there)
    }

    fn what(&self) -> Option<What> {
        self.as_ref().and_then(A::what)
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        match self {
            Some(arm) => arm.stand(among, inner),
            None => {
                inner(among);
                Stood::Idle
            }
        }
    }

    fn prepare(&mut self, inside: Inside<'_>) -> bool {
        self.as_mut().is_some_and(|arm| arm.prepare(inside))
    }

    fn pass_on(&mut self) {
        self.as_mut().into_iter().for_each(A::pass_on);
    }

    fn leave(&mut self) {
        self.as_mut().into_iter().for_each(A::leave);
    }

    fn finish(&mut self) {
        self.as_mut().into_iter().for_each(A::finish);
    }
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stood {
    /// Nothing.
    Idle,
    /// It was told, and competes.
    Told,
    /// It has won the round, by a step of somebody else's that cannot be undone.
    Won,
}

impl From<Waited> for Stood {
    fn from(waited: Waited) -> Stood {
        match waited {
            Waited::Told => Stood::Told,
            _ => Stood::Idle,
        }
    }
}

/// Where an arm lies while it is not at work.
pub struct Slot<'a> {
    arm: Cell<Option<&'a mut dyn Arm>>,
    offers: bool,
    stood: Cell<Stood>,
    /// Which it is as they are written: it may be tried in another order.
    number: usize,
}

impl<'a> Slot<'a> {
    pub(crate) fn new(arm: &'a mut dyn Arm) -> Slot<'a> {
        Slot { offers: arm.offers(), arm: Cell::new(Some(arm)), stood: Cell::new(Stood::Idle), number: 0 }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.with(|arm| arm.is_there())
    }

    pub(crate) fn numbered(self, number: usize) -> Slot<'a> {
        Slot { number, ..self }
    }

    fn with<R>(&self, f: impl FnOnce(&mut dyn Arm) -> R) -> R {
        let arm = self.arm.take().expect("an arm is not called from within itself");
        let result = f(&mut *arm);
        self.arm.set(Some(arm));
        result
    }
}

fn as_written<'a, 'b>(slots: &'a [Slot<'b>]) -> impl Iterator<Item = &'a Slot<'b>> {
    (0..slots.len()).filter_map(|number| slots.iter().find(|slot| slot.number == number))
}

/// A wait for all arms.
struct Round<'a, 'b> {
    slots: &'a [Slot<'b>],
    sleeper: &'a Sleeper,
    since: Look,
    /// What it is announced as.
    says: (&'static WaitKind, [u64; 2]),
    deadline: Option<Instant>,
    claim: Option<Arc<Claim>>,
    verdict: Cell<Option<Result<bool, Stop>>>,
}

/// Who waits, as one of several: for a place in a list.
pub(crate) struct One {
    pub(super) sleeper: Sleeper,
    /// Its place takes what is handed to it, if it wins this.
    pub(super) claim: Option<(Arc<Claim>, usize)>,
}

/// The arms that stand already, the last one first.
pub struct Among<'a> {
    sleeper: &'a Sleeper,
    claim: Option<&'a Arc<Claim>>,
    /// The one whose turn it is to stand.
    arm: usize,
    told: Option<&'a dyn Fn() -> bool>,
    /// What the last one has offered to.
    offers_to: *const (),
    outer: Option<&'a Among<'a>>,
}

impl Among<'_> {
    /// The calling arm stands, and `told` says whether it was told.
    pub(crate) fn with<'b>(&'b self, told: &'b dyn Fn() -> bool) -> Among<'b> {
        self.with_offer(told, ptr::null())
    }

    /// As [`with`](Self::with): it has offered something there.
    pub(crate) fn with_offer<'b>(&'b self, told: &'b dyn Fn() -> bool, to: *const ()) -> Among<'b> {
        Among { told: Some(told), offers_to: to, outer: Some(self), ..*self }
    }

    /// The calling arm has a place in a list: all others stand, and then all sleep. (As one that has waited in vain: whether it was told the
    /// place says.)
    pub(crate) fn sleep_at(&self, place: &Place, inner: &mut dyn FnMut(&Among<'_>)) -> Result<bool, Stop> {
        inner(&self.with(&|| place.is_told()));
        Ok(false)
    }

    /// That of the round, and which arm of it the caller is.
    pub(crate) fn claim(&self) -> Option<(Arc<Claim>, usize)> {
        Some((self.claim?.clone(), self.arm))
    }

    /// Who waits.
    pub(crate) fn sleeper(&self) -> &Sleeper {
        self.sleeper
    }

    /// The same, for a place of its own.
    pub(crate) fn one(&self, claim: Option<(Arc<Claim>, usize)>) -> One {
        One { sleeper: self.sleeper.clone(), claim }
    }

    /// How many arms of this round have offered something there.
    pub(crate) fn count_offers(&self, to: *const ()) -> usize {
        self.standing().filter(|among| !to.is_null() && among.offers_to == to).count()
    }

    fn standing(&self) -> impl Iterator<Item = &Among<'_>> {
        std::iter::successors(Some(self), |among| among.outer)
    }

    fn is_told(&self) -> bool {
        self.standing().any(|among| among.told.is_some_and(|told| told()))
    }
}

impl<'a, 'b> Round<'a, 'b> {
    fn new(
        slots: &'a [Slot<'b>],
        says: (&'static WaitKind, [u64; 2]),
        sleeper: &'a Sleeper,
    ) -> Round<'a, 'b> {
        let asks = |ask: fn(&dyn Arm) -> bool| slots.iter().any(|slot| slot.with(|arm| ask(arm)));
        let claim = asks(|arm| arm.is_claimed()).then(|| Arc::new(Claim::new()));
        Round {
            slots,
            // (Before any is told.)
            since: look(),
            sleeper,
            says,
            deadline: slots.iter().filter_map(|slot| slot.with(|arm| arm.deadline())).min(),
            claim,
            verdict: Cell::new(None),
        }
    }

    fn stand(&self) {
        self.slots.iter().for_each(|slot| slot.stood.set(Stood::Idle));
        let nobody = Among {
            sleeper: self.sleeper,
            claim: self.claim.as_ref(),
            arm: 0,
            told: None,
            offers_to: ptr::null(),
            outer: None,
        };
        self.stand_from(0, true, &nobody);
    }

    /// The arms from this one on stand that `offer`, or do not. Then the others, and then it sleeps.
    fn stand_from(&self, from: usize, offer: bool, among: &Among<'_>) {
        match (from..self.slots.len()).find(|arm| self.slots[*arm].offers == offer) {
            Some(arm) => {
                let slot = &self.slots[arm];
                let mut inner = |among: &Among<'_>| self.stand_from(arm + 1, offer, among);
                slot.stood.set(slot.with(|me| me.stand(&Among { arm, ..*among }, &mut inner)));
            }
            None if offer => self.stand_from(0, false, among),
            None => self.sleep(among),
        }
    }

    fn sleep(&self, among: &Among<'_>) {
        let verdict = self.sleeper.wait(self.says, self.deadline, true, self.since, || among.is_told());
        self.verdict.set(Some(verdict));
    }
}

/// Waits for the first of the arms, and gives its number. They are tried in their order. It is a cancellation point, if it has to wait.
/// `None`: with `at_once`, if none has come.
pub(crate) fn first(
    slots: &[Slot<'_>],
    at_once: bool,
    kind: &'static WaitKind,
) -> Result<Option<usize>, Stop> {
    if at_once {
        return Ok(find(slots, None, |arm| arm.attempt_at_once()));
    }
    if let Some(came) = find(slots, None, |arm| arm.attempt()) {
        return Ok(Some(came));
    }
    let armed = AbortOnUnwind("a select");
    let came = wait_for_first(slots, kind);
    // (First of all: `finish` may take long, and others wait behind them.)
    slots.iter().for_each(|slot| slot.with(|arm| arm.leave()));
    slots.iter().for_each(|slot| slot.with(|arm| arm.finish()));
    std::mem::forget(armed);
    came.map(Some)
}

/// The first for which it is so: this one `before` all others.
fn find(slots: &[Slot<'_>], before: Option<usize>, is_so: impl Fn(&mut dyn Arm) -> bool) -> Option<usize> {
    before.into_iter().chain(0..slots.len()).find(|arm| slots[*arm].with(&is_so))
}

fn wait_for_first(slots: &[Slot<'_>], kind: &'static WaitKind) -> Result<usize, Stop> {
    let sleeper = Sleeper::current();
    if let Some(came) = find(slots, None, |arm| arm.prepare(Inside(&sleeper))) {
        return Ok(came);
    }
    let says = (kind, words_of(as_written(slots).filter_map(|slot| slot.with(|arm| arm.what()))));
    loop {
        let round = Round::new(slots, says, &sleeper);
        round.stand();
        let won = slots.iter().position(|slot| slot.stood.get() == Stood::Won);
        // (If something was handed to one it is there, unless the caller is gone itself.)
        let handed = round.claim.as_ref().and_then(|claim| claim.winner());
        if let Some(came) = won.or_else(|| find(slots, handed, |arm| arm.attempt())) {
            pass_on(slots, came);
            return Ok(came);
        }
        match round.verdict.take() {
            // (What has told one may have been withdrawn: then it looks whether it is stopped when it waits again.)
            Some(Err(stop)) if slots.iter().all(|slot| slot.stood.get() == Stood::Idle) => return Err(stop),
            Some(_) => (),
            // Two may take back what they offer, each because of the other's offer.
            None => let_others_run(),
        }
    }
}

/// Those that were told, and are not the first, tell others.
fn pass_on(slots: &[Slot<'_>], first: usize) {
    for (number, slot) in slots.iter().enumerate() {
        if slot.stood.get() == Stood::Told && number != first {
            slot.with(|arm| arm.pass_on());
        }
    }
}
