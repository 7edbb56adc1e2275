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

    /// Until ready, or until a limit or a surrounding `timeout` is over.
    pub(super) fn wait(&mut self, fd: BorrowedFd<'_>, way: Way, limit: Option<Limit>) -> Result<(), Stop> {
        let scope = wait::scope_deadline();
        let deadline = wait::earliest(limit.map(|limit| limit.at), scope);
        if let Some(rest) = self.rest {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            std::thread::sleep(left.map_or(rest, |left| left.min(rest)));
        }
        self.rest = Some(self.rest.map_or(SHORTEST, |rest| (rest * 2).min(LONGEST)));
        let events = if way == Way::In { libc::POLLIN | libc::POLLRDHUP } else { libc::POLLOUT };
        match sys::poll(fd, events, deadline) {
            Ok(0) => match limit {
                Some(limit) if deadline == Some(limit.at) => Err(Stop::Os(limit.errno)),
                _ => Err(Stop::Scope(deadline.unwrap_or_else(Instant::now))),
            },
            Ok(revents) => {
                self.input_ended = revents & libc::POLLRDHUP != 0;
                Ok(())
            }
            Err(error) => Err(Stop::Os(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}
