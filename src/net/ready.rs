//! A plain thread inside a [`timeout`](crate::time::timeout) waits in poll(2). Where that has helped nobody it looks away for
//! a time, as a port does: what is ready may stay so, and let nobody go on.

use super::mode::Way;
use super::sys;
use ec_channel::Pace;
use ec_pool::wait::{self, Limit, Stop};
use std::os::fd::BorrowedFd;
use std::time::Instant;

/// The waits of one call.
#[derive(Default)]
pub(super) struct Ready {
    /// There was a wait, and no progress since.
    in_vain: bool,
    pace: Pace,
    input_ended: bool,
    /// The last attempt is being made.
    over: bool,
}

impl Ready {
    /// The call has moved something.
    pub(super) fn progress(&mut self) {
        (self.in_vain, self.pace) = (false, Pace::default());
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
        let events = if way == Way::In { libc::POLLIN | libc::POLLRDHUP } else { libc::POLLOUT };
        if self.in_vain {
            let now = Instant::now();
            let rested = self.pace.rest(now);
            self.over = deadline.is_some_and(|at| at <= rested);
            std::thread::sleep(
                wait::earliest(deadline, Some(rested)).unwrap_or(rested).saturating_duration_since(now),
            );
            if self.over {
                return Ok(());
            }
        }
        self.in_vain = true;
        match sys::poll(fd, events, deadline) {
            Ok(0) => Err(stop()),
            Ok(revents) => {
                self.input_ended = revents & libc::POLLRDHUP != 0;
                Ok(())
            }
            Err(error) => Err(Stop::Os(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }
}
