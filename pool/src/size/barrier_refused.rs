//! What the monitor does where the kernel refuses the barrier (`sync/fence.rs`).
//!
//! From then on workers enter user code with a fence, and their cores are handed over as ever. A worker that has entered before keeps its
//! core until it comes back. No thread is called or started for such a core. As long as there is another core in work, its worker runs
//! what is queued. If all cores are kept so, spare threads run it, without a core: the workers may be blocked for something that a ready
//! task would do.

use crate::size::events::PoolEvent;
use crate::size::host::Host;
use crate::size::threads::WorkerThread;
use crate::sync::fence;
use log::Level;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the listener of this pool, once, if the kernel has refused; whoever found out.
pub(crate) fn tell(host: &impl Host) {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    let Some(error) = fence::refusal() else { return };
    if host.told_of_barrier().swap(true, Ordering::Relaxed) {
        return;
    }
    host.tell(|| PoolEvent::BarrierRefused { error: error.to_string() });
    if !LOGGED.swap(true, Ordering::Relaxed) {
        let line = || {
            format!("the kernel refuses membarrier ({error}): workers order their memory accesses themselves")
        };
        host.notifier().log(Level::Warn, module_path!(), line);
    }
}

/// Does this worker keep its core until it comes back?
pub(crate) fn keeps(holder: &WorkerThread) -> bool {
    fence::refusal().is_some() && holder.info.taker.needs_barrier()
}

/// What came of lending.
#[derive(Default)]
pub(crate) struct Lent {
    /// Something was lent.
    pub(crate) any: bool,
    /// There is more than there are spare threads.
    pub(crate) more: bool,
}

/// Has spare threads run all that may run, without a core.
pub(crate) fn lend(host: &impl Host) -> Lent {
    let (queues, threads) = (host.queues(), host.threads());
    let mut lent = Lent::default();
    while queues.work_is_visible() {
        let Some(called) = threads.spares.call() else { return Lent { more: true, ..lent } };
        let Some(ready) = queues.take_any() else { break };
        threads.lend(called, ready);
        lent.any = true;
    }
    lent
}
