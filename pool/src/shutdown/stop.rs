//! The last steps of a shutdown: channel, stop. Each waits for its own, and for nobody without a limit.

use super::{log, naming};
use crate::core::forced::Forced;
use crate::grace;
use crate::joining::{Leaving, is_gone};
use crate::size::threads::WorkerThread;
use crate::wait::sleeper;
use crate::worker::leftovers::Leftovers;
use crate::worker::shared::Shared;
use ec_tasks::lock::Mutex;
use ec_tasks::{Kind, TaskId, Tokens};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Steps 3 and 4. Returns who did not return from the program's code, but for the tasks in `named`.
pub(super) fn stop(shared: &Arc<Shared>, deadline: Option<Instant>, named: &[TaskId]) -> Vec<String> {
    shared.channel.shutdown();
    // Nobody in particular tells of the end of this.
    grace::wait_until(deadline, || is_drained(shared));
    log(shared, || String::from("the channel of a pool has been shut down; its workers are to leave"));
    shared.life.stop();
    tell_tasks(shared);
    // The monitor first: it would start more threads.
    let mut monitor = shared.size.monitor.leaves();
    let mut monitor_has_left = || is_gone(&mut monitor);
    grace::wait_until(deadline, &mut monitor_has_left);
    shared.size.threads.spares.close();
    shared.wake_all();
    let mut workers = Workers::default();
    grace::wait_until(deadline, || {
        let no_more_come = monitor_has_left();
        // (In any case: who has not left is found here.)
        workers.have_left(shared) && no_more_come
    });
    let mut behind = workers.left_behind(named);
    if !monitor_has_left() {
        behind.push(String::from("the monitor"));
    }
    let leftovers = Leftovers::take(shared);
    tell_groups(shared, &leftovers);
    if !ec_tasks::live_tasks_of(&**shared).is_empty() {
        sleeper::look_again();
    }
    let uncalled = uncalled(shared).max(leftovers.calls.len());
    if uncalled > 0 {
        behind.push(format!("{uncalled} handlers of events, which were not called"));
    }
    log(shared, || match &behind[..] {
        [] => String::from("a pool has ended"),
        behind => format!("a pool has ended, but for {}", behind.join(", ")),
    });
    // After all those who have something to say.
    let mut notifier = shared.size.notifier.close();
    let mut last = if leftovers.is_empty() { None } else { on_a_thread(leftovers) };
    grace::wait_until(deadline, || is_gone(&mut last) && is_gone(&mut notifier));
    if !is_gone(&mut last) {
        behind.push(String::from("a destructor of what an event or a task that never began holds"));
    }
    if !is_gone(&mut notifier) {
        behind.push(String::from(shared.size.notifier.kept_by()));
    }
    behind
}

/// How many handlers are due and are not being called: their events are in a queue, or still in a port that nobody has driven since.
fn uncalled(shared: &Shared) -> usize {
    let inside = shared.size.threads.all();
    let calling = inside.iter().filter(|worker| {
        worker.info.taker.is_in_user_code() && worker.info.task.load(Ordering::Relaxed) == 0
    });
    (shared.channel.metrics().handlers_due as usize).saturating_sub(calling.count())
}

/// Nothing in flight, no handler due, nothing queued that an event waits for.
fn is_drained(shared: &Shared) -> bool {
    let channel = shared.channel.metrics();
    channel.in_flight == 0
        && channel.handlers_due == 0
        && !shared.queues.work_is_visible()
        && shared.forced.as_ref().is_none_or(Forced::is_empty)
        && shared.size.threads.inside() == 0
}

/// The pool has stopped: whoever waits for one of its tasks, and the tasks that go on by themselves, are to know.
fn tell_tasks(shared: &Shared) {
    // What waits for tasks of this pool in any channel waits for others from now on.
    ec_channel::tasks_were_left();
    for awaited in shared.life.awaited() {
        super::say_aside(Some(shared), super::UNHEARD, awaited.leave());
    }
    for task in ec_tasks::live_tasks_of_kind(shared, Kind::Dedicated) {
        // Nobody drives a port for it any more.
        task.wake(Tokens::SYNC);
    }
}

/// Whoever waits for a group in which there are tasks that never go on is to know. (Dedicated ones do; those that never begin are refused.)
fn tell_groups(shared: &Shared, leftovers: &Leftovers) {
    let refused = leftovers.tasks();
    for task in ec_tasks::live_tasks_of(shared) {
        if task.kind() != Kind::Dedicated && !refused.contains(&task.id()) {
            task.tell_abandoned();
        }
    }
}

/// Without a thread of their own they are not dropped at all: that is code of the program's, which may block.
fn on_a_thread(leftovers: Leftovers) -> Option<Leaving> {
    let place = Arc::new(Mutex::new(Some(leftovers)));
    let body = {
        let place = place.clone();
        move || {
            let leftovers = place.lock().take();
            leftovers.into_iter().for_each(Leftovers::let_go);
        }
    };
    let started = Leaving::start(body);
    if started.is_err() {
        let leftovers = place.lock().take();
        leftovers.into_iter().for_each(Leftovers::leak);
    }
    started.ok()
}

/// The workers that are to leave. They are joined, so that their threads are gone afterwards.
#[derive(Default)]
struct Workers(Vec<(Arc<WorkerThread>, Leaving)>);

impl Workers {
    fn have_left(&mut self, shared: &Shared) -> bool {
        let all = shared.life.running_workers() == 0;
        // (After that look: one that was just being started has its handle now.)
        let new = shared.size.threads.handles().into_iter();
        self.0.extend(new.map(|(worker, thread)| (worker, Leaving::new(thread))));
        self.0.retain_mut(|(_, thread)| !thread.is_gone());
        all && self.0.is_empty()
    }

    fn left_behind(&self, named: &[TaskId]) -> Vec<String> {
        let name = |(worker, thread): &(Arc<WorkerThread>, Leaving)| {
            if thread.has_returned() {
                Some(format!("a destructor of a thread-local on {}", worker.info.name))
            } else {
                naming::worker(&worker.info, named)
            }
        };
        self.0.iter().filter_map(name).collect()
    }
}
