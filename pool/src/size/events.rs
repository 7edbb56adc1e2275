//! What a pool tells whoever wants to know: how many threads it has, and that it may have no more.

use crate::dump::Dump;
use crate::quietly;
use ec_tasks::TaskInfo;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Something that happened to the threads of a pool. See [`Builder::on_event`](crate::Builder::on_event).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum PoolEvent {
    /// A thread more: so many there are now.
    Grown {
        /// Worker threads.
        threads: usize,
    },
    /// A thread that nobody needed any more has left: so many there are now.
    Shrunk {
        /// Worker threads.
        threads: usize,
    },
    /// A core has changed hands, because a task blocked its thread or computed for too long.
    HandedOver {
        /// Which core.
        core: usize,
        /// For how long it was held up.
        stall: Duration,
        /// Whether the task computed; else it slept in the kernel, or said that it would.
        computing: bool,
    },
    /// So many tasks block their threads that new ones have to wait ([`max_threads`](crate::Builder::max_threads)), or a core is held
    /// up and there may be no more threads. Told once, until there is room again; not any more if there is
    /// room by the time that the listener can be called. The log has it, too, the first time, as
    /// an error. Where nobody listens and nobody logs errors, a line on stderr says it, at most every 10 s.
    AtCap(AtCap),
    /// The kernel refuses the barrier (`membarrier`) by which a core is taken from a worker that is inside user code; a sandbox may
    /// do that, at any time. The pool goes on with fences, which cost each switch of tasks some nanoseconds. A worker that was
    /// inside user code at that moment keeps its core until its task suspends or calls the runtime. Told once.
    BarrierRefused {
        /// What it said.
        error: String,
    },
    /// The operating system gave no thread. The pool goes on with those it has, and asks again.
    Refused {
        /// What it said.
        error: String,
    },
    /// More has happened than the listener could be told while it was busy with what came before.
    Missed {
        /// So many events were left out.
        events: u64,
    },
}

/// All threads that a pool may have are blocked, but for those that hold the cores and the last ones, which are kept for tasks that have
/// begun. A snapshot of the moment at which it is told. See [`PoolEvent::AtCap`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AtCap {
    /// Worker threads.
    pub threads: usize,
    /// The most there may be.
    pub max_threads: usize,
    /// Who blocks which thread.
    pub blocked: Vec<Blocked>,
    /// All tasks.
    pub dump: Dump,
}

/// A thread that is inside user code.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Blocked {
    /// The thread's name.
    pub thread: String,
    /// The task that it runs. `None`: the handler of an event, or the task has just ended.
    pub task: Option<TaskInfo>,
    /// In which system call it waits: its name, or its number on this architecture. `None`: it computes, or there is no
    /// telling.
    pub call: Option<String>,
}

/// Blocked threads that the log names.
const SHOWN: usize = 16;

impl AtCap {
    /// In a line.
    pub(crate) fn summary(&self) -> String {
        let blocked: Vec<_> = self.blocked.iter().take(SHOWN).map(ToString::to_string).collect();
        format!(
            "{} of at most {} threads; new tasks have to wait. Blocked by {}{}",
            self.threads,
            self.max_threads,
            blocked.join("; "),
            if self.blocked.len() > SHOWN { "; and so on" } else { "" },
        )
    }
}

impl AtCap {
    /// For somebody who has heard nothing of the runtime so far: what is the matter, and what to do.
    pub(crate) fn line(&self) -> String {
        let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
        for blocked in &self.blocked {
            *calls.entry(blocked.call.as_deref().unwrap_or("no system call")).or_default() += 1;
        }
        let mut calls: Vec<_> = calls.into_iter().collect();
        calls.sort_by_key(|&(_, count)| Reverse(count));
        let calls: Vec<_> =
            calls.iter().take(SHOWN).map(|(call, count)| format!("{count} in {call}")).collect();
        let (inside, calls) = (self.blocked.len(), calls.join(", "));
        let inside =
            if inside == 0 { String::new() } else { format!(", {inside} of which tasks keep ({calls})") };
        format!(
            "event-channel: a runtime has {} of at most {} threads{inside}; new tasks have to wait. `dump()` says who \
             keeps them. What waits in calls that suspend (`net`, `time`, `sync`) keeps none; `max_threads` sets the most.\n",
            self.threads, self.max_threads,
        )
    }
}

impl fmt::Display for AtCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of at most {} threads, blocked by:", self.threads, self.max_threads)?;
        for blocked in &self.blocked {
            writeln!(f, "  {blocked}")?;
        }
        write!(f, "{}", self.dump)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task.as_ref().map_or_else(
            || String::from("a handler"),
            |task| crate::dump::title(task.id, task.name.as_deref()),
        );
        write!(f, "{}: {task}", self.thread)?;
        match &self.call {
            Some(call) => write!(f, ", in {call}"),
            None => Ok(()),
        }
    }
}

type Call = dyn Fn(&PoolEvent) + Send + Sync;

/// Who wants to know.
#[derive(Clone, Default)]
pub(crate) struct Listener(Option<Arc<Call>>);

impl Listener {
    pub(crate) fn new(f: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Listener {
        Listener(Some(Arc::new(f)))
    }

    /// Tells it, if there is anybody, here and now. A panic of theirs is logged.
    pub(crate) fn tell(&self, event: impl FnOnce() -> PoolEvent) {
        let Some(listener) = &self.0 else { return };
        // (A task may suspend in it.)
        let _telling = ec_tasks::with_current(|task| task.is_none()).then(Telling::begin);
        if ec_tasks::catch_quietly(|| listener(&event())).is_none() {
            quietly!(error, "the listener to the events of a pool panicked");
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Perhaps the last of the closure, wherever that is: the destructors of what it holds are the program's.
        ec_tasks::drop_quietly(self.0.take());
    }
}

thread_local! {
    /// So many listeners are being told something on this thread. (A count, for they may end in any order, and shared, for they may end
    /// on another thread: one that runs in a coroutine, say.)
    static TELLING: Arc<AtomicUsize> = Arc::default();
}

/// Is the caller a listener (or a logger that a pool calls), on a thread of a pool?
pub(crate) fn is_told() -> bool {
    TELLING.try_with(|telling| telling.load(Ordering::Relaxed) > 0).unwrap_or(false)
}

/// While this lives the thread is one that tells.
pub(crate) struct Telling(Option<Arc<AtomicUsize>>);

impl Telling {
    pub(crate) fn begin() -> Telling {
        // (`None`: the thread's end is too near for it to be asked.)
        let here = TELLING.try_with(Arc::clone).ok();
        if let Some(telling) = &here {
            telling.fetch_add(1, Ordering::Relaxed);
        }
        Telling(here)
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(telling) = &self.0 {
            telling.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a listener" } else { "nobody" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As where one listener runs in a coroutine that is suspended meanwhile.
    #[test]
    fn a_thread_tells_until_the_last_listener_has_been_told_whatever_the_order() {
        let (first, second) = (Telling::begin(), Telling::begin());
        drop(first);
        assert!(is_told());
        drop(second);
        assert!(!is_told());
    }

    /// As where such a coroutine goes on, on another thread.
    #[test]
    fn nor_does_one_tell_for_ever_where_another_thread_ends_it() {
        let telling = Telling::begin();
        std::thread::spawn(move || {
            drop(telling);
            assert!(!is_told());
        })
        .join()
        .unwrap();
        assert!(!is_told());
    }
}
