//! The steps of a stop.

use crate::pool::Steps;
use crate::scenarios::{CORES, THREADS};
use crate::world::{At, End, Monitor, World, each};

impl Steps<'_> {
    pub(crate) fn end(&mut self) {
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
                world.sleeps &= !pool.guards.stop_calls_monitor;
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
