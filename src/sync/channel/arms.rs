//! The two ends of a channel, as what one of several waits is for: `src/sync/base/first.rs`.

use super::super::base::first::{Among, Arm, Stood};
use super::super::base::side::Turn;
use super::super::base::waiters::How;
use super::core::{Core, Failed, RECV, SEND, Store, push};

/// To receive, as one of several.
pub(crate) struct RecvArm<'a, T> {
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

    fn is_claimed(&self) -> bool {
        self.core.meeting().is_some()
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
pub(crate) struct SendArm<'a, T> {
    core: &'a Core<T>,
    turn: Turn,
    /// Until it is sent.
    value: Option<T>,
}

impl<'a, T> SendArm<'a, T> {
    pub(crate) fn new(core: &'a Core<T>, value: T) -> Self {
        SendArm { core, turn: Turn::default(), value: Some(value) }
    }

    /// It was the first: it was sent, or could not be.
    pub(crate) fn sent(&mut self) -> Result<(), T> {
        self.value.take().map_or(Ok(()), Err)
    }

    /// What was not sent.
    pub(crate) fn value(&mut self) -> Option<T> {
        self.value.take()
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn attempt(&mut self) -> bool {
        let core = self.core;
        let kept = &mut self.value;
        let pushed = match &core.store {
            Store::Ring(ring) => {
                core.senders.attempt(&self.turn, || push(ring, kept), || core.answers_sender())
            }
            _ => kept.take().and_then(|value| match core.try_send(value) {
                Ok(()) => Some(Ok(false)),
                Err((value, failed)) => {
                    *kept = Some(value);
                    if let Failed::Closed = failed { Some(Err(failed)) } else { None }
                }
            }),
        };
        if let (Some(Ok(rest)), Store::Ring(_)) = (&pushed, &core.store) {
            core.sent(*rest);
        }
        pushed.is_some()
    }

    fn is_claimed(&self) -> bool {
        self.offers()
    }

    fn offers(&self) -> bool {
        self.core.meeting().is_some()
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        let (core, how) = (self.core, How::new(&SEND, 0));
        match core.meeting() {
            Some(meeting) => meeting.stand(&mut self.value, how, &core.receivers, among, inner),
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
