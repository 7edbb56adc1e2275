//! Without a pool: one thread that runs tasks from a queue, in the loops that are measured.

use crate::{Group, Rival};
use ec_tasks::{JoinHandle, Kind, Outcome, Runnable, Scheduler, SpawnOptions, TaskId};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// The kinds that a worker runs here.
fn kinds() -> impl Iterator<Item = (&'static str, Kind)> {
    let own = ec_tasks::own_thread_locals().is_ok();
    [("lean", Kind::Lean), ("own", Kind::Own)].into_iter().filter(move |(_, kind)| *kind == Kind::Lean || own)
}

/// A scheduler of one thread.
#[derive(Default)]
struct Queue(Mutex<VecDeque<Runnable>>);

// SAFETY: the loops below run what they take, on this thread; nothing waits, panics or calls others.
unsafe impl Scheduler for Queue {
    fn schedule(&self, task: Runnable) {
        self.0.lock().push_back(task);
    }
    fn task_finished(&self, _: TaskId) {}
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Queue {
    fn spawn(self: &Arc<Queue>, kind: Kind, f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        // SAFETY: the tasks stay on the measuring thread and keep nothing of its across a suspension;
        // they borrow nothing.
        unsafe { ec_tasks::spawn_unchecked(self.clone(), SpawnOptions::new().kind(kind), f) }.expect("a task")
    }

    fn take(&self) -> Runnable {
        self.0.lock().pop_front().expect("a ready task")
    }
}

/// A task that yields for ever. It is abandoned with the process.
fn yielder(kind: Kind) -> Runnable {
    let queue = Arc::new(Queue::default());
    drop(queue.spawn(kind, || {
        loop {
            ec_tasks::yield_now();
        }
    }));
    queue.take()
}

fn run(task: Runnable) -> Runnable {
    match task.run() {
        Outcome::Yielded(again) => again,
        _ => unreachable!("the task only yields"),
    }
}

/// In and out of one and the same task.
pub fn switch_hot() -> Group {
    let rivals = kinds().map(|(name, kind)| {
        let mut task = Some(yielder(kind));
        Rival::new(name, 100_000, move |operations| {
            let mut ready = task.take().expect("kept between the turns");
            let start = Instant::now();
            for _ in 0..operations {
                ready = run(ready);
            }
            let time = start.elapsed();
            task = Some(ready);
            time
        })
    });
    Group { title: "switch into a task and out, the same one", rivals: rivals.collect() }
}

/// In and out of 10,000 in turn: what they have touched is not in the first cache any more.
pub fn switch_cold() -> Group {
    const TASKS: u32 = 10_000;
    let rivals = kinds().map(|(name, kind)| {
        let mut tasks: VecDeque<Runnable> = (0..TASKS).map(|_| yielder(kind)).collect();
        Rival::new(name, TASKS, move |operations| {
            let start = Instant::now();
            for _ in 0..operations {
                let ready = tasks.pop_front().expect("none has ended");
                tasks.push_back(run(ready));
            }
            start.elapsed()
        })
    });
    Group { title: "switch into a task and out, 10,000 in turn", rivals: rivals.collect() }
}

/// From the spawn until the task has ended and was joined.
pub fn spawn_and_end() -> Group {
    let rivals = kinds().map(|(name, kind)| {
        let queue = Arc::new(Queue::default());
        Rival::new(name, 10_000, move |operations| {
            let start = Instant::now();
            for _ in 0..operations {
                let task = queue.spawn(kind, || ());
                assert!(matches!(queue.take().run(), Outcome::Finished));
                task.join().expect("it does not panic");
            }
            start.elapsed()
        })
    });
    Group { title: "spawn, run and join a task, without a pool", rivals: rivals.collect() }
}
