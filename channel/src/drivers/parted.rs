//! Requests that are done, and whose buffers the kernel has still: a ring says first what they came to, and then that it has let go.

use io_uring::cqueue;
use std::collections::HashMap;

/// What they came to.
#[derive(Default)]
pub(super) struct Parted(HashMap<u64, i32>);

impl Parted {
    /// The ring says something of request `id`, with these flags. What it has come to, if nothing more is said of it.
    #[inline]
    pub(super) fn result(&mut self, id: u64, flags: u32, result: impl FnOnce() -> i32) -> Option<i32> {
        if !cqueue::notif(flags) && !cqueue::more(flags) {
            return Some(result());
        }
        if cqueue::more(flags) {
            self.0.insert(id, result());
            return None;
        }
        self.0.remove(&id)
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }
}
