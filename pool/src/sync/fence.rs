//! Order between one thread that writes all the time, and one that seldom does. The former only keeps the compiler from exchanging its
//! write and its read. The latter has the kernel make all other threads of the process pass a barrier (`membarrier`). Where the kernel
//! cannot, both pay alike.
//!
//! The kernel may refuse later what it has granted once (a sandbox, no memory). So whoever relies on the barrier looks at its answer, and
//! the side that writes all the time leaves behind in which [`Form`] it did. After the first refusal all go over to fences, for good.

#![allow(unsafe_code)]

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering, compiler_fence, fence};

/// How the side that does this often orders its write and its read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// By nothing that the processor sees: the other side needs the kernel's barrier.
    Plain,
    /// By a fence.
    Fenced,
}

/// The kernel does the work of the many.
static ASYMMETRIC: AtomicBool = AtomicBool::new(false);
/// Why it does not any more; or 0.
static REFUSED: AtomicI32 = AtomicI32::new(0);

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
    ASYMMETRIC.store(false, Ordering::SeqCst);
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    // (The first one is what is told.)
    let _ = REFUSED.compare_exchange(0, errno, Ordering::SeqCst, Ordering::SeqCst);
}

/// Before the first use of the fences, by whoever makes a pool.
pub(crate) fn prepare() {
    // Once: after a refusal nobody goes back.
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // (A kernel that registers and then refuses would be found out by the first who takes.)
        let granted = membarrier(REGISTER_PRIVATE_EXPEDITED).and_then(|()| membarrier(PRIVATE_EXPEDITED));
        ASYMMETRIC.store(granted.is_ok(), Ordering::SeqCst);
        granted.unwrap_or_else(|error| refused(&error));
    });
}

/// The form for what begins now.
#[inline(always)]
pub(crate) fn form() -> Form {
    if ASYMMETRIC.load(Ordering::Relaxed) { Form::Plain } else { Form::Fenced }
}

/// Between a write and a read of the side that does this often.
#[inline(always)]
pub(crate) fn light_fence(form: Form) {
    match form {
        Form::Plain => compiler_fence(Ordering::SeqCst),
        Form::Fenced => fence(Ordering::SeqCst),
    }
}

/// Between a write and a read of the other side: orders them with everybody whose form is [`Form::Fenced`].
pub(crate) fn heavy_fence() {
    fence(Ordering::SeqCst);
}

/// As [`heavy_fence`], with everybody whose form is [`Form::Plain`]. False: the kernel has refused, and nothing is ordered. Fences
/// it is from now on.
pub(crate) fn barrier() -> bool {
    let Err(error) = membarrier(PRIVATE_EXPEDITED) else { return true };
    refused(&error);
    false
}

/// What the kernel said when it refused, from the beginning or later; if it has.
pub(crate) fn refusal() -> Option<io::Error> {
    match REFUSED.load(Ordering::Relaxed) {
        0 => None,
        errno => Some(io::Error::from_raw_os_error(errno)),
    }
}
