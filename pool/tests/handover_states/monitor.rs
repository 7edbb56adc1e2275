//! The steps of the monitor.

use crate::pool::{Steps, give, waiting};
use crate::scenarios::CORES;
use crate::world::{At, Hand::*, Monitor, Thread, World, each};

impl Steps<'_> {
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

    pub(crate) fn monitor(&mut self) {
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
                let Thread { out, plain, .. } = world.threads[holder as usize];
                if out && plain {
                    self.drop_call("is refused the barrier", spare, |world| {
                        world.refused = true;
                        world.threads[holder as usize].recalled = false;
                        world.threads[holder as usize].turn = false;
                    });
                }
                if out && !(plain && world.refused) {
                    self.watch("finds it out", Monitor::Hands(Takes, core, holder, spare), |_| ());
                } else if !out {
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
                    give(world, spare, At::Given(taken));
                }),
                None => self.drop_call("finds nothing held", spare, |world| {
                    world.threads[holder as usize].turn = false;
                }),
            },
            Monitor::Counted(hold) => self.watch("holds new tasks, or no more", Monitor::Rests, |world| {
                world.hold_new = hold;
                world.hold_is_fresh = true;
                if !hold && pool.guards.release_of_hold_wakes {
                    (0..CORES).for_each(|core| pool.ring(world, core));
                }
            }),
            // It says so and looks again.
            Monitor::Quiet => {
                let called = world.called && pool.guards.call_is_sticky;
                let asleep = world.all_asleep() && !world.is_stopped();
                if called {
                    self.watch("was called", Monitor::Rests, |_| ());
                } else if asleep || !pool.guards.monitor_rechecks_before_sleep {
                    self.watch("sleeps", Monitor::Sleeps, |world| world.sleeps = true);
                } else {
                    self.watch("does not sleep", Monitor::Rests, |_| ());
                }
            }
            Monitor::Sleeps if world.sleeps => {}
            Monitor::Sleeps => self.watch("is up", Monitor::Rests, |_| ()),
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
            let kept = world.is_kept(core);
            wanted |= !kept;
            for spare in waiting(world).filter(|_| pool.guards.monitor_hands_over && !kept) {
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
        if (0..CORES).all(|core| world.is_kept(core)) && pool.guards.kept_cores_are_lent_for {
            wanted |= world.work_is_visible();
            self.lends();
        }
        let room = world.threads() < pool.scenario.max_threads;
        if wanted && world.ready() == 0 && room && pool.guards.monitor_grows {
            let free = world.threads.iter().position(|thread| thread.at == At::Gone);
            let free = free.expect("no more than there may be");
            self.watch("starts a thread", Monitor::Rests, |world| world.threads[free].at = At::Coming);
        }
        let hold = pool.is_scarce(world);
        // (What it says anew is what it has said, unless they differ.)
        let next = if hold == world.hold_new { Monitor::Rests } else { Monitor::Counted(hold) };
        self.watch("counts", next, |world| {
            world.called = false;
            world.hold_is_fresh = false;
        });
        let called = pool.guards.call_is_sticky && world.called;
        let fresh = pool.guards.fresh_hold_is_looked_at && world.hold_is_fresh;
        if world.all_asleep() && !called && !fresh {
            self.watch("sees all asleep", Monitor::Quiet, |_| ());
        }
    }

    /// A spare runs something that is ready, without a core.
    fn lends(&mut self) {
        let (world, pool) = (self.from, self.pool);
        let ready = world.cores.iter().fold(world.injector, |ready, core| ready | core.queue);
        for task in each(world.admitted(ready)) {
            for spare in waiting(world) {
                self.watch("lends a task", Monitor::Rests, |world| {
                    world.injector &= !(1 << task);
                    world.cores.iter_mut().for_each(|core| core.queue &= !(1 << task));
                    pool.count_lent(world);
                    world.threads[spare as usize].at = At::Lent(task);
                });
            }
        }
    }
}
