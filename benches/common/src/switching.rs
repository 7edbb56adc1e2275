//! Helpers of workload `switch`.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

static LAST: AtomicUsize = AtomicUsize::new(usize::MAX);
static ALTERNATED: AtomicU64 = AtomicU64::new(0);

/// `check=1`: does a yield hand over at all? Counts the yields after which another task had run.
pub fn alternates(me: usize) {
    if LAST.swap(me, Relaxed) != me {
        ALTERNATED.fetch_add(1, Relaxed);
    }
}

/// How many these were.
pub fn alternations() -> u64 {
    ALTERNATED.load(Relaxed)
}

/// Wakes itself once: the yield of a runtime that offers none.
pub async fn yield_self() {
    let mut again = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut again, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
