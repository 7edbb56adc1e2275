//! How a pool is made: its settings, its channel, its worker threads.

use crate::cpus::available_cpus;
use crate::pool::Pool;
use crate::shared::{Settings, Shared};
use crate::{blocker, worker};
use ec_channel::{Driver, EventChannel};
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
    driver: Option<Driver>,
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let settings = Settings {
            stack_size: DEFAULT_STACK_SIZE,
            max_threads: MAX_THREADS,
            keep_alive: KEEP_ALIVE,
            force_migration: false,
        };
        Builder { cores: None, driver: None, settings }
    }

    /// How many tasks can run at once. The default is [`available_cpus`].
    pub fn cores(mut self, cores: usize) -> Builder {
        self.cores = Some(cores);
        self
    }

    /// The most worker threads there may ever be; 1000 by default. A pool does not grow beyond its cores
    /// yet: the value is kept for the version in which it does.
    pub fn max_threads(mut self, threads: usize) -> Builder {
        self.settings.max_threads = threads;
        self
    }

    /// How long a worker thread that is not needed stays; 10 s by default. A pool does not grow beyond its
    /// cores yet, so nobody leaves either: the value is kept for the version in which it does.
    pub fn keep_alive(mut self, time: Duration) -> Builder {
        self.settings.keep_alive = time;
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
        self.driver = Some(driver);
        self
    }

    /// For tests: with two cores or more, a task that becomes ready again is run next by a worker other than
    /// the one that ran it last.
    #[doc(hidden)]
    pub fn force_migration(mut self) -> Builder {
        self.settings.force_migration = true;
        self
    }

    /// Opens the channel and starts the workers.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for no cores at all or fewer threads than cores; else what
    /// the channel or the operating system says when it refuses a descriptor or a thread. Nothing is left behind.
    pub fn build(self) -> io::Result<Pool> {
        let cores = self.cores.unwrap_or_else(available_cpus);
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        if cores == 0 {
            return invalid(String::from("a pool needs at least one core"));
        }
        if self.cores.is_some() && self.settings.max_threads < cores {
            return invalid(format!(
                "max_threads({}) is less than cores({cores})",
                self.settings.max_threads
            ));
        }
        let cores = cores.min(self.settings.max_threads);
        if cores == 0 {
            return invalid(String::from("a pool needs at least one thread"));
        }
        let mut channel = EventChannel::builder().ports(cores);
        if let Some(driver) = self.driver {
            channel = channel.driver(driver);
        }
        blocker::install();
        ec_tasks::watch_forks();
        let (shared, own) = Shared::new(channel.build()?, cores, self.settings);
        let pool = Pool::new(shared.clone());
        for core in own {
            let (index, for_worker) = (core.index, shared.clone());
            let start = move || worker::work(for_worker, core);
            shared.life.worker_started();
            let thread = std::thread::Builder::new().name(format!("ec-worker-{index}")).spawn(start);
            match thread {
                Ok(thread) => shared.threads.lock().push(thread),
                Err(error) => {
                    shared.life.worker_gone();
                    // The pool's drop ends the workers that have started.
                    let text =
                        format!("worker thread {} of {cores} could not be started: {error}", index + 1);
                    return Err(io::Error::new(error.kind(), text));
                }
            }
        }
        Ok(pool)
    }
}
