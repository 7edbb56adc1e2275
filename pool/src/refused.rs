//! Where the kernel refuses the barrier (`fence.rs`), as the monitor has it.
//!
//! From then on workers go out with a fence, and their cores are handed over as ever. One that went out before keeps its core until it
//! comes back. No thread is called or started for such a core. As long as another one is in work, its worker runs
//! what is queued; if all are kept so, spare threads do, without a core: their workers may be blocked for what a task would do that is
//! ready.

use crate::crew::Member;
use crate::events::PoolEvent;
use crate::fence;
use crate::shared::Shared;
use log::Level;
use std::sync::atomic::{AtomicBool, Ordering};

/// Tells the listener of this pool, once, if the kernel has refused; whoever found out.
pub(crate) fn tell(shared: &Shared) {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    let Some(error) = fence::refusal() else { return };
    if shared.watchman.told_of_barrier.swap(true, Ordering::Relaxed) {
        return;
    }
    let notifier = &shared.watchman.notifier;
    notifier.tell(&shared.settings.listener, || PoolEvent::BarrierRefused { error: error.to_string() });
    if !LOGGED.swap(true, Ordering::Relaxed) {
        let line = || {
            format!("the kernel refuses membarrier ({error}): workers order their memory accesses themselves")
        };
        notifier.log(Level::Warn, module_path!(), line);
    }
}

/// Does this worker keep its core until it comes back?
pub(crate) fn keeps(holder: &Member) -> bool {
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
pub(crate) fn lend(shared: &Shared) -> Lent {
    let mut lent = Lent::default();
    while shared.work_is_visible() {
        let Some(called) = shared.crew.spares.call() else { return Lent { more: true, ..lent } };
        let Some(ready) = shared.take_any() else { break };
        shared.crew.lend(called, ready);
        lent.any = true;
    }
    lent
}
