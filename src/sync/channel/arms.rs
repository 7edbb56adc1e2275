//! The two ends of a channel, as what one of several waits is for: `src/sync/base/first.rs`.

use super::super::base::first::{Among, Arm, Stood};
use super::super::base::said::{Kind, What};
use super::super::base::side::Turn;
use super::super::base::waiters::How;
use super::core::{Core, Failed, RECV, SEND, Store, push};

/// To receive, as one of several.
pub struct RecvArm<'a, T> {
    core: &'a Core<T>,
    turn: Turn,
    taken: Option<Result<T, Failed>>,
}

impl<'a, T> RecvArm<'a, T> {
    pub(crate) fn new(core: &'a Core<T>) -> Self {
        RecvArm { core, turn: Turn::default(), taken: None }
    }

    /// What came of it, once.
    pub(crate) fn taken(&mut self) -> Option<Result<T, Failed>> {
        self.taken.take()
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn attempt(&mut self) -> bool {
        self.taken = self.core.attempt_recv(&self.turn);
        self.taken.is_some()
    }

    fn attempt_at_once(&mut self) -> bool {
        self.taken = match self.core.try_recv() {
            Err(Failed::Late) => None,
            taken => Some(taken),
        };
        self.taken.is_some()
    }

    fn is_claimed(&self) -> bool {
        self.core.meeting().is_some()
    }

    fn what(&self) -> Option<What> {
        Some(What::named(Kind::ChannelRecv, &self.core.name))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        let core = self.core;
        let meeting = core.meeting();
        let is_ready = || match meeting {
            Some(meeting) => meeting.has_any_of_others(among),
            None => core.answers_receiver(),
        };
        let claim = meeting.and_then(|_| among.claim());
        core.receivers.stand_among(&mut self.turn, &How::new(&RECV, 0), claim, is_ready, among, inner)
    }

    fn pass_on(&mut self) {
        self.core.receivers.pass_on_unused(|| self.core.answers_receiver());
    }
}

/// To send, as one of several.
pub struct SendArm<'a, T> {
    core: &'a Core<T>,
    turn: Turn,
    kept: Kept<'a, T>,
}

/// Where the value is until it is sent. Without one there is nothing to be sent.
pub enum Kept<'a, T> {
    Here(Option<T>),
    /// With the caller, where it stays unless it is sent.
    There(&'a mut Option<T>),
}

impl<T> Kept<'_, T> {
    fn slot(&mut self) -> &mut Option<T> {
        match self {
            Kept::Here(slot) => slot,
            Kept::There(slot) => slot,
        }
    }

    fn is_some(&self) -> bool {
        match self {
            Kept::Here(slot) => slot.is_some(),
            Kept::There(slot) => slot.is_some(),
        }
    }
}

impl<'a, T> SendArm<'a, T> {
    pub(crate) fn new(core: &'a Core<T>, kept: Kept<'a, T>) -> Self {
        SendArm { core, turn: Turn::default(), kept }
    }

    /// Was it sent? Else it gives the value.
    pub(crate) fn sent(&mut self) -> Result<(), T> {
        self.kept.slot().take().map_or(Ok(()), Err)
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn attempt(&mut self) -> bool {
        let core = self.core;
        let Store::Ring(ring) = &core.store else { return self.attempt_at_once() };
        let kept = self.kept.slot();
        match core.senders.attempt(&self.turn, || push(ring, kept), || core.answers_sender()) {
            Some(Ok(rest)) => core.sent(rest),
            Some(Err(_)) => (),
            None => return false,
        }
        true
    }

    fn attempt_at_once(&mut self) -> bool {
        let slot = self.kept.slot();
        let Some(value) = slot.take() else { return false };
        match self.core.try_send(value) {
            Ok(()) => true,
            Err((value, failed)) => {
                *slot = Some(value);
                matches!(failed, Failed::Closed)
            }
        }
    }

    fn is_claimed(&self) -> bool {
        self.offers()
    }

    fn offers(&self) -> bool {
        self.core.meeting().is_some()
    }

    fn is_there(&self) -> bool {
        self.kept.is_some()
    }

    fn what(&self) -> Option<What> {
        self.is_there().then(|| What::named(Kind::ChannelSend, &self.core.name))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        if !self.is_there() {
            inner(among);
            return Stood::Idle;
        }
        let (core, how) = (self.core, How::new(&SEND, 0));
        match core.meeting() {
            Some(meeting) => meeting.stand(self.kept.slot(), how, &core.receivers, among, inner),
            None => {
                let is_ready = || core.answers_sender();
                core.senders.stand_among(&mut self.turn, &how, None, is_ready, among, inner)
            }
        }
    }

    fn pass_on(&mut self) {
        self.core.senders.pass_on_unused(|| self.core.answers_sender());
    }
}
