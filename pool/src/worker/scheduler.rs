//! How a task that becomes ready finds a run queue, and what is counted of it.

#![allow(unsafe_code)]

use crate::core::forced::Forced;
use crate::core::ready::{Ready, What};
use crate::lifecycle::Count;
use crate::worker::context::{self, Context};
use crate::worker::run;
use crate::worker::shared::Shared;
use ec_channel::Completion;
use ec_tasks::{Runnable, Scheduler, TaskId};
use log::Level;
use std::any::Any;
use std::sync::Arc;

impl Shared {
    /// Counts a task where the caller is: on its core, which it keeps for so long, or elsewhere.
    fn count(&self, count: Count) {
        let on_core = |context: &Context| context.with_core(|core| self.life.count(core.index, count));
        let counted =
            context::here(|context| context.filter(|context| context.is_of(self)).and_then(on_core));
        counted.unwrap_or_else(|| self.life.count(self.life.elsewhere(), count));
    }

    /// Counts a task that is about to be spawned; false if none may be any more. Then follows either `task_started` or
    /// `task_turned_away`.
    pub(crate) fn admit_task(&self) -> bool {
        self.count(Count::Spawned);
        if self.life.is_open() {
            return true;
        }
        self.task_turned_away();
        false
    }

    /// The task counted last was not spawned after all.
    pub(crate) fn task_turned_away(&self) {
        self.count(Count::TurnedAway);
        self.life.tell_if_closing();
    }

    /// The task counted last can be found, and run.
    pub(crate) fn task_started(&self) {
        self.count(Count::Started);
        self.life.tell_if_closing();
    }

    /// Queues `ready` where the caller is: on its worker's core if it has one of this pool, else in
    /// the injector; and wakes a sleeper for it if nobody is looking for work.
    pub(crate) fn make_ready(&self, mut ready: Ready) {
        if let Some(forced) = &self.forced {
            match self.make_leave(forced, ready) {
                Some(other) => ready = other,
                None => return,
            }
        }
        let notify = context::here(|context| match context.filter(|context| context.is_of(self)) {
            Some(context) => {
                if let Err(ready) = context.push(ready) {
                    self.queues.injector.push_back(ready);
                    return true;
                }
                if context.asleep.get() {
                    // Pushed under the pass that sleeps: the worker is not to sleep over it.
                    context.with_core(|core| self.serving.wake_port(core.index));
                    return false;
                }
                // (The only worker is here, and comes to it.)
                !context.is_publishing() && self.queues.stealers.len() > 1
            }
            None => {
                self.queues.injector.push_back(ready);
                true
            }
        });
        if notify {
            self.notify();
        }
    }

    /// What a pass of a port has completed goes to a run queue; but for what somebody waits for who may have all the workers himself.
    pub(crate) fn deliver(&self, completion: Completion) {
        // A raw operation's wake function is its owner's code.
        let delivered = ec_tasks::catch_quietly(|| match completion {
            Completion::Raw(operation) => operation.deliver(),
            Completion::Call(call) if call.is_at_once() => call.run(),
            Completion::Call(call) => self.make_ready(Ready::call(call)),
        });
        if delivered.is_none() {
            let line = || String::from("the wake function of an operation panicked");
            self.size.notifier.log(Level::Error, module_path!(), line);
        }
    }

    /// Migration is forced: a task that has run before waits for another worker. Gives back all else.
    #[cold]
    fn make_leave(&self, forced: &Forced, ready: Ready) -> Option<Ready> {
        if ec_tasks::forked() {
            return Some(ready);
        }
        match ready.into_kind() {
            What::Task(runnable) => match forced.push(runnable) {
                Ok(()) => {
                    self.wake_all();
                    None
                }
                Err(new) => Some(Ready::task(new)),
            },
            What::Call(call) => Some(Ready::call(call)),
        }
    }
}

// SAFETY: its workers run what is queued until the pool is stopped, and keep it then; what is called here is the pool's own.
unsafe impl Scheduler for Shared {
    fn schedule(&self, runnable: Runnable) {
        self.make_ready(Ready::task(runnable));
    }

    fn task_finished(&self, id: TaskId) {
        if let Some(forced) = &self.forced {
            forced.forget(id);
        }
        if self.life.is_open() {
            // No insider: that one would have closed the pool.
            self.count(Count::Finished);
            self.life.tell_if_closing();
        } else {
            self.life.task_finished(id);
        }
    }

    fn note(&self) -> bool {
        context::here(|context| context.is_some_and(run::has_blocked))
    }

    fn let_go(self: Arc<Self>) {
        self.go_elsewhere();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
