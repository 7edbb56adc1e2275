//! The stacks of tasks: slots of fixed sizes, given out last-in first-out, so that the next
//! task finds a stack that is still in the cache.
//!
//! 1. A spawn is promised a slot of its size class ([`reserve`]): a free one, or a new one, which is cut from the
//!    class's slab and guarded. If the slab is used up, another is mapped. They grow, from 16 MiB to 16 GiB.
//! 2. The task takes its slot when it first runs.
//! 3. A finished task's slot stays with its worker for the next task, or goes back to the list, with its memory.
//! 4. `trim_stacks` returns the memory of the slots that nobody needed lately, coldest first.

#![allow(unsafe_code)]

mod cache;
mod checker;
mod class;
mod threads;

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use corosensei::stack::{Stack, StackPointer};

use crate::own;
use crate::slab::guard::{self, GUARD, GuardKind};
use crate::slab::{self, SLOT_HEAD, Slot};
use crate::util::lock::Mutex;
use class::{Key, LARGEST, SMALLEST};

pub(crate) use cache::StackCache;
pub(crate) use threads::of_thread;

/// What is set aside in a default slot for a task's own thread-locals. They take 4 to 6 KiB in most
/// programs; where they take more, the default slot is a larger one.
const USUAL_BLOCK: usize = 16 * 1024;

/// The usable stack of a task that asks for none in particular, at least: with its guard and its
/// thread-locals a slot of 256 KiB.
pub const DEFAULT_STACK_SIZE: usize = (256 * 1024) - GUARD - ABOVE - USUAL_BLOCK;

/// Of a processor's cache.
const LINE: usize = 64;
const COLOURS: usize = 16;

/// Bytes of a slot above the block, or the bare stack, at most.
const ABOVE: usize = SLOT_HEAD + COLOURS * LINE;

/// What nobody needed for this long is surplus.
const TRIM_EVERY: Duration = Duration::from_secs(1);
static TRIM: Mutex<Trim> = Mutex::new(Trim { begun: None, under_way: false });

/// The rounds of [`trim_stacks`].
struct Trim {
    /// When the last one began.
    begun: Option<Instant>,
    under_way: bool,
}

/// A stack slot, owned. Not returned when dropped: a suspended task's stack must stay; see
/// [`SlabStack::release`].
pub(crate) struct SlabStack {
    low: usize,
    key: Key,
    /// Of the task's own block; 0 for a bare stack.
    thread_pointer: usize,
}

/// The size class for `stack_size` usable bytes (0: the default) with `block` bytes above them.
fn class_of(stack_size: usize, block: usize) -> io::Result<u8> {
    let usable = if stack_size == 0 { DEFAULT_STACK_SIZE } else { stack_size };
    let slot = usable.checked_add(GUARD + ABOVE + block).and_then(usize::checked_next_power_of_two);
    match slot {
        Some(slot) if slot <= 1 << LARGEST => Ok(slot.trailing_zeros().max(SMALLEST) as u8),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a task's stack of {stack_size} bytes is more than the {} possible",
                (1usize << LARGEST) - GUARD - ABOVE - block
            ),
        )),
    }
}

/// The promise of a stack: [`take`](Reserved::take) gives it, and nothing can fail any more. Not given back when dropped.
#[derive(Clone, Copy)]
pub(crate) struct Reserved(Key);

/// Promises a stack of at least `stack_size` usable bytes (0: the default): with a block of thread-locals as a new thread
/// finds them ([`own_thread_locals`] said that this works), or bare. `cache` is the calling worker's.
pub(crate) fn reserve(
    stack_size: usize,
    with_block: bool,
    cache: Option<&StackCache>,
) -> io::Result<Reserved> {
    let class = class_of(stack_size, if with_block { own::space() } else { 0 })?;
    let key = Key { class, with_block };
    if cache.is_none_or(|cache| !cache.promise(key)) {
        key.class().promise(1, key)?;
    }
    Ok(Reserved(key))
}

impl Reserved {
    /// It is not taken, and goes back. To be called in place of [`take`](Self::take).
    pub(crate) fn give_up(self) {
        self.0.class().take_back(1);
    }

    /// The stack, for `owner`. To be called once; `cache` is the calling worker's.
    ///
    /// # Safety
    /// `owner` is null, or the header of a task that lives until the stack is released: an overflow's report reads it.
    pub(crate) unsafe fn take(self, owner: *const (), cache: Option<&StackCache>) -> SlabStack {
        let key = self.0;
        let low = cache.and_then(|cache| cache.take(key)).unwrap_or_else(|| key.class().take());
        let mut stack = SlabStack { low, key, thread_pointer: 0 };
        // First of all a write: of a page that is read before the kernel makes a page of zeros, and for the write another
        // one, with an interrupt to all other CPUs.
        stack.set_owner(owner);
        if key.with_block {
            let slot = stack.slot();
            stack.thread_pointer = own::thread_pointer_below(slot.head() as usize - stack.colour());
            // SAFETY: the head and the room below it, of a slot that is ours.
            unsafe { own::build(stack.thread_pointer, slot.low, &(*slot.head()).block) };
        }
        stack
    }
}

impl SlabStack {
    fn slot(&self) -> Slot {
        self.key.slot(self.low)
    }

    /// Bytes left free below the head: not the same in every slot, or the tasks of all would want the same few lines of a cache.
    fn colour(&self) -> usize {
        (self.low >> self.key.class) % COLOURS * LINE
    }

    /// The thread pointer of the block above the stack; 0 if there is none.
    pub(crate) fn thread_pointer(&self) -> usize {
        self.thread_pointer
    }

    /// Says whose stack this is (null: nobody's).
    fn set_owner(&self, owner: *const ()) {
        // SAFETY: the head of a slot we own; it is mapped, and an atomic may be shared.
        unsafe { (*self.slot().head()).owner.store(owner.cast_mut(), Ordering::Relaxed) };
    }

    /// The addresses that frames may use.
    pub(crate) fn usable(&self) -> (usize, usize) {
        (self.low + GUARD, self.base().get())
    }

    /// Gives the slot, and its promise, back for the next task. `cache` is the calling worker's.
    ///
    /// # Safety
    /// No frame on it is live and nobody refers to it.
    pub(crate) unsafe fn release(self, cache: Option<&StackCache>) {
        self.set_owner(std::ptr::null());
        let (low, top) = self.usable();
        checker::is_fresh(low, top);
        if self.key.with_block {
            // SAFETY: the caller's promise.
            unsafe { own::clear(&(*self.slot().head()).block) };
        }
        if cache.is_none_or(|cache| !cache.give(self.low, self.key)) {
            self.key.class().give(self.low);
            self.key.class().take_back(1);
        }
    }
}

/// Whether tasks can have thread-locals of their own in this process, else why not. Finds out when it is asked first.
#[inline]
pub(crate) fn own_thread_locals() -> Result<(), &'static str> {
    // Not generic, so that the self-test is compiled here and not with each program that spawns.
    #[inline(never)]
    fn ask() -> Result<(), &'static str> {
        own::ask::<SlabStack>()
    }
    own::known().unwrap_or_else(ask)
}

// SAFETY: `take` makes the block, and gives its thread pointer.
unsafe impl own::BlockStack for SlabStack {
    fn with_block() -> io::Result<Self> {
        let reserved = reserve(0, true, None)?;
        // SAFETY: nobody's.
        Ok(unsafe { reserved.take(std::ptr::null(), None) })
    }

    fn thread_pointer(&self) -> usize {
        self.thread_pointer()
    }

    unsafe fn release(self) {
        // SAFETY: the caller's promise.
        unsafe { self.release(None) };
    }
}

// SAFETY: the slot has a guard at its low end (`limit` includes it), far more than the minimum
// of usable memory, and both ends are aligned: the slot to a page, the head and the block to 64 bytes.
unsafe impl Stack for SlabStack {
    fn base(&self) -> StackPointer {
        let end = match self.thread_pointer {
            0 => self.slot().top - SLOT_HEAD - self.colour(),
            thread_pointer => own::low_end(thread_pointer),
        };
        StackPointer::new(end).expect("a slot does not end at zero")
    }

    fn limit(&self) -> StackPointer {
        StackPointer::new(self.low).expect("a slot does not lie at zero")
    }
}

/// What [`stack_stats`] tells.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StackStats {
    /// Mappings that hold stacks.
    pub slabs: usize,
    /// Bytes of addresses they reserve.
    pub reserved: usize,
    /// Stacks that live tasks have, or will have when they first run.
    pub in_use: usize,
    /// Stacks ready for another task.
    pub free: usize,
    /// Those of them whose memory has been returned.
    pub free_and_returned: usize,
    /// How stacks are guarded.
    pub guard: GuardKind,
}

/// Counts the stacks of tasks. Takes a small lock per size class.
pub fn stack_stats() -> StackStats {
    let (slabs, reserved) = slab::reserved();
    let guard = guard::kind();
    let mut stats = StackStats { slabs, reserved, in_use: 0, free: 0, free_and_returned: 0, guard };
    for key in Key::all() {
        let count = key.class().count();
        let in_use = count.promised.saturating_sub(cache::promises(key));
        stats.in_use += in_use;
        stats.free += count.slots - in_use;
        stats.free_and_returned += count.returned;
    }
    stats
}

/// Whether there are stacks without a task whose memory [`trim_stacks`] would return in the end.
pub fn surplus_stacks() -> bool {
    Key::all().any(|key| key.class().has_surplus())
}

/// Returns to the system the memory of stacks that no task has needed since the round before, coldest first. There is a round
/// every second; `now` is the caller's clock. A call takes a fraction of a millisecond, and a round as many calls as it needs.
///
/// Gives when it would like to be called again (zero: the round is not at its end), or `None` if there is nothing to return before
/// other tasks have come and gone.
pub fn trim_stacks(now: Instant) -> Option<Duration> {
    {
        let mut trim = TRIM.lock();
        // (A clock that was ahead of this caller's counts for nothing.)
        let since = trim.begun.and_then(|then| now.checked_duration_since(then));
        if let Some(since) = since.filter(|since| *since < TRIM_EVERY && !trim.under_way) {
            return Some(TRIM_EVERY - since);
        }
        if !trim.under_way {
            *trim = Trim { begun: Some(now), under_way: true };
        }
    }
    if Key::all().any(|key| key.class().trim(key)) {
        return Some(Duration::ZERO);
    }
    TRIM.lock().under_way = false;
    let more = Key::all().filter(|key| key.class().end_trim()).count() > 0;
    more.then_some(TRIM_EVERY)
}
