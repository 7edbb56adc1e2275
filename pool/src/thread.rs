//! The life of a worker thread: core by core or task by task, and what it waits for in between.

#![allow(unsafe_code)]

use crate::core::Core;
use crate::crew::{Gift, Member};
use crate::events::PoolEvent;
use crate::housekeeper::Housekeeper;
use crate::lease::Holder;
use crate::ready::Ready;
use crate::run;
use crate::seat::Seat;
use crate::shared::Shared;
use crate::worker::Worker;
use log::Level;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The body of a worker thread: it works while it holds a core (`core` at first, if that is one), and waits among the
/// spares for another one, or for a task to run without, after it has lost it.
pub(crate) fn work(shared: &Arc<Shared>, member: &Arc<Member>, holder: Holder<Core>, core: Option<Core>) {
    struct Gone<'a>(&'a Shared);
    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            self.0.life.worker_gone();
        }
    }
    let gone = Gone(shared);
    member.info.begin();
    // SAFETY: dropped at the end of this function, after the last task and handler. Those leave the signal stack as it was.
    let prepared = unsafe { ec_tasks::prepare_worker_thread(shared.clone()) };
    if let Err(error) = &prepared {
        let name = &member.info.name;
        let line = || format!("{name} has no signal stack, so it cannot name a task that overflows: {error}");
        log(shared, Level::Warn, line);
    }
    log(shared, Level::Debug, || format!("{} begins", member.info.name));
    let mut seat = Seat::new(shared.clone(), member.clone(), holder);
    let mut next = core.map(Gift::Core);
    while let Some(gift) = next.take().or_else(|| wait_for_gift(shared, member)) {
        match gift {
            Gift::Core(core) => {
                let index = core.index;
                seat.take(core);
                hold(&seat, index);
                match seat.leave() {
                    // The pool has been stopped.
                    Some(core) => core.drain().for_each(|ready| shared.injector.push_back(ready)),
                    None => shared.crew.stray_is_back(),
                }
            }
            Gift::Task(ready) => {
                run_astray(&seat, ready);
                shared.crew.stray_is_back();
            }
        }
    }
    log(shared, Level::Debug, || format!("{} leaves", member.info.name));
    drop(seat);
    drop(prepared);
    drop(gone);
}

/// Works with core `index`, until that is handed over or the pool stopped.
fn hold(seat: &Seat, index: usize) {
    let shared = &seat.shared;
    // The one before could not say so any more.
    shared.stats[index].busy.store(false, Ordering::Relaxed);
    let searching = Cell::new(false);
    seat.occupy(
        || {
            while !goes_well(seat, || Worker::new(seat, index, &searching).run()) && seat.has_core() {}
        },
    );
}

/// False: `f` has panicked. What runs in it catches its own panics; this is the last net, so that none costs a worker.
fn goes_well(seat: &Seat, f: impl FnOnce()) -> bool {
    let well = ec_tasks::catch_quietly(f).is_some();
    if !well {
        let line = || format!("a panic reached the loop of {}; it goes on", seat.member.info.name);
        log(&seat.shared, Level::Error, line);
    }
    well
}

/// By way of the notifier: a logger must not hold up the core.
fn log(shared: &Shared, level: Level, line: impl FnOnce() -> String) {
    shared.watchman.notifier.log(level, module_path!(), line);
}

/// Runs a task without a core; in a pool that has been stopped it stays with those that do not run again.
fn run_astray(seat: &Seat, ready: Ready) {
    if seat.shared.life.is_stopped() {
        seat.shared.injector.push_back(ready);
        return;
    }
    seat.occupy(|| {
        seat.go_out();
        goes_well(seat, || run::astray(seat, ready));
        seat.astray.set(None);
        seat.come_back();
    });
}

/// What the thread keeps for its next task goes back, and it waits for something to do. `None`: it is not needed any more, and has
/// left the crew.
fn wait_for_gift(shared: &Shared, member: &Arc<Member>) -> Option<Gift> {
    ec_tasks::worker_sleeps();
    Housekeeper::see_to_it(shared);
    member.info.computes.store(false, Ordering::Relaxed);
    if !shared.admits() {
        // Perhaps this one makes up for it.
        shared.watchman.call();
    }
    let end = Instant::now() + shared.settings.keep_alive.min(FOREVER);
    let gift = shared.crew.spares.wait(member, end);
    if gift.is_none() && !shared.life.is_stopped() {
        shared.crew.dismiss(member);
        let threads = shared.crew.threads();
        shared.crew.counts.shrunk.fetch_add(1, Ordering::Relaxed);
        shared.watchman.notifier.tell(&shared.settings.listener, || PoolEvent::Shrunk { threads });
    }
    gift
}

/// For a thread's life.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
