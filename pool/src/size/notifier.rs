//! The threads of a pool have things to say, to its listener or to the log (or, where there is neither, to stderr). A thread that nobody waits for says them.
//!
//! Listener and logger are code of the program's. They may block for as long as they like, for instance on a lock. A task may hold that
//! lock and wait for a core, or the thread that shuts the pool down may hold it. A worker in there would hold up its core; the monitor
//! would hold up all cores. So they put what there is to say into a queue. The notifier, which has no other business, says one after the
//! other. The queue has an end ([`MOST`]). A listener that is slower than the pool misses events, and is told how many.
//!
//! If the pool has a listener, the thread is started with the pool, and stays. Else it is started with the first line that there is to
//! write, and leaves when there have been none for a while. If the system has no thread to give, whoever has something to say says it
//! itself. What comes of a call of the program's own (`build`, `shutdown`, a hint) is said there, and not here.

use crate::joining::Leaving;
use crate::size::events::{self, Listener, PoolEvent};
use ec_tasks::lock::{Condvar, Mutex};
use ec_tasks::room::lock_with_room;
use log::Level;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So much waits to be said at most. A line is left out already if half as much waits.
const MOST: usize = 1024;
const MOST_BEFORE_A_LINE: usize = MOST / 2;

/// Without a listener it leaves after so long.
const IDLE: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Notifier(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    /// In whose code it is.
    within: AtomicU8,
}

const LISTENER: u8 = 1;
const LOGGER: u8 = 2;
const STDERR: u8 = 3;

#[derive(Default)]
struct State {
    waiting: VecDeque<Said>,
    /// There was no room for so many events.
    missed: u64,
    has_thread: bool,
    /// It does not leave because it is idle.
    stays: bool,
    thread: Option<JoinHandle<()>>,
    closed: bool,
}

enum Said {
    Event(Listener, PoolEvent),
    /// To make an event takes code of the program's.
    Made(Box<dyn FnOnce() -> Option<Made> + Send>),
    Line(Level, &'static str, String),
}

/// An event that took its time to be made.
pub(crate) struct Made {
    /// For standard error, where there is neither a listener nor a logger.
    pub(crate) line: Option<String>,
    pub(crate) listener: Listener,
    pub(crate) event: PoolEvent,
}

impl Notifier {
    pub(crate) fn new() -> Notifier {
        let inner = Inner { state: Mutex::default(), changed: Condvar::new(), within: AtomicU8::new(0) };
        Notifier(Arc::new(inner))
    }

    /// There is a listener: sees to it that there is a thread from now on.
    pub(crate) fn stay(&self) -> io::Result<()> {
        self.0.state.lock().stays = true;
        self.start()
    }

    /// Sees to it that there is a thread.
    fn start(&self) -> io::Result<()> {
        {
            let mut state = self.0.state.lock();
            if state.closed || std::mem::replace(&mut state.has_thread, true) {
                return Ok(());
            }
        }
        let inner = self.0.clone();
        let body = move || {
            let _ = ec_tasks::catch_quietly(|| inner.run());
        };
        let builder = std::thread::Builder::new().name(String::from("ec-notifier"));
        let started = ec_tasks::start_thread(builder, body);
        let mut state = self.0.state.lock();
        // (Who has closed it meanwhile does not wait for it.)
        let (before, result) = match started {
            Ok(thread) => (state.thread.replace(thread), Ok(())),
            Err(error) => {
                state.has_thread = false;
                (None, Err(error))
            }
        };
        drop(state);
        drop(before);
        result
    }

    /// Tells `listener`, if there is one.
    pub(crate) fn tell(&self, listener: &Listener, event: impl FnOnce() -> PoolEvent) {
        if listener.is_there() {
            self.say(Said::Event(listener.clone(), event()));
        }
    }

    /// Tells of what `make` makes, which may take its time, or has nothing to be told any more.
    pub(crate) fn tell_made(&self, make: impl FnOnce() -> Option<Made> + Send + 'static) {
        self.say(Said::Made(Box::new(make)));
    }

    /// Writes a line into the log, if it may be one that is wanted. `target` is the caller's `module_path!()`.
    pub(crate) fn log(&self, level: Level, target: &'static str, line: impl FnOnce() -> String) {
        if level <= log::STATIC_MAX_LEVEL && level <= log::max_level() {
            self.say(Said::Line(level, target, line()));
        }
    }

    /// As [`log`](Self::log). But if there is no thread to be had the line waits for one: the caller is not to be held up in any case.
    pub(crate) fn note(&self, level: Level, target: &'static str, line: impl FnOnce() -> String) {
        if level <= log::STATIC_MAX_LEVEL
            && level <= log::max_level()
            && self.put(Said::Line(level, target, line()))
        {
            let _ = self.start();
        }
    }

    fn say(&self, said: Said) {
        if self.put(said) && self.start().is_err() {
            self.0.say_all();
        }
    }

    /// Whether there was room.
    fn put(&self, said: Said) -> bool {
        if ec_tasks::forked() {
            return false;
        }
        let mut state = lock_with_room(&self.0.state, |state| &mut state.waiting);
        let is_event = !matches!(said, Said::Line(..));
        let most = if is_event { MOST } else { MOST_BEFORE_A_LINE };
        if state.closed || state.waiting.len() >= most {
            state.missed += u64::from(is_event);
            // (`said` is dropped after the lock: the listener may go with it.)
            drop(state);
            return false;
        }
        state.waiting.push_back(said);
        drop(state);
        self.0.changed.notify_one();
        true
    }

    /// The pool has ended: what waits is said, and the thread leaves. Gives it, if there is one, once.
    pub(crate) fn close(&self) -> Option<Leaving> {
        let thread = {
            let mut state = self.0.state.lock();
            state.closed = true;
            state.thread.take()
        };
        self.0.changed.notify_all();
        thread.map(Leaving::new)
    }

    /// What keeps the thread, at this moment.
    pub(crate) fn kept_by(&self) -> &'static str {
        match self.0.within.load(Ordering::Relaxed) {
            LISTENER => "the listener to events",
            LOGGER => "the logger, on the thread ec-notifier",
            STDERR => "a write to standard error, on the thread ec-notifier",
            _ => "the thread ec-notifier",
        }
    }
}

impl Inner {
    fn run(&self) {
        // Also in a logger: a shutdown that is called there does not wait for this thread.
        let _telling = events::Telling::begin();
        loop {
            self.say_all();
            if ec_tasks::forked() {
                // A listener or a logger has forked, and returned here in the child.
                ec_tasks::end_child();
            }
            let mut state = self.state.lock();
            if !state.waiting.is_empty() {
                continue;
            }
            if state.closed {
                return;
            }
            if state.stays {
                self.changed.wait(&mut state);
            } else if self.changed.wait_until(&mut state, Instant::now() + IDLE)
                && state.waiting.is_empty()
                && !state.closed
                && !state.stays
            {
                state.has_thread = false;
                let me = state.thread.take();
                drop(state);
                drop(me);
                return;
            }
        }
    }

    fn say_all(&self) {
        while let Some((said, missed)) = self.next() {
            match said {
                Said::Event(listener, event) => self.tell_after_missed(&listener, missed, event),
                Said::Made(make) => {
                    self.within.store(LISTENER, Ordering::Relaxed);
                    let telling = events::Telling::begin();
                    let made = ec_tasks::catch_quietly(make).flatten();
                    drop(telling);
                    if let Some(Made { line, listener, event }) = made {
                        line.into_iter().for_each(|line| self.write(&line));
                        self.tell_after_missed(&listener, missed, event);
                    }
                }
                Said::Line(level, target, line) => {
                    self.within.store(LOGGER, Ordering::Relaxed);
                    let _telling = events::Telling::begin();
                    ec_tasks::catch_quietly(|| log::log!(target: target, level, "{line}"));
                }
            }
            self.within.store(0, Ordering::Relaxed);
        }
    }

    /// In one write. (Not by std's lock of stderr: whoever holds that may wait for a core.)
    fn write(&self, line: &str) {
        self.within.store(STDERR, Ordering::Relaxed);
        let _ = nix::unistd::write(io::stderr(), line.as_bytes());
    }

    fn tell_after_missed(&self, listener: &Listener, missed: u64, event: PoolEvent) {
        self.within.store(LISTENER, Ordering::Relaxed);
        if missed > 0 {
            listener.tell(|| PoolEvent::Missed { events: missed });
        }
        listener.tell(|| event);
    }

    /// What is next, and how many events were missed before, if it is one.
    fn next(&self) -> Option<(Said, u64)> {
        if ec_tasks::forked() {
            return None;
        }
        let mut state = self.state.lock();
        let said = state.waiting.pop_front()?;
        let missed = match &said {
            Said::Event(..) | Said::Made(_) if state.waiting.len() < MOST / 2 => {
                std::mem::take(&mut state.missed)
            }
            _ => 0,
        };
        Some((said, missed))
    }
}

impl Drop for Notifier {
    /// Also of a pool for whose end there was no thread.
    fn drop(&mut self) {
        if !ec_tasks::forked() {
            self.0.state.lock().closed = true;
            self.0.changed.notify_all();
        }
    }
}
