//! Whether new tasks may begin, and that it is told when threads become scarce.
//!
//! The last threads (as many as cores) are for tasks that have begun, and for I/O: whoever holds what others wait for can then
//! go on and release it. While fewer are left no new task begins; nor while as many strays compute as there are cores (one
//! more is allowed after [`EXCEPTION`], another one after twice as long, and so on).

use crate::events::{AtCap, PoolEvent};
use crate::shared::Shared;
use log::Level;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often it is seen to whether strays that computed still do.
const RECOUNT: Duration = Duration::from_millis(5);
/// While as many strays compute as should, one more is allowed after so long, then after twice as long, and so on. One of those
/// that have to wait may be what the others wait for.
const EXCEPTION: Duration = Duration::from_millis(100);
const RARE: Duration = Duration::from_secs(30);

/// See the module. The monitor's.
#[derive(Default)]
pub(crate) struct Admission {
    /// As many strays compute as should: when one more is allowed, how long after the one before, and how many were so far.
    exception: Option<(Instant, Duration, usize)>,
    /// When it was last seen which strays still compute.
    recounted: Option<Instant>,
    /// The cap has been told of, and there has been no room since.
    told: bool,
}

impl Admission {
    /// So many strays may compute at the moment, in a pool of `cores`.
    pub(crate) fn most_computing(&self, cores: usize) -> usize {
        cores + self.exception.map_or(0, |(_, _, count)| count)
    }

    /// Do as many compute as should? Then an exception comes due some time.
    pub(crate) fn expects_exception(&self) -> bool {
        self.exception.is_some()
    }

    /// Holds new tasks, or lets them begin; true if that has changed. Tells of the cap when it is near, and once more when there
    /// has been room again.
    pub(crate) fn decide(&mut self, shared: &Shared, now: Instant) -> bool {
        let cores = shared.stealers.len();
        let reserve = cores.min((shared.settings.max_threads - cores) / 2);
        let room = shared.crew.room();
        let scarce = reserve > 0 && room <= reserve;
        if self.exception.is_some_and(|_| self.recounted.is_none_or(|at| now.duration_since(at) >= RECOUNT)) {
            self.recounted = Some(now);
            shared.crew.recount_computing();
        }
        let computing = shared.crew.computing();
        self.exception = match self.exception {
            _ if computing < cores => None,
            None => Some((now + EXCEPTION, EXCEPTION, 0)),
            Some((due, pause, count)) if due <= now => {
                let pause = (2 * pause).min(RARE);
                Some((now + pause, pause, count + 1))
            }
            waits => waits,
        };
        let hold = scarce || computing >= self.most_computing(cores);
        let changed = shared.hold_new.swap(hold, Ordering::Relaxed) != hold;
        if changed && !hold {
            // What they looked away from is theirs again.
            shared.wake_all();
        }
        if scarce {
            self.at_cap(shared);
        } else if room > reserve {
            self.told = false;
        }
        changed
    }

    /// A core should be handed over, or soon will have to be, and there is no thread for it.
    pub(crate) fn at_cap(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let is_first = shared.crew.counts.cap_hits.fetch_add(1, Ordering::Relaxed) == 0;
        let logs = is_first && Level::Error <= log::max_level();
        if !logs && !shared.settings.listener.is_there() {
            return;
        }
        let Some(theirs) = shared.arc() else { return };
        // Made by the notifier: what tasks wait for is described by code of the program's.
        shared.watchman.notifier.tell_made(move || {
            let at_cap = AtCap::of(&theirs);
            if logs {
                log::log!(Level::Error, "a pool has {}", at_cap.summary());
            }
            (theirs.settings.listener.clone(), PoolEvent::AtCap(at_cap))
        });
    }
}
