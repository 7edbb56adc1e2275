//! A hint for those who know that they are about to block their thread.

use crate::size::events::{Listener, PoolEvent};
use crate::size::threads::{HandedOver, NO_RUN};
use crate::worker::context::{self, Context};
use ec_tasks::coarse;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Calls `f`, which is about to block its thread. The core that the caller holds is handed over before, and not when the
/// pool's monitor has found out; that is all the difference. `f` runs where it is called; afterwards the caller goes on
/// without a core until it suspends.
///
/// Outside of a pool's tasks and handlers it just calls `f`.
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            // (If the task has suspended meanwhile, the mark was of a run that is over, wherever this is now.)
            context::here(|context| {
                if let Some(context) = context {
                    context.worker.info.blocks_in.store(NO_RUN, Ordering::Relaxed);
                }
            });
        }
    }
    let _over = match context::here(|context| context.map_or(Answer::Nothing, hand_over)) {
        Answer::Nothing => None,
        Answer::Asked => Some(Over),
        Answer::HandedOver(done, listener) => {
            let core = done.core;
            // (Not in `here`: a listener might suspend.)
            listener.tell(|| PoolEvent::HandedOver { core, stall: Duration::ZERO, computing: false });
            None
        }
    };
    f()
}

enum Answer {
    /// There is nothing to hand over.
    Nothing,
    /// There is no spare thread, and the monitor was asked to see to it.
    Asked,
    HandedOver(HandedOver, Listener),
}

fn hand_over(context: &Context) -> Answer {
    let shared = &*context.shared;
    if !context.is_in_user_code() {
        // A logger, say, on a worker that goes on with its core.
        return Answer::Nothing;
    }
    let run = context.with_core(|core| shared.queues.stats[core.index].runs.load(Ordering::Relaxed));
    let Some(run) = run else { return Answer::Nothing };
    let Some(called) = shared.size.threads.spares.call() else {
        context.worker.info.blocks_in.store(run, Ordering::Relaxed);
        shared.size.monitor.call();
        return Answer::Asked;
    };
    let in_run = &context.worker.info.in_run;
    if !in_run.is(run) {
        // The monitor has not met this run, and will not.
        in_run.note(run, coarse::now());
    }
    let done = shared.size.threads.hand_over(|| context.give_away(), called, Duration::ZERO);
    done.map_or(Answer::Nothing, |done| Answer::HandedOver(done, shared.size.limits.listener.clone()))
}
