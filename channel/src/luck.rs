//! Whether it pays to try something by a system call before it is posted, as the last attempts went: one is made as long as the last one
//! found something. After each in vain twice as many are posted without one. (Several may use it at a time: then it is less exact.)

use std::sync::atomic::{AtomicU8, Ordering};

/// See the module.
#[doc(hidden)]
#[derive(Default)]
pub struct Luck {
    /// So many are posted without an attempt.
    rests: AtomicU8,
    /// So many were, the last time.
    pause: AtomicU8,
}

/// An attempt in vain costs a system call: among so many that is little.
const LONGEST_PAUSE: u8 = 64;

impl Luck {
    /// Whether one is to be made now.
    pub fn tries(&self) -> bool {
        let rests = self.rests.load(Ordering::Relaxed);
        if rests > 0 {
            self.rests.store(rests - 1, Ordering::Relaxed);
        }
        rests == 0
    }

    /// There was something.
    pub fn was_good(&self) {
        let pause = self.pause.load(Ordering::Relaxed);
        if pause != 0 {
            self.pause.store(pause / 2, Ordering::Relaxed);
        }
    }

    /// It was in vain.
    pub fn was_bad(&self) {
        let pause = (2 * self.pause.load(Ordering::Relaxed)).clamp(1, LONGEST_PAUSE);
        self.pause.store(pause, Ordering::Relaxed);
        self.rests.store(pause, Ordering::Relaxed);
    }
}
