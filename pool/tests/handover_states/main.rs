//! How a core goes from a blocked thread to another, as a whole: threads, cores, ports, the monitor and the end, with all
//! the orders that their steps can come in.
//!
//! ```text
//!   worker:   loop ─► inside user code ─► back ─► loop (has its core still)
//!              ▲ │                         └────► waits ─► called ─► given a core ─► loop
//!              │ │                                  │        └─────► given a task ─► inside user code ─► waits
//!              │ │                                  └─► leaves
//!              │ ├─► calls a spare ─► lends it a task ─► loop
//!              │ └─► counted asleep ─► asleep ─► up ─┐
//!              └─────────────────────────────────────┘
//!   monitor:  rests ─► calls a spare ─► recalls the lease ─► hands over
//!               └────► looks after a port, starts a thread, counts ─► holds new tasks or not, sleeps
//! ```
//! The pieces (`idle.rs`, `lease.rs`, `spares.rs`, `channel/src/alarm.rs`) are checked with loom against their sources; here each of their
//! calls is a step or a few, and what is checked is how they go together. There is no time: whatever may happen some
//! day may happen now. A step of a [`World`](world::World) that leaves it as it was is none.
//!
//! What keeps the protocol right is named in `guards.rs`: one test finds nothing wrong with all of them, another
//! takes them away one by one and finds what each is for.
#![cfg(not(loom))]

mod end;
mod guards;
mod monitor;
mod pool;
mod properties;
mod scenarios;
mod search;
mod tasks;
mod threads;
mod workers;
mod world;

use ec_test_support::{limit, without_models};
use guards::{Guards, guards_and_scenarios};
use pool::Pool;
use scenarios::SCENARIOS;
use search::{dead_end, explore};
use stateright::Checker;

#[test]
fn whatever_comes_in_which_order_all_ends() {
    if without_models() {
        return;
    }
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
    if without_models() {
        return;
    }
    limit(300, || {
        for (guard, take_away, scenario) in guards_and_scenarios() {
            let mut guards = Guards::ALL;
            take_away(&mut guards);
            let wrong = explore(Pool { scenario, guards }).discoveries();
            assert!(!wrong.is_empty(), "{guard} is good for nothing: {}", scenario.name);
            for (property, path) in wrong {
                println!(
                    "without {guard}: {}: not {property:?} after {:?}",
                    scenario.name,
                    path.into_actions()
                );
            }
        }
    });
}
