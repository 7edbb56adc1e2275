//! How a runtime is to be made.

use super::{PoolEvent, Runtime};
use crate::channel::{Driver, InternalError};
use std::io;
use std::time::Duration;

/// The settings of a [`Runtime`] to be.
#[derive(Clone, Debug)]
#[must_use = "nothing runs before `build`"]
pub struct Builder(pub(super) ec_pool::Builder);

impl Builder {
    /// How many tasks run at once. By default as many as this process may use CPUs: its affinity and its control
    /// group's quota count.
    pub fn cores(self, cores: usize) -> Builder {
        Builder(self.0.cores(cores))
    }

    /// The most worker threads there may ever be; 1000 by default. A protection, not a knob: there are as many as
    /// cores, and one more for each task that blocks its thread at the moment. The last of these (as many as cores, at most
    /// half) are kept for tasks that have begun, which may hold what the others wait for: with `max_threads - 2 * cores` tasks that block
    /// new ones have to wait, as long as it is so, and [`PoolEvent::AtCap`] says who blocks whom.
    pub fn max_threads(self, threads: usize) -> Builder {
        Builder(self.0.max_threads(threads))
    }

    /// How long a worker thread that is not needed stays; 10 s by default. With zero it leaves as soon as it is not
    /// needed, and each task that blocks its thread costs the start of another.
    pub fn keep_alive(self, time: Duration) -> Builder {
        Builder(self.0.keep_alive(time))
    }

    /// Is told what happens to the worker threads: one more, one less, a core handed over, the cap met. Called on a thread that
    /// the runtime has for it, one event after the other (only in a task that gives a [hint](crate::task::blocking) there and then). So it may
    /// block: nobody waits for it but later events, some of which are left out when they are too many
    /// ([`PoolEvent::Missed`]). A panic in it is logged.
    ///
    /// ```
    /// use event_channel::Runtime;
    /// use event_channel::runtime::PoolEvent;
    ///
    /// let runtime = Runtime::builder()
    ///     .max_threads(100)
    ///     .on_event(|event| {
    ///         if let PoolEvent::AtCap(at_cap) = event {
    ///             eprintln!("{at_cap}"); // who blocks where
    ///         }
    ///     })
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_event(self, listener: impl Fn(&PoolEvent) + Send + Sync + 'static) -> Builder {
        Builder(self.0.on_event(listener))
    }

    /// For measuring what the pool's monitor costs: without it a task that blocks keeps its core, and times in dumps are wrong.
    #[doc(hidden)]
    pub fn without_monitor(self) -> Builder {
        Builder(self.0.without_monitor())
    }

    /// The stack of tasks that do not ask for another size, in bytes; by default nearly 192 KiB, which with the
    /// guard makes 256 KiB. It is address space: only what is touched takes memory. Not for
    /// [dedicated](crate::task::Builder::dedicated) tasks: their default is that of [`std::thread`].
    pub fn stack_size(self, bytes: usize) -> Builder {
        Builder(self.0.stack_size(bytes))
    }

    /// The driver of the channel. By default the channel chooses, and `channel().driver()` says why.
    pub fn driver(self, driver: Driver) -> Builder {
        Builder(self.0.driver(driver))
    }

    /// Is told, once, if the runtime's channel cannot go on: somebody has closed a descriptor of it, or forbidden its system calls. Called
    /// on a thread of its own.
    ///
    /// By then tasks that wait for sockets of that port get that error, and so does each that comes to wait; timers and all else go on. (On
    /// io_uring one whose buffer the kernel has waits until it gets that back; a [shutdown](Runtime::shutdown) leaves it behind.) It is for
    /// the hook to have the runtime, or the process, end. See
    /// [`ChannelBuilder::on_internal_error`](crate::channel::ChannelBuilder::on_internal_error). Without a hook a message goes to
    /// stderr, and the process is aborted: the tasks would wait for ever.
    ///
    /// ```
    /// use event_channel::Runtime;
    ///
    /// let runtime = Runtime::builder()
    ///     .on_internal_error(|error| {
    ///         eprintln!("no I/O any more: {error}");
    ///         std::process::exit(70);
    ///     })
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_internal_error(self, told: impl Fn(&InternalError) + Send + Sync + 'static) -> Builder {
        Builder(self.0.on_internal_error(told))
    }

    /// The real-time signal (`SIGRTMIN` to `SIGRTMAX`) by which blocking calls are ended in [`interruptible`](crate::task::interruptible) sections
    /// of this runtime's tasks. By default one for which the program has no handler. The handler is the process's, so runtimes may share a signal.
    ///
    /// ```
    /// use event_channel::Runtime;
    /// use std::io::ErrorKind;
    ///
    /// let runtime = Runtime::builder().interrupt_signal(libc::SIGRTMIN() + 5).build()?;
    /// # drop(runtime);
    /// let refused = Runtime::builder().interrupt_signal(libc::SIGUSR1).build().unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn interrupt_signal(self, signal: i32) -> Builder {
        Builder(self.0.interrupt_signal(signal))
    }

    /// For tests: with two cores or more, a task that becomes ready again is run next by a worker other than
    /// the one that ran it last.
    #[doc(hidden)]
    pub fn force_migration(self) -> Builder {
        Builder(self.0.force_migration())
    }

    /// Opens the channel and starts the workers.
    ///
    /// # Errors
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for settings that cannot be;
    /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) for an [`interrupt_signal`](Self::interrupt_signal) that the program handles or ignores;
    /// [`Unsupported`](io::ErrorKind::Unsupported) in a [forked child](crate#fork) of a process that had a runtime or a channel;
    /// else what the operating system says when it refuses a descriptor or a thread.
    pub fn build(self) -> io::Result<Runtime> {
        self.0.build().map(|pool| Runtime { pool })
    }
}
