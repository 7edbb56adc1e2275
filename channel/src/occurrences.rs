//! What signal handlers count for who waits, and how he takes it. Nobody waits for a lock: an interrupted thread holds none.
//!
//! A handler counts first, then says who sent it, then rings. Who takes asks in the other order. So what has been counted is taken by
//! someone who has heard the bell, if not by one who has heard an earlier one: each occurrence once. (Of several that are taken together
//! the youngest says who sent it, or one of them.)

use crate::posts::Bell;
use crate::sync::{AtomicU64, Ordering};

pub(crate) struct Occurrences {
    /// Occurred, and not taken yet.
    pub(crate) count: AtomicU64,
    /// Who sent one of them, in the words of the handler; 0: nobody, none is due.
    pub(crate) sender: AtomicU64,
}

impl Occurrences {
    /// The bell is to be rung afterwards. (`sender` is not 0.)
    pub(crate) fn add(&self, sender: u64) {
        self.count.fetch_add(1, Ordering::SeqCst);
        // (No plain store: whoever reads what another handler says here is to know what this one has counted.)
        self.sender.swap(sender, Ordering::SeqCst);
    }

    /// All that are there: who sent one of them, and how many they are. `None`: there are none, or the bell will ring. (Any number may do
    /// this at a time.)
    pub(crate) fn take(&self) -> Option<(u64, u64)> {
        let sender = self.sender.swap(0, Ordering::SeqCst);
        if sender == 0 {
            return None;
        }
        let count = self.count.swap(0, Ordering::SeqCst);
        // (They may have gone with those before.)
        (count > 0).then_some((sender, count))
    }
}

/// Takes something. If there is nothing the bell is hushed, and will ring when there is.
pub(crate) fn take_or_hush<T>(bell: &impl Bell, take: impl Fn() -> Option<T>) -> Option<T> {
    let taken = take();
    if taken.is_some() {
        return taken;
    }
    bell.hush();
    let taken = take();
    if taken.is_some() {
        // There may be more.
        bell.ring();
    }
    taken
}
