//! The life of a worker thread: core by core or task by task, and what it waits for in between.

#![allow(unsafe_code)]

use crate::core::Core;
use crate::core::lease::Holder;
use crate::core::ready::Ready;
use crate::size::events::PoolEvent;
use crate::size::threads::{Assignment, WorkerThread};
use crate::worker::Worker;
use crate::worker::context::Context;
use crate::worker::leftovers;
use crate::worker::run;
use crate::worker::shared::Shared;
use log::Level;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The body of a worker thread: it works while it holds a core (`core` at first, if that is one), and waits among the
/// spares for another one, or for a task to run without, after it has lost it.
pub(crate) fn work(
    shared: &Arc<Shared>,
    worker: &Arc<WorkerThread>,
    holder: Holder<Core>,
    core: Option<Core>,
) {
    struct Gone<'a>(&'a Shared);
    impl Drop for Gone<'_> {
        fn drop(&mut self) {
            self.0.life.worker_gone();
        }
    }
    let gone = Gone(shared);
    worker.info.begin();
    ec_channel::will_submit();
    // SAFETY: dropped at the end of this function, after the last task and handler. Those leave the signal stack as it was.
    let prepared = unsafe { ec_tasks::prepare_worker_thread(shared.clone()) };
    if let Err(error) = &prepared {
        let name = &worker.info.name;
        let line = || format!("{name} has no signal stack, so it cannot name a task that overflows: {error}");
        log(shared, Level::Warn, line);
    }
    log(shared, Level::Debug, || format!("{} begins", worker.info.name));
    let mut context = Context::new(shared.clone(), worker.clone(), holder);
    let mut next = core.map(Assignment::Core);
    while let Some(assignment) = next.take().or_else(|| wait_for_assignment(shared, worker)) {
        match assignment {
            Assignment::Core(core) => {
                let index = core.index;
                worker.info.in_run.forget();
                context.take(core);
                hold(&context, index);
                match context.leave() {
                    // The pool has been stopped.
                    Some(core) => core.drain().for_each(|ready| shared.queues.injector.push_back(ready)),
                    None => shared.size.threads.stray_is_back(),
                }
            }
            Assignment::Task(ready) => {
                run_without_core(&context, ready);
                shared.size.threads.stray_is_back();
            }
        }
    }
    // It may have put back what was in its queue.
    leftovers::let_go_if_late(shared);
    log(shared, Level::Debug, || format!("{} leaves", worker.info.name));
    drop(context);
    drop(prepared);
    drop(gone);
}

/// Works with core `index`, until that is handed over or the pool stopped.
fn hold(context: &Context, index: usize) {
    let shared = &context.shared;
    // The one before could not say so any more.
    shared.queues.stats[index].in_user_code.store(false, Ordering::Relaxed);
    let searching = Cell::new(false);
    context.enter(|| {
        while !goes_well(context, || Worker::new(context, index, &searching).run()) && context.has_core() {}
    });
}

/// False: `f` has panicked. What runs in it catches its own panics; this is the last net, so that none costs a worker.
fn goes_well(context: &Context, f: impl FnOnce()) -> bool {
    let well = ec_tasks::catch_quietly(f).is_some();
    if !well {
        let line = || format!("a panic reached the loop of {}; it goes on", context.worker.info.name);
        log(&context.shared, Level::Error, line);
    }
    well
}

/// By way of the notifier: a logger must not hold up the core.
fn log(shared: &Shared, level: Level, line: impl FnOnce() -> String) {
    shared.size.notifier.log(level, module_path!(), line);
}

/// Runs a task without a core; in a pool that has been stopped it stays with those that do not run again.
fn run_without_core(context: &Context, ready: Ready) {
    if context.shared.life.is_stopped() {
        context.shared.queues.injector.push_back(ready);
        return;
    }
    context.enter(|| {
        context.enter_user_code();
        goes_well(context, || run::without_core(context, ready));
        context.without_core.set(None);
        context.leave_user_code();
    });
}

/// What the thread keeps for its next task goes back, and it waits for something to do. `None`: it is not needed any more, and has
/// left the threads.
fn wait_for_assignment(shared: &Shared, worker: &Arc<WorkerThread>) -> Option<Assignment> {
    ec_tasks::worker_sleeps();
    shared.trimmer.see_to_it(&shared.idle, || shared.serving.wake_port(0));
    worker.info.computes.store(false, Ordering::Relaxed);
    if !shared.queues.admits() {
        // Perhaps this one makes up for it.
        shared.size.monitor.call();
    }
    let end = Instant::now() + shared.size.limits.keep_alive.min(FOREVER);
    let assignment = shared.size.threads.spares.wait(worker, end);
    if assignment.is_none() && !shared.life.is_stopped() {
        shared.size.threads.remove(worker);
        let threads = shared.size.threads.count();
        shared.size.threads.counts.shrunk.fetch_add(1, Ordering::Relaxed);
        shared.size.tell(|| PoolEvent::Shrunk { threads });
    }
    assignment
}

/// For a thread's life.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
