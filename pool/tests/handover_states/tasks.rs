//! Inside user code.

use crate::pool::{Steps, waiting};
use crate::scenarios::{CORES, Do::*};
use crate::world::{Alarm, At, World};

impl Steps<'_> {
    /// In the code of `task`. What crosses into the pool waits for a verdict on the lease.
    pub(crate) fn inside(&mut self, thread: usize, task: u8) {
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
            Some(Request) if crosses => {
                for noted in pool.notes(world, thread) {
                    self.go(thread, "suspends for a request", At::Returns, |world| {
                        next(world);
                        world.tasks[task as usize].noted = *noted;
                        let port = &mut world.cores[here.held.unwrap_or(task % CORES as u8) as usize];
                        port.inbox |= 1 << task;
                        if port.alarm == Alarm::Asleep && pool.guards.request_rings_sleeper {
                            port.alarm = Alarm::Called;
                        }
                    });
                }
            }
            Some(Yield) if crosses => {
                for noted in pool.notes(world, thread) {
                    self.yields(thread, task, *noted, next);
                }
            }
            Some(Naps(flag)) if world.flags >> flag & 1 == 1 => self.go(thread, "is unblocked", on, next),
            // (Noted for sure: it was for long enough. Who runs again at once is where it was.)
            Some(Naps(_)) if crosses && pool.goes_on(world, thread) => {}
            Some(Naps(_)) if crosses => self.yields(thread, task, here.held.is_none(), next),
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
                        world.sleeps = false;
                    });
                }
            }
            Some(Spawn(other)) if crosses => self.go(thread, "spawns", on, |world| {
                next(world);
                world.tasks[other as usize].spawned = true;
                pool.make_ready(world, thread, other, pool.guards.spawn_notifies);
            }),
            Some(Request | Yield | Naps(_) | Spawn(_)) => {}
        }
    }

    /// After `next`; `noted`: having blocked the thread.
    fn yields(&mut self, thread: usize, task: u8, noted: bool, next: impl Fn(&mut World)) {
        let pool = self.pool;
        if noted && pool.goes_on(self.from, thread) {
            self.go(thread, "yields, and runs again", At::Inside(task), next);
            return;
        }
        let what = if noted { "yields, having blocked" } else { "yields" };
        self.go(thread, what, At::Returns, |world| {
            next(world);
            world.tasks[task as usize].noted = noted;
            pool.make_ready(world, thread, task, false);
        });
    }
}
