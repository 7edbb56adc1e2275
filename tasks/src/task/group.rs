//! Tasks whose ends somebody waits for together, because they borrow from where he stands; and which are stopped together.
//!
//! A task of a group has a [`Member`] beside its header, with a counted reference to the group. The member is in the group's list from
//! before the task is scheduled until nothing is left of the task but a result that belongs to its handle. To leave the list is the
//! last that a task does with its group.
//!
//! A member that was never to begin, and whose closure could not be dropped, is *lost*: the group never becomes empty. It does not become
//! empty either as long as there is a member whose scheduler has *abandoned* it; who waits is told of one.
//!
//! In a forked child there are no members. Nobody but `Debug` looks into a group there.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::followers::Follower;
use super::header::{Header, Task};
use super::parker::Parker;
use super::tokens::Tokens;
use crate::util::lock::{ForkMutex, Forked, Mutex, MutexGuard};

/// Tasks whose ends are waited for together; see [`spawn_in_group`](crate::spawn_in_group).
pub struct Group {
    inner: ForkMutex<Inner>,
    /// Members that have panicked or never began, and whose `join` nobody has seen. Written under the lock.
    failures: AtomicUsize,
    /// Has one panicked, ever?
    panicked: AtomicBool,
    /// Is it, or was it, in the list of a task's followers?
    follows: AtomicBool,
    /// Which is next in the chain that it is in.
    behind: Mutex<Option<Arc<dyn Follower>>>,
}

/// Who waits for the group's end.
#[derive(Clone)]
pub(crate) enum Waiter {
    Task(Task),
    Thread(Arc<Parker>),
}

struct Inner {
    first: *const Member,
    last: *const Member,
    /// How many are in the list.
    count: usize,
    /// It never becomes empty.
    lost: bool,
    /// Its members were stopped for good.
    stopped: bool,
    /// How often all were cancelled: a member that has seen less is to be. (One that comes between two times has seen none.)
    round: u64,
    /// One that nobody has been told of.
    abandoned: Option<Task>,
    /// Who waits.
    waiter: Option<Waiter>,
}

impl Forked for Inner {
    /// Nobody is in it.
    fn left_half() -> Self {
        Inner {
            first: ptr::null(),
            last: ptr::null(),
            count: 0,
            lost: false,
            stopped: false,
            round: 0,
            abandoned: None,
            waiter: None,
        }
    }
}

// SAFETY: the members in the list are alive, and what the list uses of them is used under the lock alone.
unsafe impl Send for Inner {}

// A panic leaves nothing half done: what is under the lock does not panic.
impl std::panic::UnwindSafe for Group {}
impl std::panic::RefUnwindSafe for Group {}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("failures", &self.failures()).finish_non_exhaustive()
    }
}

impl Default for Group {
    fn default() -> Self {
        Group::new()
    }
}

impl Group {
    /// One without members.
    pub fn new() -> Group {
        Group {
            inner: ForkMutex::new(Inner::left_half()),
            failures: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            follows: AtomicBool::new(false),
            behind: Mutex::new(None),
        }
    }

    /// How many members there are that have panicked, or were refused before they began, and were not [claimed](Group::claim).
    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// Has a member panicked, ever?
    pub fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }

    /// It is in the list of a task's followers from here on. That can be once.
    pub(crate) fn begins_to_follow(&self) {
        assert!(!self.follows.swap(true, Ordering::Relaxed), "a group follows one task");
    }

    /// Of the chain's owner alone.
    pub(crate) fn place_in_chain(&self) -> MutexGuard<'_, Option<Arc<dyn Follower>>> {
        self.behind.lock()
    }

    /// How many members have not ended.
    pub fn live(&self) -> usize {
        self.inner.lock().count
    }

    /// Somebody has seen the error of one that failed: that counts no more, and is no reason any more to cancel those to come.
    pub(crate) fn claims(&self) {
        let _inner = self.inner.lock();
        self.failures.store(self.failures().saturating_sub(1), Ordering::Relaxed);
    }

    /// The members, and those to come, are cancelled. True: those of the present ones that never were are to be.
    pub(crate) fn stops(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.round = inner.round.max(1);
        !std::mem::replace(&mut inner.stopped, true)
    }

    /// One that has not been cancelled in the present round; now it counts as if it had. (Those that have are last. While somebody calls this
    /// again and again none comes that is not cancelled as it begins.)
    pub(crate) fn next_to_cancel(&self) -> Option<Task> {
        let mut inner = self.inner.lock();
        // SAFETY: what is in the list is alive; its cells are the lock's.
        unsafe {
            let first = inner.first.as_ref().filter(|first| first.round.get() != inner.round)?;
            inner.counts_as_cancelled(first);
            Some(first.task())
        }
    }

    /// Is there nobody to wait for?
    pub(crate) fn is_over(&self) -> bool {
        let inner = self.inner.lock();
        inner.count == 0 && !inner.lost
    }

    /// Nobody to wait for, or one to tell of.
    pub(crate) fn has_news(&self) -> bool {
        let inner = self.inner.lock();
        inner.abandoned.is_some() || (inner.count == 0 && !inner.lost)
    }

    /// A member that was abandoned, once.
    pub(crate) fn take_abandoned(&self) -> Option<Task> {
        self.inner.lock().abandoned.take()
    }

    /// Who waits from now on.
    pub(crate) fn set_waiter(&self, waiter: Option<Waiter>) {
        let before = std::mem::replace(&mut self.inner.lock().waiter, waiter);
        drop(before);
    }
}

impl Inner {
    /// Is a member that joins to begin cancelled?
    fn cancels(&self, failures: usize) -> bool {
        self.stopped || failures > 0
    }

    fn counts_as_cancelled(&mut self, member: &Member) {
        member.round.set(self.round);
        self.take_out(member);
        self.put_last(member);
    }

    fn put_first(&mut self, member: &Member) {
        self.put(member, ptr::null(), self.first);
    }

    fn put_last(&mut self, member: &Member) {
        self.put(member, self.last, ptr::null());
    }

    fn put(&mut self, member: &Member, previous: *const Member, next: *const Member) {
        member.previous.set(previous);
        member.next.set(next);
        self.link(previous, next, member, member);
        self.count += 1;
    }

    fn take_out(&mut self, member: &Member) {
        let (previous, next) = (member.previous.get(), member.next.get());
        self.link(previous, next, next, previous);
        self.count -= 1;
    }

    /// Behind `previous` comes `behind`, and before `next` stands `before`.
    fn link(
        &mut self,
        previous: *const Member,
        next: *const Member,
        behind: *const Member,
        before: *const Member,
    ) {
        // SAFETY: what is in the list is alive.
        match unsafe { previous.as_ref() } {
            Some(previous) => previous.next.set(behind),
            None => self.first = behind,
        }
        // SAFETY: as above.
        match unsafe { next.as_ref() } {
            Some(next) => next.previous.set(before),
            None => self.last = before,
        }
    }
}

/// A task's place in its group, beside the header.
pub(crate) struct Member {
    group: Arc<Group>,
    // The rest is the group's lock's.
    /// Null unless it is in the list.
    task: Cell<*const Header>,
    previous: Cell<*const Member>,
    next: Cell<*const Member>,
    round: Cell<u64>,
}

// SAFETY: the cells are used under the group's lock alone.
unsafe impl Send for Member {}
// SAFETY: as above.
unsafe impl Sync for Member {}

impl Member {
    pub(crate) fn of(group: Arc<Group>) -> Member {
        Member {
            group,
            task: Cell::new(ptr::null()),
            previous: Cell::new(ptr::null()),
            next: Cell::new(ptr::null()),
            round: Cell::new(0),
        }
    }

    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// # Safety
    /// It is in the list, under the lock.
    unsafe fn task(&self) -> Task {
        let header = NonNull::new(self.task.get().cast_mut()).expect("it is in the list");
        // SAFETY: alive, as the task takes itself out before its end; the clone counts.
        unsafe { (*Task::borrow(header)).clone() }
    }

    /// Into the list. True: the task is to begin cancelled.
    ///
    /// # Safety
    /// It lies in the cell of `task`, which has not been scheduled, once; and it [leaves](Member::leave) before that is freed.
    pub(crate) unsafe fn join(&self, task: NonNull<Header>) -> bool {
        let mut inner = self.group.inner.lock();
        self.task.set(task.as_ptr());
        let begins_cancelled = inner.cancels(self.group.failures());
        if begins_cancelled {
            self.round.set(inner.round);
            inner.put_last(self);
        } else {
            self.round.set(0);
            inner.put_first(self);
        }
        begins_cancelled
    }

    /// It has failed. True: the others were not cancelled before, and are to be.
    pub(crate) fn fails(&self, panicked: bool) -> bool {
        let group = &self.group;
        group.panicked.fetch_or(panicked, Ordering::Relaxed);
        let mut inner = group.inner.lock();
        let first = !inner.stopped && group.failures() == 0;
        group.failures.store(group.failures() + 1, Ordering::Relaxed);
        if first {
            inner.round += 1;
            inner.counts_as_cancelled(self);
        }
        first
    }

    /// Out of the list, if it is in it: the task is over. The last use of the group.
    pub(crate) fn leave(&self) {
        self.go(false);
    }

    /// Out of the list; but what it borrows is there still, so the group never becomes empty.
    pub(crate) fn lose(&self) {
        self.is_abandoned();
        self.go(true);
    }

    fn go(&self, lost: bool) {
        let (waiter, told) = {
            let mut inner = self.group.inner.lock();
            let task = self.task.replace(ptr::null());
            if task.is_null() {
                return;
            }
            inner.take_out(self);
            inner.lost |= lost;
            if lost {
                return;
            }
            let is_told = inner.abandoned.as_ref().is_some_and(|told| ptr::eq(told.raw().as_ptr(), task));
            let told = if is_told { inner.abandoned.take() } else { None };
            let over = inner.count == 0 && !inner.lost;
            (if over { inner.waiter.take() } else { None }, told)
        };
        drop(told);
        waiter.into_iter().for_each(tell);
    }

    /// The task never goes on, unless it is on a thread and gets to its end there: who waits is told of it.
    pub(crate) fn is_abandoned(&self) {
        let (waiter, before) = {
            let mut inner = self.group.inner.lock();
            if self.task.get().is_null() {
                return;
            }
            // SAFETY: it is in the list, as we have seen under the lock.
            let before = inner.abandoned.replace(unsafe { self.task() });
            let waiter = inner.waiter.clone();
            (waiter, before)
        };
        drop(before);
        waiter.into_iter().for_each(tell);
    }
}

fn tell(waiter: Waiter) {
    match waiter {
        Waiter::Task(task) => task.wake(Tokens::SYNC),
        Waiter::Thread(parker) => parker.notify(),
    }
}

/// What a task's cell has of a group: nothing, or a member.
pub(crate) trait Membership {
    const IS_MEMBER: bool;

    fn member(&self) -> Option<&Member>;
}

impl Membership for () {
    const IS_MEMBER: bool = false;

    fn member(&self) -> Option<&Member> {
        None
    }
}

impl Membership for Member {
    const IS_MEMBER: bool = true;

    fn member(&self) -> Option<&Member> {
        Some(self)
    }
}

/// The member of a task that belongs to a group.
///
/// # Safety
/// The task's cell is alive as long as the answer is used.
#[inline]
pub(crate) unsafe fn member_of<'a>(task: NonNull<Header>) -> Option<&'a Member> {
    // SAFETY: the caller's promise; the table is that of this cell.
    unsafe { task.as_ref().vtable.member.map(|member| member(task).cast().as_ref()) }
}

impl Task {
    /// Its scheduler never runs it again; and it has begun. Whoever waits for its group is told.
    pub fn tell_abandoned(&self) {
        // SAFETY: a `Task` keeps the cell.
        if let Some(member) = unsafe { member_of(self.raw()) } {
            member.is_abandoned();
        }
    }
}
