//! The lease of a core where the kernel refuses the barrier now and then: the production source, on real processors.
#![cfg(not(loom))]

// The files under test are those that the pool is built from.
#[allow(dead_code)]
#[path = "../src/sync/fence.rs"]
mod fence;
#[allow(dead_code)]
#[path = "../src/core/lease.rs"]
mod lease;

mod sync {
    pub(crate) use crate::fence::{Form, heavy_fence, light_fence};
    use crate::refusing::{FENCED, REFUSES};
    pub(crate) use ec_tasks::Crossing;
    pub(crate) use parking_lot::Mutex as SpinLock;
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    /// `std`'s, with loom's face.
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }

    pub(crate) fn form() -> Form {
        if FENCED.load(Ordering::Relaxed) { Form::Fenced } else { Form::Plain }
    }

    pub(crate) fn barrier() -> bool {
        !REFUSES.load(Ordering::Relaxed) && crate::fence::barrier()
    }
}

/// A kernel that refuses, and orders again; so what would last for one moment of a process lasts for the whole test.
mod refusing {
    use std::sync::atomic::AtomicBool;

    pub(crate) static FENCED: AtomicBool = AtomicBool::new(true);
    pub(crate) static REFUSES: AtomicBool = AtomicBool::new(false);
}

use ec_test_support::limit;
use ec_unkind as _;
use lease::{Taker, lease};
use refusing::{FENCED, REFUSES};
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Somebody is using it.
type Core = Arc<AtomicBool>;

fn spin(turns: u64) {
    (0..turns).for_each(|_| spin_loop());
}

/// What the taker has seen: cores that it took while the barrier was refused, those that it took otherwise, and of all those the ones
/// that their holder was using.
#[derive(Default)]
struct Taken {
    refused: AtomicU64,
    granted: AtomicU64,
    in_use: AtomicU64,
}

impl Taken {
    fn take(&self, taker: &Taker<Core>, turn: u64) {
        // It seldom grants: a barrier takes so long that the holder is back by then.
        REFUSES.store(!turn.is_multiple_of(8), Relaxed);
        if let Some(core) = taker.take() {
            let counted = if REFUSES.load(Relaxed) { &self.refused } else { &self.granted };
            counted.fetch_add(1, Relaxed);
            // (For as long as the holder would use it.)
            let seen = (0..20).any(|_| {
                spin_loop();
                core.load(Relaxed)
            });
            self.in_use.fetch_add(u64::from(seen), Relaxed);
        }
        spin(50);
    }
}

/// Goes out and comes back fenced or not as `fenced` says for each turn, while another thread takes.
fn stress(fenced: impl Fn(u64) -> bool) -> (u64, u64, u64) {
    fence::prepare();
    let (mut holder, taker) = lease::<Core>();
    let done = Arc::new(AtomicBool::new(false));
    let taken = Arc::new(Taken::default());
    let taking = {
        let (done, taken) = (done.clone(), taken.clone());
        std::thread::spawn(move || {
            (0..).take_while(|_| !done.load(Relaxed)).for_each(|turn| taken.take(&taker, turn));
        })
    };
    holder.give(Core::default());
    let end = Instant::now() + Duration::from_secs(3);
    let mut turn = 0;
    while turn % 1000 != 0 || Instant::now() < end {
        turn += 1;
        FENCED.store(fenced(turn), Relaxed);
        holder.enter_user_code();
        // (It changes while it is out, too.)
        FENCED.store(fenced(turn + 1), Relaxed);
        spin(turn % 40);
        if holder.leave_user_code() {
            holder.with(|core| {
                core.store(true, Relaxed);
                spin(5);
                core.store(false, Relaxed);
            });
        } else {
            holder.give(Core::default());
        }
    }
    done.store(true, Relaxed);
    taking.join().unwrap();
    let [refused, granted, in_use] =
        [&taken.refused, &taken.granted, &taken.in_use].map(|count| count.load(Relaxed));
    println!("in {turn} turns {granted} taken in order, {refused} while refused, {in_use} in use");
    (refused, granted, in_use)
}

/// One at a time: the kernel's answers are for all.
static ALONE: parking_lot::Mutex<()> = parking_lot::Mutex::new(());

#[test]
fn nobody_takes_what_went_out_plainly_without_the_barrier() {
    let _alone = ALONE.lock();
    limit(60, || {
        let (refused, granted, in_use) = stress(|_| false);
        assert_eq!((refused, in_use), (0, 0));
        assert!(granted > 0 || fence::refusal().is_some(), "with the barrier it is taken");
    });
}

#[test]
fn what_is_taken_is_in_nobodys_use_whatever_the_form_it_went_out_in() {
    let _alone = ALONE.lock();
    limit(60, || {
        // In runs of each form and turn by turn.
        let (refused, granted, in_use) = stress(|turn| (turn >> (turn >> 12 & 3)) & 1 == 1);
        assert_eq!(in_use, 0);
        assert!(refused > 0 && granted > 0, "what went out fenced is taken without the barrier");
    });
}
