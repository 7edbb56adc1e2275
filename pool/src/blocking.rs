//! A hint for those who know that they are about to block their thread.

use crate::seat::{self, Seat};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Calls `f`, which is about to block its thread. The core that the caller holds is handed over before, and not when the
/// pool's monitor has found out; that is all the difference. `f` runs where it is called; afterwards the caller goes on
/// without a core until it suspends.
///
/// Outside of a pool's tasks and handlers it just calls `f`.
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            // (Suspended meanwhile, the task may be on another thread; then this one has no such mark.)
            seat::here(|seat| {
                if let Some(seat) = seat {
                    seat.member.info.blocks.store(false, Ordering::Relaxed);
                }
            });
        }
    }
    let asked = seat::here(|seat| seat.is_some_and(hand_over));
    let _over = asked.then_some(Over);
    f()
}

/// True: there is no spare thread, and the monitor was asked to see to it.
fn hand_over(seat: &Seat) -> bool {
    let shared = &*seat.shared;
    if !seat.has_core() {
        return false;
    }
    let Some(called) = shared.crew.spares.call() else {
        seat.member.info.blocks.store(true, Ordering::Relaxed);
        shared.watchman.call();
        return true;
    };
    shared.crew.hand_over(|| seat.give_away(), called, Duration::ZERO);
    false
}
