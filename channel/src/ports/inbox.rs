//! What all threads see of a port: its slots, and what is to be taken in.

use crate::id::OpId;
use crate::lock::{Mutex, MutexGuard, has_room, make_room};
use crate::operation::RawOp;
use crate::ports::slots::Slots;

#[derive(Clone, Copy)]
pub(crate) enum Message {
    Submit(OpId, *mut RawOp),
    Cancel(OpId),
    /// A stream has credit again.
    Resume(OpId),
    CancelEvents,
}

/// What all threads see of a port.
#[derive(Default)]
pub(crate) struct PortShared {
    pub(crate) slots: Slots,
    pub(crate) inbox: Vec<Message>,
    pub(crate) counts: Counts,
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

/// What has passed through a port.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) posted: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) items: u64,
}
