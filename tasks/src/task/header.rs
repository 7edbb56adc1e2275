//! What a task is in memory: one allocation with this header in front, counted by hand. (`life/cell.rs` has what is
//! behind the header.)
//!
//! Who holds a reference:
//!
//! * each [`Task`];
//! * the `JoinHandle`;
//! * whoever has the right to run the task: its `Runnable`, the worker that runs it, or the waker that is about to
//!   queue it. This one is the *run reference*. While the task is parked nobody has it, and it stays counted until the
//!   task ends.
//!
//! So a task that has not ended is never freed, and the one waker of an operation (`Tokens::OP`) needs no count.

#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};

use super::cancel_flags::CancelFlags;
use super::continuation::Continuation;
use super::followers::Followers;
use super::id::TaskId;
use super::join_word::JoinWord;
use super::kind::Kind;
use super::park_word::ParkWord;
use super::parker::Parker;
use super::scheduler::Scheduler;
use super::wait_slot::WaitSlot;
use crate::stack::Reserved;
use crate::util::coarse;
use crate::util::fields::write_fields;

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
    /// When it was parked last, on the coarse clock: see [`Header::parks`]. Of a dedicated task, when it last was parked or went on.
    pub(crate) since: AtomicU64,
    /// Of the task and its runner alone.
    pub(crate) continuation: Continuation,
    /// Set for a dedicated task: its thread waits there.
    pub(crate) parker: Option<Arc<Parker>>,
    pub(crate) vtable: &'static Vtable,
    pub(crate) join: JoinWord<Joiner>,
    pub(crate) links: Links,
    pub(crate) followers: Followers,
    pub(crate) id: TaskId,
    pub(crate) name: Option<Box<str>>,
    /// The stack's usable addresses; zeros until the task first runs, and for a dedicated one.
    stack: [AtomicUsize; 2],
}

impl Header {
    /// A block of its own, or a thread.
    pub(crate) fn has_thread_locals(&self) -> bool {
        self.continuation.has_block() || self.kind == Kind::Dedicated
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
            Continuation::write(&raw mut (*to).continuation, stack);
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
                since: AtomicU64::new(0),
                parker: (kind == Kind::Dedicated).then(Arc::default),
                vtable: vtable,
                join: JoinWord::new(),
                links: Links::new(),
                followers: Followers::new(),
                id: id,
                name: name,
                stack: [const { AtomicUsize::new(0) }; 2],
            } also continuation);
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

    /// It is about to be parked: notes the last tick, which costs a load and a store where to read a clock would be too much.
    #[inline]
    pub(crate) fn parks(&self) {
        self.since.store(coarse::last_tick(), Ordering::Relaxed);
    }

    /// The thread of a dedicated task is about to sleep, or goes on. It reads the clock: a sleep costs more than that.
    pub(crate) fn thread_changes(&self) {
        self.since.store(coarse::now(), Ordering::Relaxed);
    }

    /// "task 'name' (id 7)", as messages call it.
    pub(crate) fn title(&self) -> String {
        format!("task '{}' (id {})", self.name.as_deref().unwrap_or("<unnamed>"), self.id)
    }
}

/// What depends on the types of the closure and of its result.
pub(crate) struct Vtable {
    /// Runs the closure, on the task, and leaves its result. Nothing unwinds out of here. Called once, by the
    /// task's runner.
    pub(crate) run: unsafe fn(NonNull<Header>),
    /// Drops the closure of a task that will never run.
    pub(crate) drop_closure: unsafe fn(NonNull<Header>),
    /// Leaves an error in the place of a result. For a task that will never run, once its closure is gone.
    pub(crate) refuse: unsafe fn(NonNull<Header>, Box<dyn Any + Send>),
    /// Where the result lies: an `Option<thread::Result<T>>`.
    pub(crate) result: unsafe fn(NonNull<Header>) -> NonNull<()>,
    /// Drops the result where it lies. It must be there, and nobody else use it.
    pub(crate) drop_result: unsafe fn(NonNull<Header>),
    /// Where its `Member` is, its place in its group; `None`: it has no group.
    pub(crate) member: Option<unsafe fn(NonNull<Header>) -> NonNull<()>>,
    /// Frees the allocation.
    pub(crate) free: unsafe fn(NonNull<Header>),
}

/// Who waits for the task's end.
pub(crate) enum Joiner {
    Task(Task),
    Thread(Arc<Parker>),
    /// With a word for it.
    Watcher(Arc<dyn Watcher>, u32),
}

/// Is told of the end of tasks: see [`JoinHandle::tell`](crate::JoinHandle::tell).
///
/// # Safety
/// It is called in the middle of the runtime, on the worker that ran the task or at the end of a dedicated task's thread. So it does not
/// suspend, wait or panic. It calls no code of the program's unless `foreign` says that some may run here, and then none that may panic.
pub unsafe trait Watcher: Send + Sync {
    /// A task has ended, and its handle's `join` does not wait any more. `word` is what was given with the watcher. `foreign`: the caller is
    /// where code of the program's may run, as in the handler of an event. (On a thread whose thread-locals are gone, or one that shuts a
    /// runtime down, none may.)
    fn ended(self: Arc<Self>, word: u32, foreign: bool);
}

/// A task's neighbours in its list of the registry, guarded by the list's lock.
pub(crate) struct Links {
    pub(crate) previous: Cell<*const Header>,
    pub(crate) next: Cell<*const Header>,
}

impl Links {
    fn new() -> Self {
        Links { previous: Cell::new(ptr::null()), next: Cell::new(ptr::null()) }
    }
}

/// A task: whom to wake, to cancel, to look at. One word; a clone counts.
///
/// Holding one keeps the task's small record alive after its end, nothing else. Two are equal if
/// they are the same task.
#[repr(transparent)]
pub struct Task(NonNull<Header>);

// SAFETY: what a `Task` can reach from any thread is atomic or immutable after the spawn; the
// rest of the header (the continuation, the result) is used by the task's runner and the one handle only.
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

    /// The pointer for [`wake_raw`](crate::wake_raw); valid as long as the task has not ended or a `Task` exists.
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
}

// What a panic may leave half done is not reached through a `Task`: it is atomic, or does not change. (As with std's `Thread`.)
impl std::panic::UnwindSafe for Task {}
impl std::panic::RefUnwindSafe for Task {}

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
