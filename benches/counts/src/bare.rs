//! Without a pool: one thread that runs tasks from a queue.

use crate::count;
use ec_tasks::{JoinHandle, Kind, Outcome, Runnable, Scheduler, SpawnOptions, TaskId};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

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
        // SAFETY: the tasks stay on this thread and keep nothing of its across a suspension; they borrow nothing.
        unsafe { ec_tasks::spawn_unchecked(self.clone(), SpawnOptions::new().kind(kind), f) }.expect("a task")
    }

    fn take(&self) -> Runnable {
        self.0.lock().pop_front().expect("a ready task")
    }
}

/// Into a task and out of it again, which yields. It is abandoned with the process.
pub fn switch(kind: Kind) {
    let queue = Arc::new(Queue::default());
    drop(queue.spawn(kind, || {
        loop {
            ec_tasks::yield_now();
        }
    }));
    let mut task = Some(queue.take());
    count(10_000, |operations| {
        for _ in 0..operations {
            task = match task.take().expect("put back each time").run() {
                Outcome::Yielded(again) => Some(again),
                _ => unreachable!("the task only yields"),
            };
        }
    });
}

/// From the spawn until the task has ended and was joined.
pub fn spawn(kind: Kind) {
    let queue = Arc::new(Queue::default());
    count(2_000, |operations| {
        for _ in 0..operations {
            let task = queue.spawn(kind, || ());
            assert!(matches!(queue.take().run(), Outcome::Finished));
            task.join().expect("it does not panic");
        }
    });
}
