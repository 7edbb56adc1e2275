//! The lock under [`Mutex`](crate::sync::Mutex): one word, and a list of those who wait.
//!
//! ```text
//!   HELD      somebody has it
//!   WAITED    somebody is in the list, or was
//!   FAIR      the first in the list has waited for too long: only those who have waited may take it
//!   TOLD      the first in the list has been told, and has not run since
//! ```
//! * Who wants it takes it if it is free, even if others wait: it need not wait for one that has not run yet. Else it tries again for a
//!   moment, since most who have it have it for a moment; then it waits.
//! * Who leaves it tells the first that waits, who competes for it with all others, and waits in front if it was too late. It keeps its place
//!   until it has run: nobody else is told meanwhile, and who leaves the lock does not look at the list, but at times.
//! * Who leaves it makes it *fair*, too, if the first that waits has done so for half a millisecond, and it has not been fair for as long.
//!   (Not the one that waits: it may not run as long as others keep the CPU.) Those who come wait behind it then. So the lock goes round
//!   among those who want it all the time, each of whom has it again and again for half a millisecond.
//! * One that was told may be *late*: it has not run half a millisecond later, though nobody else keeps it from that, since many others are
//!   queued before it. Then each behind it that is told only when the one before it has run would be as late. So the tasks behind it are told
//!   at once, and the lock is kept for none of them. (As far as the first thread: many threads that are told would each want a CPU at once.)
//!
//! WAITED, FAIR and TOLD are set under the list's lock. Who finds the list empty takes them back there. Who takes the lock while nobody waits
//! does not touch the list. `tests/sync_model` checks this with loom against this very file.

use super::face::{AtomicU32, Instant, Ordering, Stop, TRIES, WaitKind, const_fn, spin_loop};
use super::names::{self, Name};
use super::waiters::{How, Locked, Waited, Waiters, Wake};
use std::cell::Cell;

const HELD: u32 = 1;
const WAITED: u32 = 2;
const FAIR: u32 = 4;
const TOLD: u32 = 8;

/// Once in so many times who leaves looks how long the first has waited.
const LOOKS: u32 = 32;

/// When one that was told was late so many more are told, so many at a time.
const BATCHES: usize = 8;
const BATCH: usize = 32;

static MUTEX: WaitKind = WaitKind { name: "mutex", cancel: None, describe: names::describe };

/// See the module.
pub(crate) struct Lock {
    word: AtomicU32,
    /// How often it was left while one was told. (Some may be missed.)
    left: AtomicU32,
    waiters: Waiters,
    name: Name,
}

impl Lock {
    const_fn! {
        pub(crate) fn new(name: Name) -> Lock {
            Lock { word: AtomicU32::new(0), left: AtomicU32::new(0), waiters: Waiters::new(), name }
        }
    }

    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.word.load(Ordering::Relaxed) & HELD != 0
    }

    /// Takes it if it is free.
    #[inline]
    pub(crate) fn try_acquire(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & (HELD | FAIR) == 0 {
            match self.change(word, word | HELD) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        // (One that waits for too long has gone meanwhile, or is gone.)
        word & HELD == 0 && self.try_acquire_fair()
    }

    #[cold]
    fn try_acquire_fair(&self) -> bool {
        let mut list = self.waiters.lock();
        self.see_to_the_rest(&mut list);
        self.take(false).is_ok()
    }

    #[inline]
    fn change(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.word.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Waits for it; `Ok(false)`: until `deadline`, in vain. With `point` it is a cancellation point, if it has to wait.
    #[inline]
    pub(crate) fn acquire(&self, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        if self.change(0, HELD).is_ok() { Ok(true) } else { self.acquire_slowly(deadline, point) }
    }

    #[cold]
    fn acquire_slowly(&self, deadline: Option<Instant>, point: bool) -> Result<bool, Stop> {
        if self.tries_for_a_moment() {
            return Ok(true);
        }
        let since = Some(Instant::now());
        let how = How { deadline, point, since, ..How::new(&MUTEX, self.name.detail(self)) };
        let mut has_waited = false;
        loop {
            if self.take(has_waited).is_ok() {
                if has_waited {
                    self.waiters.lock().has_begun();
                }
                return Ok(true);
            }
            let how = How { in_front: has_waited, ..how };
            let more = Cell::new(false);
            let nothing = |list: &mut Locked<'_>| {
                more.set(self.is_kept_for_one_that_is_late(list));
                self.has_nothing_to_wait_for(has_waited, list)
            };
            match self.waiters.wait_for_turn(&how, nothing, |list| self.see_to_the_rest(list)) {
                Waited::Not if more.get() => self.tell_more(),
                Waited::Not => (),
                Waited::Told => has_waited = true,
                Waited::Late => return Ok(false),
                Waited::Stopped(stop) => return Err(stop),
            }
        }
    }

    fn tries_for_a_moment(&self) -> bool {
        for tries in 0..TRIES {
            let word = self.word.load(Ordering::Relaxed);
            if word & (HELD | FAIR) == 0 && self.change(word, word | HELD).is_ok() {
                return true;
            }
            // (One that is told and does not run is no reason to wait behind it.)
            if word & FAIR != 0 || word & (WAITED | TOLD) == WAITED {
                return false;
            }
            // (Each time for longer: who has it may take it again meanwhile, with all that it guards at hand.)
            (0..1 << tries).for_each(|_| spin_loop());
        }
        false
    }

    /// Takes it if the caller may. Gives the word that forbids it otherwise.
    fn take(&self, has_waited: bool) -> Result<(), u32> {
        let mut word = self.word.load(Ordering::Relaxed);
        while is_free(word, has_waited) {
            // (It is the turn of one that has waited for too long.)
            let taken = if has_waited { (word | HELD) & !FAIR } else { word | HELD };
            match self.change(word, taken) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
        Err(word)
    }

    /// Under the list's lock: was it free, and kept for one that has waited and does not come for long? From now on all may take it.
    fn is_kept_for_one_that_is_late(&self, list: &Locked<'_>) -> bool {
        let is_kept = self.word.load(Ordering::Relaxed) & (HELD | FAIR) == FAIR && list.is_late();
        if is_kept {
            self.word.fetch_and(!FAIR, Ordering::Relaxed);
        }
        is_kept
    }

    /// Under the list's lock: false if the caller is to join. Whoever leaves the lock sees WAITED then, and tells.
    fn has_nothing_to_wait_for(&self, has_waited: bool, list: &mut Locked<'_>) -> bool {
        self.see_to_the_rest(list);
        let mut word = self.word.load(Ordering::Relaxed);
        while !is_free(word, has_waited) {
            match self.change(word, word | WAITED) {
                Ok(_) => return false,
                Err(now) => word = now,
            }
        }
        true
    }

    /// Under the list's lock, when some have left the list: if nobody waits nobody has waited for too long; and who was told may be gone.
    fn see_to_the_rest(&self, list: &mut Locked<'_>) {
        list.see_to_the_rest(&self.word, WAITED | FAIR | TOLD, TOLD);
    }

    /// By who has it.
    #[inline]
    pub(crate) fn release(&self) {
        if self.word.compare_exchange(HELD, 0, Ordering::Release, Ordering::Relaxed).is_err() {
            self.release_slowly();
        }
    }

    #[cold]
    fn release_slowly(&self) {
        let word = self.word.fetch_and(!HELD, Ordering::Release);
        if word & WAITED == 0 || (word & TOLD != 0 && !self.looks()) {
            return;
        }
        let mut list = self.waiters.lock();
        let wake = list.give_turn();
        let overdue = list.is_overdue();
        if wake.is_some() || overdue {
            list.awaits_from_now();
        }
        let more = list.was_late();
        self.word.fetch_or(if overdue { TOLD | FAIR } else { TOLD }, Ordering::Relaxed);
        self.see_to_the_rest(&mut list);
        drop(list);
        wake.into_iter().for_each(Wake::wake);
        if more {
            self.tell_more();
        }
    }

    /// One that was told came late: those behind it are told, too.
    #[cold]
    fn tell_more(&self) {
        // (Those that come too late meanwhile stand in front again.)
        for _ in 0..BATCHES {
            let told = self.waiters.lock().give_turns::<BATCH>();
            if told[0].is_none() {
                break;
            }
            told.into_iter().flatten().for_each(Wake::wake);
        }
    }

    fn looks(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed).wrapping_add(1);
        self.left.store(left, Ordering::Relaxed);
        left.is_multiple_of(LOOKS)
    }
}

/// May one take it that has waited, or has not?
fn is_free(word: u32, has_waited: bool) -> bool {
    word & HELD == 0 && (has_waited || word & FAIR == 0)
}
