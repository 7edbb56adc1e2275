//! Going through all worlds.

use crate::pool::Pool;
use crate::world::World;
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::HashMap;

/// From where no way leads to the end any more, if there is such a world: also where all go round in circles for ever. With
/// the number of worlds.
pub(crate) fn dead_end(pool: &Pool) -> (usize, Option<World>) {
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

/// All worlds there are, or as many as it takes to find one that is wrong.
pub(crate) fn explore(pool: Pool) -> impl Checker<Pool> {
    pool.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join()
}
