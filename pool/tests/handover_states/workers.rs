//! The loop of a thread that holds a core.

use crate::pool::{Steps, give, waiting};
use crate::scenarios::CORES;
use crate::world::{Alarm, At, Work, Work::*, World, each};

impl Steps<'_> {
    /// In the loop, with a core.
    pub(crate) fn work(&mut self, thread: usize, core: usize, work: Work) {
        let (world, pool) = (self.from, self.pool);
        let port = world.cores[core];
        let at = |work| At::Works(core as u8, work);
        match work {
            Looks => self.look_for_work(thread, core),
            Lends(task, spare) => {
                let counts = pool.guards.counts_before_it_is_given;
                self.go(thread, "lends a task", at(if counts { Looks } else { HasLent }), |world| {
                    if counts {
                        pool.count_lent(world);
                    }
                    give(world, spare, At::Lent(task));
                });
            }
            HasLent => self.go(thread, "counts a stray", at(Looks), |world| pool.count_lent(world)),
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
                    world.sleeps = false;
                }
            }),
        }
    }

    fn look_for_work(&mut self, thread: usize, core: usize) {
        let world = self.from;
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
            self.takes(thread, core, task, "runs one of its queue", |world| {
                world.cores[core].queue &= !(1 << task);
            });
        }
        if own != 0 {
            return;
        }
        for task in each(world.injector) {
            if world.admitted(1 << task) != 0 {
                self.takes(thread, core, task, "takes from the injector", |world| {
                    world.injector &= !(1 << task);
                });
            } else {
                self.add("thread", thread, "queues a new one from the injector", |world| {
                    world.injector &= !(1 << task);
                    world.cores[core].queue |= 1 << task;
                });
            }
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
            self.takes(thread, core, task, "steals", |world| {
                world.cores[other].queue &= !(1 << task);
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

    /// `thread` takes `task` out of a queue (`out`), and runs it; or calls a spare for it, if it has blocked its thread in its
    /// last run.
    fn takes(&mut self, thread: usize, core: usize, task: u8, what: &'static str, out: impl Fn(&mut World)) {
        let (world, pool) = (self.from, self.pool);
        let noted = world.tasks[task as usize].noted;
        let mut none = true;
        for spare in waiting(world).filter(|_| noted) {
            none = false;
            self.go(thread, "calls a spare for a task", At::Works(core as u8, Lends(task, spare)), |world| {
                out(world);
                pool.stop_searching(world, thread);
                world.threads[spare as usize].at = At::Called;
            });
        }
        if none && (!noted || pool.guards.runs_without_a_spare) {
            self.add("thread", thread, what, |world| {
                out(world);
                pool.run(world, thread, task);
            });
        }
    }
}
