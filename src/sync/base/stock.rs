//! A number of things to be taken, first come, first served: what [`Semaphore`](crate::sync::Semaphore),
//! [`Notification`](crate::sync::Notification) and [`RwLock`](crate::sync::RwLock) stand on.
//!
//! One word has the number, and whether somebody waits. As long as nobody does nobody touches the list. Who comes while others wait for
//! their turn waits behind them, also if there would be enough for him. Who is cancelled, late or gone leaves the line, and those behind
//! move up. `tests/sync_model` checks this with loom.

use super::face::{AtomicUsize, Ordering, Stop, WaitKind, const_fn};
use super::first::{Among, Arm, One, Stood};
use super::in_line::KeptPlace;
use super::names::Name;
use super::said::{Kind, What};
use super::waiters::{How, Locked, Waited, Waiters, Wake};
use std::cell::Cell;

/// Somebody is in the list, or was: the word is changed under the list's lock only.
const WAITED: usize = 1;
const ONE: usize = 2;

/// There is never more.
pub(crate) const MOST: usize = usize::MAX / ONE;

/// See the module.
pub(crate) struct Stock {
    /// So much is there ([`ONE`] each). Those who have their turn have not taken theirs yet.
    word: AtomicUsize,
    /// How often all were [let go](Self::dismiss_all). Counted under the list's lock.
    dismissals: AtomicUsize,
    waiters: Waiters,
}

impl Stock {
    const_fn! {
        pub(crate) fn new(there: usize) -> Stock {
            let there = if there < MOST { there } else { MOST };
            let word = AtomicUsize::new(there * ONE);
            Stock { word, dismissals: AtomicUsize::new(0), waiters: Waiters::new() }
        }
    }

    /// Takes so much, when it is its turn. `how` it waits is asked if it has to. `Ok(false)`: the deadline came first.
    #[inline]
    pub(crate) fn take(&self, wants: usize, how: impl FnOnce() -> How) -> Result<bool, Stop> {
        if self.takes_at_once(wants, None) {
            return Ok(true);
        }
        self.take_slowly(&How { wants, ..how() }).has_come()
    }

    fn take_slowly(&self, how: &How) -> Waited {
        let next = Cell::new(None);
        let asks = |list: &mut Locked<'_>| next.set(Some(self.next(list)));
        let takes = |list: &mut Locked<'_>| {
            self.word.fetch_sub(how.wants * ONE, Ordering::Acquire);
            asks(list);
        };
        let nothing = |list: &mut Locked<'_>| self.takes_at_once(how.wants, Some(list));
        let waited = self.waiters.wait_in_line(how, nothing, || self.tell_next(), takes, asks);
        if !matches!(waited, Waited::Not) {
            self.has_left(next.into_inner());
        }
        waited
    }

    /// As one of several, stands in line from now on. `None`: it need not.
    fn keep_place(&self, how: &How, one: One) -> Option<KeptPlace<'_>> {
        self.waiters.keep_place(how, one, |list| self.is_there(how.wants, list))
    }

    /// Under the list's lock: false, and whoever adds sees that the caller waits.
    fn is_there(&self, wants: usize, list: &mut Locked<'_>) -> bool {
        let word = self.word.fetch_or(WAITED, Ordering::Relaxed);
        let is_there = list.all_have_turn() && word / ONE - list.promised() >= wants;
        if is_there {
            self.forget_none(list);
        }
        is_there
    }

    /// It is in line no more. True: it has taken what it `wants`, which it had its turn for.
    fn leave(&self, place: &KeptPlace<'_>, wants: usize) -> bool {
        let left = place.leave(|list| {
            self.word.fetch_sub(wants * ONE, Ordering::Acquire);
            self.next(list)
        });
        let is_taken = wants > 0 && left.is_some();
        self.has_left(left);
        is_taken
    }

    /// One has left the line. Those behind it may have their turn now: who is the `next`, if that was asked, under the lock that it had.
    fn has_left(&self, next: Option<Option<Wake>>) {
        match next {
            Some(None) => (),
            Some(Some(wake)) => {
                wake.wake();
                self.tell_next();
            }
            // It was taken out by somebody else.
            None => self.tell_next(),
        }
    }

    /// Takes so much, if it is there and nobody waits for his turn.
    #[inline]
    pub(crate) fn try_take(&self, wants: usize) -> bool {
        self.takes_at_once(wants, None)
            || (self.word.load(Ordering::Relaxed) & WAITED != 0 && self.try_take_slowly(wants))
    }

    /// (Whoever waits may be gone, or have its turn.)
    #[cold]
    fn try_take_slowly(&self, wants: usize) -> bool {
        let mut list = self.waiters.lock();
        let takes = self.takes_at_once(wants, Some(&mut list));
        self.forget_none(&mut list);
        takes
    }

    /// So much more is there. False, and nothing has changed: it would be more than [`MOST`].
    #[inline]
    pub(crate) fn add(&self, more: usize) -> bool {
        self.set(|there| there.checked_add(more).filter(|there| *there <= MOST))
    }

    /// As [`add`](Self::add), up to [`MOST`].
    pub(crate) fn add_what_fits(&self, more: usize) {
        self.set(|there| Some(there.saturating_add(more).min(MOST)));
    }

    #[inline]
    fn set(&self, sum: impl Fn(usize) -> Option<usize>) -> bool {
        let add = |waited: usize| {
            self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                let there = if word & WAITED == waited { sum(word / ONE) } else { None };
                there.map(|there| (there * ONE) | waited)
            })
        };
        match add(0) {
            Ok(_) => true,
            Err(word) if word & WAITED == 0 => false,
            Err(_) => self.set_slowly(&sum),
        }
    }

    #[cold]
    fn set_slowly(&self, sum: &dyn Fn(usize) -> Option<usize>) -> bool {
        let mut list = self.waiters.lock();
        let added = self.word.fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
            sum(word / ONE).map(|there| (there * ONE) | (word & WAITED))
        });
        let first = self.next(&mut list);
        // (Mostly there is none.)
        let second = if first.is_some() { self.next(&mut list) } else { None };
        drop(list);
        first.into_iter().for_each(Wake::wake);
        if let Some(second) = second {
            second.wake();
            self.tell_next();
        }
        added.is_ok()
    }

    /// Lets all go that wait for their turn at this moment, with nothing.
    pub(crate) fn dismiss_all(&self) {
        let came = {
            let list = self.waiters.lock();
            self.dismissals.fetch_add(1, Ordering::Release);
            list.came()
        };
        while let Some(wake) = self.dismiss_older(came) {
            wake.wake();
        }
    }

    /// So much is there; some of it may be promised.
    pub(crate) fn there(&self) -> usize {
        self.word.load(Ordering::Relaxed) / ONE
    }

    /// How much is there that is promised to nobody.
    pub(crate) fn unpromised(&self) -> usize {
        self.there() - self.waiters.lock().promised()
    }

    /// The same, and how many wait for their turn. (It counts them: for `Debug`.)
    pub(crate) fn state(&self) -> (usize, usize) {
        let mut list = self.waiters.lock();
        (self.there() - list.promised(), list.count_in_line())
    }

    fn dismiss_older(&self, came: u64) -> Option<Wake> {
        let mut list = self.waiters.lock();
        let wake = list.dismiss_older(came);
        self.forget_none(&mut list);
        wake
    }

    /// Whose turn it is now is told.
    #[cold]
    fn tell_next(&self) {
        let next = || self.next(&mut self.waiters.lock());
        while let Some(wake) = next() {
            wake.wake();
        }
    }

    fn next(&self, list: &mut Locked<'_>) -> Option<Wake> {
        let wake = list.offer(self.there());
        self.forget_none(list);
        wake
    }

    /// With the list's lock: if it is not its turn the caller is to join, and whoever adds sees WAITED then.
    #[inline]
    fn takes_at_once(&self, wants: usize, mut list: Option<&mut Locked<'_>>) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let (may, promised) = match &mut list {
                Some(list) => (list.all_have_turn(), list.promised()),
                None => (word & WAITED == 0, 0),
            };
            let takes = may && word / ONE - promised >= wants;
            let next = match (takes, &list) {
                (true, _) => word - wants * ONE,
                (false, Some(_)) => word | WAITED,
                (false, None) => return false,
            };
            match self.word.compare_exchange(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return takes,
                Err(now) => word = now,
            }
        }
    }

    /// Under the list's lock.
    fn forget_none(&self, list: &mut Locked<'_>) {
        if list.is_empty() {
            self.word.fetch_and(!WAITED, Ordering::Relaxed);
        }
    }
}

/// To take one, as one of several, or to be let go. It keeps its place in line until it is known which is the first. What it has its turn for it
/// takes when it is asked for, and not before: so an arm that stands first goes first.
pub(crate) struct StockArm<'a> {
    stock: &'a Stock,
    kind: &'static WaitKind,
    name: (Kind, &'a Name),
    /// So often all had been let go when it began.
    dismissals: usize,
    place: Option<KeptPlace<'a>>,
}

impl<'a> StockArm<'a> {
    pub(crate) fn new(stock: &'a Stock, kind: &'static WaitKind, name: (Kind, &'a Name)) -> Self {
        let dismissals = stock.dismissals.load(Ordering::Relaxed);
        StockArm { stock, kind, name, dismissals, place: None }
    }

    fn is_dismissed(&self) -> bool {
        self.stock.dismissals.load(Ordering::Acquire) != self.dismissals
    }
}

impl Arm for StockArm<'_> {
    fn attempt(&mut self) -> bool {
        match &self.place {
            // (It had its turn before all were let go, if they were.)
            Some(place) if place.has_turn() => self.stock.leave(place, 1),
            Some(_) => self.is_dismissed(),
            None => self.is_dismissed() || self.stock.try_take(1),
        }
    }

    /// (Who does not wait is not let go.)
    fn attempt_at_once(&mut self) -> bool {
        self.stock.try_take(1)
    }

    fn what(&self) -> Option<What> {
        Some(What::named(self.name.0, self.name.1))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        let kept = self.place.take().filter(|place| !place.is_out());
        if kept.is_some() {
            // (Whose turn it was may be gone.)
            self.stock.tell_next();
        }
        let how = How { wants: 1, ..How::new(self.kind, 0) };
        self.place = kept.or_else(|| self.stock.keep_place(&how, among.one(None)));
        // (All may have been let go just before it stood there.)
        if let Some(place) = &self.place
            && !self.is_dismissed()
        {
            // (Whether it was told the place says, also later.)
            let _ = among.sleep_at(place.place(), inner);
        }
        Stood::Idle
    }

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.stock.leave(&place, 0);
        }
    }
}

/// Also without having been told to: those behind it have their turn.
impl Drop for StockArm<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
