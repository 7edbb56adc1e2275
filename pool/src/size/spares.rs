//! Worker threads that have no core and wait for one. The last that came is the first to go on, since its caches are the warmest. Those
//! at the bottom leave after a while.
//!
//! ```text
//!   wait() ──► waiting ──► called ──► has its assignment: goes on
//!                │  ▲         │
//!                │  └─────────┘ the caller has nothing for it after all
//!                └──► out of time, or closed: leaves
//! ```
//! A spare that is called is off the stack, so nobody else calls it. It no longer leaves by itself, however late it is, because its
//! assignment may be on the way. A spare that is [wanted](Spares::want) does not leave either: else a thread that was started for a core
//! could be gone before it is called for it, time and again. `tests/spares_model.rs` checks this with loom against this very file.

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::sync::Arc;
use std::time::Instant;

/// See the module. `I` is what is known of each, `T` what they wait for.
pub(crate) struct Spares<I, T> {
    state: Mutex<State<I, T>>,
}

struct State<I, T> {
    waiting: Vec<Arc<Spare<I, T>>>,
    /// So many are called, and may come back: there is room for them.
    called: usize,
    /// If no more wait than these, none leaves because of the time.
    wanted: usize,
    closed: bool,
}

impl<I, T> State<I, T> {
    /// All that wait see whether they are to leave.
    fn ring(&self) {
        self.waiting.iter().for_each(|spare| {
            spare.bell.notify_one();
        });
    }
}

/// One thread's place.
pub(crate) struct Spare<I, T> {
    pub(crate) info: I,
    /// Used under the lock of the stack.
    assignment: Mutex<Option<T>>,
    bell: Condvar,
}

impl<I, T> Spare<I, T> {
    pub(crate) fn new(info: I) -> Arc<Self> {
        Arc::new(Spare { info, assignment: Mutex::new(None), bell: Condvar::new() })
    }
}

/// A spare thread that was called: it is to get something, or else it waits on.
pub(crate) struct Called<'a, I, T> {
    spares: &'a Spares<I, T>,
    spare: Arc<Spare<I, T>>,
    given: bool,
}

impl<I, T> Spares<I, T> {
    pub(crate) fn new() -> Self {
        Spares { state: Mutex::new(State { waiting: Vec::new(), called: 0, wanted: 0, closed: false }) }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().waiting.len()
    }

    /// From now on so many stay, however long they have waited.
    pub(crate) fn want(&self, wanted: usize) {
        let mut state = self.state.lock();
        if wanted < std::mem::replace(&mut state.wanted, wanted) {
            // Some of them may be late.
            state.ring();
        }
    }

    /// Locks it at a moment when there is room for one more. That is made without the lock: an allocator is foreign code.
    fn lock_with_room(&self) -> MutexGuard<'_, State<I, T>> {
        loop {
            let state = self.state.lock();
            let needed = state.waiting.len() + state.called + 1;
            if needed <= state.waiting.capacity() {
                return state;
            }
            drop(state);
            let mut larger = Vec::with_capacity(2 * needed);
            let mut state = self.state.lock();
            if state.waiting.capacity() < larger.capacity() {
                larger.append(&mut state.waiting);
                std::mem::swap(&mut larger, &mut state.waiting);
            }
            drop(state);
        }
    }

    /// Waits for something to be given to `me`. `None`: nobody has wanted it, and `end` is past, or all are to leave.
    pub(crate) fn wait(&self, me: &Arc<Spare<I, T>>, end: Instant) -> Option<T> {
        let mut state = self.lock_with_room();
        if state.closed {
            return None;
        }
        state.waiting.push(me.clone());
        let mut late = false;
        loop {
            if let Some(assignment) = me.assignment.lock().take() {
                return Some(assignment);
            }
            let place = state.waiting.iter().position(|spare| Arc::ptr_eq(spare, me));
            match place {
                Some(place) if state.closed || late && state.waiting.len() > state.wanted => {
                    let mine = state.waiting.remove(place);
                    drop(state);
                    drop(mine);
                    return None;
                }
                Some(_) if !late => late = me.bell.wait_until(&mut state, end),
                _ => me.bell.wait(&mut state),
            }
        }
    }

    /// Calls the one that came last.
    pub(crate) fn call(&self) -> Option<Called<'_, I, T>> {
        let mut state = self.state.lock();
        let spare = state.waiting.pop()?;
        state.called += 1;
        drop(state);
        Some(Called { spares: self, spare, given: false })
    }

    /// All that wait leave, and whoever comes does so at once.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.ring();
    }
}

impl<I, T> Called<'_, I, T> {
    pub(crate) fn spare(&self) -> &Arc<Spare<I, T>> {
        &self.spare
    }

    /// This is what it was called for.
    pub(crate) fn give(mut self, assignment: T) {
        self.given = true;
        let mut state = self.spares.state.lock();
        state.called -= 1;
        *self.spare.assignment.lock() = Some(assignment);
        drop(state);
        self.spare.bell.notify_one();
    }
}

impl<I, T> Drop for Called<'_, I, T> {
    fn drop(&mut self) {
        if !self.given {
            let mut state = self.spares.state.lock();
            state.called -= 1;
            state.waiting.push(self.spare.clone());
            drop(state);
            // It may be late, or all may have been told to leave, meanwhile.
            self.spare.bell.notify_one();
        }
    }
}
