//! What is in flight, shown to those who ask why nothing comes.
//!
//! Whoever makes a pass has what is in flight to himself. While he is in the driver, asleep as a rule, he lays it where others may look at
//! it, and takes it back before he goes on. Between two passes it lies in the port, for whoever takes the lock that a pass takes.

#![allow(unsafe_code)]

use super::{Abort, Drive, Flight, Phase};
use crate::events::body::Body;
use crate::id::{EventId, OpId};
use crate::kinds::EventKind;
use crate::lock::Mutex;
use crate::operation::{Owner, RawOp};
use crate::ports::in_flight::{InFlight, Stage};
use crate::ports::inbox::{Message, PortShared};
use crate::sys;
use std::collections::HashSet;
use std::time::Duration;

/// What a pass has laid here while it is in the driver.
#[derive(Default)]
pub(crate) struct Laid {
    is_there: bool,
    /// What has been entered.
    flights: Vec<Flight>,
    /// What came out of the inbox, if not all has been looked at; and how much has.
    messages: Vec<Message>,
    looked_at: usize,
}

// SAFETY: operations may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Laid {}

impl Laid {
    /// Lays it here, or takes it back.
    #[inline]
    fn exchange(&mut self, drive: &mut Drive) {
        self.is_there = !self.is_there;
        std::mem::swap(&mut self.flights, &mut drive.flights);
        if drive.is_behind() || !self.messages.is_empty() {
            self.looked_at = drive.looked_at;
            std::mem::swap(&mut self.messages, &mut drive.messages);
        }
    }
}

/// While this lives what a pass has in flight lies there.
pub(crate) struct Shown<'a> {
    pub(crate) drive: &'a mut Drive,
    at: &'a Mutex<Laid>,
}

impl<'a> Shown<'a> {
    #[inline]
    pub(crate) fn begin(drive: &'a mut Drive, at: &'a Mutex<Laid>) -> Self {
        at.lock().exchange(drive);
        Shown { drive, at }
    }
}

impl Drop for Shown<'_> {
    #[inline]
    fn drop(&mut self) {
        self.at.lock().exchange(self.drive);
    }
}

/// What has been seen of a port. Room for it is made outside of the locks.
#[derive(Default)]
pub(crate) struct Seen {
    messages: Vec<Message>,
    events: Vec<InFlight>,
}

/// What came of a look.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Look {
    Done,
    /// There is no room for so many messages, and events.
    Narrow(usize, usize),
    /// Somebody makes a pass.
    Busy,
}

impl Seen {
    /// For so many, and some more: others post. (It is empty.)
    pub(crate) fn make_room(&mut self, messages: usize, events: usize) {
        self.messages.reserve(messages + messages / 4);
        self.events.reserve(events + events / 4);
    }

    /// Looks at what has been entered, what came out of the inbox and what is in it. Whoever calls sees to it that nothing of it goes on
    /// meanwhile: no pass is made, but for the driver's part.
    fn look(
        &mut self,
        channel: u32,
        entered: &[Flight],
        messages: &[Message],
        shared: &Mutex<PortShared>,
    ) -> Look {
        let now = sys::roughly_now();
        {
            let shared = shared.lock();
            let (many, all) = (messages.len() + shared.inbox.len(), entered.len());
            if self.messages.capacity() < many || self.events.capacity() < all + many {
                return Look::Narrow(many, all + many);
            }
            self.messages.extend_from_slice(messages);
            self.messages.extend_from_slice(&shared.inbox);
        }
        for flight in entered.iter().filter(|flight| flight.id != 0) {
            let (stage, id) = (stage(flight.phase), OpId::from_u64(flight.id));
            let since = Duration::from_nanos(now.saturating_sub(flight.since));
            let given_up = flight.abort != Abort::No || flight.phase == Phase::Late;
            self.see(channel, id, flight.op, stage, Some(since), given_up);
        }
        for at in 0..self.messages.len() {
            match self.messages[at] {
                Message::Submit(id, op) => self.see(channel, id, op, Stage::Posted, None, false),
                Message::GivenUp(id, op) => self.see(channel, id, op, Stage::Posted, None, true),
                _ => {}
            }
        }
        Look::Done
    }

    /// What has been seen. A cancel that is on its way counts. (Not under a lock any more.)
    pub(crate) fn into_events(mut self, channel: u32) -> Vec<InFlight> {
        let all = self.messages.iter().any(|it| matches!(it, Message::CancelEvents));
        let of = |it: &Message| match it {
            Message::Cancel(id) => Some(EventId::new(*id, channel)),
            _ => None,
        };
        let cancelled: HashSet<EventId> = self.messages.iter().filter_map(of).collect();
        if all || !cancelled.is_empty() {
            self.events.iter_mut().for_each(|it| it.is_given_up |= all || cancelled.contains(&it.id));
        }
        self.events
    }

    /// One is seen, if it is an event's.
    fn see(
        &mut self,
        channel: u32,
        id: OpId,
        op: *const RawOp,
        stage: Stage,
        since: Option<Duration>,
        is_given_up: bool,
    ) {
        // SAFETY: a request in flight is in place, and its owner does not change.
        if unsafe { (&raw const (*op).owner).read() } == Owner::Somebody {
            return;
        }
        // SAFETY: it is that of a body, in flight, and does not go on meanwhile.
        let label = unsafe { Body::label(op) };
        self.events.push(InFlight {
            id: EventId::new(id, channel),
            kind: EventKind::ALL[usize::from(label.kind)],
            token: label.token,
            descriptor: label.descriptor,
            stage,
            since,
            deadline: label.deadline.filter(|_| !matches!(stage, Stage::Paused | Stage::Ending)),
            is_given_up,
        });
    }
}

impl Laid {
    /// Looks at what lies here.
    pub(crate) fn look(&self, channel: u32, shared: &Mutex<PortShared>, seen: &mut Seen) -> Look {
        if !self.is_there {
            return Look::Busy;
        }
        let messages = self.messages.get(self.looked_at..).unwrap_or_default();
        seen.look(channel, &self.flights, messages, shared)
    }
}

impl Drive {
    /// As [`Laid::look`], between two passes.
    pub(crate) fn look_at_all(&self, channel: u32, shared: &Mutex<PortShared>, seen: &mut Seen) -> Look {
        seen.look(channel, &self.flights, &self.messages[self.looked_at..], shared)
    }
}

fn stage(phase: Phase) -> Stage {
    match phase {
        Phase::Direct | Phase::Stepped | Phase::Refused => Stage::Driver,
        Phase::Awaiting => Stage::Readiness,
        Phase::Helper => Stage::Helper,
        Phase::Resting => Stage::Resting,
        Phase::Lacking => Stage::Lacking,
        Phase::Timer => Stage::Timer,
        Phase::Paused | Phase::Late => Stage::Paused,
        Phase::Ending(_) => Stage::Ending,
    }
}
