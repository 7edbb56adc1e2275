//! A shutdown that a task waits for: of its own pool or of another one.
//!
//! The task's own pool may end meanwhile. When the grace of that is over the task is *hurried*: its call returns before the task is
//! abandoned, with an error which says that the shutdown goes on. A task that does not get to its answer, because it was abandoned first,
//! is *gone*. Whoever has an error for one who is gone writes it into the log.

use crate::shutdown_error::ShutdownError;
use ec_tasks::lock::Mutex;
use ec_tasks::{Kind, Task, Tokens};

/// See the module.
pub(crate) struct Awaited {
    task: Task,
    state: Mutex<State>,
}

enum State {
    Waiting,
    Hurried,
    Answered(Result<(), ShutdownError>),
    /// The task has its answer, or never gets one.
    Gone,
}

impl Awaited {
    pub(crate) fn new(task: Task) -> Awaited {
        Awaited { task, state: Mutex::new(State::Waiting) }
    }

    /// By the task: suspends until there is an answer. `None`: it was hurried.
    pub(crate) fn wait(&self) -> Option<Result<(), ShutdownError>> {
        loop {
            let mut state = self.state.lock();
            if !matches!(*state, State::Waiting) {
                let answer = std::mem::replace(&mut *state, State::Gone);
                drop(state);
                return if let State::Answered(result) = answer { Some(result) } else { None };
            }
            drop(state);
            ec_tasks::suspend(Tokens::SYNC);
        }
    }

    /// The answer. Gives back the error if nobody hears it.
    pub(crate) fn answer(&self, result: Result<(), ShutdownError>) -> Result<(), ShutdownError> {
        let mut state = self.state.lock();
        if matches!(*state, State::Gone) {
            return result;
        }
        // (Nothing that has to be dropped was there.)
        let before = std::mem::replace(&mut *state, State::Answered(result));
        drop(state);
        drop(before);
        self.task.wake(Tokens::SYNC);
        Ok(())
    }

    /// The task's pool has no more time.
    pub(crate) fn hurry(&self) {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting) {
            *state = State::Hurried;
        }
        drop(state);
        self.task.wake(Tokens::SYNC);
    }

    /// The task's pool has stopped, and the task does not run any more. (A dedicated one does.) Gives the error that it has not read.
    pub(crate) fn leave(&self) -> Result<(), ShutdownError> {
        if self.task.kind() == Kind::Dedicated {
            return Ok(());
        }
        let left = std::mem::replace(&mut *self.state.lock(), State::Gone);
        if let State::Answered(result) = left { result } else { Ok(()) }
    }
}
