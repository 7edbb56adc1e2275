//! How a pool is made: its settings, its channel, its worker threads.

use crate::cpus::available_cpus;
use crate::pool::Pool;
use crate::quietly;
use crate::size::events::{Listener, PoolEvent};
use crate::size::host::{Host, Limits};
use crate::size::monitor::Monitor;
use crate::sync::fence;
use crate::wait::get_event;
use crate::worker::shared::{Settings, Shared};
use ec_channel::{ChannelBuilder, Driver, EventChannel, InternalError};
use ec_tasks::DEFAULT_STACK_SIZE;
use std::io;
use std::time::Duration;

/// The default for the most worker threads there may ever be.
const MAX_THREADS: usize = 1000;
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The settings of a pool to be. Made by [`Pool::builder`].
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `build`"]
pub struct Builder {
    cores: Option<usize>,
    channel: ChannelBuilder,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let settings = Settings {
            stack_size: DEFAULT_STACK_SIZE,
            force_migration: false,
            monitor: true,
            interrupt_signal: None,
            size: Limits { max_threads: MAX_THREADS, keep_alive: KEEP_ALIVE, listener: Listener::default() },
        };
        Builder { cores: None, channel: EventChannel::builder(), settings }
    }

    /// How many tasks can run at once. The default is [`available_cpus`].
    pub fn cores(mut self, cores: usize) -> Builder {
        self.cores = Some(cores);
        self
    }

    /// The most worker threads there may ever be; 1000 by default. A protection, not a knob: a pool has as many threads
    /// as cores, and one more for each that is blocked at the moment. The last of these (as many as cores, at most half) are kept
    /// for tasks that have begun: with `max_threads - 2 * cores` tasks that block new ones have to wait, as long as it is so, and
    /// [`PoolEvent::AtCap`] tells who blocks whom.
    pub fn max_threads(mut self, threads: usize) -> Builder {
        self.settings.size.max_threads = threads;
        self
    }

    /// How long a worker thread that is not needed stays; 10 s by default.
    pub fn keep_alive(mut self, time: Duration) -> Builder {
        self.settings.size.keep_alive = time;
        self
    }

    /// Is told what happens to the threads of the pool: one more, one less, a core handed over, no more to be had. Called on a
    /// thread that the pool has for it, one event after the other (only in a task that has given a hint there and then), so it may
    /// block: nobody waits for it but later events, and when there are too many of those some are left out, and
    /// [`PoolEvent::Missed`] says how many. A panic in it is logged. A shutdown of the pool that is called in it begins, and returns
    /// at once.
    pub fn on_event(mut self, listener: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Builder {
        self.settings.size.listener = Listener::new(listener);
        self
    }

    /// The stack of a task, in bytes, for those that do not ask for another size; by default
    /// [`DEFAULT_STACK_SIZE`], which with its guard takes 256 KiB of addresses.
    pub fn stack_size(mut self, bytes: usize) -> Builder {
        self.settings.stack_size = bytes;
        self
    }

    /// The driver of the channel. By default the channel chooses, and says why.
    pub fn driver(mut self, driver: Driver) -> Builder {
        self.channel = self.channel.driver(driver);
        self
    }

    /// Is told, once, if the channel cannot go on: see [`ChannelBuilder::on_internal_error`]. Called on a thread of its own. By then tasks
    /// that wait for a descriptor of that port get an error, and so does each that will; it is for the hook to end the pool, or the
    /// process. Without a hook a message goes to stderr, and the process is aborted.
    pub fn on_internal_error(mut self, told: impl Fn(&InternalError) + Send + Sync + 'static) -> Builder {
        self.channel = self.channel.on_internal_error(told);
        self
    }

    /// The real-time signal by which blocking calls are ended in [`interruptible`](crate::interruptible) sections. By default one that the program
    /// does not use, chosen with the first section.
    pub fn interrupt_signal(mut self, signal: i32) -> Builder {
        self.settings.interrupt_signal = Some(signal);
        self
    }

    /// For tests: with two cores or more, a task that becomes ready again is run next by a worker other than
    /// the one that ran it last.
    #[doc(hidden)]
    pub fn force_migration(mut self) -> Builder {
        self.settings.force_migration = true;
        self
    }

    /// For measuring what the monitor costs: without it a task that blocks keeps its core.
    #[doc(hidden)]
    pub fn without_monitor(mut self) -> Builder {
        self.settings.monitor = false;
        self
    }

    /// Opens the channel and starts the workers.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for no cores at all or fewer threads than cores, or a signal that is no real-time signal;
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) for a signal that the program handles or ignores;
    /// [`Unsupported`](io::ErrorKind::Unsupported) in a forked child of a process that had a pool or a channel; else what
    /// the channel or the operating system says when it refuses a descriptor or a thread. Nothing is left behind.
    pub fn build(self) -> io::Result<Pool> {
        if ec_tasks::forked() {
            return Err(ec_tasks::forked_error("a runtime cannot be made"));
        }
        let cores = self.cores.unwrap_or_else(available_cpus);
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if cores == 0 {
            return invalid(String::from("a pool needs at least one core"));
        }
        if self.cores.is_some() && self.settings.size.max_threads < cores {
            return invalid(format!(
                "max_threads({}) is less than cores({cores})",
                self.settings.size.max_threads
            ));
        }
        let cores = cores.min(self.settings.size.max_threads);
        if cores == 0 {
            return invalid(String::from("a pool needs at least one thread"));
        }
        self.settings.interrupt_signal.map_or(Ok(()), ec_channel::interrupt::take_signal)?;
        let channel = self.channel.ports(cores);
        get_event::install();
        ec_tasks::watch_forks()?;
        fence::prepare();
        let monitored = self.settings.monitor;
        let (shared, own) = Shared::new(channel.build()?, cores, self.settings)?;
        let pool = Pool::new(shared.clone());
        for core in own {
            let index = core.index;
            // The pool's drop ends the workers that have started.
            shared.start_thread(Some(core)).map_err(|error| {
                let text = format!("worker thread {} of {cores} could not be started: {error}", index + 1);
                io::Error::new(error.kind(), text)
            })?;
        }
        if monitored {
            Monitor::start(&shared).map_err(|error| {
                io::Error::new(error.kind(), format!("the pool's monitor could not be started: {error}"))
            })?;
        }
        if shared.size.limits.listener.is_there() {
            shared.size.notifier.stay().map_err(|error| {
                let text = format!("the thread that tells a pool's listener could not be started: {error}");
                io::Error::new(error.kind(), text)
            })?;
        }
        quietly!(
            debug,
            "a pool begins: {cores} cores, at most {} threads, driver {}",
            shared.size.limits.max_threads,
            shared.channel.driver()
        );
        Ok(pool)
    }
}
