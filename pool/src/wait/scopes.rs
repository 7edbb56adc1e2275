//! What a call is in: deadlines of `time::timeout`, groups of cancel tokens, shields. Each is a scope in a list. The task (or the plain
//! thread) owns the list. The last scope entered comes first.
//!
//! A scope takes itself out of the list, wherever it stands. With coroutines of another crate a later scope may outlive an earlier one,
//! because they may begin and end in any order. The list has a reference of its own to each scope. A coroutine may go on on another
//! thread, or in another task, and leave the scope's frame there. Such a scope is marked, and its owner takes it out. A scope whose frame
//! is leaked stays. In a forked child the thread that has forked in a task has that task's list: it goes on in the same frames.
//!
//! **Which of them count.** Those whose frame is among the caller's callers. The scopes of a suspended coroutine are nobody else's. Frames
//! that are alive on the stack that a task or thread was given are always below the caller, whatever stack the caller is on. A scope on
//! another stack counts if its frame is among the caller's callers (`callers.rs`). It never counts if the caller is on the task's or
//! thread's own stack, because then no coroutine is running.
//!
//! **Which is the inner one.** A coroutine may have entered its scope long before the one that it is resumed in. So the order of the list
//! is not that of the frames. A scope on another stack is inside of all those on the own stack, and as deep as its frame is among the
//! caller's callers. Of two in one frame, or on the own stack, the one entered last is the inner one.
//!
//! **Shields.** Of what is outside of the innermost shield nothing is delivered: no deadline, no group, and no cancel of the task itself.
//!
//! **Children** of a `task::scope` are in what that is in, up to the innermost shield ([`Inherited`]): each child's list has scopes of its own
//! for that, so it is delivered once to each.
//!
//! **On the thread.** What a task calls by `on_thread` is in the task's list: it is the same stack, and the task does not go on meanwhile.
//!
//! This file has `unsafe` in it: the list.

#![allow(unsafe_code)]

use crate::wait::callers;
use crate::wait::interruptible;
use ec_tasks::GROUPS;
use std::any::Any;
use std::cell::Cell;
use std::iter;
use std::panic::RefUnwindSafe;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// What a scope is for.
enum What {
    /// A `time::timeout`.
    Deadline {
        /// `None`: so far off that it never comes.
        at: Option<Instant>,
        /// It is around the `task::scope` that the task is a child of: that it comes is a cancel, too.
        inherited: bool,
    },
    /// The group of a cancel token.
    Group(Arc<dyn Members>),
    Shield,
}

/// The group of a cancel token: who is in it is to be woken when that is cancelled.
pub trait Members: Send + Sync + RefUnwindSafe {
    /// The token was cancelled. Neither waits nor calls anybody's code.
    fn is_cancelled(&self) -> bool;
    /// The calling task is, as long as what this gives lives.
    fn join(self: Arc<Self>) -> Option<Box<dyn Any>>;
}

/// See the module.
struct Scope {
    what: What,
    /// Its frame has been left.
    left: AtomicBool,
    // What follows is of the task or thread that owns the list.
    delivered: Cell<bool>,
    /// Entered before this one, of those that are left.
    outer: Cell<*const Scope>,
    /// On a stack that is not the task's or thread's own: what its frame is known by.
    elsewhere: Cell<Option<callers::Frame>>,
    /// How deep that is among the frames of the caller that asks, from the inside; `OWN`, or `NOT_AROUND`.
    rank: Cell<usize>,
}

/// On the own stack: outside of all that is on others.
const OWN: usize = usize::MAX - 1;
/// The caller is not in it.
const NOT_AROUND: usize = usize::MAX;

/// The inner one's is less: its rank, and its place in the list.
type Depth = (usize, usize);

// SAFETY: other threads than the list's only set `left` and count references.
unsafe impl Send for Scope {}
// SAFETY: as above.
unsafe impl Sync for Scope {}

impl Scope {
    /// A deadline that has come by `at`, and is not delivered.
    fn due(&self, at: Instant) -> bool {
        matches!(self.what, What::Deadline { at: Some(own), .. } if own <= at) && !self.delivered.get()
    }

    /// The token of its group was cancelled.
    fn is_cancelled(&self) -> bool {
        matches!(&self.what, What::Group(group) if group.is_cancelled())
    }

    fn counts(&self) -> bool {
        !self.left.load(Ordering::Relaxed) && self.rank.get() != NOT_AROUND
    }
}

/// The caller's pointer to the scope that was entered last.
fn last<R>(f: impl FnOnce(&Cell<*const ()>) -> R) -> R {
    // SAFETY: this module owns the pointer: nobody else of this project calls this. The closures given here read or write the
    // cell and nothing else.
    unsafe { ec_tasks::with_scope_cell(f) }
}

/// The caller's scopes, the last one first.
fn all<'a>() -> impl Iterator<Item = &'a Scope> {
    let mut next: *const Scope = last(Cell::get).cast();
    iter::from_fn(move || {
        // SAFETY: the list has a reference to each, and only this task or thread ever sees the list; the callers, which are in this
        // file, call nobody's code meanwhile, take nothing out and keep nothing.
        let scope = unsafe { next.as_ref()? };
        next = scope.outer.get();
        Some(scope)
    })
}

/// A scope in the list, as long as this lives.
struct Entered(Arc<Scope>);

impl Entered {
    fn new(what: What) -> Self {
        let here = 0u8;
        let scope = Arc::new(Scope {
            what,
            left: AtomicBool::new(false),
            delivered: Cell::new(false),
            outer: Cell::new(ptr::null()),
            elsewhere: Cell::new(callers::elsewhere(&here)),
            rank: Cell::new(OWN),
        });
        scope.outer.set(last(Cell::get).cast());
        last(|cell| cell.set(Arc::into_raw(scope.clone()).cast()));
        interruptible::changed();
        Entered(scope)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // Release: what was done with it here comes before its end there.
        self.0.left.store(true, Ordering::Release);
        while let Some(scope) = take_out_left() {
            // (An allocator's business: nothing of the list is kept meanwhile.)
            drop(scope);
        }
        interruptible::changed();
    }
}

/// Takes one out of the caller's list whose frame has been left.
fn take_out_left() -> Option<Arc<Scope>> {
    let gone = all().find(|scope| scope.left.load(Ordering::Acquire))?;
    let outer = gone.outer.get();
    match all().find(|later| ptr::eq(later.outer.get(), gone)) {
        Some(later) => later.outer.set(outer),
        None => last(|cell| cell.set(outer.cast())),
    }
    // SAFETY: the list's own reference, which it has no more.
    Some(unsafe { Arc::from_raw(gone) })
}

/// Runs `f` with a deadline for the calls in it. `None`: so far off that it never comes.
pub fn with_deadline<T>(at: Option<Instant>, f: impl FnOnce() -> T) -> T {
    let _entered = Entered::new(What::Deadline { at, inherited: false });
    f()
}

/// Runs `f`; the cancellation points in it are cancelled once `group` is. Whoever does that wakes the task with
/// [`Tokens::SYNC`](ec_tasks::Tokens::SYNC) afterwards, and all that have joined the group, as children of a scope in `f` do.
pub fn with_group<T>(group: Arc<dyn Members>, f: impl FnOnce() -> T) -> T {
    let _entered = Entered::new(What::Group(group));
    f()
}

/// Runs `f`; the cancellation points in it know nothing of what is around it: neither of cancels nor of deadlines.
pub fn shield<T>(f: impl FnOnce() -> T) -> T {
    let _entered = Entered::new(What::Shield);
    f()
}

/// The earliest deadline of the surrounding scopes that has not been delivered, up to the innermost shield.
pub fn scope_deadline() -> Option<Instant> {
    // (Mostly there is none.)
    if is_in_none() {
        return None;
    }
    deadline_inside()
}

fn deadline_inside() -> Option<Instant> {
    inside().filter(|(_, scope)| !scope.delivered.get()).fold(None, |least, (_, scope)| match scope.what {
        What::Deadline { at, .. } => earliest(least, at),
        _ => least,
    })
}

/// The innermost deadline that has come at `now` counts as delivered from here on.
pub(crate) fn deliver(now: Instant) {
    if let Some(scope) = innermost(|scope| scope.due(now)) {
        scope.delivered.set(true);
    }
}

/// What else than its end may end a wait of the caller's: does not change as long as that lasts.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings {
    pub(crate) deadline: Option<Instant>,
    /// The task's own cancel.
    cancel: bool,
    /// Those of groups.
    groups: bool,
}

impl Surroundings {
    /// Of a cancellation point, or of a wait that is none.
    #[inline]
    pub(crate) fn of(point: bool) -> Surroundings {
        // (Mostly there is none.)
        if !point || is_in_none() {
            return Surroundings { deadline: None, cancel: point, groups: false };
        }
        Surroundings {
            deadline: deadline_inside(),
            cancel: !is_shielded(),
            groups: inside().any(|(_, scope)| matches!(scope.what, What::Group(..))),
        }
    }

    /// A cancel could end the wait.
    #[inline]
    pub(crate) fn can_be_cancelled(&self) -> bool {
        self.cancel || self.groups
    }

    /// A cancel ends the wait.
    #[inline]
    pub(crate) fn are_cancelled(&self) -> bool {
        (self.cancel && ec_tasks::cancel_pending()) || (self.groups && group_cancel().is_some())
    }
}

/// Whether a cancel is to be delivered here: of the task itself, or of a group that the caller is in.
#[inline]
pub(crate) fn cancel_pending() -> bool {
    if is_in_none() {
        return ec_tasks::cancel_pending();
    }
    (ec_tasks::cancel_pending() && !is_shielded()) || group_cancel().is_some()
}

/// A cancellation point: true if a cancel is to be delivered here, which counts as done then. That of a group counts for all
/// surrounding scopes of that group.
pub(crate) fn take_cancel() -> bool {
    if is_in_none() {
        return ec_tasks::take_cancel();
    }
    if !is_shielded() && ec_tasks::take_cancel() {
        return true;
    }
    let group = group_cancel();
    if let Some(What::Group(theirs)) = group.map(|scope| &scope.what) {
        inside()
            .filter(
                |(_, scope)| matches!(&scope.what, What::Group(it) if address_of(it) == address_of(theirs)),
            )
            .for_each(|(_, scope)| scope.delivered.set(true));
    }
    group.is_some()
}

/// Whose cancels are to be delivered here: the task's own? And the groups', each by its address, but for those that have been. (Of
/// too many the last one is [`ANY_GROUP`].)
pub(crate) fn who_may_cancel() -> (bool, [usize; GROUPS]) {
    let mut groups = [0; GROUPS];
    if is_in_none() {
        return (true, groups);
    }
    for (place, (_, scope)) in inside()
        .filter(|(_, scope)| !scope.delivered.get())
        .filter(|(_, scope)| matches!(scope.what, What::Group(..)))
        .enumerate()
    {
        if let What::Group(group) = &scope.what {
            groups[place.min(GROUPS - 1)] = if place < GROUPS { address_of(group) } else { ANY_GROUP };
        }
    }
    (!is_shielded(), groups)
}

/// Stands for whatever group.
pub(crate) const ANY_GROUP: usize = usize::MAX;

/// What a group is known by.
pub(crate) fn address_of<M: Members + ?Sized>(group: &Arc<M>) -> usize {
    Arc::as_ptr(group).cast::<()>().addr()
}

/// Whether the caller is in a group that was cancelled, or a deadline has come that it has [inherited](Inherited): delivered or not, and
/// whatever is shielded.
pub fn is_cancelled_around() -> bool {
    !is_in_none() && (around().any(|(_, scope)| scope.is_cancelled()) || is_over())
}

fn is_over() -> bool {
    let first = counted().fold(None, |least, (_, scope)| match scope.what {
        What::Deadline { at, inherited: true } => earliest(least, at),
        _ => least,
    });
    first.is_some_and(|at| at <= Instant::now())
}

/// What the children of a `task::scope` are in, because that is in it: deadlines and groups that have not been delivered, up to the innermost
/// shield. The outermost first.
#[derive(Default)]
pub struct Inherited(Box<[Passed]>);

/// See [`Inherited`].
#[derive(Clone)]
enum Passed {
    Deadline(Instant),
    Group(Arc<dyn Members>),
}

impl Inherited {
    /// What the caller is in.
    pub fn here() -> Inherited {
        if is_in_none() {
            return Inherited::default();
        }
        let all = || inside().filter_map(|(depth, scope)| Some((depth, scope.passed()?)));
        // (Room first: an allocator is the program's code.)
        let count = all().count();
        let mut passed = Vec::with_capacity(count);
        passed.extend(all().take(count));
        passed.sort_unstable_by_key(|(depth, _)| std::cmp::Reverse(*depth));
        Inherited(passed.into_iter().map(|(_, passed)| passed).collect())
    }

    /// Runs `f`, the calling task's function, in that.
    pub fn around<T>(&self, f: impl FnOnce() -> T) -> T {
        if self.0.is_empty() {
            return f();
        }
        // (They leave in no particular order: each from where it stands.)
        let _entered: Vec<_> = self.0.iter().map(Passed::enter).collect();
        f()
    }
}

impl Passed {
    /// No scope any more once it is dropped, and then no member.
    fn enter(&self) -> (Entered, Option<Box<dyn Any>>) {
        match self.clone() {
            Passed::Deadline(at) => (Entered::new(What::Deadline { at: Some(at), inherited: true }), None),
            Passed::Group(group) => {
                let member = group.clone().join();
                (Entered::new(What::Group(group)), member)
            }
        }
    }
}

impl Scope {
    /// What a child has of it.
    fn passed(&self) -> Option<Passed> {
        match &self.what {
            _ if self.delivered.get() => None,
            What::Deadline { at, .. } => at.map(Passed::Deadline),
            What::Group(group) => Some(Passed::Group(group.clone())),
            What::Shield => None,
        }
    }
}

/// The innermost scope of a group whose cancel is to be delivered here.
fn group_cancel<'a>() -> Option<&'a Scope> {
    innermost(|scope| scope.is_cancelled() && !scope.delivered.get())
}

fn innermost<'a>(is_it: impl Fn(&Scope) -> bool) -> Option<&'a Scope> {
    inside().filter(|(_, scope)| is_it(scope)).min_by_key(|(depth, _)| *depth).map(|(_, scope)| scope)
}

fn is_in_none() -> bool {
    last(Cell::get).is_null()
}

/// Whether the caller is in a shield: a cancel of the task itself is not delivered here.
pub fn is_shielded() -> bool {
    !is_in_none() && innermost_shield(around()).is_some()
}

fn innermost_shield<'a>(scopes: impl Iterator<Item = (Depth, &'a Scope)>) -> Option<Depth> {
    scopes.filter(|(_, scope)| matches!(scope.what, What::Shield)).map(|(depth, _)| depth).min()
}

/// Of the scopes that the caller is in those inside of the innermost shield, in no order.
fn inside<'a>() -> impl Iterator<Item = (Depth, &'a Scope)> {
    let scopes = around();
    let shield = innermost_shield(counted());
    scopes.filter(move |(depth, _)| shield.is_none_or(|shield| *depth < shield))
}

/// The scopes that the caller is in, in no order.
fn around<'a>() -> impl Iterator<Item = (Depth, &'a Scope)> {
    let elsewhere = || all().filter(|scope| scope.elsewhere.get().is_some());
    if elsewhere().next().is_some() {
        elsewhere().for_each(|scope| scope.rank.set(NOT_AROUND));
        let mut rank = 0;
        callers::each(|frame| {
            elsewhere()
                .filter(|scope| scope.elsewhere.get() == Some(frame))
                .for_each(|scope| scope.rank.set(rank));
            rank += 1;
        });
    }
    counted()
}

/// [`around`], where that has just been asked.
fn counted<'a>() -> impl Iterator<Item = (Depth, &'a Scope)> {
    all()
        .enumerate()
        .filter(|(_, scope)| scope.counts())
        .map(|(place, scope)| ((scope.rank.get(), place), scope))
}

/// The earlier of two deadlines, where `None` never comes.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
