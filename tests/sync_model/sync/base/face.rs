//! The primitives of the files under test, by loom; and those that wait.
//!
//! A thread of the model is a waiter. It can be [cancelled](Sleeper::cancel), and [left](Sleeper::leave) as a task is by a pool that
//! stops: from then on it does nothing, until [the others are through](all_through).

#[path = "queues.rs"]
mod queues;

use ec_tasks::room::{self, Room};
use loom::sync::Condvar;
use std::ops::{Deref, DerefMut};

pub(crate) use ec_pool::wait::AbortOnUnwind;
pub(crate) use ec_tasks::WaitKind;
pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
pub(crate) use queues::{Queue, Refused, Ring, Taken};
pub(crate) use std::time::Instant;

pub(crate) const TRIES: u32 = 0;

std::thread_local!(static PATIENT: std::cell::Cell<bool> = const { std::cell::Cell::new(true) });

/// From now on, in the models of this test, who waits does so for long, or does not.
pub(crate) fn set_patient(patient: bool) {
    PATIENT.set(patient);
}

pub(crate) fn has_waited_for_long(_: Instant) -> bool {
    !PATIENT.get()
}

pub(crate) fn has_lost_for_long(_: &mut Option<Instant>) -> bool {
    !PATIENT.get()
}

macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => { $(#[$meta])* $vis fn $($rest)* };
}
pub(crate) use const_fn;

pub(crate) fn some_may_be_gone() -> bool {
    true
}

pub(crate) fn after_step() {
    fence(Ordering::SeqCst);
}

pub(crate) fn let_others_run() {}

pub(crate) fn let_others_run_at_times() {}

/// As the processor would: another thread may run.
pub(crate) fn spin_loop() {
    loom::thread::yield_now();
}

/// The face of the runtime's locks on loom's. (Nobody forks here.)
pub(crate) struct ForkMutex<T>(loom::sync::Mutex<T>);

pub(crate) trait Forked {
    fn left_half() -> Self;

    fn left_whole(&mut self) {}
}

pub(crate) struct MutexGuard<'a, T>(loom::sync::MutexGuard<'a, T>);

impl<T> ForkMutex<T> {
    pub(crate) fn new(value: T) -> Self {
        ForkMutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock().unwrap())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

pub(crate) fn lock_with_room<T, C: Room>(
    mutex: &ForkMutex<T>,
    of: impl Fn(&mut T) -> &mut C,
) -> MutexGuard<'_, T> {
    let mut guard = mutex.lock();
    let inside = of(&mut guard);
    let (len, room) = inside.filled();
    if len == room {
        room::replace(inside, &mut room::empty(2 * len + 4));
    }
    guard
}

/// Why a wait came to nothing.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    Cancel,
    /// It was left: this is the end of the model.
    Left,
}

impl Stop {
    pub(crate) fn deliver(self) -> std::io::Error {
        std::io::Error::other(format!("{self:?}"))
    }
}

/// Who waits: a thread of the model.
#[derive(Clone)]
pub(crate) struct Sleeper(Arc<Bell>);

struct Bell {
    state: loom::sync::Mutex<State>,
    /// As `is_abandoned`, which is asked under the list's lock.
    gone: loom::sync::atomic::AtomicBool,
    rung: Condvar,
    /// Has it come to a wait? (Not a step of the model.)
    waits: std::sync::atomic::AtomicBool,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    over: bool,
}

/// All that wait in this run of the model.
struct World {
    /// How often somebody was left.
    left: AtomicUsize,
    bells: loom::sync::Mutex<Vec<Sleeper>>,
}

loom::lazy_static! {
    static ref WORLD: World = World { left: AtomicUsize::new(0), bells: loom::sync::Mutex::new(Vec::new()) };
}

loom::thread_local!(static HERE: std::cell::RefCell<Option<Sleeper>> = std::cell::RefCell::new(None));

#[derive(Clone, Copy)]
pub(crate) struct Look(usize);

pub(crate) fn look() -> Look {
    Look(WORLD.left.load(Ordering::SeqCst))
}

/// Those that were left get to their ends.
pub(crate) fn all_through() {
    let bells: Vec<Sleeper> = WORLD.bells.lock().unwrap().clone();
    for bell in bells {
        bell.0.state.lock().unwrap().over = true;
        bell.0.rung.notify_all();
    }
}

impl Sleeper {
    pub(crate) fn is_task(&self) -> bool {
        true
    }

    pub(crate) fn new() -> Sleeper {
        let bell = Bell {
            state: loom::sync::Mutex::new(State::default()),
            gone: loom::sync::atomic::AtomicBool::new(false),
            rung: Condvar::new(),
            waits: std::sync::atomic::AtomicBool::new(false),
        };
        let sleeper = Sleeper(Arc::new(bell));
        WORLD.bells.lock().unwrap().push(sleeper.clone());
        sleeper
    }

    /// From now on the calling thread waits as this one.
    pub(crate) fn be(&self) {
        HERE.with(|here| *here.borrow_mut() = Some(self.clone()));
    }

    pub(crate) fn current() -> Sleeper {
        HERE.with(|here| here.borrow_mut().get_or_insert_with(Sleeper::new).clone())
    }

    pub(crate) unsafe fn in_frame() -> Sleeper {
        Sleeper::current()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.gone.load(Ordering::SeqCst)
    }

    pub(crate) fn wake(&self) {
        drop(self.0.state.lock().unwrap());
        self.0.rung.notify_all();
    }

    /// Returns when it has come to a wait. What it has done before the caller sees.
    pub(crate) fn until_waiting(&self) {
        while !self.0.waits.load(Ordering::Relaxed) {
            loom::thread::yield_now();
        }
        drop(self.0.state.lock().unwrap());
    }

    /// It is to stop waiting.
    pub(crate) fn cancel(&self) {
        self.0.state.lock().unwrap().cancelled = true;
        self.0.rung.notify_all();
    }

    /// Its pool stops while it waits. All others look again.
    pub(crate) fn leave(&self) {
        self.0.gone.store(true, Ordering::SeqCst);
        // (It does not run any more from here on.)
        drop(self.0.state.lock().unwrap());
        WORLD.left.fetch_add(1, Ordering::SeqCst);
        let bells: Vec<Sleeper> = WORLD.bells.lock().unwrap().clone();
        bells.iter().for_each(Sleeper::wake);
    }

    pub(crate) fn wait(
        &self,
        _: (&'static WaitKind, [u64; 2]),
        _: Option<Instant>,
        point: bool,
        since: Look,
        told: impl Fn() -> bool,
    ) -> Result<bool, Stop> {
        let mut state = self.0.state.lock().unwrap();
        self.0.waits.store(true, Ordering::Relaxed);
        loop {
            if self.is_gone() {
                if state.over {
                    return Err(Stop::Left);
                }
            } else if told() || look().0 != since.0 {
                return Ok(true);
            } else if point && state.cancelled {
                return Err(Stop::Cancel);
            }
            state = self.0.rung.wait(state).unwrap();
        }
    }
}
