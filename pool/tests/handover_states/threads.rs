//! The life of a thread: core by core or task by task, and what it waits for in between.

use crate::pool::{Steps, give};
use crate::world::{At, Thread, Work::Looks};

impl Steps<'_> {
    pub(crate) fn thread(&mut self, thread: usize) {
        let (world, pool) = (self.from, self.pool);
        let Thread { at, held, recalled, turn, .. } = world.threads[thread];
        match at {
            At::Gone => {}
            At::Arrives if world.hold_new && pool.guards.who_comes_back_calls => {
                self.go(thread, "calls the monitor", At::Rang, |world| {
                    world.sleeps = false;
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
            At::Given(_) | At::Lent(_) if world.closed && !pool.guards.assignment_comes_first => {
                self.go(thread, "leaves with its assignment", At::Gone, |_| ());
            }
            At::Given(_) if turn => {}
            At::Given(_) => {
                self.add("thread", thread, "takes a core over", |world| world.threads[thread].begin())
            }
            At::Lent(task) if world.is_stopped() => {
                self.go(thread, "leaves its task to those that do not run again", At::Arrives, |world| {
                    world.injector |= 1 << task;
                    pool.count_back(world);
                });
            }
            At::Lent(task) => self.go(thread, "runs what it was lent", At::Inside(task), |world| {
                world.threads[thread].without_core = true;
                world.threads[thread].out = true;
                world.tasks[task as usize].noted = false;
            }),
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
                    give(world, spare, At::Given(core));
                });
            }
            // Nobody is taking from it now, and nobody will when it is not out: the two steps are as one.
            At::Returns if !world.is_taken_from(thread) => {
                self.back(thread);
            }
            At::Returns => self.go(thread, "is back", At::Back, |world| {
                world.threads[thread].out = false;
                world.threads[thread].plain = false;
            }),
            At::Back if recalled && turn && pool.guards.back_waits_for_verdict => {}
            At::Back => self.back(thread),
        }
    }

    fn back(&mut self, thread: usize) {
        let pool = self.pool;
        let (at, what) = match self.from.threads[thread].held {
            Some(core) => (At::Works(core, Looks), "goes on"),
            None if self.from.threads[thread].without_core => (At::Arrives, "has run what it was lent"),
            None if pool.guards.stray_checks_lease => (At::Arrives, "has lost its core"),
            // As if it had not been another's for long.
            None => (At::Works(0, Looks), "goes on without its core"),
        };
        self.go(thread, what, at, |world| {
            world.threads[thread].out = false;
            world.threads[thread].plain = false;
            if std::mem::take(&mut world.threads[thread].without_core) {
                pool.count_back(world);
            }
        });
    }
}
