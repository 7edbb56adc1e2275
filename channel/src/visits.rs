//! Signal handlers that look at something while it may be taken away: each says when it comes and when it goes, and nobody of them waits.
//!
//! Who takes it away says so first, and then waits until nobody is there. Either a visitor has seen that it is not to touch it, or it was
//! waited for.

use crate::sync::{AtomicU32, Ordering, fence};

pub(crate) struct Visits {
    pub(crate) inside: AtomicU32,
}

impl Visits {
    /// What is looked at from here on, until the visit [is over](Self::leave), stays as it is; unless it is said to be going.
    pub(crate) fn enter(&self) {
        self.inside.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    /// It has been said before. `idle` passes the time.
    pub(crate) fn until_left(&self, idle: impl Fn()) {
        fence(Ordering::SeqCst);
        while self.inside.load(Ordering::SeqCst) > 0 {
            idle();
        }
    }
}
