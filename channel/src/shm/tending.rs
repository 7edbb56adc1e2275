//! What the owner does for the members: it hears what they say, gives readers descriptors, and notices who has gone.

use super::lane::{self, Memory};
use super::member::{NOTE, Note};
use super::process::Process;
use super::queue::{Place, Queue};
use super::wire;
use super::word::Member;
use crate::closing::Outside;
use crate::sync::Ordering;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// What comes from one member at a time, so that each has its turn.
pub(super) const MOST_NOTES: usize = 16;
/// More do not fit into a line.
const A_WHOLE_LINE: usize = 4096;
/// Until what could not be done for want of something is tried again.
pub(super) const A_MOMENT: Duration = Duration::from_millis(10);
const AT_ONCE: Duration = Duration::from_nanos(1);
/// So long a reader waits for a descriptor that cannot be sent to it.
const AT_MOST: Duration = Duration::from_secs(2);

/// Numbers of what is watched: the members' lines and the listeners come first. The process of a member, with its number.
pub(super) const PROCESS: u64 = 1 << 32;
/// It is time to go on with what could not be done.
pub(super) const AGAIN: u64 = 1 << 33;

/// The record whose descriptor a reader waits for.
pub(super) struct Wanted {
    lane: usize,
    number: u64,
    /// So often it was not there yet.
    in_vain: usize,
    /// When it could not be sent for the first time.
    refused: Option<Instant>,
}

impl Queue {
    /// What a member has to say. True: that was all.
    pub(super) fn hear(&mut self, index: usize, most: usize) -> bool {
        for _ in 0..most {
            let Some(line) = &self.places[index].line else { return true };
            let mut packed = [0; NOTE + 1];
            let honest = match wire::receive(line.as_fd(), &mut packed) {
                Ok(None) => return true,
                Ok(Some(got)) => match Note::unpack(&packed[..got.length]) {
                    Some((note, lane, number)) if lane < self.region.layout.shape.posters => {
                        self.take_note(index, note, lane, number, got.descriptors.into_iter().next())
                    }
                    // (Or it is the end.)
                    _ => false,
                },
                Err(_) => false,
            };
            if !honest {
                self.let_go(index);
                return true;
            }
        }
        false
    }

    /// False: no member says that which does what it should.
    fn take_note(
        &mut self,
        index: usize,
        note: Note,
        lane: usize,
        number: u64,
        descriptor: Option<Outside>,
    ) -> bool {
        let number = self.region.layout.numbers().after(number, 0);
        let is_poster = index < self.region.layout.shape.posters;
        match note {
            Note::Keep if lane == index => {
                // It may have waited for room in its line.
                if let Some(index) = lane::call_one(&self.region, 1 << index) {
                    self.ring(index);
                }
                self.kept.keep(&self.region, lane, number, descriptor);
                true
            }
            // (Who waits for one does not ask for another one.)
            Note::Want if !is_poster && self.places[index].wanted.is_none() => {
                self.places[index].wanted = Some(Wanted { lane, number, in_vain: 0, refused: None });
                true
            }
            Note::Done if !is_poster => {
                self.kept.done(&self.region, lane, number);
                true
            }
            Note::Me => self.meet(index, descriptor),
            _ => false,
        }
    }

    /// A member says which process it is.
    fn meet(&mut self, index: usize, descriptor: Option<Outside>) -> bool {
        // (It was lost on the way, for want of a number.)
        let Some(descriptor) = descriptor else { return true };
        let Some(process) = Process::of(descriptor) else { return false };
        if self.places[index].process.is_some() {
            return false;
        }
        match self.watch.add(process.as_fd(), PROCESS | index as u64) {
            Ok(()) => self.places[index].process = Some(process),
            // (There is the line.)
            Err(e) => self.trouble = Some(e),
        }
        true
    }

    /// A member's process has ended, it seems: perhaps that of one who had the place before.
    pub(super) fn see_process(&mut self, index: usize) {
        if self.places[index].process.as_ref().is_some_and(Process::has_ended) {
            self.hear(index, A_WHOLE_LINE);
            self.let_go(index);
        }
    }

    /// Gives a reader the descriptor that it waits for, or says that there is none.
    pub(super) fn answer(&mut self, index: usize) {
        let Some(Wanted { lane, number, .. }) = self.places[index].wanted else { return };
        // The poster has sent it before the reader could ask: it is in the line, behind other notes perhaps.
        if !self.is_kept(lane, number) && !self.hear(lane, MOST_NOTES) && !self.is_kept(lane, number) {
            let Some(wanted) = &mut self.places[index].wanted else { return };
            wanted.in_vain += 1;
            if wanted.in_vain * MOST_NOTES < A_WHOLE_LINE {
                return self.again.set(AT_ONCE);
            }
        }
        let Place { generation, line: Some(line), wanted: Some(wanted), .. } = &mut self.places[index] else {
            return;
        };
        let by = Member { index, generation: *generation };
        let is_theirs = lane::is_taken(&self.region, lane, number, by);
        let is_late = wanted.refused.is_some_and(|since| since.elapsed() >= AT_MOST);
        let kept = self.kept.find(&self.region, lane, number).filter(|_| is_theirs && !is_late);
        let note = if kept.is_some() { Note::Here } else { Note::Lost };
        match wire::send(line.as_fd(), &note.pack(lane, number), kept.as_slice()) {
            Ok(()) => self.places[index].wanted = None,
            // (One who asks waits for the answer: there is room for it.)
            Err(e) if wire::is_passing(&e) => {
                wanted.refused.get_or_insert_with(Instant::now);
                self.again.set(A_MOMENT);
                self.trouble = Some(e);
            }
            Err(_) => self.let_go(index),
        }
    }

    fn is_kept(&self, lane: usize, number: u64) -> bool {
        self.kept.find(&self.region, lane, number).is_some()
    }

    /// What could not be done is tried again. (What readers wait for is, each time.)
    pub(super) fn go_on(&mut self) {
        self.again.set(Duration::ZERO);
        self.accept_again();
    }

    /// Of those who could not say what they have released.
    pub(super) fn close_what_is_done(&mut self) {
        let unsaid = self.region.unsaid();
        if unsaid.load(Ordering::Relaxed) == 0 {
            return;
        }
        let lanes = unsaid.swap(0, Ordering::AcqRel);
        for lane in (0..self.region.lanes()).filter(|lane| lanes & 1 << lane != 0) {
            self.kept.some_are_done(&self.region, lane);
        }
    }

    /// A member is gone, or is sent away.
    pub(super) fn let_go(&mut self, index: usize) {
        let Some(line) = self.places[index].line.take() else { return };
        self.watch.remove(line.as_fd());
        if let Some(process) = self.places[index].process.take() {
            self.watch.remove(process.as_fd());
        }
        self.places[index].wanted = None;
        drop(line);
        self.gone += 1;
        lane::recover(&self.region, index);
        self.kept.member_is_gone(&self.region, index);
        // It may have died between a change and the ring for that.
        lane::wake_all(&self.region);
        let there = (0..self.places.len()).filter(|index| self.places[*index].line.is_some());
        there.for_each(|index| self.ring(index));
    }

    pub(super) fn ring(&self, index: usize) {
        // (It is too full, so it has been rung; or it is broken, as the sleeper sees.)
        let _ = wire::send(self.bells[index].rings.as_fd(), &[0], &[]);
    }
}
