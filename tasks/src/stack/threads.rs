//! Where the stack of a plain thread lies.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

thread_local! {
    /// `None`: not asked yet. An empty range: not known.
    static KNOWN: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
}

/// The stack of the calling thread; `None` if libc does not tell.
#[inline(never)]
pub(crate) fn of_thread() -> Option<Range<usize>> {
    let (low, high) = KNOWN.get().unwrap_or_else(|| {
        let asked = ask().unwrap_or((0, 0));
        KNOWN.set(Some(asked));
        asked
    });
    (low < high).then_some(low..high)
}

fn ask() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::uninit();
    // SAFETY: asks about this thread; what was initialised is destroyed.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let (mut low, mut size) = (ptr::null_mut(), 0);
        let asked = libc::pthread_attr_getstack(attributes.as_ptr(), &mut low, &mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (asked == 0).then(|| (low as usize, (low as usize).saturating_add(size)))
    }
}
