//! `bounded(0)`: an item passes from a sender to a receiver that is there.
//!
//! A sender offers its item and waits until it is taken. If it gives up before, it takes the item back. A sender that does not wait hands
//! its item over only if a receiver waits: it tells that one, which takes the item when it runs. If that one does not run any more, the
//! item is for the next.
//!
//! Locks are taken in this order: the list of the senders, the offers, the list of the receivers.

use super::super::base::face::{
    Arc, AtomicUsize, ForkMutex, Forked, MutexGuard, Ordering, Taken, let_others_run, lock_with_room,
};
use super::super::base::first::{Among, Claim, Stood};
use super::super::base::side::Side;
use super::super::base::waiters::{How, Place, Waited, Waiters};
use super::core::Failed;
use std::collections::VecDeque;
use std::ptr;

/// See the module.
pub(crate) struct Meeting<T> {
    offers: ForkMutex<Offers<T>>,
    /// How many offers are open; or, if it is closed, [`CLOSED`]. Written under the lock.
    state: AtomicUsize,
    senders: Waiters,
}

struct Offers<T> {
    /// In the order of their numbers.
    queue: VecDeque<Offer<T>>,
    /// How many of them can be taken, as far as anybody knows.
    open: usize,
    last: u64,
    closed: bool,
}

struct Offer<T> {
    number: u64,
    /// Its sender waits.
    waits: bool,
    /// It is one of several things that the sender waits for: the claim, and which of them.
    claim: Option<(Arc<Claim>, usize)>,
    /// It is not to be taken: the sender has got another one, and takes it back when it runs.
    withdrawn: bool,
    item: T,
}

const CLOSED: usize = usize::MAX;

/// After so many offers a sender lets others run. (One whose receiver is as quick never waits.)
const OFFERS_TO_REST: u64 = 16;

impl<T> Forked for Offers<T> {
    /// What was offered nobody knows.
    fn left_half() -> Self {
        Offers { queue: VecDeque::new(), open: 0, last: 0, closed: true }
    }

    /// Who waits with an offer is not here.
    fn left_whole(&mut self) {
        self.queue.iter_mut().for_each(|offer| offer.withdrawn |= offer.waits);
        self.open = self.queue.iter().filter(|offer| !offer.withdrawn).count();
    }
}

impl<T> Offers<T> {
    /// There is room.
    fn push(&mut self, item: T, waits: bool, claim: Option<(Arc<Claim>, usize)>) -> u64 {
        self.last += 1;
        self.open += 1;
        self.queue.push_back(Offer { number: self.last, waits, claim, withdrawn: false, item });
        self.last
    }

    /// Takes out the first that can be taken.
    fn take_first(&mut self) -> Option<Offer<T>> {
        let mut place = 0;
        loop {
            let offer = self.queue.get_mut(place)?;
            if !offer.withdrawn {
                self.open -= 1;
                if offer.claim.as_ref().is_none_or(|(claim, arm)| claim.win(*arm)) {
                    return self.queue.remove(place);
                }
                offer.withdrawn = true;
            }
            place += 1;
        }
    }

    fn remove(&mut self, place: usize) -> Option<T> {
        let offer = self.queue.remove(place)?;
        self.open -= usize::from(!offer.withdrawn);
        Some(offer.item)
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.queue.binary_search_by_key(&number, |offer| offer.number).ok()
    }
}

impl<T> Meeting<T> {
    pub(crate) fn new() -> Meeting<T> {
        Meeting {
            offers: ForkMutex::new(Offers { queue: VecDeque::new(), open: 0, last: 0, closed: false }),
            state: AtomicUsize::new(0),
            senders: Waiters::new(),
        }
    }

    fn lock_with_room(&self) -> MutexGuard<'_, Offers<T>> {
        lock_with_room(&self.offers, |offers| &mut offers.queue)
    }

    /// Under the lock: the state is as the offers are.
    fn publish(&self, offers: &Offers<T>) {
        let state = if offers.closed { CLOSED } else { offers.open };
        self.state.store(state, Ordering::SeqCst);
    }

    /// Offers `item` and waits until it is taken.
    pub(crate) fn send(&self, item: T, how: How, receivers: &Side) -> Result<(), (T, Failed)> {
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
            if number.is_multiple_of(OFFERS_TO_REST) {
                let_others_run();
            }
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
        let number = offers.push(item, true, claim);
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
        let item = offers.remove(place);
        self.publish(&offers);
        item
    }

    /// Hands `item` to a receiver that waits.
    pub(crate) fn hand(&self, item: T, receivers: &Side) -> Result<(), (T, Failed)> {
        let mut offers = self.lock_with_room();
        let failed = if offers.closed {
            self.publish(&offers);
            Failed::Closed
        } else if let Some(wake) = receivers.tell_taker() {
            offers.push(item, false, None);
            self.publish(&offers);
            drop(offers);
            wake.wake();
            return Ok(());
        } else {
            Failed::Late
        };
        drop(offers);
        Err((item, failed))
    }

    pub(crate) fn take(&self) -> Taken<T> {
        let mut offers = self.offers.lock();
        let offer = offers.take_first();
        self.publish(&offers);
        let Some(offer) = offer else {
            return if offers.closed { Taken::Closed } else { Taken::Nothing };
        };
        drop(offers);
        if offer.waits {
            let wake = self.senders.lock().tell_one(offer.number);
            wake.into_iter().for_each(|wake| wake.wake());
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

    /// One that was handed over and not taken. (Senders that wait take theirs back.)
    pub(super) fn take_handed(&self) -> Option<T> {
        let mut offers = self.offers.lock();
        let place = offers.queue.iter().position(|offer| !offer.waits)?;
        offers.remove(place)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CLOSED
    }

    /// Is anything offered? (If it is closed, perhaps.)
    pub(crate) fn has_any(&self) -> bool {
        self.state.load(Ordering::SeqCst) != 0
    }

    /// As [`has_any`](Self::has_any), by others than who is among these.
    pub(super) fn has_any_of_others(&self, among: &Among<'_>) -> bool {
        // (If one of its own is withdrawn it is told.)
        self.state.load(Ordering::SeqCst) > among.count_offers(self.as_offered_to())
    }
}
