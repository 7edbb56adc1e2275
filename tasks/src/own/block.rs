//! A block: made from the template, cleaned up after its task, kept for the next.
//!
//! Outside of the slot a block has one allocation, its dynamic thread vector. It must come from malloc,
//! because libc enlarges it with realloc. The head of the slot remembers it between tasks.

#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::slice;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::facts::{Facts, word};
use super::template::{self, Template};
use crate::slab::{self, BlockHead};

/// The facts that are needed again and again. Written once, before the first block.
struct BlockLayout {
    below: AtomicUsize,
    above: AtomicUsize,
    align: AtomicUsize,
    tid: AtomicUsize,
    specific: AtomicUsize,
    dtv: AtomicUsize,
    /// 0: none, which is no offset of such a word.
    freed: [AtomicUsize; 4],
}

static LAYOUT: BlockLayout = BlockLayout {
    below: AtomicUsize::new(0),
    above: AtomicUsize::new(0),
    align: AtomicUsize::new(64),
    tid: AtomicUsize::new(0),
    specific: AtomicUsize::new(0),
    dtv: AtomicUsize::new(0),
    freed: [const { AtomicUsize::new(0) }; 4],
};

/// Thread ids of blocks lie above those of the kernel (at most 2^22) and below the bits that mutexes
/// keep beside them.
const FIRST_TID: usize = 1 << 22;
const LAST_TID: usize = 1 << 30;
/// So many different ones a block has in turn: a mutex that a task has left locked is not the next one's.
const TIDS: usize = 64;

pub(super) fn set_layout(facts: &Facts, template: &Template) -> Result<(), String> {
    if template.words.len() * 8 != facts.below + facts.above {
        return Err("the template has another size than a block".into());
    }
    LAYOUT.below.store(facts.below, Ordering::Relaxed);
    LAYOUT.above.store(facts.above, Ordering::Relaxed);
    LAYOUT.align.store(facts.align, Ordering::Relaxed);
    LAYOUT.tid.store(facts.tid, Ordering::Relaxed);
    LAYOUT.specific.store(facts.specific, Ordering::Relaxed);
    LAYOUT.dtv.store(facts.dtv, Ordering::Relaxed);
    for (place, &at) in LAYOUT.freed.iter().zip(&facts.freed) {
        place.store(at, Ordering::Relaxed);
    }
    Ok(())
}

fn layout(fact: &AtomicUsize) -> usize {
    fact.load(Ordering::Relaxed)
}

/// The most bytes that a block takes of its slot.
pub(crate) fn space() -> usize {
    layout(&LAYOUT.below) + layout(&LAYOUT.above) + layout(&LAYOUT.align)
}

/// The thread pointer of a block whose descriptor ends at or below `end`.
pub(crate) fn thread_pointer_below(end: usize) -> usize {
    (end - layout(&LAYOUT.above)) & !(layout(&LAYOUT.align) - 1)
}

/// Where the block ends and the stack begins.
pub(crate) fn low_end(thread_pointer: usize) -> usize {
    thread_pointer - layout(&LAYOUT.below)
}

/// Whether there are thread ids for the tasks in the slot that begins at `slot`. To be asked before the slot is used.
pub(crate) fn admits(slot: usize) -> bool {
    FIRST_TID + (slab::number(slot) + 1) * TIDS <= LAST_TID
}

/// A thread id for the next task in the slot that begins at `slot`.
fn next_tid(slot: usize, head: &BlockHead) -> usize {
    // (Nobody else writes the head of a slot that is ours.)
    let last = match head.tid.load(Ordering::Relaxed) {
        0 => FIRST_TID + slab::number(slot) * TIDS,
        last => last,
    };
    let tid = (last & !(TIDS - 1)) + (last + 1) % TIDS;
    head.tid.store(tid, Ordering::Relaxed);
    tid
}

/// Makes the block new for a task. `slot` is where its slot begins.
///
/// # Safety
/// The memory of the block is the caller's, and `head` is that of its slot, which was admitted.
pub(crate) unsafe fn build(thread_pointer: usize, slot: usize, head: &BlockHead) {
    let tid = next_tid(slot, head);
    // (The vector is allocated without the template, whose lock is not to be held over an allocator.)
    while let Some(length) = template::with(|template| {
        // SAFETY: the caller's block, which has the size of the template.
        unsafe {
            let vector = head.dtv.load(Ordering::Relaxed);
            // (A vector begins with its length.)
            if vector == 0 || word(vector) < template.dtv[0] {
                return Some(template.dtv.len());
            }
            let low = low_end(thread_pointer);
            fill(low, &template.words[..], template.first_used);
            for &at in &template.relative {
                let place = (low as *mut usize).add(at as usize);
                place.write(place.read().wrapping_add(thread_pointer));
            }
            fill(vector, &template.dtv, 0);
            for &at in &template.relative_in_dtv {
                let place = (vector as *mut usize).add(at as usize);
                place.write(place.read().wrapping_add(thread_pointer));
            }
            ((thread_pointer + layout(&LAYOUT.dtv)) as *mut usize).write(vector + 16);
            ((thread_pointer + layout(&LAYOUT.tid)) as *mut u32).write(tid as u32);
        }
        // From here on a library that is loaded is written into it, too.
        head.live.store(thread_pointer, Ordering::Release);
        None
    })
    .flatten()
    {
        // SAFETY: the caller's block.
        unsafe { allocate_vector(head, length) };
    }
}

/// In words.
const PIECE: usize = 128;

/// # Safety
/// From `start` there is room for `words`.
unsafe fn fill(start: usize, words: &[usize], from: usize) {
    // Piece by piece: from 2 KiB on libc's copy is made by an instruction that takes long to begin.
    for (index, piece) in words[from..].chunks(PIECE).enumerate() {
        // SAFETY: the caller's promise; the slice is elsewhere.
        unsafe {
            let place = (start as *mut usize).add(from + index * PIECE);
            std::ptr::copy_nonoverlapping(piece.as_ptr(), place, piece.len());
        }
    }
}

/// An allocation for a vector of so many words, in place of the one that is kept.
///
/// # Safety
/// `head` is that of a block of the caller's, which nobody uses yet.
unsafe fn allocate_vector(head: &BlockHead, words: usize) {
    let size = words * 8;
    // SAFETY: it is malloc's and the caller's, and long enough for what it says to be: as many pairs as are after the first two.
    unsafe {
        let vector = libc::realloc(head.dtv.load(Ordering::Relaxed) as *mut _, size).cast::<usize>();
        if vector.is_null() {
            // As any allocation of the program that fails: the task cannot be refused any more.
            handle_alloc_error(Layout::array::<u8>(size).unwrap_or(Layout::new::<usize>()));
        }
        vector.write(words / 2 - 2);
        head.dtv.store(vector as usize, Ordering::Relaxed);
    }
}

/// The task has ended: what its block has outside of the slot is freed, but for the vector.
///
/// # Safety
/// Nobody uses the block any more, or it was not built.
pub(crate) unsafe fn clear(head: &BlockHead) {
    let thread_pointer = head.live.load(Ordering::Relaxed);
    if thread_pointer == 0 {
        return;
    }
    // (Only who has the slot writes it.)
    head.live.store(0, Ordering::Release);
    // SAFETY: as libc does at the end of a thread: what dynamic modules had in it, the tables of
    // the keys above 31, texts. libc may have moved the vector.
    unsafe {
        let vector = word(thread_pointer + layout(&LAYOUT.dtv)) - 16;
        head.dtv.store(vector, Ordering::Relaxed);
        // Of each entry the second word is what malloc gave.
        let entries = slice::from_raw_parts((vector + 32) as *const [usize; 2], word(vector));
        free_any(entries, |entry| entry[1]);
        let tables = thread_pointer + layout(&LAYOUT.specific) + 8;
        free_any(slice::from_raw_parts(tables as *const usize, 31), |table| *table);
        for at in LAYOUT.freed.iter().map(layout).filter(|&at| at != 0) {
            free_any(&[word(thread_pointer + at)], |text| *text);
        }
    }
}

/// Frees what `items` refer to. Mostly they refer to nothing, which takes no look at each.
///
/// # Safety
/// Each is malloc's, or null.
#[inline]
unsafe fn free_any<T>(items: &[T], allocation: impl Fn(&T) -> usize) {
    if items.iter().fold(0, |any, item| any | allocation(item)) != 0 {
        // SAFETY: the caller's promise.
        items.iter().for_each(|item| unsafe { libc::free(allocation(item) as *mut _) });
    }
}

/// The memory of the slot is about to be returned to the system: what was kept for the next task, for [`free_kept`].
///
/// # Safety
/// The slot is free.
pub(crate) unsafe fn take_kept(head: &BlockHead) -> usize {
    head.dtv.swap(0, Ordering::Relaxed)
}

/// # Safety
/// It came from [`take_kept`].
pub(crate) unsafe fn free_kept(vector: usize) {
    // SAFETY: malloc's, or null.
    unsafe { libc::free(vector as *mut _) };
}
