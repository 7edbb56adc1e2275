//! One run of what is ready, on a thread that holds a core or does not.
//!
//! A task that has blocked its thread in one run is noted. Its next run begins on a spare thread, without a core. So a task that blocks
//! time and again costs a core only the first time, until the monitor has found out. If it did not block in that run, it is a task like
//! the others again.

#![allow(unsafe_code)]

use crate::core::ready::{Ready, What};
use crate::size::kernel;
use crate::worker::context::{Beginning, Context};
use ec_tasks::{Outcome, coarse};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Who has slept in the kernel, and was away for so long, has blocked its thread. (Shorter than that it is cheaper to wait
/// for it than to go to another thread.)
const WORTH_IT: Duration = Duration::from_micros(50);

/// Runs it on the thread of `context`, which is inside user code, until it suspends or ends. Gives it back if it has yielded.
#[inline(always)]
pub(crate) fn run(context: &Context, ready: Ready) -> Option<Ready> {
    let info = &context.worker.info;
    let again = match ready.into_kind() {
        What::Task(runnable) => {
            let id = runnable.task().id();
            info.task.store(id.as_u64(), Ordering::Relaxed);
            if let Some(forced) = &context.shared.forced {
                forced.runs(id, info.number);
            }
            // SAFETY: whoever asks for the context is in `context.rs`, and this is what it takes it for.
            match unsafe { runnable.run_noting(context.as_context(), context.recalled()) } {
                Outcome::Yielded(again) => Some(Ready::task(again)),
                Outcome::Suspended | Outcome::Finished => None,
            }
        }
        What::Call(call) => {
            info.task.store(0, Ordering::Relaxed);
            ec_tasks::keeping_float_control(|| call.run());
            None
        }
    };
    if ec_tasks::forked() {
        // The user's code has forked, and returned here in the child.
        ec_tasks::end_child();
    }
    again
}

/// A run that begins without a core, on a thread that is inside user code. One that blocks once more and yields then is
/// followed by another one, since a core's worker would only lend it again.
pub(crate) fn without_core(context: &Context, ready: Ready) {
    let shared = &context.shared;
    let mut next = ready;
    loop {
        context.without_core.set(Some(Beginning {
            at: Instant::now(),
            cpu: kernel::cpu_time(),
            sleeps: kernel::sleeps(),
        }));
        // (There is no run of a core's that this could be taken for.)
        context.worker.info.in_run.note(0, coarse::now());
        let Some(again) = run(context, next) else { return };
        // (While threads are scarce, those that have waited have their turn.)
        let others_wait = !shared.queues.admits() || !shared.queues.lets_blockers_go_on();
        if !again.has_blocked() || others_wait || shared.life.is_stopped() {
            return shared.make_ready(again);
        }
        next = again;
    }
}

/// At the end of a run, on its thread: has the task blocked it?
pub(crate) fn has_blocked(context: &Context) -> bool {
    match context.without_core.get() {
        Some(began) => {
            let computed = kernel::cpu_time().saturating_sub(began.cpu);
            // (Who computes for longer needs a core like all others, and is one of those that the monitor counts.)
            began.at.elapsed() >= WORTH_IT.max(2 * computed) && kernel::sleeps() > began.sleeps
        }
        None => !context.has_core() && !context.worker.info.computes.load(Ordering::Relaxed),
    }
}
