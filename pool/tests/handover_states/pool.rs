//! The pool that is looked at, with the guards that it has, and how the steps out of a world are collected.

use crate::guards::Guards;
use crate::scenarios::{CORES, Do, Scenario, THREADS};
use crate::world::{Alarm, At, Thread, World};
use std::fmt;

/// A step, and where it leads.
#[derive(Clone, PartialEq)]
pub(crate) struct Step {
    who: &'static str,
    number: u8,
    what: &'static str,
    pub(crate) next: World,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.who, self.number, self.what)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) scenario: Scenario,
    pub(crate) guards: Guards,
}

/// What depends on the guards.
impl Pool {
    pub(crate) fn script(&self, world: &World, task: u8) -> Option<Do> {
        self.scenario.tasks.get(task as usize)?.get(world.tasks[task as usize].next as usize).copied()
    }

    pub(crate) fn ring(&self, world: &mut World, core: usize) {
        let alarm = &mut world.cores[core].alarm;
        if *alarm == Alarm::Asleep || self.guards.alarm_is_sticky {
            *alarm = Alarm::Called;
        }
    }

    pub(crate) fn notify(&self, world: &mut World) {
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
    pub(crate) fn is_scarce(&self, world: &World) -> bool {
        let reserve = CORES.min((self.scenario.max_threads - CORES) / 2);
        let room = self.scenario.max_threads - world.threads() + world.ready();
        self.scenario.hold && reserve > 0 && room <= reserve
    }

    /// Makes `task` ready where `thread` is, whose lease nobody is about to take. `notifies`: even if that is in a queue to which
    /// it comes itself.
    pub(crate) fn make_ready(&self, world: &mut World, thread: usize, task: u8, notifies: bool) {
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
    pub(crate) fn run(&self, world: &mut World, thread: usize, task: u8) {
        let it = &mut world.threads[thread];
        it.at = At::Inside(task);
        it.out = true;
        it.plain = self.scenario.refuses && !world.refused;
        let task = &mut world.tasks[task as usize];
        task.begun = true;
        // What comes of this run shows at its end.
        task.noted = false;
        self.stop_searching(world, thread);
    }

    /// `thread` has found work, and counts as searching no more.
    pub(crate) fn stop_searching(&self, world: &mut World, thread: usize) {
        if std::mem::take(&mut world.threads[thread].searching) {
            world.searching -= 1;
            if self.guards.found_work_is_passed_on && world.work_is_visible() {
                self.notify(world);
            }
        }
    }
}

/// Lending.
impl Pool {
    /// A spare is given a task: one stray more.
    pub(crate) fn count_lent(&self, world: &mut World) {
        if self.guards.lent_counts_as_stray {
            world.lent = world.lent.wrapping_add(1);
        }
    }

    /// It is back: one less.
    pub(crate) fn count_back(&self, world: &mut World) {
        if self.guards.lent_counts_as_stray && self.guards.lent_counts_as_back {
            world.lent = world.lent.wrapping_sub(1);
        }
    }

    /// What can be noted at the end of a run on `thread`, if it does not end the task: has that blocked it?
    pub(crate) fn notes(&self, world: &World, thread: usize) -> &'static [bool] {
        // (Who has lost its core may have computed, and to whom a task was lent may have slept for a moment only.)
        if world.threads[thread].held.is_some() { &[false] } else { &[true, false] }
    }

    /// Does a task that is noted and yields run again on `thread` at once? (One that was lent: a worker would only lend it again.)
    pub(crate) fn goes_on(&self, world: &World, thread: usize) -> bool {
        let others_turn = world.hold_new && self.guards.held_have_their_turn;
        let ends = world.is_stopped() && self.guards.no_run_follows_a_stop;
        world.threads[thread].without_core && !others_turn && !ends
    }
}

/// Collects the steps out of one world.
pub(crate) struct Steps<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) from: &'a World,
    pub(crate) out: &'a mut Vec<Step>,
}

impl Steps<'_> {
    pub(crate) fn add(
        &mut self,
        who: &'static str,
        number: usize,
        what: &'static str,
        act: impl FnOnce(&mut World),
    ) {
        let mut next = *self.from;
        act(&mut next);
        next.sort();
        if next != *self.from {
            self.out.push(Step { who, number: number as u8, what, next });
        }
    }

    /// `thread` does `act` and is then at `at`.
    pub(crate) fn go(&mut self, thread: usize, what: &'static str, at: At, act: impl FnOnce(&mut World)) {
        self.add("thread", thread, what, |world| {
            world.threads[thread].at = at;
            act(world);
            if world.threads[thread].at == At::Gone {
                world.threads[thread] = Thread::default();
            }
        });
    }
}

pub(crate) fn waiting(world: &World) -> impl Iterator<Item = u8> {
    (0..THREADS as u8).filter(|thread| world.threads[*thread as usize].at == At::Waits)
}

/// A spare that was called gets `assignment`. (One that has left does not.)
pub(crate) fn give(world: &mut World, spare: u8, assignment: At) {
    let spare = &mut world.threads[spare as usize];
    if spare.at == At::Called {
        spare.at = assignment;
        // (Taking a core over waits for a taker that comes too late.)
        spare.begin();
    }
}
