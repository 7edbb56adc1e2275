//! `bounded(0)`: an item passes from a sender to a receiver that is there.
//!
//! ```text
//!   send ── does a receiver wait? ── handed to it, under the receivers' list's lock ───────────► sent
//!     │                                         │                                                ▲
//!     │                                         └─ it runs, and takes what was handed to it       │
//!     │                                            it is gone: whoever looks takes it             │
//!     └── nobody ── offered to whoever comes ── taken ────────────────────────────────────────────┘
//!                                            └─ the sender gives up first: it takes it back
//! ```
//! **What is offered** is for whoever comes first. Its sender waits so long.
//!
//! **What was handed over** is that receiver's: it is told, and nobody else takes the item, however long it takes to run; neither the sender
//! nor one that comes later, and not if the channel is closed meanwhile. Whoever has left the list, since its time was over or it was
//! cancelled, is handed nothing; who was told in time returns what it has, and leaves the cancel for its next point.
//!
//! **Nobody is given anything before it runs.** What was handed over lies here, among what is offered, with the number of the receiver's
//! place and the receiver. There is one word for it: whether it lies here, under the lock. The receiver takes it out when it runs; whoever
//! finds that the receiver is gone (left behind by its pool, or in the process that this one was forked from) takes it out instead. Whoever
//! is first has it. One that is gone, and is on a thread still, may be second: then it looks on, as if it was told for nothing. And when some
//! are gone all others look again (`ec_pool::wait::Sleeper`), those too that are just about to sleep ([`Meeting::has_any`]).
//!
//! Locks are taken in this order: the list of the senders or that of the receivers, then the offers.

use super::super::base::face::{
    Arc, AtomicUsize, ForkMutex, Forked, MutexGuard, Ordering, Sleeper, Taken, let_others_run,
    lock_with_room, some_may_be_gone,
};
use super::super::base::first::{Among, Claim, Stood};
use super::super::base::side::Side;
use super::super::base::waiters::{How, Place, Waited, Waiters, Wake};
use super::core::Failed;
use std::collections::VecDeque;
use std::ptr;

/// See the module.
pub(crate) struct Meeting<T> {
    offers: ForkMutex<Offers<T>>,
    /// How many offers are open ([`ONE`] each), [`HANDED`], [`CLOSED`]. Written under the lock.
    state: AtomicUsize,
    senders: Waiters,
}

struct Offers<T> {
    /// In the order of their numbers.
    queue: VecDeque<Offer<T>>,
    /// How many of them can be taken by whoever comes, as far as anybody knows.
    open: usize,
    /// How many of them were handed over.
    handed: usize,
    last: u64,
    closed: bool,
}

struct Offer<T> {
    number: u64,
    whose: Whose,
    /// It is not to be taken: the sender has got another thing, and takes it back when it runs; or it is not here, in a forked child.
    withdrawn: bool,
    item: T,
}

enum Whose {
    /// Of whoever comes. Its sender waits; perhaps for several things, of which it is one: the claim, and which of them.
    Anybodys(Option<(Arc<Claim>, usize)>),
    /// It was handed to this receiver, whose place in the list has this number.
    Handed(Sleeper, u64),
}

/// Nothing is offered any more.
const CLOSED: usize = 1;
/// Something was handed over, and has not been taken.
const HANDED: usize = 2;
const ONE: usize = 4;

/// After so many offers a sender lets others run. (One whose receiver is as quick never waits.)
const OFFERS_TO_REST: u64 = 16;

impl<T> Forked for Offers<T> {
    /// What was offered nobody knows.
    fn left_half() -> Self {
        Offers { closed: true, ..Offers::new() }
    }

    /// Who waits with an offer is not here. (Nor is who was handed something: that is for others.)
    fn left_whole(&mut self) {
        self.queue.iter_mut().for_each(|offer| offer.withdrawn = !offer.is_handed());
        self.open = 0;
    }
}

impl<T> Offer<T> {
    fn is_handed(&self) -> bool {
        matches!(self.whose, Whose::Handed(..))
    }

    /// Was it handed to who had this place? (Of who is gone there may be one with the same number, in a forked child.)
    fn is_handed_to(&self, place: Option<u64>) -> bool {
        matches!(&self.whose, Whose::Handed(to, number) if Some(*number) == place && !to.is_gone())
    }

    fn was_handed_in_vain(&self) -> bool {
        matches!(&self.whose, Whose::Handed(to, _) if to.is_gone())
    }
}

impl<T> Offers<T> {
    fn new() -> Self {
        Offers { queue: VecDeque::new(), open: 0, handed: 0, last: 0, closed: false }
    }

    /// There is room.
    fn push(&mut self, item: T, whose: Whose) -> u64 {
        self.last += 1;
        let offer = Offer { number: self.last, whose, withdrawn: false, item };
        let count = if offer.is_handed() { &mut self.handed } else { &mut self.open };
        *count += 1;
        self.queue.push_back(offer);
        self.last
    }

    /// Takes out what was handed to who had this place, or else the first that anybody may take.
    fn take_first(&mut self, place: Option<u64>) -> Option<Offer<T>> {
        let mine = match self.handed {
            0 => None,
            _ => self.queue.iter().position(|offer| offer.is_handed_to(place)),
        };
        let at = mine.or_else(|| (0..self.queue.len()).find(|at| self.is_anybodys(*at)))?;
        self.remove(at)
    }

    /// If so, the caller takes it: its sender has got nothing else.
    fn is_anybodys(&mut self, at: usize) -> bool {
        let offer = &mut self.queue[at];
        match &offer.whose {
            Whose::Handed(..) => return offer.was_handed_in_vain(),
            Whose::Anybodys(_) if offer.withdrawn => return false,
            Whose::Anybodys(claim) => {
                offer.withdrawn = claim.as_ref().is_some_and(|(claim, arm)| !claim.win(*arm));
            }
        }
        self.open -= usize::from(offer.withdrawn);
        !offer.withdrawn
    }

    /// (What lies with it is dropped without the lock.)
    fn remove(&mut self, at: usize) -> Option<Offer<T>> {
        let offer = self.queue.remove(at)?;
        let count = if offer.is_handed() { &mut self.handed } else { &mut self.open };
        *count -= usize::from(!offer.withdrawn);
        Some(offer)
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&number, |offer| offer.number).ok()
    }
}

impl<T> Meeting<T> {
    pub(crate) fn new() -> Meeting<T> {
        Meeting { offers: ForkMutex::new(Offers::new()), state: AtomicUsize::new(0), senders: Waiters::new() }
    }

    fn lock_with_room(&self) -> MutexGuard<'_, Offers<T>> {
        lock_with_room(&self.offers, |offers| &mut offers.queue)
    }

    /// Under the lock: the state is as the offers are.
    fn publish(&self, offers: &Offers<T>) {
        let handed = if offers.handed > 0 { HANDED } else { 0 };
        let closed = if offers.closed { CLOSED } else { 0 };
        self.state.store(offers.open * ONE + handed + closed, Ordering::SeqCst);
    }

    /// Hands `item` to a receiver that waits, or offers it and waits until it is taken.
    pub(crate) fn send(&self, item: T, how: How, receivers: &Side) -> Result<(), (T, Failed)> {
        match self.hand(item, receivers) {
            Ok(number) => {
                self.has_sent(number);
                Ok(())
            }
            Err(item) => self.offer_and_wait(item, how, receivers),
        }
    }

    /// Hands `item` to a receiver that waits.
    pub(crate) fn try_send(&self, item: T, receivers: &Side) -> Result<(), (T, Failed)> {
        self.hand(item, receivers).map(drop).map_err(|item| {
            let offers = self.offers.lock();
            // (In a forked child it may not be said yet.)
            self.publish(&offers);
            let failed = if offers.closed { Failed::Closed } else { Failed::Late };
            drop(offers);
            (item, failed)
        })
    }

    /// Gives its number. `Err`: nobody waits, or it is closed.
    fn hand(&self, item: T, receivers: &Side) -> Result<u64, T> {
        if !receivers.is_waited_at() {
            return Err(item);
        }
        let (number, wake) = loop {
            let mut list = receivers.lock();
            let mut offers = self.offers.lock();
            if offers.queue.len() == offers.queue.capacity() {
                drop(offers);
                drop(list);
                drop(self.lock_with_room());
                continue;
            }
            let taker = if offers.closed { None } else { list.tell_taker() };
            receivers.see_to_the_rest(&mut list);
            let Some((place, wake)) = taker else {
                drop(offers);
                drop(list);
                return Err(item);
            };
            let number = offers.push(item, Whose::Handed(wake.whom(), place));
            self.publish(&offers);
            break (number, wake);
        };
        wake.wake();
        Ok(number)
    }

    fn has_sent(&self, number: u64) {
        if number.is_multiple_of(OFFERS_TO_REST) {
            let_others_run();
        }
    }

    fn offer_and_wait(&self, item: T, how: How, receivers: &Side) -> Result<(), (T, Failed)> {
        let number = match self.offer(item, None, receivers) {
            Ok(number) => number,
            Err(item) => return Err((item, Failed::Closed)),
        };
        let how = How { key: number, ..how };
        loop {
            let waited = self.senders.wait(&how, |_| !self.is_open_offer(number), || (), |_| ());
            let failed = match waited {
                Waited::Late => Failed::Late,
                Waited::Stopped(stop) => Failed::Stopped(stop),
                Waited::Not | Waited::Told if self.is_open_offer(number) => continue,
                Waited::Not | Waited::Told => Failed::Closed,
            };
            if let Some(item) = self.take_back(number) {
                return Err((item, failed));
            }
            self.has_sent(number);
            return Ok(());
        }
    }

    /// Gives its number. `Err`: it is closed.
    fn offer(&self, item: T, claim: Option<(Arc<Claim>, usize)>, receivers: &Side) -> Result<u64, T> {
        let mut offers = self.lock_with_room();
        if offers.closed {
            // (In a forked child it may not be said yet.)
            self.publish(&offers);
            drop(offers);
            return Err(item);
        }
        let number = offers.push(item, Whose::Anybodys(claim));
        self.publish(&offers);
        drop(offers);
        receivers.notify();
        Ok(number)
    }

    /// As one of several, offers `item` while `inner` runs. It is gone if it was taken: then it has won.
    pub(super) fn stand(
        &self,
        item: &mut Option<T>,
        how: How,
        receivers: &Side,
        among: &Among<'_>,
        inner: &mut dyn FnMut(&Among<'_>),
    ) -> Stood {
        let Some(offered) = item.take() else { return Stood::Idle };
        let number = match self.offer(offered, among.claim(), receivers) {
            Ok(number) => number,
            Err(offered) => {
                *item = Some(offered);
                return Stood::Idle;
            }
        };
        let how = How { key: number, ..how };
        let sleeps = |place: &Place| {
            inner(&among.with_offer(&|| place.is_told(), self.as_offered_to()));
            Ok(false)
        };
        let waited = self.senders.wait_by(
            &how,
            Some(among.one(None)),
            |_| !self.is_open_offer(number),
            sleeps,
            |_| (),
        );
        *item = self.take_back(number);
        if item.is_none() { Stood::Won } else { waited.into() }
    }

    /// As which it is [counted](Among::count_offers).
    fn as_offered_to(&self) -> *const () {
        ptr::from_ref(self).cast()
    }

    /// Is it to be waited for?
    fn is_open_offer(&self, number: u64) -> bool {
        let offers = self.offers.lock();
        !offers.closed && offers.place(number).is_some()
    }

    /// `None`: it has been taken.
    fn take_back(&self, number: u64) -> Option<T> {
        let mut offers = self.offers.lock();
        let place = offers.place(number)?;
        let offer = offers.remove(place);
        self.publish(&offers);
        drop(offers);
        Some(offer?.item)
    }

    /// By one that had this place in the list of the receivers, or has just come.
    pub(crate) fn take(&self, place: Option<u64>) -> Taken<T> {
        let mut offers = self.offers.lock();
        let offer = offers.take_first(place);
        self.publish(&offers);
        let Some(offer) = offer else {
            return if offers.closed { Taken::Closed } else { Taken::Nothing };
        };
        drop(offers);
        if !offer.is_handed() {
            let wake = self.senders.lock().tell_one(offer.number);
            wake.into_iter().for_each(Wake::wake);
        }
        Taken::Got(offer.item, offer.number.is_multiple_of(OFFERS_TO_REST))
    }

    /// False: it was closed before. (Its receivers are told by the caller.)
    pub(crate) fn close(&self) -> bool {
        let was_closed = {
            let mut offers = self.offers.lock();
            let was_closed = std::mem::replace(&mut offers.closed, true);
            self.publish(&offers);
            was_closed
        };
        self.senders.tell_all();
        !was_closed
    }

    /// One that was handed over and not taken: there is no receiver any more. (Senders that wait take theirs back.)
    pub(super) fn take_handed(&self) -> Option<T> {
        let mut offers = self.offers.lock();
        let at = offers.queue.iter().position(Offer::is_handed)?;
        let offer = offers.remove(at);
        self.publish(&offers);
        drop(offers);
        Some(offer?.item)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Is there anything that anybody may take? (If it is closed, perhaps.)
    pub(crate) fn has_any(&self) -> bool {
        self.has_more_than(0)
    }

    /// As [`has_any`](Self::has_any), of others than who is among these.
    pub(super) fn has_any_of_others(&self, among: &Among<'_>) -> bool {
        // (If one of its own is withdrawn it is told.)
        self.has_more_than(among.count_offers(self.as_offered_to()))
    }

    fn has_more_than(&self, offers: usize) -> bool {
        let state = self.state.load(Ordering::SeqCst);
        state & CLOSED != 0
            || state / ONE > offers
            || (state & HANDED != 0 && some_may_be_gone() && self.has_handed_in_vain())
    }

    #[cold]
    fn has_handed_in_vain(&self) -> bool {
        self.offers.lock().queue.iter().any(Offer::was_handed_in_vain)
    }
}
