//! Who waits for somebody else: a task, which suspends, or a plain thread, which blocks.
//!
//! Whoever brings about what is waited for says so where the waiter looks, and [wakes](Sleeper::wake) it.
//!
//! **Who was woken for nothing.** A task may have been woken, and then its pool stops before it has run again. Then what it was woken for
//! stays undone: it would have taken a lock that is free now, or woken the next one. So all others that wait look again, once, whenever
//! a pool has stopped and left tasks behind ([`look_again`]). Wake-ups for nothing are borne by all who wait by a [`Sleeper`].
//!
//! This file has `unsafe` in it: a reference that is not counted.

#![allow(unsafe_code)]

use crate::wait::scopes::{earliest, scope_deadline};
use crate::wait::{Stop, pending, until_token};
use crate::worker::current::is_abandoned;
use ec_tasks::lock::{Condvar, ForkMutex, Forked, Mutex};
use ec_tasks::room::{list_of, lock_with_room};
use ec_tasks::{Task, Tokens, WaitKind};
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// See the module.
#[derive(Clone)]
pub struct Sleeper(Who);

enum Who {
    Task(Task),
    /// The same, without a reference of its own.
    InFrame(ManuallyDrop<Task>),
    Thread(Arc<Bell>),
}

impl Clone for Who {
    fn clone(&self) -> Who {
        match self {
            Who::Task(task) => Who::Task(task.clone()),
            Who::InFrame(task) => Who::Task(Task::clone(task)),
            Who::Thread(bell) => Who::Thread(bell.clone()),
        }
    }
}

impl Who {
    #[inline]
    fn task(&self) -> Result<&Task, &Bell> {
        match self {
            Who::Task(task) => Ok(task),
            Who::InFrame(task) => Ok(task),
            Who::Thread(bell) => Err(bell),
        }
    }
}

/// Where a plain thread sleeps. In a forked child nobody touches a bell of the parent's, whose lock may be held.
struct Bell {
    lock: Mutex<()>,
    rung: Condvar,
    /// Made after so many forks. Threads of the parent are not there.
    forks: u32,
}

/// How often a pool has stopped and left tasks behind.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// The bells of all threads that have waited.
static BELLS: ForkMutex<Bells> = ForkMutex::new(Bells(Vec::new()));

struct Bells(Vec<Weak<Bell>>);

impl Forked for Bells {
    fn left_half() -> Self {
        Bells(Vec::new())
    }
}

// (In a forked child the parent's lies here, until the thread waits.)
thread_local!(static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) });

/// A moment at which somebody has looked: see [`Sleeper::wait`].
#[derive(Clone, Copy, Debug)]
pub struct Look(usize);

/// The caller looks now.
pub fn look() -> Look {
    Look(LEFT.load(Ordering::SeqCst))
}

/// False: nobody is [gone](Sleeper::is_gone), in this process. (A pool that is just stopping has all others look again, afterwards.)
#[inline]
pub fn some_may_be_gone() -> bool {
    LEFT.load(Ordering::Acquire) > 0 || ec_tasks::forks() > 0
}

/// All that wait by a [`Sleeper`] look again. A pool has stopped, and some of its tasks do not run any more.
pub(crate) fn look_again() {
    LEFT.fetch_add(1, Ordering::SeqCst);
    for task in ec_tasks::live_tasks() {
        task.wake(Tokens::SYNC);
    }
    for bell in list_of(&BELLS, |bells| &mut bells.0, |bell| bell.upgrade()) {
        bell.ring();
    }
}

impl Sleeper {
    /// The caller. One that is told of several things asks once: where thread-locals are gone it is another one each time, and who sleeps as
    /// the one is not woken as the other.
    pub fn current() -> Sleeper {
        Sleeper(ec_tasks::current().map_or_else(|| Who::Thread(Bell::of_thread()), Who::Task))
    }

    /// The caller, who may be a task without being counted as one who refers to it.
    ///
    /// # Safety
    /// It lies in a frame of the caller's, and is used and dropped there, or by who has a reference to what lies there. (A clone of it is
    /// one as any other.)
    #[inline]
    pub unsafe fn in_frame() -> Sleeper {
        let task = ec_tasks::with_current(|task| {
            // SAFETY: it is not dropped. What it refers to stays as long as the task has not ended, for good if it never does; so as long as
            // the frame is there.
            task.map(|task| ManuallyDrop::new(unsafe { ptr::read(task) }))
        });
        Sleeper(task.map_or_else(|| Who::Thread(Bell::of_thread()), Who::InFrame))
    }

    /// Whether it is the caller. (A coroutine of another crate may have gone on elsewhere.)
    pub fn is_current(&self) -> bool {
        ec_tasks::with_current(|current| match (self.0.task(), current) {
            (Ok(task), Some(me)) => task == me,
            // (A bell can be waited for on any thread.)
            (Err(bell), None) => !bell.is_gone(),
            _ => false,
        })
    }

    /// Is it a task?
    #[inline]
    pub fn is_task(&self) -> bool {
        self.0.task().is_ok()
    }

    /// Never to return from its wait, whatever is told to it.
    #[inline]
    pub fn is_gone(&self) -> bool {
        some_may_be_gone() && self.is_gone_indeed()
    }

    #[cold]
    fn is_gone_indeed(&self) -> bool {
        match self.0.task() {
            Ok(task) => is_abandoned(task),
            Err(bell) => bell.is_gone(),
        }
    }

    /// Has it look whether what it waits for has come. Never blocks for long.
    pub fn wake(&self) {
        match self.0.task() {
            _ if self.is_gone() => (),
            Ok(task) => task.wake(Tokens::SYNC),
            Err(bell) => bell.ring(),
        }
    }

    /// By whom it is: waits until `told` says yes. Whoever makes that so [wakes](Sleeper::wake) it afterwards. Also `Ok(true)` if a
    /// pool has stopped [since](Look) and left tasks behind. `Ok(false)`: `deadline` came first. With `point` it is a cancellation point.
    ///
    /// `told` does not wait itself; a panic in it ends the process.
    pub fn wait(
        &self,
        (kind, says): (&'static WaitKind, [u64; 2]),
        deadline: Option<Instant>,
        point: bool,
        since: Look,
        told: impl Fn() -> bool,
    ) -> Result<bool, Stop> {
        let told = || told() || look().0 != since.0;
        match self.0.task() {
            Ok(_) => until_token(kind, says, deadline, point, Tokens::SYNC, |_| told()),
            Err(bell) => {
                // (Of a group that it is in, and that was cancelled before, nobody rings later.)
                if point
                    && !told()
                    && let Some(stop) = pending()
                {
                    return Err(stop);
                }
                let scope = if point { scope_deadline() } else { None };
                let at = earliest(deadline, scope);
                if bell.wait_until(at, told) {
                    return Ok(true);
                }
                if at == deadline { Ok(false) } else { Err(Stop::Scope(at.unwrap_or_else(Instant::now))) }
            }
        }
    }
}

impl Bell {
    /// That of the calling thread: the same each time, as long as it has thread-locals.
    fn of_thread() -> Arc<Bell> {
        Bell::kept().unwrap_or_else(|| {
            let new = Bell::new();
            // (The allocator may have waited here meanwhile.)
            Bell::kept().unwrap_or_else(|| {
                let parents = BELL.try_with(|bell| bell.replace(Some(new.clone())));
                // (Nobody touches it here.)
                std::mem::forget(parents);
                new
            })
        })
    }

    fn kept() -> Option<Arc<Bell>> {
        let usable = |bell: &RefCell<Option<Arc<Bell>>>| bell.borrow().clone().filter(|bell| !bell.is_gone());
        BELL.try_with(usable).ok().flatten()
    }

    fn new() -> Arc<Bell> {
        ec_tasks::count_forks();
        let bell = Arc::new(Bell { lock: Mutex::new(()), rung: Condvar::new(), forks: ec_tasks::forks() });
        let weak = Arc::downgrade(&bell);
        let gone = {
            let mut guard = lock_with_room(&BELLS, |bells| &mut bells.0);
            let bells = &mut guard.0;
            // In place of one that is gone, if there is one. (Dropped without the lock.)
            let place = bells.iter().position(|other| other.strong_count() == 0);
            match place {
                Some(place) => Some(std::mem::replace(&mut bells[place], weak)),
                None => {
                    bells.push(weak);
                    None
                }
            }
        };
        drop(gone);
        bell
    }

    fn is_gone(&self) -> bool {
        self.forks != ec_tasks::forks()
    }

    fn ring(&self) {
        if self.is_gone() {
            return;
        }
        // Between its look and its sleep the thread holds the lock.
        drop(self.lock.lock());
        self.rung.notify_all();
    }

    /// False: `end` came first.
    fn wait_until(&self, end: Option<Instant>, told: impl Fn() -> bool) -> bool {
        let mut guard = self.lock.lock();
        loop {
            if told() {
                return true;
            }
            match end {
                None => self.rung.wait(&mut guard),
                Some(end) if self.rung.wait_until(&mut guard, end) => return told(),
                Some(_) => (),
            }
        }
    }
}
