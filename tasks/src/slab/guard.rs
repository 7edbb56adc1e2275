//! The guard at the low end of each stack slot: memory that faults when touched.
//!
//! `MADV_GUARD_INSTALL` (Linux 6.13) marks pages without splitting the mapping, so a million guards
//! cost nothing. Where it does not work, `mprotect` does the same, at the price of a mapping each
//! (`vm.max_map_count` allows about 32,000).

#![allow(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

/// Bytes of guard below each stack. Code without stack probes (C) may jump over a page or
/// several in one frame; frames of up to this size still land in the guard.
pub(crate) const GUARD: usize = 64 * 1024;

const MADV_GUARD_INSTALL: libc::c_int = 102;

/// How stacks are guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuardKind {
    /// `madvise(MADV_GUARD_INSTALL)`: no mapping of its own.
    Marked,
    /// `mprotect(PROT_NONE)`: two mappings a stack.
    Protected,
}

const UNKNOWN: u8 = 0;
const MARKED: u8 = 1;
const PROTECTED: u8 = 2;

static KIND: AtomicU8 = AtomicU8::new(UNKNOWN);

/// The error number that decided against marks, until it is reported; 0: nothing to report.
static REFUSED: AtomicI32 = AtomicI32::new(0);

/// Makes later guards by `mprotect`, as on an old kernel. For tests.
///
/// # Safety
/// The process is the caller's: all its later stacks take two mappings each, of which there are not many.
#[doc(hidden)]
pub unsafe fn force_protected_guards() {
    KIND.store(PROTECTED, Ordering::Relaxed);
}

/// The technique in use (marked until the first guard has shown that it does not work).
pub(crate) fn kind() -> GuardKind {
    if KIND.load(Ordering::Relaxed) == PROTECTED { GuardKind::Protected } else { GuardKind::Marked }
}

/// Logs once why guards are not marked. Apart from [`install`], which is called under a lock: a logger is a
/// user's code.
pub(crate) fn report() {
    if REFUSED.load(Ordering::Relaxed) == 0 {
        return;
    }
    let refused = REFUSED.swap(0, Ordering::Relaxed);
    if refused != 0 {
        let why = io::Error::from_raw_os_error(refused);
        crate::quietly_log!(info, "stack guards by mprotect: MADV_GUARD_INSTALL does not work here ({why})");
    }
}

/// Guards `[low, low + GUARD)`. The error is a number of the system's.
///
/// # Safety
/// The range lies in a private anonymous mapping of ours, and nobody uses it.
pub(crate) unsafe fn install(low: usize) -> io::Result<()> {
    if KIND.load(Ordering::Relaxed) != PROTECTED {
        // SAFETY: the caller's range, which nobody uses; marking only makes it fault.
        if unsafe { libc::madvise(low as *mut _, GUARD, MADV_GUARD_INSTALL) } == 0 {
            KIND.store(MARKED, Ordering::Relaxed);
            return Ok(());
        }
        let why = io::Error::last_os_error();
        // Decided once: a kernel that could do it before can do it again, so later failures
        // (locked memory, for instance) fall through for this one guard.
        if KIND.compare_exchange(UNKNOWN, PROTECTED, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            REFUSED.store(why.raw_os_error().unwrap_or(libc::EINVAL), Ordering::Relaxed);
        }
    }
    // SAFETY: as above.
    if unsafe { libc::mprotect(low as *mut _, GUARD, libc::PROT_NONE) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}
