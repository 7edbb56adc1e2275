//! How a task waits inside `EventChannel::get_event`: it is suspended, and its worker goes on.
//!
//! The channel knows no tasks. It asks the [`Blocker`], which is installed here with the first pool. Such a wait is a cancellation
//! point, like every other call that returns a `Result`. The channel asks for the reason ([`Blocker::checkpoint`]) only when it has no
//! event to return. So neither an event nor a cancel gets lost.

#![allow(unsafe_code)]

use crate::wait::{self, Before, Limit, Stop};
use crate::worker::context;
use crate::worker::current::is_abandoned;
use ec_channel::raw::Poll;
use ec_channel::{Blocker, Sleeper, Unparker, Waited};
use ec_tasks::{Task, Tokens, WaitKind};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Once;
use std::thread::Builder;
use std::time::Instant;

static GET_EVENT: WaitKind = WaitKind { name: "get_event", cancel: None, describe: |_, _| String::new() };

/// Once per process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ec_tasks::watch_crossings_of(ec_channel::lock_held);
        // One installed before by somebody else stays.
        // SAFETY: it does what its methods say, as the rest of this file shows.
        let _ = unsafe { ec_channel::set_blocker(&TaskBlocker) };
    });
}

struct TaskBlocker;

/// A task, as the channel wakes it. (`None` does not occur: the channel asks in tasks only.)
struct Waiting(Option<Task>);

impl Sleeper for Waiting {
    fn wake(&self) {
        if let Some(task) = &self.0 {
            task.wake(Tokens::SYNC);
        }
    }

    fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(is_abandoned)
    }
}

fn waited<T>(end: Result<T, Stop>, how: impl FnOnce(T) -> Waited) -> Waited {
    match end {
        Ok(it) => how(it),
        Err(Stop::Os(libc::ETIMEDOUT)) => Waited::Over,
        Err(Stop::Os(errno)) => Waited::Refused(errno),
        // Not delivered here: it keeps pending until the channel asks.
        Err(Stop::Cancel | Stop::Scope(_)) => Waited::Interrupted,
    }
}

impl Blocker for TaskBlocker {
    fn in_task(&self) -> bool {
        wait::in_task()
    }

    fn task(&self) -> u64 {
        ec_tasks::with_current(|task| task.map_or(0, |task| task.id().as_u64()))
    }

    fn checkpoint(&self) -> io::Result<()> {
        wait::checkpoint()
    }

    fn wait(&self, called: &dyn Fn() -> bool, deadline: Option<Instant>) -> Waited {
        // (The channel's condition is one flag; nobody else can call this.)
        let end = wait::until_token(&GET_EVENT, [0; 2], deadline, true, Tokens::SYNC, |_| called());
        waited(end, |called| if called { Waited::Called } else { Waited::Over })
    }

    fn unparker(&self) -> Unparker {
        let task = Waiting(ec_tasks::current());
        Box::new(move || task.wake())
    }

    fn sleeper(&self) -> Box<dyn Sleeper> {
        Box::new(Waiting(ec_tasks::current()))
    }

    fn wait_readable(&self, fd: BorrowedFd<'_>, deadline: Option<Instant>) -> Waited {
        self.wait_readable_or_called(fd, &|| false, deadline)
    }

    fn wait_readable_or_called(
        &self,
        fd: BorrowedFd<'_>,
        called: &dyn Fn() -> bool,
        deadline: Option<Instant>,
    ) -> Waited {
        let poll = Poll { fd: fd.as_raw_fd(), events: libc::POLLIN };
        let limit = deadline.map(|at| Limit { at, errno: libc::ETIMEDOUT });
        // SAFETY: the action points to nothing, and the descriptor is borrowed until the call returns.
        let end = unsafe {
            wait::attempt_unless(
                poll,
                &GET_EVENT,
                fd.as_raw_fd() as u64,
                limit,
                true,
                Before::default(),
                called,
            )
        };
        match end {
            Err(Stop::Os(libc::ECANCELED)) if called() => Waited::Called,
            end => waited(end, |_| Waited::Called),
        }
    }

    fn home_port(&self) -> Option<usize> {
        context::port_here()
    }

    fn start_thread(&self, builder: Builder, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        ec_tasks::start_thread(builder, body).map(drop)
    }
}
