//! What shall hold.

use crate::pool::{Pool, Step, Steps};
use crate::scenarios::{CORES, Do::Block, TASKS, THREADS};
use crate::world::{Alarm, At, End, Monitor, Set, Thread, Work::*, World};
use stateright::{Model, Property};

impl Pool {
    /// Everything that can end has ended.
    pub(crate) fn is_over(&self, world: &World) -> bool {
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
            At::Lent(task) | At::Works(_, Lends(task, _)) => 1 << task,
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
    /// How many have `core`: in their lease, in their loop, as an assignment, or in the hand on the way there.
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
                At::Hints(_, called) | At::HandsOver(_, called, _) | At::Works(_, Lends(_, called)) => {
                    called as usize == spare
                }
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
        let watched = !(self.monitor == Monitor::Sleeps && self.sleeps);
        (0..CORES).all(|core| !deaf(core) && (watched || !unseen(core)))
    }

    /// No more strays have come back than were counted.
    fn strays_are_counted(&self) -> bool {
        self.lent as usize <= THREADS
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
        let spawned = ((1 << self.scenario.tasks.len()) - 1) & !self.scenario.later;
        for task in 0..TASKS {
            world.tasks[task].begun = self.scenario.begun >> task & 1 == 1;
            world.tasks[task].noted = self.scenario.noted >> task & 1 == 1;
            world.tasks[task].spawned = spawned >> task & 1 == 1;
        }
        world.cores[0].armed = self.scenario.waiting;
        world.injector = spawned & !self.scenario.waiting;
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
            Property::always("the pool knows who holds a core", |_, world: &World| world.holders_are_known()),
            Property::always("a called spare is wanted", |_, world: &World| world.called_are_wanted()),
            Property::always("strays are counted", |_, world: &World| world.strays_are_counted()),
            Property::always("a port has somebody", |_, world: &World| world.ports_are_seen()),
            Property::always("who is named is inside", |_, world: &World| world.named_are_inside()),
            // (Checked where nothing more happens. What is over stays so.)
            Property::eventually("all ends", |pool, world| pool.is_over(world)),
        ]
    }
}
