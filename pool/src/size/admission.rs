//! Whether new tasks may begin. And who is told when threads become scarce.
//!
//! The last threads (as many as cores, or half of what the cap leaves beyond them if that is less) are for tasks that have begun, and for I/O. Who holds what others wait for can then go on and
//! release it. While no more are left, no new task begins. Nor does one begin while as many strays compute as there are cores. (One more is
//! allowed after [`EXCEPTION`], another one after twice as long, and so on.)
//!
//! **Turns.** Tasks that have begun may block time and again and take the threads from one another, so that room never comes. When new
//! tasks have waited for [`TURN`] because threads are scarce, they have a turn of as much: tasks that have blocked their threads in their last
//! run do not go on until it is over, or no new task waits any more. If there was no room even so, because each is blocked for longer,
//! the next turns of both take twice as long, and so on. What is held may be what the others wait for: so it never is for good.

use crate::size::events::{AtCap, Blocked, PoolEvent};
use crate::size::host::Host;
use crate::size::notifier::Made;
use crate::size::{kernel, running};
use ec_tasks::Doing;
use log::Level;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How often it is seen to whether strays that computed still do.
const RECOUNT: Duration = Duration::from_millis(5);
/// While as many strays compute as should, one more is allowed after so long, then after twice as long, and so on. One of those
/// that have to wait may be what the others wait for.
const EXCEPTION: Duration = Duration::from_millis(100);
const RARE: Duration = Duration::from_secs(30);
/// So long a turn is, of those that have begun and of those that have not; twice as long if it was of no use, and so on, up to [`RARE`].
const TURN: Duration = Duration::from_millis(100);
/// Between two lines on standard error. (A pool that meets its cap, has room, and meets it again, would fill a disk.)
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// Whose turn it is, while threads are scarce and new tasks wait.
#[derive(Clone, Copy)]
struct Turn {
    of_new: bool,
    until: Instant,
    lasts: Duration,
    /// New tasks were admitted in it.
    was_of_use: bool,
}

impl Turn {
    fn first(now: Instant) -> Turn {
        Turn { of_new: false, until: now + TURN, lasts: TURN, was_of_use: false }
    }

    fn next(self, now: Instant) -> Turn {
        let lasts = match (self.of_new, self.was_of_use) {
            (false, _) => self.lasts,
            (true, true) => TURN,
            (true, false) => (2 * self.lasts).min(RARE),
        };
        Turn { of_new: !self.of_new, until: now + lasts, lasts, was_of_use: false }
    }
}

/// See the module. The monitor's.
#[derive(Default)]
pub(crate) struct Admission {
    /// As many strays compute as should: when one more is allowed, how long after the one before, and how many were so far.
    exception: Option<(Instant, Duration, usize)>,
    turn: Option<Turn>,
    /// When it was last seen which strays still compute.
    recounted: Option<Instant>,
    /// The cap has been told of, and there has been no room since.
    told: bool,
    /// When standard error was written to last.
    written: Option<Instant>,
}

impl Admission {
    /// So many strays may compute at the moment, in a pool of `cores`.
    pub(crate) fn most_computing(&self, cores: usize) -> usize {
        cores + self.exception.map_or(0, |(_, _, count)| count)
    }

    /// Does something come due, even if all sleep: an exception, or the end of a turn?
    pub(crate) fn has_due(&self) -> bool {
        self.exception.is_some() || self.is_turn_of_new()
    }

    fn is_turn_of_new(&self) -> bool {
        self.turn.is_some_and(|turn| turn.of_new)
    }

    /// Whose turn it is from now on; true if that has changed.
    fn take_turns(&mut self, host: &impl Host, scarce: bool, now: Instant) -> bool {
        let before = self.is_turn_of_new();
        self.turn = match self.turn {
            None if !scarce => None,
            _ if !host.queues().new_tasks_wait() => None,
            None => Some(Turn::first(now)),
            Some(turn) if turn.until <= now && !turn.of_new && !scarce => None,
            Some(turn) if turn.until <= now => Some(turn.next(now)),
            Some(turn) => Some(Turn { was_of_use: turn.was_of_use || !scarce, ..turn }),
        };
        let of_new = self.is_turn_of_new();
        if before != of_new {
            host.queues().hold_blockers(of_new);
        }
        before != of_new
    }

    /// Holds new tasks, or lets them begin; true if that has changed. Tells of the cap when it is near, and once more when there
    /// has been room again.
    pub(crate) fn decide(&mut self, host: &impl Host, now: Instant) -> bool {
        let (cores, threads) = (host.queues().cores(), host.threads());
        let (reserve, room) = (reserve(host), threads.room());
        let scarce = reserve > 0 && room <= reserve;
        if self.exception.is_some_and(|_| self.recounted.is_none_or(|at| now.duration_since(at) >= RECOUNT)) {
            self.recounted = Some(now);
            threads.recount_computing();
        }
        let computing = threads.computing();
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
        let changed = host.queues().hold_new_tasks(hold);
        let turned = self.take_turns(host, scarce, now);
        if changed && !hold || turned {
            // What they looked away from is theirs again.
            host.wake_all();
        }
        if scarce {
            self.at_cap(host);
        } else if room > reserve {
            self.told = false;
        }
        changed || turned
    }

    /// A core should be handed over, or soon will have to be, and there is no thread for it.
    pub(crate) fn at_cap(&mut self, host: &impl Host) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let is_first = host.threads().counts.cap_hits.fetch_add(1, Ordering::Relaxed) == 0;
        let has_logger = Level::Error <= log::STATIC_MAX_LEVEL.min(log::max_level());
        let has_listener = host.limits().listener.is_there();
        let (logs, writes) = (has_logger && is_first, !has_logger && !has_listener && self.may_write());
        if !logs && !writes && !has_listener {
            return;
        }
        let Some(theirs) = host.counted() else { return };
        // Made by the notifier: what tasks wait for is described by code of the program's.
        host.notifier().tell_made(move || {
            let at_cap = at_cap(&*theirs);
            let is_over = theirs.threads().room() > reserve(&*theirs);
            if logs {
                // (In any case: the log is read later anyway.)
                log::log!(Level::Error, "a pool has {}", at_cap.summary());
            }
            if is_over {
                return None;
            }
            let line = writes.then(|| at_cap.line());
            Some(Made { line, listener: theirs.limits().listener.clone(), event: PoolEvent::AtCap(at_cap) })
        });
    }

    /// Nobody else hears of the cap: may standard error be written to again?
    fn may_write(&mut self) -> bool {
        let now = Instant::now();
        let may = self.written.is_none_or(|at| now.duration_since(at) >= WRITE_EVERY);
        if may {
            self.written = Some(now);
        }
        may
    }
}

/// So many threads are left to tasks that have begun.
fn reserve(host: &impl Host) -> usize {
    let cores = host.queues().cores();
    cores.min((host.limits().max_threads - cores) / 2)
}

/// Who blocks which thread, at this moment. (Who computes on a core has only what is his.)
fn at_cap(host: &impl Host) -> AtCap {
    let (dump, threads) = (running::dump(host), host.threads());
    let inside = threads.all().into_iter().filter(|worker| worker.info.taker.is_in_user_code());
    let blocked = inside.filter_map(|worker| {
        let doing = kernel::doing(worker.info.tid());
        // (Asked anew for each: cores change hands meanwhile.)
        if doing == Doing::Computing && running::has_core(host, worker.info.number) {
            return None;
        }
        let id = worker.info.task.load(Ordering::Relaxed);
        Some(Blocked {
            thread: worker.info.name.clone(),
            // (They are in the order of their ids.)
            task: dump
                .tasks
                .binary_search_by_key(&id, |task| task.id.as_u64())
                .ok()
                .map(|at| dump.tasks[at].clone()),
            call: kernel::call(doing),
        })
    });
    AtCap {
        threads: threads.count(),
        max_threads: host.limits().max_threads,
        blocked: blocked.collect(),
        dump,
    }
}
