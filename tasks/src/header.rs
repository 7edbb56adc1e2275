//! What a task is in memory: one allocation with this header in front (`cell.rs` has what is behind it), counted by
//! hand.
//!
//! Who holds a reference: each [`Task`], the `JoinHandle`, and one, the *run reference*, whoever
//! has the right to run the task: its `Runnable`, the worker that runs it, the waker that is
//! about to queue it, or nobody while it is parked (then it stays counted until it ends). So a
//! task that has not ended is never freed, and a waker that may wake only once needs no count.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::num::NonZeroU64;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

use crate::cancel::CancelFlags;
use crate::cell::Vtable;
use crate::coroutine::Own;
use crate::dedicated::Parker;
use crate::info::{Links, TaskInfo};
use crate::join::JoinWord;
use crate::park_word::ParkWord;
use crate::scheduler::{self, Runnable, Scheduler};
use crate::spawn::Kind;
use crate::stack::Reserved;
use crate::tokens::Tokens;
use crate::wait::WaitSlot;

/// Tells tasks apart: a number that is never used twice in a process. A plain thread can have one, too, from the upper half of the
/// numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// The first of `count` numbers that the caller alone has.
    pub(crate) fn reserve(count: u64) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(count, Ordering::Relaxed)
    }

    /// One of those.
    pub(crate) fn from_reserved(number: u64) -> Self {
        TaskId(NonZeroU64::new(number).expect("2^64 tasks"))
    }

    /// The calling thread's own, as if it were a task; made when it first asks. In a task this is not the task's id.
    #[doc(hidden)]
    #[inline(never)]
    pub fn of_thread() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1 << 63);
        thread_local! {
            static ID: Cell<u64> = const { Cell::new(0) };
        }
        if ID.get() == 0 {
            ID.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        TaskId::from_reserved(ID.get())
    }

    /// The number, as dumps and messages show it.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a task is when it is not parked; see `ParkWord` for the rest.
pub(crate) const READY: u8 = 0;
pub(crate) const RUNNING: u8 = 1;
pub(crate) const FINISHED: u8 = 2;

/// See the module. `repr(C)`: what wakers and the switch touch comes first.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) word: ParkWord,
    pub(crate) cancel: CancelFlags,
    pub(crate) phase: AtomicU8,
    pub(crate) kind: Kind,
    /// The scheduler's, from the end of a run to the next one; the runner's alone.
    pub(crate) noted: AtomicBool,
    refs: AtomicUsize,
    /// The scheduler's, while it has the task queued.
    pub(crate) queue_link: [AtomicUsize; 2],
    pub(crate) wait: WaitSlot,
    /// Taken out when the task is freed.
    pub(crate) scheduler: ManuallyDrop<Arc<dyn Scheduler>>,
    /// Of the task and its runner alone.
    pub(crate) own: Own,
    /// Set for a dedicated task: its thread waits there.
    pub(crate) parker: Option<Arc<Parker>>,
    pub(crate) vtable: &'static Vtable,
    pub(crate) join: JoinWord,
    pub(crate) links: Links,
    pub(crate) id: TaskId,
    pub(crate) name: Option<Box<str>>,
    /// The stack's usable addresses; zeros until the task first runs, and for a dedicated one.
    stack: [AtomicUsize; 2],
}

/// Writes each field of a struct where it shall be. (An expression is built on the stack and moved, as a whole and
/// partly misaligned, which waits for its own writes: five nanoseconds of a spawn.)
///
/// Needs `unsafe`: memory for one of them.
macro_rules! write_fields {
    ($to:expr, $of:ident { $($field:ident: $value:expr,)* } $(also $other:ident)?) => {
        $( (&raw mut (*$to).$field).write($value); )*
        // That none was forgotten.
        let _ = |all: $of| { let $of { $($field: _,)* $($other: _)? } = all; };
    };
}
pub(crate) use write_fields;

impl Header {
    /// A block of its own, or a thread.
    pub(crate) fn has_thread_locals(&self) -> bool {
        self.own.thread_pointer.get() != 0 || self.kind == Kind::Dedicated
    }

    /// # Safety
    /// Memory for one.
    #[inline(always)]
    pub(crate) unsafe fn write(
        to: *mut Header,
        id: TaskId,
        kind: Kind,
        name: Option<Box<str>>,
        scheduler: Arc<dyn Scheduler>,
        vtable: &'static Vtable,
        stack: Option<Reserved>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            Own::write(&raw mut (*to).own, stack);
            write_fields!(to, Header {
                word: ParkWord::new(),
                cancel: CancelFlags::new(),
                phase: AtomicU8::new(READY),
                kind: kind,
                noted: AtomicBool::new(false),
                // The run reference and the handle's.
                refs: AtomicUsize::new(2),
                queue_link: [const { AtomicUsize::new(0) }; 2],
                wait: WaitSlot::new(),
                scheduler: ManuallyDrop::new(scheduler),
                parker: (kind == Kind::Dedicated).then(Arc::default),
                vtable: vtable,
                join: JoinWord::new(),
                links: Links::new(),
                id: id,
                name: name,
                stack: [const { AtomicUsize::new(0) }; 2],
            } also own);
        }
    }

    /// The addresses that the task's frames may use, once it has a stack of its own.
    pub(crate) fn stack(&self) -> Option<(usize, usize)> {
        let [low, high] = &self.stack;
        // `high` comes last.
        let high = high.load(Ordering::Acquire);
        (high != 0).then(|| (low.load(Ordering::Relaxed), high))
    }

    pub(crate) fn set_stack(&self, (low, high): (usize, usize)) {
        self.stack[0].store(low, Ordering::Relaxed);
        self.stack[1].store(high, Ordering::Release);
    }

    /// "task 'name' (id 7)", as messages call it.
    pub(crate) fn title(&self) -> String {
        format!("task '{}' (id {})", self.name.as_deref().unwrap_or("<unnamed>"), self.id)
    }
}

/// A task: whom to wake, to cancel, to look at. One word; a clone counts.
///
/// Holding one keeps the task's small record alive after its end, nothing else. Two are equal if
/// they are the same task.
#[repr(transparent)]
pub struct Task(NonNull<Header>);

// SAFETY: what a `Task` can reach from any thread is atomic or immutable after the spawn; the
// rest of the header (`own`, the result) is used by the task's runner and the one handle only.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// # Safety
    /// The caller gives up a reference that it holds.
    pub(crate) unsafe fn from_ref(header: NonNull<Header>) -> Self {
        Task(header)
    }

    /// A `Task` that holds no reference and does not drop one.
    ///
    /// # Safety
    /// The task is not freed as long as the result is used.
    pub(crate) unsafe fn borrow(header: NonNull<Header>) -> ManuallyDrop<Task> {
        ManuallyDrop::new(Task(header))
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a `Task` holds a reference, or is borrowed from one that does.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn raw(&self) -> NonNull<Header> {
        self.0
    }

    /// Its number.
    pub fn id(&self) -> TaskId {
        self.header().id
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.header().name.as_deref()
    }

    /// What runs it.
    pub fn kind(&self) -> Kind {
        self.header().kind
    }

    /// Lets the task's next (or present) [`park`](crate::park) return. Tokens do not add up.
    pub fn unpark(&self) {
        self.wake(Tokens::PARK);
    }

    /// Leaves tokens at the task and makes it ready if it waits for one of them.
    ///
    /// `Tokens::OP` is left out: an operation's completion is its driver's alone to tell, by
    /// [`wake_raw`], or a task might leave a stack on which the kernel still writes.
    pub fn wake(&self, tokens: Tokens) {
        let tokens = tokens.without(Tokens::OP);
        if !tokens.is_empty() {
            // SAFETY: this reference keeps the task, so that nothing is asked of the token.
            unsafe { wake_header(self.0, tokens) };
        }
    }

    /// The pointer for [`wake_raw`]; valid as long as the task has not ended or a `Task` exists.
    pub fn as_ptr(&self) -> *const () {
        self.0.as_ptr().cast()
    }

    /// Makes another `Task` of what [`Task::as_ptr`] gave.
    ///
    /// # Safety
    /// The task has not ended, or some `Task` of it exists.
    pub unsafe fn from_ptr(task: *const ()) -> Task {
        let header = NonNull::new(task.cast_mut().cast()).expect("a task's pointer is not null");
        // SAFETY: alive by the caller's word; the clone counts.
        unsafe { (*Task::borrow(header)).clone() }
    }

    /// Whose task it is, to who can name the scheduler's type, that is, to the scheduler's own crate: what a scheduler is
    /// told is between it and its tasks.
    pub fn scheduler_as<S: Scheduler>(&self) -> Option<&S> {
        self.header().scheduler.as_any().downcast_ref()
    }

    /// Is it `scheduler`'s?
    pub(crate) fn is_of<S: Scheduler + ?Sized>(&self, scheduler: &S) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.header().scheduler), scheduler)
    }

    /// What the task is doing: a snapshot for people.
    pub fn info(&self) -> TaskInfo {
        TaskInfo::of(self)
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        self.header().refs.fetch_add(1, Ordering::Relaxed);
        Task(self.0)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // SAFETY: this value's own reference, given up once.
        unsafe { drop_ref(self.0) };
    }
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Task {}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("id", &self.id().as_u64()).field("name", &self.name()).finish()
    }
}

/// Gives up a reference and frees the task with the last one.
///
/// # Safety
/// The caller holds a reference and does not use it again.
pub(crate) unsafe fn drop_ref(header: NonNull<Header>) {
    // SAFETY: alive until this reference is given up. Release and the fence: all uses of the
    // other holders lie before the free.
    unsafe {
        // Who finds itself alone is the last: others come from those who hold one. That saves a locked instruction.
        let refs = &header.as_ref().refs;
        if refs.load(Ordering::Acquire) == 1 || refs.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            let free = header.as_ref().vtable.free;
            free(header);
        }
    }
}

/// Wakes a task through a borrowed pointer.
///
/// The last access to the task is the transition of its park word; if that makes it ready, the
/// caller has received the right to run it and hands that to the scheduler.
///
/// # Safety
/// `task` came from [`Task::as_ptr`], and until this call's token has been taken the task cannot
/// end: for [`Tokens::OP`] the task waits until this one wake comes; for other tokens the caller
/// holds a [`Task`].
pub unsafe fn wake_raw(task: *const (), tokens: Tokens) {
    if let Some(header) = NonNull::new(task.cast_mut().cast::<Header>()) {
        // SAFETY: the caller's promise.
        unsafe { wake_header(header, tokens) };
    }
}

/// # Safety
/// As for [`wake_raw`].
unsafe fn wake_header(header: NonNull<Header>, tokens: Tokens) {
    // SAFETY: alive until the token is there. The parker is taken out before: a dedicated
    // task's thread may go on, and end, as soon as the word says so.
    unsafe {
        let task = header.as_ref();
        if task.kind == Kind::Dedicated {
            let parker = task.parker.clone();
            if task.word.wake(tokens.bits())
                && let Some(parker) = parker
            {
                parker.notify();
            }
        } else if task.word.wake(tokens.bits()) {
            // We have the run reference now.
            scheduler::schedule(Runnable::from_header(header));
        }
    }
}
