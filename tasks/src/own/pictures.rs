//! What a call changes in a thread's memory: pictures of it, before and after.
//!
//! All of this works without an allocator, which might do anything on this thread.

#![allow(unsafe_code)]

use std::ops::Range;

use super::facts::word;

/// Of up to so many words.
struct Picture<const MOST: usize>([usize; MOST]);

impl<const MOST: usize> Picture<MOST> {
    /// `None`: there are more words.
    ///
    /// # Safety
    /// `of` can be read.
    #[inline(never)]
    unsafe fn take(&mut self, of: &Range<usize>) -> Option<()> {
        let words = self.0.get_mut(..of.len() / 8)?;
        for (index, place) in words.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *place = unsafe { word(of.start + index * 8) };
        }
        Some(())
    }
}

/// Numbers of words, up to so many.
pub(super) struct Places {
    places: [usize; 64],
    count: usize,
}

impl Places {
    pub(super) fn as_slice(&self) -> &[usize] {
        &self.places[..self.count]
    }
}

/// Which words of `memory`, counted in bytes, `f` changes in a way that `which` is looking for (before, after). `None`: too many.
///
/// # Safety
/// It is the calling thread's and can be read.
unsafe fn changed_by<const MOST: usize>(
    memory: &Range<usize>,
    f: impl FnOnce(),
    which: impl Fn(usize, usize) -> bool,
) -> Option<Places> {
    let (mut before, mut after) = (Picture([0; MOST]), Picture([0; MOST]));
    // SAFETY: the caller's promise.
    unsafe {
        before.take(memory)?;
        f();
        after.take(memory)?;
    }
    let mut found = Places { places: [0; 64], count: 0 };
    for index in (0..memory.len() / 8).filter(|&index| which(before.0[index], after.0[index])) {
        *found.places.get_mut(found.count)? = index * 8;
        found.count += 1;
    }
    Some(found)
}

/// Which words of the caller's libc's segment change when `f` is called. `None`: too many, or too large a segment.
///
/// # Safety
/// `segment` is the calling thread's.
pub(super) unsafe fn words_changed_by(segment: &Range<usize>, f: impl FnOnce()) -> Option<Places> {
    // SAFETY: the caller's promise.
    unsafe { changed_by::<512>(segment, f, |before, after| before != after) }
}

/// Which words of the caller's descriptor become pointers when `f` is called. `None`: too many.
///
/// # Safety
/// `descriptor` is the calling thread's.
pub(super) unsafe fn pointers_set_by(descriptor: &Range<usize>, f: impl FnOnce()) -> Option<Places> {
    // SAFETY: the caller's promise.
    unsafe { changed_by::<8192>(descriptor, f, |before, after| before == 0 && after > 1 << 12) }
}
