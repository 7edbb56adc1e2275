//! What senders and receivers share: where the items lie, and who waits on each side.
//!
//! Items lie in a queue without a lock, which is closed by the same word by which places are reserved. So after a close nothing comes in,
//! and who finds it closed and empty knows that nothing is left. Nobody is given anything: a waiter is told (`src/sync/base/side.rs`), and takes what
//! it can get when it runs. `bounded(0)` has no places, and what is handed to a waiter there is kept for it until it runs: see `meeting.rs`.
//!
//! `tests/sync_model` checks this file with loom; queues have models of their own (`channel/tests/queue_model.rs`, `ring_model.rs`).

use super::super::base::face::{Instant, Queue, Refused, Ring, Stop, Taken, WaitKind, let_others_run};
use super::super::base::names::{self, Name};
use super::super::base::side::{Side, Turn};
use super::super::base::waiters::How;
use super::meeting::Meeting;

pub(super) static SEND: WaitKind = WaitKind { name: "channel send", cancel: None, describe: names::describe };
pub(super) static RECV: WaitKind = WaitKind { name: "channel recv", cancel: None, describe: names::describe };

/// See the module.
pub(crate) struct Core<T> {
    pub(super) store: Store<T>,
    pub(super) senders: Side,
    pub(super) receivers: Side,
    pub(super) name: Name,
}

pub(super) enum Store<T> {
    List(Queue<T>),
    Ring(Ring<T>),
    Meeting(Meeting<T>),
}

/// For how long one waits, and whether a cancel ends that.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) deadline: Option<Instant>,
    pub(crate) point: bool,
}

/// Why nothing was sent or received.
#[derive(Debug)]
pub(crate) enum Failed {
    Closed,
    /// There was no place, or no item, at once or until the deadline of its own.
    Late,
    Stopped(Stop),
}

impl<T> Core<T> {
    /// `None`: without bound.
    pub(crate) fn new(bound: Option<usize>, name: Name) -> Core<T> {
        let store = match bound {
            None => Store::List(Queue::new()),
            Some(0) => Store::Meeting(Meeting::new()),
            Some(bound) => Store::Ring(Ring::new(bound)),
        };
        Core { store, senders: Side::new(), receivers: Side::new(), name }
    }

    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name.text()
    }

    /// Puts `value` in; waits for a place, or for a receiver.
    #[inline]
    pub(crate) fn send(&self, value: T, patience: Patience) -> Result<(), (T, Failed)> {
        match &self.store {
            Store::List(queue) => self.send_to_list(queue, value),
            Store::Ring(ring) if self.senders.is_open() => match ring.push(value) {
                Ok(rest) => {
                    self.sent(rest);
                    Ok(())
                }
                Err(Refused::Closed(value)) => Err((value, Failed::Closed)),
                Err(Refused::Full(value)) => self.send_slowly(ring, value, patience),
            },
            Store::Ring(ring) => self.send_slowly(ring, value, patience),
            Store::Meeting(meeting) => meeting.send(value, self.how(&SEND, patience), &self.receivers),
        }
    }

    /// As [`send`](Self::send), if that need not wait.
    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), (T, Failed)> {
        match &self.store {
            Store::List(queue) => self.send_to_list(queue, value),
            // (The last place is for one that waits for too long.)
            Store::Ring(ring) if !self.senders.is_open_now() && ring.len() + 1 >= ring.places() => {
                Err((value, if ring.is_closed() { Failed::Closed } else { Failed::Late }))
            }
            Store::Ring(ring) => match ring.push(value) {
                Ok(_) => {
                    self.receivers.notify();
                    Ok(())
                }
                Err(Refused::Closed(value)) => Err((value, Failed::Closed)),
                Err(Refused::Full(value)) => Err((value, Failed::Late)),
            },
            Store::Meeting(meeting) => meeting.try_send(value, &self.receivers),
        }
    }

    #[inline]
    fn send_to_list(&self, queue: &Queue<T>, value: T) -> Result<(), (T, Failed)> {
        match queue.push_open(value) {
            Ok(rest) => {
                self.sent(rest);
                Ok(())
            }
            Err(value) => Err((value, Failed::Closed)),
        }
    }

    #[inline]
    pub(super) fn sent(&self, rest: bool) {
        self.receivers.notify();
        if rest {
            self.senders.rest(|| self.answers_sender());
            let_others_run();
        }
    }

    #[cold]
    fn send_slowly(&self, ring: &Ring<T>, value: T, patience: Patience) -> Result<(), (T, Failed)> {
        let mut kept = Some(value);
        let attempt = |_: &Turn| push(ring, &mut kept);
        let failed = match self.senders.wait(self.how(&SEND, patience), attempt, || self.answers_sender()) {
            Ok(Some(Ok(_))) => {
                self.receivers.notify();
                return Ok(());
            }
            Ok(Some(Err(closed))) => closed,
            Ok(None) => Failed::Late,
            Err(stop) => Failed::Stopped(stop),
        };
        Err((kept.expect("it was not put in"), failed))
    }

    /// Takes an item out; waits for one.
    #[inline]
    pub(crate) fn recv(&self, patience: Patience) -> Result<T, Failed> {
        if let Some(taken) = self.attempt_recv(&Turn::default()) {
            return taken;
        }
        self.recv_slowly(patience)
    }

    #[cold]
    fn recv_slowly(&self, patience: Patience) -> Result<T, Failed> {
        let attempt = |turn: &Turn| Some(self.take_or_end(turn.place())?.0);
        match self.receivers.wait(self.how(&RECV, patience), attempt, || self.answers_receiver()) {
            Ok(Some(taken)) => taken,
            Ok(None) => Err(Failed::Late),
            Err(stop) => Err(Failed::Stopped(stop)),
        }
    }

    /// Takes an item out, if the caller may and there is one.
    #[inline]
    pub(super) fn attempt_recv(&self, turn: &Turn) -> Option<Result<T, Failed>> {
        let (taken, rest) =
            self.receivers.attempt(turn, || self.take_or_end(turn.place()), || self.answers_receiver())?;
        if rest {
            self.receivers.rest_next(|| self.answers_receiver());
        }
        Some(taken)
    }

    /// As [`recv`](Self::recv), if that need not wait.
    #[inline]
    pub(crate) fn try_recv(&self) -> Result<T, Failed> {
        // (The last item is for one that waits for too long.)
        if !self.receivers.is_open_now() && self.len() == 1 {
            return Err(Failed::Late);
        }
        self.take_or_end(None).map_or(Err(Failed::Late), |(taken, _)| taken)
    }

    /// An item, or that none will come; and whether the caller is to rest. `None`: there may be one later. (`place`: see [`Meeting::take`].)
    #[inline]
    fn take_or_end(&self, place: Option<u64>) -> Option<(Result<T, Failed>, bool)> {
        match self.take(place) {
            Taken::Got(value, rest) => Some((Ok(value), rest)),
            Taken::Closed => Some((Err(Failed::Closed), false)),
            Taken::Nothing => None,
        }
    }

    #[inline]
    fn take(&self, place: Option<u64>) -> Taken<T> {
        match &self.store {
            Store::List(queue) => match queue.pop_or_rest() {
                Some((value, rest)) => Taken::Got(value, rest),
                None if !queue.is_closed() => Taken::Nothing,
                // (From there on nothing comes in; before, something may have.)
                None => queue.pop().map_or(Taken::Closed, |value| Taken::Got(value, false)),
            },
            Store::Ring(ring) => {
                let taken = ring.pop();
                if let Taken::Got(..) = taken {
                    self.senders.notify();
                }
                taken
            }
            Store::Meeting(meeting) => meeting.take(place),
        }
    }

    /// From now on nothing comes in. All that wait look again. False: it was closed before.
    pub(crate) fn close(&self) -> bool {
        let closes = match &self.store {
            Store::List(queue) => queue.close(),
            Store::Ring(ring) => ring.close(),
            Store::Meeting(meeting) => meeting.close(),
        };
        if closes {
            self.receivers.notify_all();
            self.senders.notify_all();
        }
        closes
    }

    /// Drops what nobody will receive any more. It is closed. (A destructor that panics keeps none from it; a second one ends the process,
    /// as with a `Vec`.)
    pub(crate) fn discard(&self) {
        let others = DiscardOthers(self);
        loop {
            let value = match &self.store {
                Store::Meeting(meeting) => meeting.take_handed(),
                _ => self.take_or_end(None).and_then(|(taken, _)| taken.ok()),
            };
            let Some(value) = value else { break };
            drop(value);
        }
        std::mem::forget(others);
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        match &self.store {
            Store::List(queue) => queue.is_closed(),
            Store::Ring(ring) => ring.is_closed(),
            Store::Meeting(meeting) => meeting.is_closed(),
        }
    }

    /// Is there anything to receive, a sender that waits with an item too?
    fn has_any(&self) -> bool {
        match &self.store {
            Store::List(queue) => !queue.is_empty(),
            Store::Ring(ring) => !ring.is_empty(),
            Store::Meeting(meeting) => meeting.has_any(),
        }
    }

    /// Has a sender nothing to wait for?
    pub(super) fn answers_sender(&self) -> bool {
        !self.is_full() || self.is_closed()
    }

    /// Has a receiver nothing to wait for?
    pub(super) fn answers_receiver(&self) -> bool {
        self.has_any() || self.is_closed()
    }

    pub(crate) fn len(&self) -> usize {
        match &self.store {
            Store::List(queue) => queue.len(),
            Store::Ring(ring) => ring.len(),
            Store::Meeting(_) => 0,
        }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        match &self.store {
            Store::List(_) => None,
            Store::Ring(ring) => Some(ring.places()),
            Store::Meeting(_) => Some(0),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        match &self.store {
            Store::List(_) => false,
            Store::Ring(ring) => ring.is_full(),
            Store::Meeting(_) => true,
        }
    }

    /// Where items are handed over, if there are no places.
    pub(super) fn meeting(&self) -> Option<&Meeting<T>> {
        match &self.store {
            Store::Meeting(meeting) => Some(meeting),
            _ => None,
        }
    }

    fn how(&self, kind: &'static WaitKind, patience: Patience) -> How {
        let Patience { deadline, point } = patience;
        How { deadline, point, ..How::new(kind, self.name.detail(self)) }
    }
}

struct DiscardOthers<'a, T>(&'a Core<T>);

impl<T> Drop for DiscardOthers<'_, T> {
    fn drop(&mut self) {
        self.0.discard();
    }
}

/// Puts what is kept in, if there is a place: whether the caller is to rest then.
pub(super) fn push<T>(ring: &Ring<T>, kept: &mut Option<T>) -> Option<Result<bool, Failed>> {
    match ring.push(kept.take()?) {
        Ok(rest) => Some(Ok(rest)),
        Err(Refused::Closed(value)) => {
            *kept = Some(value);
            Some(Err(Failed::Closed))
        }
        Err(Refused::Full(value)) => {
            *kept = Some(value);
            None
        }
    }
}
