//! What a call changes in a thread's memory: pictures of it, before and after.

use std::ops::Range;

use super::facts::word;

/// Words of memory before something and after it. There is room for both from the beginning: an allocator, with all that it might do, is not to
/// come in between.
pub(super) struct Pictures {
    of: Range<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Pictures {
    pub(super) fn new(of: Range<usize>) -> Pictures {
        let room = || Vec::with_capacity(of.len().div_ceil(8));
        let (before, after) = (room(), room());
        Pictures { of, before, after }
    }

    /// # Safety
    /// The memory can be read.
    pub(super) unsafe fn take_before(&mut self) {
        self.before.clear();
        // SAFETY: the caller's promise.
        self.before.extend(self.of.clone().step_by(8).map(|at| unsafe { word(at) }));
    }

    /// # Safety
    /// The memory can be read.
    pub(super) unsafe fn take_after(&mut self) {
        self.after.clear();
        // SAFETY: the caller's promise.
        self.after.extend(self.of.clone().step_by(8).map(|at| unsafe { word(at) }));
    }

    /// The words, each before and after.
    fn words(&self) -> impl Iterator<Item = (usize, usize)> {
        self.before.iter().copied().zip(self.after.iter().copied())
    }
}

/// Which words of the caller's descriptor become pointers when `f` is called.
///
/// # Safety
/// `descriptor` is the calling thread's.
pub(super) unsafe fn pointers_set_by(descriptor: Range<usize>, f: impl FnOnce()) -> Vec<usize> {
    let mut pictures = Pictures::new(descriptor);
    // SAFETY: the caller's own descriptor.
    unsafe {
        pictures.take_before();
        f();
        pictures.take_after();
    }
    let set = |(at, (before, after))| (before == 0 && after > 1 << 12).then_some(at * 8);
    pictures.words().enumerate().filter_map(set).collect()
}

/// Adds the addresses of the words that differ, the first being at `start`.
pub(super) fn note_changes(changed: &mut Vec<usize>, start: usize, pictures: &Pictures) {
    for (index, (before, after)) in pictures.words().enumerate() {
        if before != after {
            changed.push(start + index * 8);
        }
    }
}
