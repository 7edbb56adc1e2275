//! What all threads see of a port: its slots, and what is to be taken in.

#![allow(unsafe_code)]

use crate::id::OpId;
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use crate::operation::{Owner, RawOp};
use crate::ports::slots::Slots;

#[derive(Clone, Copy)]
pub(crate) enum Message {
    Submit(OpId, *mut RawOp),
    /// It was cancelled before it was taken in: it does not begin.
    GivenUp(OpId, *mut RawOp),
    Cancel(OpId),
    /// A helper has carried it out, to this end.
    Helped(OpId, i32),
    /// There is no helper to do it, for this reason.
    Refused(OpId, i32),
    /// A stream has credit again.
    Resume(OpId),
    /// Something has come back that requests may lack.
    Supplied,
    CancelEvents,
}

// SAFETY: operations may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Message {}

/// What all threads see of a port.
#[derive(Default)]
pub(crate) struct PortShared {
    pub(crate) slots: Slots,
    pub(crate) inbox: Vec<Message>,
    pub(crate) counts: Counts,
    /// The channel goes: what comes from now on nobody takes in.
    pub(crate) is_closed: bool,
}

impl PortShared {
    /// Locks it at a moment when a request can be entered, or cancelled, without an allocation.
    #[inline]
    pub(crate) fn lock(shared: &Mutex<PortShared>) -> MutexGuard<'_, PortShared> {
        loop {
            let s = shared.lock();
            if s.slots.has_room() && has_room(&s.inbox, 1) {
                return s;
            }
            drop(s);
            make_room(shared, |s| &mut s.slots, 1);
            make_room(shared, |s| &mut s.inbox, 1);
        }
    }
}

impl PortShared {
    /// Queues `op`, for which there is room. `None`: all slots are taken.
    #[inline]
    pub(crate) fn submit(&mut self, port: usize, of_event: bool, op: *mut RawOp) -> Option<OpId> {
        let id = self.slots.take(port, of_event, self.inbox.len())?;
        self.inbox.push(Message::Submit(id, op));
        self.counts.posted += 1;
        Some(id)
    }

    /// Request `id` is to be cancelled, if it is an event's or not, as said. False: it has already come back, or is not.
    pub(crate) fn cancel(&mut self, id: OpId, of_event: bool) -> bool {
        let Some(first) = self.slots.cancel(id, of_event) else { return false };
        let message = self.slots.place(id).and_then(|place| self.inbox.get_mut(place));
        if let Some(message) = message
            && let Message::Submit(there, op) = *message
            && there == id
        {
            *message = Message::GivenUp(id, op);
        } else if first {
            // (Once: as often as it is asked for, the inbox does not grow.)
            self.inbox.push(Message::Cancel(id));
        }
        true
    }

    /// All events are to be cancelled.
    pub(crate) fn cancel_events(&mut self) {
        for message in &mut self.inbox {
            let Message::Submit(id, op) = *message else { continue };
            // SAFETY: what has not been taken in is in place.
            if unsafe { (*op).owner } != Owner::Somebody {
                *message = Message::GivenUp(id, op);
            }
        }
        self.inbox.push(Message::CancelEvents);
    }
}

/// What has passed through a port.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) posted: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) items: u64,
    pub(crate) helped: u64,
}
