//! Order between one thread that writes all the time and one that seldom does: the former only keeps the compiler from
//! exchanging its write and its read, the latter has the kernel make all other threads of the process pass a
//! barrier (`membarrier`). Where the kernel cannot, both pay alike.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};

/// The kernel does the work of the many.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);

const PRIVATE_EXPEDITED: i32 = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

fn membarrier(command: i32) -> bool {
    // SAFETY: takes no pointer.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Before the first use of the fences, by whoever makes a pool.
pub(crate) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ASYMMETRIC.store(membarrier(REGISTER_PRIVATE_EXPEDITED), Ordering::SeqCst);
    });
}

/// Between a write and a read of the side that does this often.
#[inline(always)]
pub(crate) fn light_fence() {
    if ASYMMETRIC.load(Ordering::Relaxed) {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Between a write and a read of the other side.
pub(crate) fn heavy_fence() {
    fence(Ordering::SeqCst);
    if ASYMMETRIC.load(Ordering::Relaxed) {
        // (Once registered it does not fail, and a process that is forked has no workers.)
        membarrier(PRIVATE_EXPEDITED);
    }
}
