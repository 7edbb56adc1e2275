//! The sticky alarm of a port. It says whether the driving thread sleeps, and whether somebody has called.
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

use crate::sync::{AtomicU32, Ordering};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const CALLED: u32 = 2;

/// See the module.
pub struct Alarm(AtomicU32);

impl Alarm {
    /// Of somebody who is awake.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// The driver announces sleep. False: somebody has called since the last sleep; look again first. After `true` it
    /// looks into the inbox once more, then sleeps (or not), then calls `awake`.
    pub fn sleep(&self) -> bool {
        match self.0.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(_) => {
                self.awake();
                false
            }
        }
    }

    /// The driver is back.
    pub fn awake(&self) {
        // A swap, not a store: what the last caller did before its call must be seen from here on.
        self.0.swap(AWAKE, Ordering::SeqCst);
    }

    /// Has the driver announced sleep, and has nobody called since?
    pub fn is_asleep(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ASLEEP
    }

    /// Wakes the driver, or makes its next announcement fail. True: it sleeps, and the caller has to ring.
    #[must_use = "a sleeper that nobody rings for sleeps on"]
    pub fn call(&self) -> bool {
        self.0.swap(CALLED, Ordering::SeqCst) == ASLEEP
    }

    /// As `call`, but only for a sleeper.
    #[must_use = "a sleeper that nobody rings for sleeps on"]
    pub fn call_if_asleep(&self) -> bool {
        self.is_asleep() && self.call()
    }
}
