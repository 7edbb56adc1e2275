//! The stacks of tasks: slots of fixed sizes, given out last-in first-out, so that the next
//! task finds a stack that is still in the cache.
//!
//! `allocate` pops a free slot of its size class, or cuts a new one from the class's slab and
//! guards it, or maps a slab twice as large as the one before. A finished task's slot goes back
//! on the free list with its memory; `trim_stacks` returns the memory of those that nobody
//! needed lately, coldest first.

mod checker;
pub(crate) mod guard;
pub(crate) mod slab;

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use corosensei::stack::{Stack, StackPointer};
use parking_lot::Mutex;

use crate::header::Header;
use crate::own;
use guard::{GUARD, GuardKind};
use slab::{SLOT_HEAD, Slot};

/// What is set aside in a default slot for a task's own thread-locals. They take 5 to 6 KiB in most
/// programs; where they take more, the default slot is a larger one.
const USUAL_BLOCK: usize = 16 * 1024;

/// The usable stack of a task that asks for none in particular, at least: with its guard and its
/// thread-locals a slot of 256 KiB.
pub const DEFAULT_STACK_SIZE: usize = (256 * 1024) - GUARD - SLOT_HEAD - USUAL_BLOCK;

const SMALLEST: u32 = 17; // 128 KiB: the guard and nearly as much again
const LARGEST: u32 = 30;
const FIRST_SLAB: usize = 16 << 20;
const LARGEST_SLAB: usize = 16 << 30;
/// What nobody needed for this long is surplus.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// So many stacks are returned under one hold of the lock.
const TRIM_BATCH: usize = 16;

type Classes = [Mutex<Class>; (LARGEST - SMALLEST + 1) as usize];

/// A slot is for tasks with a block of their own, or for bare ones, for good.
static BARE: Classes = [const { Mutex::new(Class::new()) }; (LARGEST - SMALLEST + 1) as usize];
static WITH_BLOCK: Classes = [const { Mutex::new(Class::new()) }; (LARGEST - SMALLEST + 1) as usize];
static LAST_TRIM: Mutex<Option<Instant>> = Mutex::new(None);

/// The slots of one size.
struct Class {
    /// The low ends of free slots; the last was used last.
    free: Vec<usize>,
    /// The first so many of `free` hold no memory.
    clean: usize,
    /// The smallest length of `free` since the last trim: so many were not needed.
    idle: usize,
    /// What is left of the newest slab.
    uncut: (usize, usize),
    slots: usize,
}

/// A stack slot, owned. Not returned when dropped: a suspended task's stack must stay; see
/// [`SlabStack::release`].
pub(crate) struct SlabStack {
    low: usize,
    class: u32,
    /// Of the task's own block; 0 for a bare stack.
    thread_pointer: usize,
}

impl Class {
    const fn new() -> Self {
        Class { free: Vec::new(), clean: 0, idle: 0, uncut: (0, 0), slots: 0 }
    }

    fn pop(&mut self) -> Option<usize> {
        let low = self.free.pop()?;
        self.clean = self.clean.min(self.free.len());
        self.idle = self.idle.min(self.free.len());
        Some(low)
    }

    fn cut(&mut self, class: u32) -> io::Result<usize> {
        let size = 1usize << class;
        if self.uncut.0 == self.uncut.1 {
            let largest = (LARGEST_SLAB / size).max(1);
            let wanted = (FIRST_SLAB / size).max(self.slots).clamp(1, largest);
            self.uncut = slab::map(size, wanted)?;
        }
        let low = self.uncut.0;
        // So that giving the slot back never allocates.
        self.free.try_reserve(self.slots + 1).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        // SAFETY: the low end of a slot in our slab that nobody has had yet.
        unsafe { guard::install(low)? };
        slab::note_cut(low);
        checker::is_stack(low + GUARD, low + size);
        self.uncut.0 += size;
        self.slots += 1;
        Ok(low)
    }
}

/// The size class for `stack_size` usable bytes (0: the default) with `block` bytes above them.
fn class_of(stack_size: usize, block: usize) -> io::Result<u32> {
    let usable = if stack_size == 0 { DEFAULT_STACK_SIZE } else { stack_size };
    let slot = usable.checked_add(GUARD + SLOT_HEAD + block).and_then(usize::checked_next_power_of_two);
    match slot {
        Some(slot) if slot <= 1 << LARGEST => Ok(slot.trailing_zeros().max(SMALLEST)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a task's stack of {stack_size} bytes is more than the {} possible",
                (1usize << LARGEST) - GUARD - SLOT_HEAD - block
            ),
        )),
    }
}

/// A stack of at least `stack_size` usable bytes (0: the default), bare.
pub(crate) fn allocate(stack_size: usize) -> io::Result<SlabStack> {
    let class = class_of(stack_size, 0)?;
    Ok(SlabStack { low: slot_of(&BARE, class)?, class, thread_pointer: 0 })
}

/// The same with a block of thread-locals as a new thread finds them. [`own::support`] said that this works.
pub(crate) fn allocate_with_block(stack_size: usize) -> io::Result<SlabStack> {
    let class = class_of(stack_size, own::space())?;
    let mut stack = SlabStack { low: slot_of(&WITH_BLOCK, class)?, class, thread_pointer: 0 };
    let slot = stack.slot();
    stack.thread_pointer = own::thread_pointer_below(slot.head() as usize);
    // SAFETY: the head and the room below it, of a slot that is ours.
    if let Err(why) = unsafe { own::build(stack.thread_pointer, slot.low, &(*slot.head()).block) } {
        // SAFETY: nobody has used it.
        unsafe { stack.release() };
        return Err(why);
    }
    Ok(stack)
}

fn slot_of(classes: &'static Classes, class: u32) -> io::Result<usize> {
    let state = &classes[(class - SMALLEST) as usize];
    let used = state.lock().pop();
    used.map_or_else(|| fresh(state, class), Ok)
}

#[cold]
fn fresh(state: &'static Mutex<Class>, class: u32) -> io::Result<usize> {
    let cut = state.lock().cut(class);
    guard::report();
    cut
}

impl SlabStack {
    fn slot(&self) -> Slot {
        Slot { low: self.low, top: self.low + (1 << self.class) }
    }

    /// The thread pointer of the block above the stack; 0 if there is none.
    pub(crate) fn thread_pointer(&self) -> usize {
        self.thread_pointer
    }

    /// Says whose stack this is (null: nobody's).
    pub(crate) fn set_owner(&self, owner: *const Header) {
        // SAFETY: the head of a slot we own; it is mapped, and an atomic may be shared.
        unsafe { (*self.slot().head()).owner.store(owner.cast_mut(), Ordering::Relaxed) };
    }

    /// The addresses that frames may use.
    pub(crate) fn usable(&self) -> (usize, usize) {
        (self.low + GUARD, self.base().get())
    }

    /// Gives the slot back for the next task.
    ///
    /// # Safety
    /// No frame on it is live and nobody refers to it.
    pub(crate) unsafe fn release(self) {
        self.set_owner(std::ptr::null());
        let (low, top) = self.usable();
        checker::is_fresh(low, top);
        let classes = if self.thread_pointer == 0 {
            &BARE
        } else {
            // SAFETY: the caller's promise; a block that was never built is left alone.
            unsafe { own::clear(&(*self.slot().head()).block) };
            &WITH_BLOCK
        };
        classes[(self.class - SMALLEST) as usize].lock().free.push(self.low);
    }
}

// SAFETY: the slot has a guard at its low end (`limit` includes it), far more than the minimum
// of usable memory, and both ends are aligned: the slot to a page, the head and the block to 64 bytes.
unsafe impl Stack for SlabStack {
    fn base(&self) -> StackPointer {
        let end = match self.thread_pointer {
            0 => self.slot().top - SLOT_HEAD,
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
    /// Stacks with a task on them.
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
    for class in BARE.iter().chain(&WITH_BLOCK) {
        let class = class.lock();
        stats.in_use += class.slots - class.free.len();
        stats.free += class.free.len();
        stats.free_and_returned += class.clean;
    }
    stats
}

/// Returns to the system the memory of stacks that no task has needed since the call before,
/// coldest first. Does nothing if that was less than a second ago; `now` is the caller's clock.
///
/// Gives when it would like to be called again, or `None` if there is nothing to return before
/// other tasks have come and gone.
pub fn trim_stacks(now: Instant) -> Option<Duration> {
    {
        let mut last = LAST_TRIM.lock();
        let since = last.map(|then| now.saturating_duration_since(then));
        if let Some(since) = since.filter(|since| *since < TRIM_EVERY) {
            return Some(TRIM_EVERY - since);
        }
        *last = Some(now);
    }
    let mut more = false;
    for (class, state) in (SMALLEST..).zip(&BARE).chain((SMALLEST..).zip(&WITH_BLOCK)) {
        while trim_some(state, class) {}
        let mut state = state.lock();
        state.idle = state.free.len();
        more |= state.clean < state.idle;
    }
    more.then_some(TRIM_EVERY)
}

/// Returns a batch of idle slots' memory; false when none is left.
fn trim_some(state: &Mutex<Class>, class: u32) -> bool {
    let mut state = state.lock();
    let end = state.idle.min(state.clean + TRIM_BATCH);
    for &low in &state.free[state.clean.min(end)..end] {
        let slot = Slot { low, top: low + (1 << class) };
        // SAFETY: a free slot, held by the lock; the guard is left alone, and so is what the slot's
        // head refers to: nothing is left of that.
        unsafe {
            own::discard(&(*slot.head()).block);
            libc::madvise((low + GUARD) as *mut _, (1 << class) - GUARD, libc::MADV_DONTNEED);
        }
    }
    state.clean = state.clean.max(end);
    state.clean < state.idle
}
