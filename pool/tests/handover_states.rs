//! How a core goes from a blocked thread to another, as a whole: threads, cores, ports, the monitor and the end, with all
//! the orders that their steps can come in.
//!
//! ```text
//!   worker:   loop ─► inside user code ─► back ─► loop (has its core still)
//!              ▲  ▲                        └────► waits ─► called ─► given a core ─► loop
//!              │  └─ up ◄─ asleep ◄─ counted asleep              └─► leaves
//!   monitor:  rests ─► calls a spare ─► recalls the lease ─► hands over
//!               └────► looks after a port, starts a thread, holds new tasks, dozes
//! ```
//! The pieces (`idle.rs`, `lease.rs`, `spares.rs`, `alarm.rs`) are checked with loom against their sources; here each of their
//! calls is a step or a few, and what is checked is how they go together. There is no time: whatever may happen some
//! day may happen now. A step of a [`World`] that leaves it as it was is none.
//!
//! What keeps the protocol right is named in `guards!` below: one test finds nothing wrong with all of them, another
//! takes them away one by one and finds what each is for.
#![cfg(not(loom))]

use ec_test_support::limit;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::collections::HashMap;
use std::fmt;

const CORES: usize = 2;
const THREADS: usize = 5;
const TASKS: usize = 3;

/// Of tasks, of threads or of flags: a bit each.
type Set = u8;

fn each(set: Set) -> impl Iterator<Item = u8> {
    (0..8).filter(move |i| set >> i & 1 == 1)
}

/// What a task does, one after the other; then it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Do {
    /// Blocks its thread until the flag is set.
    Block(u8),
    Set(u8),
    /// Suspends until a request at a port is complete.
    Request,
    Yield,
    Spawn(u8),
    /// Says that it is about to block: `blocking`.
    Hint,
}
use Do::*;

/// Who does what.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    tasks: [&'static [Do]; TASKS],
    /// Those that have begun already.
    begun: Set,
    /// Of those, the ones that wait for a request at port 0.
    waiting: Set,
    /// Those that others spawn. All the rest is in the injector.
    later: Set,
    spares: usize,
    max_threads: usize,
    /// New tasks are held when threads become scarce.
    hold: bool,
    /// Spare threads leave when nobody wants them.
    retire: bool,
    /// The pool may be stopped, at any time.
    stop: bool,
}

macro_rules! guards {
    ($($(#[$what:meta])* $guard:ident: $scenario:ident,)*) => {
        /// What the protocol relies on.
        #[derive(Clone, Copy)]
        struct Guards {
            $($(#[$what])* $guard: bool,)*
        }

        impl Guards {
            const ALL: Guards = Guards { $($guard: true,)* };
        }

        /// Each of them, how it is taken away, and where that shows.
        const GUARDS: &[(&str, fn(&mut Guards), Scenario)] =
            &[$((stringify!($guard), |guards| guards.$guard = false, $scenario)),*];
    };
}

guards! {
    /// The lease: who takes looks whether the worker is out, recalls, and looks again.
    recall_looks_again: LOCK,
    /// The lease: who comes back and sees a recall waits for what comes of it.
    back_waits_for_verdict: LOCK,
    /// Who comes back looks whether it has its core still.
    stray_checks_lease: LOCK,
    /// A spare that was called does not leave, however late it is.
    called_spare_stays: RETIRE,
    /// If there is nothing for it after all, it waits on.
    dropped_call_returns_spare: RETIRE,
    /// What is written down is which core was taken: the holder may have another one by then than when it was looked up.
    files_the_core_that_was_taken: HINTS,
    monitor_hands_over: LOCK,
    monitor_grows: LOCK,
    monitor_looks_after_ports: CAP,
    /// The monitor says that it dozes and looks whether all sleep.
    monitor_rechecks_before_doze: REQUEST,
    /// It does not doze before it has looked once more if somebody has called meanwhile.
    call_is_sticky: HOLD,
    /// A worker that was asleep wakes the monitor.
    worker_rings_after_wake: REQUEST,
    /// When new tasks are no longer held, all come and look.
    release_of_hold_wakes: HOLD,
    /// Who has no core queues elsewhere, and wakes somebody for it.
    stray_notifies_after_injecting: CHILD,
    spawn_notifies: CAP_CHILD,
    /// Who counts as asleep looks for work once more.
    sleeper_looks_again: CHILD,
    /// Who has found work and sees more of it wakes the next one.
    found_work_is_passed_on: CAP_CHILDREN,
    /// A call to who is awake makes its next sleep fail.
    alarm_is_sticky: CHILD,
    /// A request at the port of a sleeper, from elsewhere, wakes it.
    request_rings_sleeper: REQUEST,
    close_wakes_spares: STOP,
    stop_wakes_ports: STOP,
    stop_calls_monitor: STOP,
    /// The workers are waited for when there is no monitor any more that starts some.
    monitor_is_joined_first: STOP,
}

/// Where a thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
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
enum Work {
    Looks,
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
struct Thread {
    at: At,
    /// The lease: what is held, and its flags.
    held: Option<u8>,
    out: bool,
    recalled: bool,
    turn: bool,
    /// Counted as searching.
    searching: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Alarm {
    #[default]
    Awake,
    Asleep,
    Called,
}

/// A core's queue and its port, and who holds it as far as the crew knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Core {
    queue: Set,
    inbox: Set,
    /// Taken in: whoever sleeps in the port wakes up for it.
    armed: Set,
    alarm: Alarm,
    holder: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Task {
    spawned: bool,
    begun: bool,
    next: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Monitor {
    #[default]
    Rests,
    /// It hands a core over: core, holder, and the spare that it has called.
    Hands(Hand, u8, u8, u8),
    /// It has seen all asleep for a while.
    Quiet,
    Dozes,
    Gone,
}

/// The steps of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Hand {
    Calls,
    /// The lease's turn is its own, and the holder was out.
    Turn,
    Recalled,
    /// The holder was out again.
    Takes,
}
use Hand::*;

/// The steps of a stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum End {
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
struct World {
    threads: [Thread; THREADS],
    cores: [Core; CORES],
    tasks: [Task; TASKS],
    injector: Set,
    flags: Set,
    awake: u8,
    searching: u8,
    /// Who came last is last.
    sleepers: [Option<u8>; CORES],
    closed: bool,
    hold_new: bool,
    monitor: Monitor,
    /// What it says to those who may have to wake it.
    dozes: bool,
    /// Somebody has called it since its last look.
    called: bool,
    end: End,
}

/// A step, and where it leads.
#[derive(Clone, PartialEq)]
struct Step {
    who: &'static str,
    number: u8,
    what: &'static str,
    next: World,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.who, self.number, self.what)
    }
}

#[derive(Clone, Copy)]
struct Pool {
    scenario: Scenario,
    guards: Guards,
}

impl Thread {
    /// Begins with the core that it was given, unless its lease's turn is another's.
    fn begin(&mut self) {
        if let (At::Given(core), false) = (self.at, self.turn) {
            *self = Thread { at: At::Works(core, Looks), held: Some(core), ..Thread::default() };
        }
    }
}

/// What belongs to the world alone.
impl World {
    /// Threads have no names: worlds that differ only in which is which are one. (So the numbers of threads in a path are
    /// only good for the next step.)
    fn sort(&mut self) {
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
            if let At::Hints(_, spare) | At::HandsOver(_, spare, _) = &mut thread.at {
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

    fn is_stopped(&self) -> bool {
        self.end != End::Open
    }

    fn threads(&self) -> usize {
        self.count(|thread| thread.at != At::Gone)
    }

    fn count(&self, which: impl Fn(&Thread) -> bool) -> usize {
        self.threads.iter().filter(|thread| which(thread)).count()
    }

    /// Threads that have lost their core and are not back yet.
    fn strays(&self) -> usize {
        let in_hand = |thread: &Thread| matches!(thread.at, At::HandsOver(..));
        self.count(|thread| thread.out && thread.held.is_none() && !in_hand(thread))
    }

    /// Threads that wait, or soon will.
    fn ready(&self) -> usize {
        self.threads().saturating_sub(CORES + self.strays())
    }

    fn begun(&self) -> Set {
        (0..TASKS).fold(0, |set, task| set | u8::from(self.tasks[task].begun) << task)
    }

    /// Those of `queue` that may run.
    fn admitted(&self, queue: Set) -> Set {
        if self.hold_new { queue & self.begun() } else { queue }
    }

    fn work_is_visible(&self) -> bool {
        self.injector != 0 || self.cores.iter().any(|core| self.admitted(core.queue) != 0)
    }

    fn all_asleep(&self) -> bool {
        self.awake == 0
    }

    /// Is the worker of `core` inside user code, as far as the crew knows?
    fn is_held_up(&self, core: usize) -> bool {
        self.threads[self.cores[core].holder as usize].out
    }

    /// Is the monitor at the lease of `thread`, or about to be?
    fn is_taken_from(&self, thread: usize) -> bool {
        match self.monitor {
            Monitor::Hands(_, _, holder, _) => holder as usize == thread,
            _ => false,
        }
    }

    fn take_in(&mut self, core: usize) {
        let port = &mut self.cores[core];
        port.armed |= std::mem::take(&mut port.inbox);
    }

    fn requests(&self, core: usize) -> Set {
        self.cores[core].inbox | self.cores[core].armed
    }

    /// A look at the port of `core` that finds the request of `task` complete.
    fn complete(&mut self, core: usize, task: u8) {
        self.take_in(core);
        self.cores[core].armed &= !(1 << task);
    }

    fn wake_up(&mut self, core: u8) -> bool {
        let at = self.sleepers.iter().position(|sleeper| *sleeper == Some(core));
        if let Some(at) = at {
            self.sleepers[at..].rotate_left(1);
            self.sleepers[CORES - 1] = None;
            self.awake += 1;
        }
        at.is_none()
    }

    fn fall_asleep(&mut self, core: u8) {
        self.awake -= 1;
        let free = self.sleepers.iter().position(Option::is_none);
        self.sleepers[free.unwrap_or(0)] = Some(core);
    }
}

/// What depends on the guards.
impl Pool {
    fn script(&self, world: &World, task: u8) -> Option<Do> {
        self.scenario.tasks[task as usize].get(world.tasks[task as usize].next as usize).copied()
    }

    fn ring(&self, world: &mut World, core: usize) {
        let alarm = &mut world.cores[core].alarm;
        if *alarm == Alarm::Asleep || self.guards.alarm_is_sticky {
            *alarm = Alarm::Called;
        }
    }

    fn notify(&self, world: &mut World) {
        if world.searching > 0 || world.awake as usize == CORES {
            return;
        }
        if let Some(last) = world.sleepers.iter_mut().rev().find_map(Option::take) {
            world.awake += 1;
            world.searching += 1;
            self.ring(world, last as usize);
        }
    }

    /// The monitor's count: how many cores could still be handed over, and how many of those are kept back.
    fn is_scarce(&self, world: &World) -> bool {
        let reserve = CORES.min((self.scenario.max_threads - CORES) / 2);
        let room = self.scenario.max_threads - world.threads() + world.ready();
        self.scenario.hold && reserve > 0 && room <= reserve
    }

    /// Makes `task` ready where `thread` is, whose lease nobody is about to take. `notifies`: even if that is in a queue to which
    /// it comes itself.
    fn make_ready(&self, world: &mut World, thread: usize, task: u8, notifies: bool) {
        let held = world.threads[thread].held;
        match held {
            Some(core) => world.cores[core as usize].queue |= 1 << task,
            None => world.injector |= 1 << task,
        }
        let notifies = if held.is_some() { notifies } else { self.guards.stray_notifies_after_injecting };
        if notifies {
            self.notify(world);
        }
    }

    /// `thread`, which holds a core, leaves its loop for `task`.
    fn run(&self, world: &mut World, thread: usize, task: u8) {
        let it = &mut world.threads[thread];
        it.at = At::Inside(task);
        it.out = true;
        world.tasks[task as usize].begun = true;
        if std::mem::take(&mut it.searching) {
            world.searching -= 1;
            if self.guards.found_work_is_passed_on && world.work_is_visible() {
                self.notify(world);
            }
        }
    }
}

/// Collects the steps out of one world.
struct Steps<'a> {
    pool: &'a Pool,
    from: &'a World,
    out: &'a mut Vec<Step>,
}

impl Steps<'_> {
    fn add(&mut self, who: &'static str, number: usize, what: &'static str, act: impl FnOnce(&mut World)) {
        let mut next = *self.from;
        act(&mut next);
        next.sort();
        if next != *self.from {
            self.out.push(Step { who, number: number as u8, what, next });
        }
    }

    /// `thread` does `act` and is then at `at`.
    fn go(&mut self, thread: usize, what: &'static str, at: At, act: impl FnOnce(&mut World)) {
        self.add("thread", thread, what, |world| {
            world.threads[thread].at = at;
            act(world);
            if world.threads[thread].at == At::Gone {
                world.threads[thread] = Thread::default();
            }
        });
    }

    fn thread(&mut self, thread: usize) {
        let (world, pool) = (self.from, self.pool);
        let Thread { at, held, recalled, turn, .. } = world.threads[thread];
        match at {
            At::Gone => {}
            At::Arrives if world.hold_new => {
                self.go(thread, "calls the monitor", At::Rang, |world| {
                    world.dozes = false;
                    world.called = true;
                });
            }
            At::Coming | At::Arrives | At::Rang if world.closed => {
                self.go(thread, "finds all closed", At::Gone, |_| ());
            }
            At::Coming | At::Arrives | At::Rang => self.go(thread, "waits", At::Waits, |_| ()),
            At::Waits | At::Called => {
                let may_leave = at == At::Waits || !pool.guards.called_spare_stays;
                let late = pool.scenario.retire || world.closed && pool.guards.close_wakes_spares;
                if may_leave && late {
                    self.go(thread, "leaves", At::Gone, |_| ());
                }
            }
            At::Given(_) if turn => {}
            At::Given(_) => {
                self.add("thread", thread, "takes a core over", |world| world.threads[thread].begin())
            }
            At::Works(core, work) => self.work(thread, core as usize, work),
            At::Inside(task) => self.inside(thread, task),
            At::Hints(..) if turn => {}
            At::Hints(task, spare) => match held {
                Some(core) => {
                    self.go(thread, "gives its core away", At::HandsOver(task, spare, core), |world| {
                        world.threads[thread].held = None;
                        world.threads[thread].recalled = true;
                    });
                }
                None => self.go(thread, "has no core any more", At::Inside(task), |world| {
                    if pool.guards.dropped_call_returns_spare {
                        world.threads[spare as usize].at = At::Waits;
                    }
                }),
            },
            At::HandsOver(task, spare, core) => {
                self.go(thread, "hands its core over", At::Inside(task), |world| {
                    world.cores[core as usize].holder = spare;
                    give(world, spare, core);
                });
            }
            // Nobody is taking from it now, and nobody will when it is not out: the two steps are as one.
            At::Returns if !world.is_taken_from(thread) => {
                self.back(thread);
            }
            At::Returns => self.go(thread, "is back", At::Back, |world| world.threads[thread].out = false),
            At::Back if recalled && turn && pool.guards.back_waits_for_verdict => {}
            At::Back => self.back(thread),
        }
    }

    fn back(&mut self, thread: usize) {
        let (at, what) = match self.from.threads[thread].held {
            Some(core) => (At::Works(core, Looks), "goes on"),
            None if self.pool.guards.stray_checks_lease => (At::Arrives, "has lost its core"),
            // As if it had not been another's for long.
            None => (At::Works(0, Looks), "goes on without its core"),
        };
        self.go(thread, what, at, |world| world.threads[thread].out = false);
    }

    /// In the loop, with a core.
    fn work(&mut self, thread: usize, core: usize, work: Work) {
        let (world, pool) = (self.from, self.pool);
        let port = world.cores[core];
        let at = |work| At::Works(core as u8, work);
        match work {
            Looks => self.look_for_work(thread, core),
            Drowsy => {
                let sees = pool.guards.sleeper_looks_again && world.work_is_visible();
                let next = if sees || world.is_stopped() { Up } else { Looked };
                self.go(thread, "falls asleep", at(next), |world| {
                    world.fall_asleep(core as u8);
                    if std::mem::take(&mut world.threads[thread].searching) {
                        world.searching -= 1;
                    }
                });
            }
            Looked if port.alarm == Alarm::Called => {
                self.go(thread, "was called", at(Up), |world| world.cores[core].alarm = Alarm::Awake);
            }
            Looked => self.go(thread, "sleeps", at(Asleep), |world| {
                world.take_in(core);
                world.cores[core].alarm = Alarm::Asleep;
            }),
            Asleep => {
                if port.alarm == Alarm::Called {
                    self.go(thread, "hears the bell", at(Up), |world| {
                        world.cores[core].alarm = Alarm::Awake;
                    });
                }
                for task in each(port.armed) {
                    self.go(thread, "has a completion", at(Up), |world| {
                        world.complete(core, task);
                        world.cores[core].queue |= 1 << task;
                        world.cores[core].alarm = Alarm::Awake;
                    });
                }
            }
            Up => self.go(thread, "counts as awake", at(Looks), |world| {
                world.threads[thread].searching = world.wake_up(core as u8);
                if pool.guards.worker_rings_after_wake {
                    world.dozes = false;
                }
            }),
        }
    }

    fn look_for_work(&mut self, thread: usize, core: usize) {
        let (world, pool) = (self.from, self.pool);
        if world.is_stopped() {
            return self.go(thread, "leaves its core", At::Arrives, |world| {
                world.injector |= std::mem::take(&mut world.cores[core].queue);
                world.threads[thread].held = None;
                world.threads[thread].searching = false;
            });
        }
        let other = 1 - core;
        let own = world.admitted(world.cores[core].queue);
        for task in each(own) {
            self.add("thread", thread, "runs one of its queue", |world| {
                world.cores[core].queue &= !(1 << task);
                pool.run(world, thread, task);
            });
        }
        if own != 0 {
            return;
        }
        for task in each(world.injector) {
            self.add("thread", thread, "takes from the injector", |world| {
                world.injector &= !(1 << task);
                if world.admitted(1 << task) != 0 {
                    pool.run(world, thread, task);
                } else {
                    world.cores[core].queue |= 1 << task;
                }
            });
        }
        if world.injector != 0 {
            return;
        }
        for task in each(world.requests(core)) {
            self.add("thread", thread, "has a completion", |world| {
                world.complete(core, task);
                world.cores[core].queue |= 1 << task;
            });
        }
        let searches = world.threads[thread].searching || 2 * (world.searching as usize) < CORES;
        let theirs = if searches { world.admitted(world.cores[other].queue) } else { 0 };
        for task in each(theirs) {
            self.add("thread", thread, "steals", |world| {
                world.cores[other].queue &= !(1 << task);
                pool.run(world, thread, task);
            });
        }
        if theirs != 0 {
            return;
        }
        if searches && world.threads.iter().any(|thread| thread.out && thread.held == Some(other as u8)) {
            for task in each(world.requests(other)) {
                self.add("thread", thread, "looks at the port of one held up", |world| {
                    world.complete(other, task);
                    world.cores[core].queue |= 1 << task;
                });
            }
        }
        self.go(thread, "finds nothing", At::Works(core as u8, Drowsy), |_| ());
    }

    /// In the code of `task`. What crosses into the pool waits for a verdict on the lease.
    fn inside(&mut self, thread: usize, task: u8) {
        let (world, pool) = (self.from, self.pool);
        let here = world.threads[thread];
        let crosses = !(here.recalled && here.turn);
        let last = pool.scenario.tasks[task as usize].len() == world.tasks[task as usize].next as usize + 1;
        let on = if last { At::Returns } else { At::Inside(task) };
        let next = |world: &mut World| world.tasks[task as usize].next += 1;
        match pool.script(world, task) {
            // (Else it ends with the last thing it does.)
            None => self.go(thread, "has ended its task", At::Returns, |_| ()),
            Some(Block(flag)) => {
                if world.flags >> flag & 1 == 1 {
                    self.go(thread, "is unblocked", on, next);
                }
            }
            Some(Set(flag)) => self.go(thread, "sets a flag", on, |world| {
                world.flags |= 1 << flag;
                next(world);
            }),
            Some(Request) if crosses => self.go(thread, "suspends for a request", At::Returns, |world| {
                next(world);
                let port = &mut world.cores[here.held.unwrap_or(task % CORES as u8) as usize];
                port.inbox |= 1 << task;
                if port.alarm == Alarm::Asleep && pool.guards.request_rings_sleeper {
                    port.alarm = Alarm::Called;
                }
            }),
            Some(Yield) if crosses => self.go(thread, "yields", At::Returns, |world| {
                next(world);
                pool.make_ready(world, thread, task, false);
            }),
            Some(Hint) if here.held.is_none() => self.go(thread, "has no core to give", on, next),
            Some(Hint) => {
                let mut none = true;
                for spare in waiting(world) {
                    none = false;
                    self.go(thread, "calls a spare", At::Hints(task, spare), |world| {
                        next(world);
                        world.threads[spare as usize].at = At::Called;
                    });
                }
                if none {
                    self.go(thread, "finds no spare", At::Inside(task), |world| {
                        next(world);
                        world.dozes = false;
                    });
                }
            }
            Some(Spawn(other)) if crosses => self.go(thread, "spawns", on, |world| {
                next(world);
                world.tasks[other as usize].spawned = true;
                pool.make_ready(world, thread, other, pool.guards.spawn_notifies);
            }),
            Some(Request | Yield | Spawn(_)) => {}
        }
    }

    fn watch(&mut self, what: &'static str, next: Monitor, act: impl FnOnce(&mut World)) {
        self.add("monitor", 0, what, |world| {
            world.monitor = next;
            act(world);
        });
    }

    /// The monitor has nothing for the spare that it has called.
    fn drop_call(&mut self, what: &'static str, spare: u8, act: impl FnOnce(&mut World)) {
        let returns = self.pool.guards.dropped_call_returns_spare;
        self.watch(what, Monitor::Rests, |world| {
            act(world);
            if returns {
                world.threads[spare as usize].at = At::Waits;
            }
        });
    }

    fn monitor(&mut self) {
        let (world, pool) = (self.from, self.pool);
        match world.monitor {
            Monitor::Gone => {}
            Monitor::Rests => self.rests(),
            Monitor::Hands(Calls, core, holder, spare) => {
                let lease = world.threads[holder as usize];
                if !lease.out || lease.recalled {
                    self.drop_call("comes too late", spare, |_| ());
                    return;
                }
                // (With a look to come it is the same when between the first one and the recall nothing happens.)
                let looks = pool.guards.recall_looks_again;
                let hand = if looks { Recalled } else { Turn };
                self.watch("recalls", Monitor::Hands(hand, core, holder, spare), |world| {
                    world.threads[holder as usize].turn = true;
                    world.threads[holder as usize].recalled = looks;
                });
            }
            Monitor::Hands(Turn, core, holder, spare) => {
                self.watch("recalls without a look", Monitor::Hands(Takes, core, holder, spare), |world| {
                    world.threads[holder as usize].recalled = true;
                });
            }
            Monitor::Hands(Recalled, core, holder, spare) => {
                if world.threads[holder as usize].out {
                    self.watch("finds it out", Monitor::Hands(Takes, core, holder, spare), |_| ());
                } else {
                    self.drop_call("gives up", spare, |world| {
                        world.threads[holder as usize].recalled = false;
                        world.threads[holder as usize].turn = false;
                    });
                }
            }
            Monitor::Hands(Takes, core, holder, spare) => match world.threads[holder as usize].held {
                Some(taken) => self.watch("hands over", Monitor::Rests, |world| {
                    world.threads[holder as usize].held = None;
                    world.threads[holder as usize].turn = false;
                    let filed = if pool.guards.files_the_core_that_was_taken { taken } else { core };
                    world.cores[filed as usize].holder = spare;
                    give(world, spare, taken);
                }),
                None => self.drop_call("finds nothing held", spare, |world| {
                    world.threads[holder as usize].turn = false;
                }),
            },
            // It says so and looks again.
            Monitor::Quiet => {
                let called = world.called && pool.guards.call_is_sticky;
                let asleep = world.all_asleep() && !world.is_stopped();
                if called {
                    self.watch("was called", Monitor::Rests, |_| ());
                } else if asleep || !pool.guards.monitor_rechecks_before_doze {
                    self.watch("dozes", Monitor::Dozes, |world| world.dozes = true);
                } else {
                    self.watch("does not doze", Monitor::Rests, |_| ());
                }
            }
            Monitor::Dozes if world.dozes => {}
            Monitor::Dozes => self.watch("is up", Monitor::Rests, |_| ()),
        }
    }

    /// Each thing that it does in a look is one of these. Before each of them some time may pass.
    fn rests(&mut self) {
        let (world, pool) = (self.from, self.pool);
        if world.is_stopped() {
            self.watch("ends", Monitor::Gone, |_| ());
        }
        let mut wanted = false;
        for core in (0..CORES).filter(|core| world.is_held_up(*core)) {
            wanted = true;
            for spare in waiting(world).filter(|_| pool.guards.monitor_hands_over) {
                let calls = Monitor::Hands(Calls, core as u8, world.cores[core].holder, spare);
                self.watch("calls a spare", calls, |world| world.threads[spare as usize].at = At::Called);
            }
            for task in each(world.requests(core)).filter(|_| pool.guards.monitor_looks_after_ports) {
                self.watch("looks after a port", Monitor::Rests, |world| {
                    world.complete(core, task);
                    world.injector |= 1 << task;
                    pool.notify(world);
                });
            }
        }
        let room = world.threads() < pool.scenario.max_threads;
        if wanted && world.ready() == 0 && room && pool.guards.monitor_grows {
            let free = world.threads.iter().position(|thread| thread.at == At::Gone);
            let free = free.expect("no more than there may be");
            self.watch("starts a thread", Monitor::Rests, |world| world.threads[free].at = At::Coming);
        }
        let hold = pool.is_scarce(world);
        self.watch("holds new tasks, or no more", Monitor::Rests, |world| {
            world.called = false;
            let held = std::mem::replace(&mut world.hold_new, hold);
            if held && !hold && pool.guards.release_of_hold_wakes {
                (0..CORES).for_each(|core| pool.ring(world, core));
            }
        });
        let stays = pool.guards.call_is_sticky && world.called;
        if world.all_asleep() && !stays {
            self.watch("sees all asleep", Monitor::Quiet, |_| ());
        }
    }

    fn end(&mut self) {
        let (world, pool) = (self.from, self.pool);
        let mut go = |what, next, act: &dyn Fn(&mut World)| {
            self.add("end", 0, what, |world| {
                world.end = next;
                act(world);
            });
        };
        let left = (0..THREADS).fold(0, |set, i| set | u8::from(world.threads[i].at != At::Gone) << i);
        match world.end {
            End::Open if pool.scenario.stop => go("stops the pool", End::Stopped, &|world| {
                world.dozes &= !pool.guards.stop_calls_monitor;
            }),
            End::Open => {}
            End::Stopped if world.monitor == Monitor::Gone || !pool.guards.monitor_is_joined_first => {
                go("closes the spares and wakes all", End::Woken, &|world| {
                    world.closed = true;
                    if pool.guards.stop_wakes_ports {
                        (0..CORES).for_each(|core| pool.ring(world, core));
                    }
                });
            }
            End::Woken if each(left).all(|thread| world.threads[thread as usize].out) => {
                go("waits no longer", End::Left(left), &|_| ());
            }
            End::Left(inside) if world.monitor == Monitor::Gone => {
                go("names who is left", End::Done(left, inside), &|_| ());
            }
            End::Stopped | End::Woken | End::Left(_) | End::Done(..) => {}
        }
    }
}

fn waiting(world: &World) -> impl Iterator<Item = u8> {
    (0..THREADS as u8).filter(|thread| world.threads[*thread as usize].at == At::Waits)
}

/// A spare that was called gets `core`. (One that has left does not.)
fn give(world: &mut World, spare: u8, core: u8) {
    let spare = &mut world.threads[spare as usize];
    if spare.at == At::Called {
        // (Taking it over waits for a taker that comes too late.)
        spare.at = At::Given(core);
        spare.begin();
    }
}

/// What shall hold.
impl Pool {
    /// Everything that can end has ended.
    fn is_over(&self, world: &World) -> bool {
        if !self.scenario.stop {
            return (0..TASKS as u8).all(|task| self.script(world, task).is_none());
        }
        let blocked =
            |task| matches!(self.script(world, task), Some(Block(flag)) if world.flags >> flag & 1 == 0);
        let gone = |thread: &Thread| match thread.at {
            At::Gone => true,
            At::Inside(task) => blocked(task),
            _ => false,
        };
        matches!(world.end, End::Done(..)) && world.threads.iter().all(gone)
    }

    /// Each task that lives is in one place, and one thread runs it.
    fn tasks_are_somewhere(&self, world: &World) -> bool {
        let runs = |thread: &Thread| match thread.at {
            At::Inside(task) | At::Hints(task, _) | At::HandsOver(task, ..) => 1 << task,
            _ => 0,
        };
        let queues = world.cores.iter().flat_map(|core| [core.queue, core.inbox, core.armed]);
        let places: Vec<Set> = queues.chain([world.injector]).chain(world.threads.iter().map(runs)).collect();
        (0..TASKS as u8).all(|task| {
            let count = places.iter().filter(|place| **place >> task & 1 == 1).count();
            let spawned = world.tasks[task as usize].spawned;
            count == 1 || count == 0 && (self.script(world, task).is_none() || !spawned)
        })
    }
}

impl World {
    /// How many have `core`: in their lease, in their loop, as a gift, or in the hand on the way there.
    fn has(&self, core: u8) -> usize {
        self.count(|thread| match thread.at {
            At::Given(on) | At::HandsOver(_, _, on) | At::Works(on, _) => on == core,
            _ => thread.held == Some(core),
        })
    }

    fn cores_are_somewhere(&self) -> bool {
        (0..CORES as u8).all(|core| self.has(core) == 1 || self.is_stopped() && self.has(core) == 0)
    }

    /// In the loop only with what the lease holds.
    fn loops_hold(&self) -> bool {
        self.threads.iter().all(|thread| match thread.at {
            At::Works(core, _) => thread.held == Some(core),
            _ => true,
        })
    }

    fn holders_are_known(&self) -> bool {
        let known = |core: &u8| self.cores[*core as usize].holder as usize;
        (0..CORES as u8).all(|core| {
            self.threads
                .iter()
                .position(|thread| thread.held == Some(core))
                .is_none_or(|at| at == known(&core))
        })
    }

    fn called_are_wanted(&self) -> bool {
        let by = |spare: usize| {
            let by_thread = |thread: &Thread| match thread.at {
                At::Hints(_, called) | At::HandsOver(_, called, _) => called as usize == spare,
                _ => false,
            };
            let by_monitor = match self.monitor {
                Monitor::Hands(.., called) => called as usize == spare,
                _ => false,
            };
            self.count(by_thread) + usize::from(by_monitor)
        };
        (0..THREADS).all(|thread| by(thread) == usize::from(self.threads[thread].at == At::Called))
    }

    /// Whose worker is inside user code, that port has the monitor, or what is in it will not be seen.
    fn ports_are_seen(&self) -> bool {
        let unseen = |core: usize| {
            let out = |thread: &Thread| thread.out && thread.held == Some(core as u8);
            self.requests(core) != 0 && self.threads.iter().any(out)
        };
        let deaf = |core: usize| {
            let port = &self.cores[core];
            let sleeps = |thread: &Thread| thread.at == At::Works(core as u8, Asleep);
            port.inbox != 0 && port.alarm == Alarm::Asleep && self.threads.iter().any(sleeps)
        };
        let watched = !(self.monitor == Monitor::Dozes && self.dozes);
        (0..CORES).all(|core| !deaf(core) && (watched || !unseen(core)))
    }

    /// Nobody who was not inside user code is named as left behind at the end.
    fn named_are_inside(&self) -> bool {
        !matches!(self.end, End::Done(named, inside) if named & !inside != 0)
    }
}

impl Model for Pool {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let mut world = World { awake: CORES as u8, ..World::default() };
        for core in 0..CORES {
            world.threads[core] =
                Thread { at: At::Works(core as u8, Looks), held: Some(core as u8), ..Thread::default() };
            world.cores[core].holder = core as u8;
        }
        world.threads[CORES..][..self.scenario.spares].iter_mut().for_each(|thread| thread.at = At::Waits);
        for task in 0..TASKS {
            world.tasks[task].begun = self.scenario.begun >> task & 1 == 1;
            world.tasks[task].spawned = self.scenario.later >> task & 1 == 0;
        }
        world.cores[0].armed = self.scenario.waiting;
        world.injector = ((1 << TASKS) - 1) & !self.scenario.waiting & !self.scenario.later;
        world.sort();
        vec![world]
    }

    fn actions(&self, world: &World, out: &mut Vec<Step>) {
        let mut steps = Steps { pool: self, from: world, out };
        (0..THREADS).for_each(|thread| steps.thread(thread));
        steps.monitor();
        steps.end();
    }

    fn next_state(&self, _: &World, step: Step) -> Option<World> {
        Some(step.next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a task is in one place", |pool, world| pool.tasks_are_somewhere(world)),
            Property::always("a core is with one thread", |_, world: &World| world.cores_are_somewhere()),
            Property::always("who loops holds a core", |_, world: &World| world.loops_hold()),
            Property::always("the crew knows who holds a core", |_, world: &World| world.holders_are_known()),
            Property::always("a called spare is wanted", |_, world: &World| world.called_are_wanted()),
            Property::always("a port has somebody", |_, world: &World| world.ports_are_seen()),
            Property::always("who is named is inside", |_, world: &World| world.named_are_inside()),
            // (Checked where nothing more happens. What is over stays so.)
            Property::eventually("all ends", |pool, world| pool.is_over(world)),
        ]
    }
}

/// From where no way leads to the end any more, if there is such a world: also where all go round in circles for ever. With
/// the number of worlds.
fn dead_end(pool: &Pool) -> (usize, Option<World>) {
    let mut worlds = pool.init_states();
    let mut numbers: HashMap<World, u32> = HashMap::from([(worlds[0], 0)]);
    let mut before: Vec<Vec<u32>> = vec![Vec::new()];
    let mut steps = Vec::new();
    let mut at = 0;
    while at < worlds.len() {
        pool.actions(&worlds[at].clone(), &mut steps);
        for step in steps.drain(..) {
            let new = worlds.len() as u32;
            let number = *numbers.entry(step.next).or_insert(new);
            if number == new {
                worlds.push(step.next);
                before.push(Vec::new());
            }
            before[number as usize].push(at as u32);
        }
        at += 1;
    }
    let mut ends: Vec<bool> = worlds.iter().map(|world| pool.is_over(world)).collect();
    let mut open: Vec<usize> = (0..worlds.len()).filter(|world| ends[*world]).collect();
    while let Some(world) = open.pop() {
        for from in std::mem::take(&mut before[world]) {
            if !std::mem::replace(&mut ends[from as usize], true) {
                open.push(from as usize);
            }
        }
    }
    (worlds.len(), ends.iter().position(|ends| !ends).map(|at| worlds[at]))
}

/// Nothing but what each of the others adds.
const PLAIN: Scenario = Scenario {
    name: "",
    tasks: [&[], &[], &[]],
    begun: 0b111,
    waiting: 0,
    later: 0,
    spares: 0,
    max_threads: 4,
    hold: false,
    retire: false,
    stop: false,
};

const LOCK: Scenario = Scenario {
    name: "two wait for a lock whose holder is suspended",
    tasks: [&[Set(0)], &[Block(0), Yield], &[Block(0)]],
    waiting: 0b001,
    ..PLAIN
};

const REQUEST: Scenario = Scenario {
    name: "who has lost its core has a request",
    tasks: [&[Set(0)], &[Block(0), Request], &[]],
    waiting: 0b001,
    spares: 1,
    max_threads: 3,
    ..PLAIN
};

const HOLD: Scenario = Scenario {
    name: "a new task is held until threads are no longer scarce",
    tasks: [&[Set(0)], &[Block(0)], &[Set(1)]],
    begun: 0b011,
    waiting: 0b001,
    hold: true,
    ..PLAIN
};

const CHILD: Scenario = Scenario {
    name: "a blocked task waits for its child",
    tasks: [&[Spawn(1), Block(0)], &[Set(0)], &[]],
    begun: 0b001,
    later: 0b110,
    hold: true,
    max_threads: 5,
    ..PLAIN
};

const HINTS: Scenario = Scenario {
    name: "tasks say that they are about to block",
    tasks: [&[Hint], &[Hint, Block(0)], &[Set(0)]],
    spares: 2,
    ..PLAIN
};

const STOP: Scenario = Scenario {
    name: "a stop at any time",
    tasks: [&[Set(0)], &[Block(0)], &[]],
    waiting: 0b001,
    later: 0b100,
    stop: true,
    ..PLAIN
};

const RETIRE: Scenario = Scenario {
    name: "spare threads leave",
    tasks: [&[Set(0)], &[Block(0)], &[]],
    waiting: 0b001,
    spares: 1,
    retire: true,
    ..PLAIN
};

const CAP: Scenario = Scenario {
    name: "at the cap there is still the monitor to look after a port",
    tasks: [&[Set(0)], &[Block(0)], &[]],
    waiting: 0b001,
    later: 0b100,
    max_threads: 2,
    ..PLAIN
};

const CAP_CHILD: Scenario = Scenario {
    name: "at the cap a child is run by the other worker",
    tasks: [&[Spawn(1), Block(0)], &[Set(0)], &[]],
    later: 0b110,
    max_threads: 2,
    ..PLAIN
};

const CAP_CHILDREN: Scenario = Scenario {
    name: "at the cap who has lost its core has two children",
    tasks: [&[Spawn(1), Spawn(2), Block(0)], &[Block(0)], &[Set(0)]],
    later: 0b110,
    spares: 1,
    max_threads: 3,
    ..PLAIN
};

const SCENARIOS: [Scenario; 10] =
    [LOCK, REQUEST, HOLD, CHILD, HINTS, STOP, RETIRE, CAP, CAP_CHILD, CAP_CHILDREN];

/// All worlds there are, or as many as it takes to find one that is wrong.
fn explore(pool: Pool) -> impl Checker<Pool> {
    pool.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join()
}

#[test]
fn whatever_comes_in_which_order_all_ends() {
    limit(300, || {
        let mut worlds = 0;
        for scenario in SCENARIOS {
            let pool = Pool { scenario, guards: Guards::ALL };
            let checker = explore(pool);
            if let Some((property, path)) = checker.discoveries().into_iter().next() {
                panic!("{}: not {property:?} after {:#?}", scenario.name, path.into_actions());
            }
            assert!(checker.is_done());
            let (count, dead_end) = dead_end(&pool);
            assert_eq!(dead_end, None, "{}", scenario.name);
            assert_eq!(count, checker.unique_state_count());
            println!("{count} worlds: {}", scenario.name);
            worlds += count;
        }
        // Else something keeps it from going on.
        assert!(worlds > 100_000, "{worlds} worlds");
    });
}

#[test]
fn without_any_of_its_guards_something_goes_wrong() {
    limit(300, || {
        for &(guard, take_away, scenario) in GUARDS {
            let mut guards = Guards::ALL;
            take_away(&mut guards);
            let checker = explore(Pool { scenario, guards });
            let wrong = checker.discoveries();
            assert!(!wrong.is_empty(), "{guard} is good for nothing");
            for (property, path) in wrong {
                println!("without {guard}: not {property:?} after {:?}", path.into_actions());
            }
        }
    });
}
