//! What there is: threads, cores, tasks, the monitor and the end, each with what it is at; and what can be said of them
//! whatever the protocol.

use crate::scenarios::{CORES, TASKS, THREADS};

/// Of tasks, of threads or of flags: a bit each.
pub(crate) type Set = u8;

pub(crate) fn each(set: Set) -> impl Iterator<Item = u8> {
    (0..8).filter(move |i| set >> i & 1 == 1)
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum At {
    #[default]
    Gone,
    /// Started, as a spare one.
    Coming,
    /// Without a core, on its way to the spares.
    Arrives,
    /// The same; it has rung for the monitor.
    Rang,
    Waits,
    /// Off the stack, on which nobody else finds it.
    Called,
    Given(u8),
    /// A task, to run without a core.
    Lent(u8),
    /// In its loop, for this core.
    Works(u8, Work),
    /// In user code of a task.
    Inside(u8),
    /// There; it has called a spare to give its core to.
    Hints(u8, u8),
    /// And has taken it from itself: task, spare, core.
    HandsOver(u8, u8, u8),
    /// It has given its task back, and may lose its core still.
    Returns,
    Back,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Work {
    Looks,
    /// It has taken a task that has blocked its thread in its last run, and called a spare to lend it to: task, spare.
    Lends(u8, u8),
    /// It has lent it, and the spare does not count as a stray yet.
    HasLent,
    /// It has found nothing.
    Drowsy,
    /// Counted as asleep, and it has looked for work since.
    Looked,
    Asleep,
    /// Out of its port.
    Up,
}
use Work::*;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Thread {
    pub(crate) at: At,
    /// The lease: what is held, and its flags.
    pub(crate) held: Option<u8>,
    pub(crate) out: bool,
    pub(crate) recalled: bool,
    pub(crate) turn: bool,
    /// Counted as searching.
    pub(crate) searching: bool,
    /// What it runs was lent to it.
    pub(crate) without_core: bool,
    /// It went out in the form that a barrier orders.
    pub(crate) plain: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Alarm {
    #[default]
    Awake,
    Asleep,
    Called,
}

/// A core's queue and its port, and who holds it as far as the pool knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Core {
    pub(crate) queue: Set,
    pub(crate) inbox: Set,
    /// Taken in: whoever sleeps in the port wakes up for it.
    pub(crate) armed: Set,
    pub(crate) alarm: Alarm,
    pub(crate) holder: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Task {
    pub(crate) spawned: bool,
    pub(crate) begun: bool,
    /// It has blocked its thread in its last run.
    pub(crate) noted: bool,
    pub(crate) next: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Monitor {
    #[default]
    Rests,
    /// It hands a core over: core, holder, and the spare that it has called.
    Hands(Hand, u8, u8, u8),
    /// It has counted the threads: are new tasks to be held?
    Counted(bool),
    /// It has seen all asleep for a while.
    Quiet,
    Sleeps,
    Gone,
}

/// The steps of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    Calls,
    /// The lease's turn is its own, and the holder was out.
    Turn,
    Recalled,
    /// The holder was out again.
    Takes,
}

/// The steps of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum End {
    #[default]
    Open,
    Stopped,
    /// The spares are closed, all ports called.
    Woken,
    /// All that are left are inside user code: these.
    Left(Set),
    /// These are named as left behind; and these were left before.
    Done(Set, Set),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) threads: [Thread; THREADS],
    pub(crate) cores: [Core; CORES],
    pub(crate) tasks: [Task; TASKS],
    pub(crate) injector: Set,
    pub(crate) flags: Set,
    pub(crate) awake: u8,
    pub(crate) searching: u8,
    /// So many of the strays were lent a task, by the pool's count.
    pub(crate) lent: u8,
    /// Who came last is last.
    pub(crate) sleepers: [Option<u8>; CORES],
    pub(crate) closed: bool,
    pub(crate) hold_new: bool,
    /// That has changed since the monitor last counted.
    pub(crate) hold_is_fresh: bool,
    pub(crate) monitor: Monitor,
    /// What it says to those who may have to wake it.
    pub(crate) sleeps: bool,
    /// Somebody has called it since its last look.
    pub(crate) called: bool,
    /// The kernel has refused the barrier.
    pub(crate) refused: bool,
    pub(crate) end: End,
}

impl Thread {
    /// Begins with the core that it was given, unless its lease's turn is another's.
    pub(crate) fn begin(&mut self) {
        if let (At::Given(core), false) = (self.at, self.turn) {
            *self = Thread { at: At::Works(core, Looks), held: Some(core), ..Thread::default() };
        }
    }
}

/// What belongs to the world alone.
impl World {
    /// Threads have no names: worlds that differ only in which is which are one. (So the numbers of threads in a path are
    /// only good for the next step.)
    pub(crate) fn sort(&mut self) {
        self.forget_recalls();
        let roles = |number: u8| {
            let holds = self.cores.map(|core| core.holder == number);
            let picked = match self.monitor {
                Monitor::Hands(_, _, holder, spare) => [holder == number, spare == number],
                _ => [false; 2],
            };
            let (left, named) = match self.end {
                End::Left(left) => (left >> number & 1, 0),
                End::Done(named, left) => (left >> number & 1, named >> number & 1),
                _ => (0, 0),
            };
            (holds, picked, left, named)
        };
        let mut order = [0, 1, 2, 3, 4];
        order.sort_unstable_by_key(|number| (self.threads[*number as usize], roles(*number)));
        let mut new = [0; THREADS];
        order.iter().zip(0..).for_each(|(old, number)| new[*old as usize] = number);
        let renamed = |number: &mut u8| *number = new[*number as usize];
        let moved = |set: &mut Set| *set = each(*set).fold(0, |set, old| set | 1 << new[old as usize]);
        self.threads = order.map(|old| self.threads[old as usize]);
        for thread in &mut self.threads {
            if let At::Hints(_, spare) | At::HandsOver(_, spare, _) | At::Works(_, Lends(_, spare)) =
                &mut thread.at
            {
                renamed(spare);
            }
        }
        self.cores.iter_mut().for_each(|core| renamed(&mut core.holder));
        if let Monitor::Hands(_, _, holder, spare) = &mut self.monitor {
            renamed(holder);
            renamed(spare);
        }
        match &mut self.end {
            End::Left(left) => moved(left),
            End::Done(named, left) => {
                moved(named);
                moved(left);
            }
            _ => {}
        }
    }

    /// Nobody asks whether a thread was recalled that holds nothing, that the threads does not know as a holder, and at whose lease
    /// the monitor is not: worlds that differ only there are one, too.
    fn forget_recalls(&mut self) {
        for number in 0..THREADS {
            let Thread { held, turn, .. } = self.threads[number];
            let holds = held.is_some() || self.cores.iter().any(|core| core.holder as usize == number);
            if !holds && !turn && !self.is_taken_from(number) {
                self.threads[number].recalled = false;
            }
        }
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.end != End::Open
    }

    pub(crate) fn threads(&self) -> usize {
        self.count(|thread| thread.at != At::Gone)
    }

    pub(crate) fn count(&self, which: impl Fn(&Thread) -> bool) -> usize {
        self.threads.iter().filter(|thread| which(thread)).count()
    }

    /// Threads that have lost their core, or were lent a task, and are not back yet.
    pub(crate) fn strays(&self) -> usize {
        let in_hand = |thread: &Thread| matches!(thread.at, At::HandsOver(..));
        let lost =
            |thread: &Thread| thread.out && thread.held.is_none() && !thread.without_core && !in_hand(thread);
        self.count(lost) + self.lent as usize
    }

    /// Threads that wait, or soon will.
    pub(crate) fn ready(&self) -> usize {
        self.threads().saturating_sub(CORES + self.strays())
    }

    fn begun(&self) -> Set {
        (0..TASKS).fold(0, |set, task| set | u8::from(self.tasks[task].begun) << task)
    }

    /// Those of `queue` that may run.
    pub(crate) fn admitted(&self, queue: Set) -> Set {
        if self.hold_new { queue & self.begun() } else { queue }
    }

    pub(crate) fn work_is_visible(&self) -> bool {
        self.injector != 0 || self.cores.iter().any(|core| self.admitted(core.queue) != 0)
    }

    pub(crate) fn all_asleep(&self) -> bool {
        self.awake == 0
    }

    /// Is the worker of `core` inside user code, as far as the pool knows?
    pub(crate) fn is_held_up(&self, core: usize) -> bool {
        self.threads[self.cores[core].holder as usize].out
    }

    /// Is `core` kept by its worker, until that is back?
    pub(crate) fn is_kept(&self, core: usize) -> bool {
        self.refused && self.is_held_up(core) && self.threads[self.cores[core].holder as usize].plain
    }

    /// Is the monitor at the lease of `thread`, or about to be?
    pub(crate) fn is_taken_from(&self, thread: usize) -> bool {
        match self.monitor {
            Monitor::Hands(_, _, holder, _) => holder as usize == thread,
            _ => false,
        }
    }

    pub(crate) fn take_in(&mut self, core: usize) {
        let port = &mut self.cores[core];
        port.armed |= std::mem::take(&mut port.inbox);
    }

    pub(crate) fn requests(&self, core: usize) -> Set {
        self.cores[core].inbox | self.cores[core].armed
    }

    /// A look at the port of `core` that finds the request of `task` complete.
    pub(crate) fn complete(&mut self, core: usize, task: u8) {
        self.take_in(core);
        self.cores[core].armed &= !(1 << task);
    }

    pub(crate) fn wake_up(&mut self, core: u8) -> bool {
        let at = self.sleepers.iter().position(|sleeper| *sleeper == Some(core));
        if let Some(at) = at {
            self.sleepers[at..].rotate_left(1);
            self.sleepers[CORES - 1] = None;
            self.awake += 1;
        }
        at.is_none()
    }

    pub(crate) fn fall_asleep(&mut self, core: u8) {
        self.awake -= 1;
        let free = self.sleepers.iter().position(Option::is_none);
        self.sleepers[free.unwrap_or(0)] = Some(core);
    }
}
