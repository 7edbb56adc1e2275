//! The one atomic word on which a task and its wakers meet.
//!
//! The word holds the tokens that wakers have left. While the task is parked, it also holds which of them the task
//! waits for. Who does what:
//!
//! 1. The task, about to wait, calls [`ParkWord::take`]. A token that is there spares the switch.
//! 2. The task switches away. Only then, off its stack, the worker calls [`ParkWord::park`]. A token that came
//!    meanwhile makes that fail, and the worker resumes the task at once.
//! 3. A waker calls [`ParkWord::wake`]. The one that turns "parked" into "not parked" receives the right to run the
//!    task. So no two workers ever have it.
//! 4. The task, resumed, calls `take` again.
//!
//! Ready and running are the same here (not parked). A task that only yields does not touch the word at all.

use super::sync::{AtomicU32, Ordering};

/// All tokens there can be (see `Tokens`).
pub(crate) const ALL: u32 = 0xff;
const ACCEPT_SHIFT: u32 = 8;
const PARKED: u32 = 1 << 31;

/// See the module.
pub(crate) struct ParkWord(AtomicU32);

impl ParkWord {
    /// Not parked, no token.
    pub(crate) fn new() -> Self {
        ParkWord(AtomicU32::new(0))
    }

    /// The task takes those tokens of `accept` that are there. What their wakers wrote before
    /// is visible afterwards.
    pub(crate) fn take(&self, accept: u32) -> u32 {
        if self.0.load(Ordering::Relaxed) & accept == 0 {
            return 0;
        }
        self.0.fetch_and(!accept, Ordering::Acquire) & accept
    }

    /// The worker, after the switch: parks the task until a token of `accept` comes. False if
    /// one is there: then the caller still has the right to run the task. After true the caller
    /// may not touch the task again: a waker may have given it to another worker already.
    pub(crate) fn park(&self, accept: u32) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert_eq!(word & PARKED, 0, "parked twice");
            if word & accept != 0 {
                return false;
            }
            let parked = word | accept << ACCEPT_SHIFT | PARKED;
            // Release: whoever runs the task next sees what it and its worker wrote.
            match self.0.compare_exchange_weak(word, parked, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// A waker leaves `token`. True: the task was parked and waits for it; the caller now has
    /// the right to run it. False: somebody else has, and the caller may not touch the task
    /// again unless it holds a reference.
    pub(crate) fn wake(&self, token: u32) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let wakes = word & PARKED != 0 && (word >> ACCEPT_SHIFT) & token != 0;
            let new = if wakes { word & ALL | token } else { word | token };
            // Written even if the token is there already: the task that takes it must see what
            // this waker wrote, too. One exchange and not two steps: the loser of a race for
            // the second step would touch a task that may be gone.
            match self.0.compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return wakes,
                Err(now) => word = now,
            }
        }
    }

    /// What the task is parked on, if it is (a snapshot).
    pub(crate) fn parked(&self) -> Option<u32> {
        // Acquire: the dedicated thread that finds itself woken goes on from here.
        let word = self.0.load(Ordering::Acquire);
        (word & PARKED != 0).then_some((word >> ACCEPT_SHIFT) & ALL)
    }
}
