//! Order between one thread that writes all the time and one that seldom does: the former only keeps the compiler from
//! exchanging its write and its read, the latter has the kernel make all other threads of the process pass a
//! barrier (`membarrier`). Where the kernel does not, or not any more, the former has a fence of its own.
//!
//! The kernel can refuse at any time: a sandbox that comes later, no memory for its list of CPUs, a process that was restored
//! from a file. So who writes takes the [`form`] of the moment, and leaves behind which one that was; and who asks for
//! a [`barrier`] looks at the answer. After the first refusal the form is [`FENCED`] for good.
//!
//! This file has `unsafe` in it: a system call.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering, compiler_fence, fence};

/// The kernel does the work of the many.
pub(crate) const PLAIN: u8 = 1;
/// Each does it itself.
pub(crate) const FENCED: u8 = 2;

/// `PLAIN` from [`prepare`] on, until the kernel refuses for the first time.
static FORM: AtomicU8 = AtomicU8::new(FENCED);
/// What it said then.
static REFUSAL: AtomicI32 = AtomicI32::new(0);

const PRIVATE_EXPEDITED: i32 = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;

fn membarrier(command: i32) -> io::Result<()> {
    // SAFETY: takes no pointer.
    match unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn refused(error: &io::Error) {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    let _ = REFUSAL.compare_exchange(0, errno, Ordering::Relaxed, Ordering::Relaxed);
    FORM.store(FENCED, Ordering::SeqCst);
}

/// Before the first use of the others, by whoever makes a pool.
pub(crate) fn prepare() {
    // (Once: what was refused later stays so. No barrier is asked for before this has ended.)
    static ONCE: Once = Once::new();
    ONCE.call_once(|| match membarrier(REGISTER_PRIVATE_EXPEDITED) {
        Ok(()) => FORM.store(PLAIN, Ordering::SeqCst),
        Err(error) => refused(&error),
    });
}

/// Why the kernel does not order the threads, if it has ever refused.
pub(crate) fn refusal() -> Option<io::Error> {
    match REFUSAL.load(Ordering::Relaxed) {
        0 => None,
        errno => Some(io::Error::from_raw_os_error(errno)),
    }
}

/// In which form the side that does this often is to do it at the moment.
#[inline(always)]
pub(crate) fn form() -> u8 {
    FORM.load(Ordering::Relaxed)
}

/// Between a write and a read of that side, which has begun in this form.
#[inline(always)]
pub(crate) fn light_fence(form: u8) {
    if form == PLAIN {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Between a write and a read of the other side, if the first one is in the form `PLAIN`. False: it was not ordered.
#[must_use = "without it nothing is ordered"]
pub(crate) fn barrier() -> bool {
    membarrier(PRIVATE_EXPEDITED).inspect_err(refused).is_ok()
}
