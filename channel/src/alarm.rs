//! The sticky alarm of a port. It says whether somebody sleeps there, and whether somebody has called.
//!
//! ```text
//!            sleep()                call(): ring!
//!  awake ------------> asleep --------------------> called
//!    ^                   |                            |
//!    +---- awake() ------+---------- awake() ---------+
//!    +---- sleep() refused <--- called <--- call() when awake
//! ```
//! There are two kinds of callers:
//!
//! * The driving thread looks for this caller's work *after* it has announced its sleep: the inbox, which has a lock of its
//!   own. Such a caller rings only for a sleeper.
//! * The driving thread looks at this caller's work *before* it announces: a run queue, the ready events. Such a caller calls
//!   in any case. The next announcement is then refused, and the driving thread looks again.
//!
//! **Whose sleep.** Each announcement has a number. Only who has made it takes it back. A second sleeper may come before the first
//! one has gone: whoever drives the port takes the place of one that waits for the port's descriptor only. The announcement is then
//! the second one's, and the first one takes nothing back any more. (It hears no bell any more either: who takes its place sees to
//! it that it is told.)

use crate::sync::{AtomicU32, Ordering};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const CALLED: u32 = 2;
/// The rest is the number of the last announcement.
const STATE: u32 = 3;
const NEXT: u32 = 4;

/// See the module.
#[doc(hidden)]
pub struct Alarm(AtomicU32);

/// An announced sleep: to be taken back by [`Alarm::awake`].
#[doc(hidden)]
#[must_use = "a sleep that was announced is taken back"]
pub struct Asleep(u32);

impl Alarm {
    /// Of somebody who is awake.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// The caller announces its sleep. `None`: somebody has called since the last sleep; look again first. After `Some` it
    /// looks into the inbox once more, then sleeps (or not), then calls `awake`.
    pub fn sleep(&self) -> Option<Asleep> {
        let mut word = self.0.load(Ordering::SeqCst);
        loop {
            let called = word & STATE == CALLED;
            let number = word & !STATE;
            let new = if called { number | AWAKE } else { number.wrapping_add(NEXT) | ASLEEP };
            match self.0.compare_exchange(word, new, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return (!called).then_some(Asleep(new & !STATE)),
                Err(now) => word = now,
            }
        }
    }

    /// The sleeper is back. Nothing is done if another has taken its place.
    pub fn awake(&self, asleep: Asleep) {
        let mut word = self.0.load(Ordering::SeqCst);
        while word & !STATE == asleep.0 {
            // An exchange, not a store: what the last caller did before its call must be seen from here on.
            match self.0.compare_exchange(word, asleep.0 | AWAKE, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Has somebody announced its sleep, and has nobody called since?
    pub fn is_asleep(&self) -> bool {
        self.0.load(Ordering::SeqCst) & STATE == ASLEEP
    }

    /// Has somebody called whom nobody has heard yet?
    pub fn is_called(&self) -> bool {
        self.0.load(Ordering::SeqCst) & STATE == CALLED
    }

    /// Wakes the sleeper, or makes the next announcement fail. True: it sleeps, and the caller has to ring.
    #[must_use = "a sleeper that nobody rings for sleeps on"]
    pub fn call(&self) -> bool {
        let mut word = self.0.load(Ordering::SeqCst);
        loop {
            // (Also if it has been called already: what this caller did before must be seen, too.)
            match self.0.compare_exchange(word, word & !STATE | CALLED, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return word & STATE == ASLEEP,
                Err(now) => word = now,
            }
        }
    }

    /// As `call`, but only for a sleeper.
    #[must_use = "a sleeper that nobody rings for sleeps on"]
    pub fn call_if_asleep(&self) -> bool {
        self.is_asleep() && self.call()
    }
}
