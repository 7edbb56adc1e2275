//! The dump: what tasks say of themselves, and what the kernel says of the threads that run them.

use crate::dump::Dump;
use crate::size::host::Host;
use crate::size::kernel;
use crate::size::threads::{NO_RUN, WorkerThread};
use ec_tasks::{TaskState, ThreadInfo, coarse};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// Since when a worker has been in one run, as far as somebody has noted it. No run notes its own beginning: the monitor does at its
/// looks. Who hands a core over does, too, and a run that begins without a core, which is slow anyway.
pub(crate) struct InRun {
    /// Of the core that the worker has, or had when it lost it.
    run: AtomicU64,
    /// On the coarse clock.
    since: AtomicU64,
}

impl InRun {
    pub(crate) fn new() -> InRun {
        InRun { run: AtomicU64::new(NO_RUN), since: AtomicU64::new(0) }
    }

    /// It is in `run`, and was not in it before `since`, as far as the caller knows. There is one caller at a time, but two that follow
    /// each other closely may leave a wrong time for this run.
    pub(crate) fn note(&self, run: u64, since: u64) {
        self.run.store(NO_RUN, Ordering::Relaxed);
        fence(Ordering::Release);
        self.since.store(since, Ordering::Relaxed);
        self.run.store(run, Ordering::Release);
    }

    /// Nothing is known.
    pub(crate) fn forget(&self) {
        self.run.store(NO_RUN, Ordering::Release);
    }

    /// Has `run` been noted?
    pub(crate) fn is(&self, run: u64) -> bool {
        self.run.load(Ordering::Relaxed) == run
    }

    /// The run, and for how long it has lasted.
    fn read(&self) -> Option<(u64, Duration)> {
        let run = self.run.load(Ordering::Acquire);
        let since = self.since.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        (run != NO_RUN && self.run.load(Ordering::Relaxed) == run).then(|| (run, coarse::since(since)))
    }
}

/// Every live task of the pool. Empty in a forked child.
pub(crate) fn dump(host: &impl Host) -> Dump {
    let mut dump = Dump { tasks: ec_tasks::tasks_of(host) };
    if !dump.tasks.iter().any(|task| task.state == TaskState::Running) {
        return dump;
    }
    let cores = cores_of(host);
    let is_inside = |worker: &WorkerThread| match cores.get(&worker.info.number) {
        // (Also in the moments in which the task has called the pool.)
        Some(&core) => host.queues().stats[core].in_user_code.load(Ordering::Relaxed),
        None => worker.info.taker.is_in_user_code(),
    };
    let inside = host.threads().all().into_iter().filter(|worker| is_inside(worker));
    let inside: HashMap<u64, Arc<WorkerThread>> =
        inside.map(|worker| (worker.info.task.load(Ordering::Relaxed), worker)).collect();
    for task in dump.tasks.iter_mut().filter(|task| task.state == TaskState::Running) {
        if let Some(own) = &mut task.thread {
            own.doing = kernel::doing(own.id);
            continue;
        }
        let id = task.id.as_u64();
        let Some(worker) = inside.get(&id) else { continue };
        let info = &worker.info;
        let mut thread = ThreadInfo::new(info.tid(), Some(info.name.clone()));
        thread.doing = kernel::doing(thread.id);
        let lasted = lasted(host, worker, cores.get(&info.number));
        // Was it this task's all the time?
        if info.task.load(Ordering::Relaxed) == id && is_inside(worker) {
            (task.thread, task.since) = (Some(thread), lasted);
        }
    }
    dump
}

/// Whether worker `number` holds a core, at this moment.
pub(crate) fn has_core(host: &impl Host, number: usize) -> bool {
    let holds = |core| host.threads().worker_of(core).is_some_and(|worker| worker.info.number == number);
    (0..host.queues().cores()).any(holds)
}

/// Which core each worker holds, by the worker's number.
fn cores_of(host: &impl Host) -> HashMap<usize, usize> {
    let holder = |core| host.threads().worker_of(core).map(|worker| (worker.info.number, core));
    (0..host.queues().cores()).filter_map(holder).collect()
}

/// For how long the worker, which is inside user code, has been in one run.
fn lasted(host: &impl Host, worker: &WorkerThread, core: Option<&usize>) -> Option<Duration> {
    let noted = worker.info.in_run.read();
    let Some(&core) = core else {
        // It is in the run in which it lost its core, or began without one.
        return noted.map(|(_, lasted)| lasted);
    };
    let run = host.queues().stats[core].runs.load(Ordering::Relaxed);
    // One that no look has met has just begun.
    Some(noted.filter(|noted| noted.0 == run).map_or(Duration::ZERO, |(_, lasted)| lasted))
}
