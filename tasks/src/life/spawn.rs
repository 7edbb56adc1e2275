//! Making tasks.

#![allow(unsafe_code)]

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use super::cell::TaskCell;
use super::dedicated;
use super::fork::watch_forks;
use super::join::JoinHandle;
use crate::slab::guard;
use crate::stack;
use crate::task::{
    Group, Header, Kind, Member, Membership, Runnable, Scheduler, Task, TaskId, member_of, registry,
};
use crate::util::crossing::assert_no_crossing;
use crate::util::forked::{forked, forked_error};
use crate::worker::{WorkerLocal, schedule};

/// How a task is to be made.
#[derive(Clone, Debug, Default)]
pub struct SpawnOptions {
    /// Its name, for messages and the dump. A dedicated task's thread gets it, too.
    pub name: Option<String>,
    /// So many bytes of stack can be used at least; 0 is the default:
    /// [`DEFAULT_STACK_SIZE`](crate::DEFAULT_STACK_SIZE), and std's for a dedicated task.
    pub stack_size: usize,
    /// What runs it.
    pub kind: Kind,
}

impl SpawnOptions {
    /// An unnamed task with thread-locals of its own and the default stack.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the usable stack.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = bytes;
        self
    }

    /// Sets what runs it.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

/// Makes a task that runs `f`, and schedules it (or starts the thread of a dedicated one).
///
/// # Errors
/// No memory or address space for the stack, no guard for it (`vm.max_map_count`), no thread for
/// a dedicated task, a stack larger than there are, or a forked child ([`Unsupported`](io::ErrorKind::Unsupported)). Then `f` is dropped and
/// nothing has happened. [`Kind::Lean`] is refused ([`InvalidInput`](io::ErrorKind::InvalidInput)): see
/// [`spawn_unchecked`].
///
/// An example is at [the crate's front page](crate).
pub fn spawn<T, F>(scheduler: Arc<dyn Scheduler>, options: SpawnOptions, f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if options.kind == Kind::Lean {
        let why = "a lean task has no thread-locals of its own: it takes `spawn_unchecked`, which is unsafe";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    // SAFETY: all is `Send` and borrows nothing, and to the language the task is a thread.
    unsafe { spawn_unchecked(scheduler, options, f) }
}

/// As [`spawn`], for all kinds of tasks, and for closures that borrow.
///
/// # Errors
/// As [`spawn`].
///
/// # Safety
/// - `f` and its result may be sent to another thread.
/// - What they borrow outlives the task, and the result the task leaves behind; for ever, if
///   the task may be abandoned.
/// - Of a lean task more is asked than `Send` can say, since at every suspension it may go on
///   on another thread: nothing alive across a suspension may refer to a thread-local (a
///   borrow from `LocalKey::with`, an `Rc` that one reaches) or be `!Send` otherwise, also not
///   inside the functions it calls.
pub unsafe fn spawn_unchecked<T, F>(
    scheduler: Arc<dyn Scheduler>,
    options: SpawnOptions,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    let identity = Arc::as_ptr(&scheduler).cast();
    // SAFETY: by contract.
    unsafe { spawn_in(identity, move || scheduler, options, f) }
}

/// A larger closure stays on the heap when it is called, in place of being moved to the task's stack.
const LARGE: usize = 1024;

/// As [`spawn_unchecked`], for whoever has no counted reference to the scheduler at hand: `counted` makes one of the
/// scheduler at address `identity`, if the worker that runs the caller has none in stock. It must not suspend.
///
/// # Errors
/// As [`spawn`].
///
/// # Safety
/// As [`spawn_unchecked`]; and the scheduler lives during the call.
pub unsafe fn spawn_in<T, F>(
    identity: *const (),
    counted: impl FnOnce() -> Arc<dyn Scheduler>,
    options: SpawnOptions,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    // SAFETY: by contract.
    unsafe { spawn_as(identity, counted, options, f, ()) }
}

/// As [`spawn_in`], as a member of `group`: of its tasks one may [wait](Group::wait) for all.
///
/// # Errors
/// As [`spawn`].
///
/// # Safety
/// As [`spawn_in`]. What `f` and its result borrow is only needed until the group is empty: by then the closure is gone, and so is the
/// result, unless it belongs to the handle.
pub unsafe fn spawn_in_group<T, F>(
    identity: *const (),
    counted: impl FnOnce() -> Arc<dyn Scheduler>,
    options: SpawnOptions,
    group: Arc<Group>,
    f: F,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    // SAFETY: by contract.
    unsafe { spawn_as(identity, counted, options, f, Member::of(group)) }
}

/// # Safety
/// As [`spawn_in`].
#[inline(always)]
unsafe fn spawn_as<T, F>(
    identity: *const (),
    counted: impl FnOnce() -> Arc<dyn Scheduler>,
    options: SpawnOptions,
    f: F,
    membership: impl Membership,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    assert_no_crossing("a spawn");
    let SpawnOptions { name, stack_size, kind } = options;
    // (At once: its words were written a moment ago, one by one, and moving it as a whole would wait for them.)
    let name = name.map(String::into_boxed_str);
    watch_forks()?;
    if forked() {
        return Err(forked_error("a task cannot be spawned"));
    }
    let kind = if kind == Kind::Own && stack::own_thread_locals().is_err() { Kind::Dedicated } else { kind };
    if size_of::<F>() > LARGE {
        let f = Box::new(f);
        // SAFETY: by contract; a box of it is as good as `f`.
        unsafe { make(identity, counted, kind, name, stack_size, f, membership) }
    } else {
        // SAFETY: by contract.
        unsafe { make(identity, counted, kind, name, stack_size, f, membership) }
    }
}

/// # Safety
/// As [`spawn_in`].
#[inline(always)]
unsafe fn make<T, F, M: Membership>(
    identity: *const (),
    counted: impl FnOnce() -> Arc<dyn Scheduler>,
    kind: Kind,
    name: Option<Box<str>>,
    stack_size: usize,
    f: F,
    membership: M,
) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T,
{
    let stocked = WorkerLocal::here(|local| {
        let cache = local.map(|local| &local.cache);
        let stack = match kind {
            Kind::Own | Kind::Lean => Some(stack::reserve(stack_size, kind == Kind::Own, cache)?),
            Kind::Dedicated => None,
        };
        Ok::<_, io::Error>(match local {
            Some(local) => {
                let memory = local.cells.take(TaskCell::<T, F, M>::SIZE);
                (stack, local.next_id(), local.reference(identity), memory)
            }
            None => (stack, TaskId::from_reserved(TaskId::reserve(1)), None, None),
        })
    });
    // Not before: a logger is the user's code, after which the caller may be on another worker.
    guard::report();
    let (stack, id, scheduler, memory) = stocked?;
    let scheduler = scheduler.unwrap_or_else(counted);
    let memory = memory.unwrap_or_else(|| TaskCell::<T, F, M>::SIZE.allocate());
    // SAFETY: memory for one.
    let write = |to, vtable| unsafe { Header::write(to, id, kind, name, scheduler, vtable, stack) };
    // SAFETY: `write` does.
    let header = unsafe { TaskCell::<T, F, M>::put(memory, write, f, membership) };
    // SAFETY: one of the two references that the header was made with, and the only handle.
    let handle = unsafe { JoinHandle::new(Task::from_ref(header)) };
    // SAFETY: the other one, the run reference, is ours until the task is scheduled; the rest is
    // this function's own contract.
    unsafe {
        if M::IS_MEMBER
            && let Some(member) = member_of(header)
            && member.join(header)
        {
            handle.cancel();
        }
        registry::insert(header);
        if stack.is_some() {
            schedule(Runnable::from_header(header));
        } else if let Err(why) = dedicated::start(header, stack_size) {
            registry::remove(header);
            let dropped = catch_unwind(AssertUnwindSafe(|| (header.as_ref().vtable.drop_closure)(header)));
            member_of(header).into_iter().for_each(Member::leave);
            drop(Task::from_ref(header));
            return dropped.map_or_else(|panic| resume_unwind(panic), |()| Err(why));
        }
    }
    Ok(handle)
}
