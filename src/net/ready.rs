//! A plain thread inside a [`timeout`](crate::time::timeout) waits in poll(2). Where that has helped nobody it looks away for
//! a time, as a port does: what is ready may stay so, and let nobody go on.

use super::mode::Way;
use super::sys;
use ec_pool::wait::{self, Limit, Stop};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(50);

/// The waits of one call.
#[derive(Default)]
pub(super) struct Ready {
    /// Before the next wait. `None`: it is the first, or there was progress.
    rest: Option<Duration>,
    input_ended: bool,
    /// The last attempt is being made.
    over: bool,
}

impl Ready {
    /// The call has moved something.
    pub(super) fn progress(&mut self) {
        self.rest = None;
    }

    /// The receiving side is shut down: a call that blocks would not wait, whatever one that does not block says.
    pub(super) fn has_input_ended(&self) -> bool {
        self.input_ended
    }

    /// Until ready, or until a limit or a surrounding `timeout` is over. (If that is so after a rest there is one attempt more: what
    /// has come in time is had.)
    pub(super) fn wait(&mut self, fd: BorrowedFd<'_>, way: Way, limit: Option<Limit>) -> Result<(), Stop> {
        let scope = wait::scope_deadline();
        let deadline = wait::earliest(limit.map(|limit| limit.at), scope);
        let stop = || match limit {
            Some(limit) if deadline == Some(limit.at) => Stop::Os(limit.errno),
            _ => Stop::Scope(deadline.unwrap_or_else(Instant::now)),
        };
        if self.over {
            return Err(stop());
        }
        if let Some(rest) = self.rest {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            std::thread::sleep(left.map_or(rest, |left| left.min(rest)));
            if left.is_some_and(|left| left <= rest) {
                self.over = true;
                return Ok(());
            }
        }
        let rested = Instant::now();
        let polled = sys::poll(fd, events(way), deadline);
        let longer = self.rest.filter(|_| rested.elapsed() <= LONGEST).map(|rest| (rest * 2).min(LONGEST));
        // A readiness that comes long after the last rest has nothing to do with it.
        self.rest = Some(longer.unwrap_or(SHORTEST));
        match polled {
            Ok(0) => Err(stop()),
            Ok(revents) => {
                self.input_ended = revents & libc::POLLRDHUP != 0;
                Ok(())
            }
            Err(error) => Err(Stop::Os(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}

fn events(way: Way) -> i16 {
    if way == Way::In { libc::POLLIN | libc::POLLRDHUP } else { libc::POLLOUT }
}
