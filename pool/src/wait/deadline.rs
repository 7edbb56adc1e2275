//! Deadlines of `time::timeout`: scopes in a list. The task (or the plain thread) owns the list. The last scope entered comes first.
//!
//! A scope takes itself out of the list, wherever it stands. With coroutines of another crate a later scope may outlive an earlier one,
//! because they may begin and end in any order. The list has a reference of its own to each scope. A coroutine may go on on another
//! thread, or in another task, and leave the scope's frame there. Such a scope is marked, and its owner takes it out. A scope whose frame
//! is leaked stays. (In a forked child nobody looks at the tasks' own lists any more.)
//!
//! **Which of them count.** Those in whose `timeout` the caller is. The deadlines of a suspended coroutine are nobody else's. Frames that
//! are alive on the stack that a task or thread was given are always below the caller, whatever stack the caller is on. A scope on
//! another stack counts if its frame is among the caller's callers (`callers.rs`). It never counts if the caller is on the task's or
//! thread's own stack, because then no coroutine is running.
//!
//! This file has `unsafe` in it: the list.

#![allow(unsafe_code)]

use crate::wait::callers;
use std::cell::Cell;
use std::iter;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The deadline of one `time::timeout`.
struct Scope {
    at: Option<Instant>,
    /// Of a `timeout` around the scope that the task is a child of: that it comes is a cancel, too.
    inherited: bool,
    /// Its frame has been left.
    left: AtomicBool,
    // What follows is of the task or thread that owns the list.
    delivered: Cell<bool>,
    /// Entered before this one, of those that are left.
    outer: Cell<*const Scope>,
    /// On a stack that is not the task's or thread's own: what its frame is known by.
    elsewhere: Cell<Option<callers::Frame>>,
    /// If it is: whether the caller that asks is in it.
    around: Cell<bool>,
}

// SAFETY: other threads than the list's only set `left` and count references.
unsafe impl Send for Scope {}
// SAFETY: as above.
unsafe impl Sync for Scope {}

impl Scope {
    fn due(&self, at: Instant) -> bool {
        !self.delivered.get() && self.at.is_some_and(|own| own <= at)
    }

    fn counts(&self) -> bool {
        !self.left.load(Ordering::Relaxed) && (self.elsewhere.get().is_none() || self.around.get())
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
    fn new(at: Option<Instant>, inherited: bool) -> Self {
        let here = 0u8;
        let scope = Arc::new(Scope {
            at,
            inherited,
            left: AtomicBool::new(false),
            delivered: Cell::new(false),
            outer: Cell::new(ptr::null()),
            elsewhere: Cell::new(callers::elsewhere(&here)),
            around: Cell::new(false),
        });
        scope.outer.set(last(Cell::get).cast());
        last(|cell| cell.set(Arc::into_raw(scope.clone()).cast()));
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
    let _entered = Entered::new(at, false);
    f()
}

/// The deadlines around a scope: those of the caller that have not been delivered, the outermost first.
#[derive(Clone, Debug, Default)]
pub struct Inherited(Box<[Instant]>);

impl Inherited {
    /// Those around the caller.
    pub fn here() -> Inherited {
        if last(Cell::get).is_null() {
            return Inherited::default();
        }
        let undelivered = || around().filter(|scope| !scope.delivered.get()).filter_map(|scope| scope.at);
        // (Room first: an allocator is the program's code.)
        let count = undelivered().count();
        let mut all = Vec::with_capacity(count);
        all.extend(undelivered().take(count));
        all.reverse();
        Inherited(all.into())
    }

    /// Runs `f` in such, each of which is delivered once to the caller as well, as [`is_over`](Inherited::is_over) says from then on.
    pub fn around<T>(&self, f: impl FnOnce() -> T) -> T {
        fn enter<T>(all: &[Instant], f: impl FnOnce() -> T) -> T {
            let mut entered: Vec<Entered> = all.iter().map(|at| Entered::new(Some(*at), true)).collect();
            let result = f();
            // (In no particular order: each leaves from where it stands.)
            entered.clear();
            result
        }
        if self.0.is_empty() { f() } else { enter(&self.0, f) }
    }

    /// Has one of those come that the calling task has inherited?
    pub fn is_over() -> bool {
        if last(Cell::get).is_null() {
            return false;
        }
        let first =
            around().filter(|scope| scope.inherited).fold(None, |least, scope| earliest(least, scope.at));
        first.is_some_and(|at| at <= Instant::now())
    }
}

/// The earliest deadline of the surrounding scopes that has not been delivered.
pub fn scope_deadline() -> Option<Instant> {
    // (Mostly there is none.)
    if last(Cell::get).is_null() {
        return None;
    }
    around().filter(|scope| !scope.delivered.get()).fold(None, |least, scope| earliest(least, scope.at))
}

/// The innermost scope that has expired at `now` counts as delivered from here on.
pub(crate) fn deliver(now: Instant) {
    if let Some(scope) = around().find(|scope| scope.due(now)) {
        scope.delivered.set(true);
    }
}

/// The scopes that the caller is in, innermost first.
fn around<'a>() -> impl Iterator<Item = &'a Scope> {
    let elsewhere = || all().filter(|scope| scope.elsewhere.get().is_some());
    if elsewhere().next().is_some() {
        elsewhere().for_each(|scope| scope.around.set(false));
        callers::each(|frame| {
            elsewhere()
                .filter(|scope| scope.elsewhere.get() == Some(frame))
                .for_each(|scope| scope.around.set(true));
        });
    }
    all().filter(|scope| scope.counts())
}

/// The earlier of two deadlines, where `None` never comes.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
