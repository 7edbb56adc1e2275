//! crossbeam-epoch: each thread is a participant, in a thread-local with a destructor.

use crate::check::Check;
use crate::support::{eventually, hop, many, tasks};
use crossbeam_epoch::{self as epoch, Atomic, Owned};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("an_epoch_guard_protects_over_hops_and_garbage_is_freed", guards),
    Check::new("a_pinned_task_knows_that_it_is_pinned", pinned),
];

static MADE: AtomicUsize = AtomicUsize::new(0);
static DROPPED: AtomicUsize = AtomicUsize::new(0);

const ALIVE: usize = 0x600d_600d;

struct Value(usize);

impl Value {
    fn new() -> Owned<Value> {
        MADE.fetch_add(1, Ordering::Relaxed);
        Owned::new(Value(ALIVE))
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        assert_eq!(self.0, ALIVE, "dropped twice");
        self.0 = 0xdead;
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

fn guards() {
    static HEAD: Atomic<Value> = Atomic::null();
    HEAD.store(Value::new(), Ordering::Release);
    tasks(many(500), |_| {
        for _ in 0..20 {
            let guard = epoch::pin();
            let seen = HEAD.load(Ordering::Acquire, &guard);
            hop();
            let old = HEAD.swap(Value::new(), Ordering::AcqRel, &guard);
            // SAFETY: the swap took it out of its only place, so that this is its only destruction.
            unsafe { guard.defer_destroy(old) };
            hop();
            // SAFETY: loaded under this guard from a place whose values are destroyed by way of the epoch.
            assert_eq!(unsafe { seen.deref() }.0, ALIVE, "freed under a guard");
            drop(guard);
            hop();
        }
    });
    // What tasks that have ended left in their bags is freed by others: all but the last value.
    eventually(|| {
        epoch::pin().flush();
        DROPPED.load(Ordering::Relaxed) + 1 == MADE.load(Ordering::Relaxed)
    });
}

fn pinned() {
    tasks(many(700), |me| {
        for n in 0..10 {
            assert!(!epoch::is_pinned(), "pinned by somebody else");
            if (me + n) % 3 == 0 {
                let outer = epoch::pin();
                hop();
                let inner = epoch::pin();
                drop(outer);
                hop();
                assert!(epoch::is_pinned());
                drop(inner);
            }
            hop();
        }
    });
}
