//! The channel for callers that suspend: operations in place of events.

#![allow(unsafe_code)]

use crate::EventChannel;
use crate::fork;
use crate::operation::{OpId, RawCompletion, RawOp};
use crate::registrar::Registration;
use std::os::fd::RawFd;

impl EventChannel {
    /// Hands `op` to port `port` (taken modulo the number of ports) and returns its id at once. Never
    /// fails: an error is the operation's result. Allocates nothing in the steady state.
    ///
    /// # Safety
    /// `op` and everything its action points to stay valid and untouched until its wake function
    /// has been called, and may be used from any thread; the descriptor stays open so long.
    /// The wake function may be called with the word given, once, on any thread. This may
    /// happen before the call returns.
    pub unsafe fn submit_raw(&self, port: usize, op: *mut RawOp) -> OpId {
        let port = &self.ports_ref()[port % self.ports()];
        // SAFETY: by contract.
        let posted = unsafe { port.submit(op) };
        port.wake();
        posted.unwrap_or_else(|op| {
            // SAFETY: by contract; the operation never was in flight.
            unsafe {
                (*op).set_result(-libc::ENOBUFS);
                RawCompletion::of(op).deliver();
            }
            OpId::slotless(0)
        })
    }

    /// Whether the driver has use for [registered](Self::register) descriptors.
    pub fn registers(&self) -> bool {
        self.ports_ref()[0].registers()
    }

    /// Registers a descriptor with port `port` (taken modulo the number of ports), so that operations on it need not arm it each time:
    /// [`RawOp::set_registration`]. Makes one system call. `None`: the driver has no use for that (all but epoll), the kernel does not watch
    /// such a descriptor, it is registered already, or this is a forked child.
    ///
    /// For TCP and UDP sockets, whose changes the kernel reports without being asked each time; not for Unix datagrams.
    ///
    /// Whatever else waits for the descriptor, here or elsewhere, before, meanwhile or afterwards, does so as it would without.
    ///
    /// # Safety
    /// The descriptor stays open, and means the same, until the registration has been dropped. No operation that was
    /// [told of it](RawOp::set_registration) is in flight then.
    pub unsafe fn register(&self, port: usize, fd: RawFd) -> Option<Registration> {
        if fork::is_child() {
            return None;
        }
        self.ports_ref()[port % self.ports()].register(self.0.number, fd)
    }

    /// The port that a registration is with. `None`: it is with another channel.
    pub fn port_of(&self, registration: &Registration) -> Option<usize> {
        (registration.channel == self.0.number).then_some(registration.port as usize)
    }

    /// Asks to cancel an operation. It completes all the same: with `-ECANCELED`, or done if that was quicker. False: it is
    /// complete already, and nothing is done.
    ///
    /// # Safety
    /// The id came from [`submit_raw`](Self::submit_raw) of this channel, and the caller acts for whoever owns the operation. (Others wait
    /// for theirs: cancelled behind their backs they end too early.)
    pub unsafe fn cancel_raw(&self, id: OpId) -> bool {
        !fork::is_child() && self.ports_ref().get(id.port()).is_some_and(|port| port.cancel(id, false))
    }
}
