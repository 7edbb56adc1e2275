//! A core: the right to run tasks, as a thing that can be held, handed over and left.
//!
//! It is a run queue, the number of a port of the channel, and what is known of the conversation that the port has. There are as many
//! cores as CPUs that the process may use. A worker (an
//! OS thread) *holds* a core while it runs tasks. Nothing of a core refers to the thread that holds it. So it can change hands, with
//! whatever is queued in it.
//!
//! The run queue has two parts. What can go on waits first in, first out. Tasks that have never run are taken latest first. So a task's
//! children run before its older siblings do: of a tree of a million tasks some dozens have a stack at a time.
//! (Thieves take the oldest, with the most behind it.) [`Turn`] decides between the two. While threads are scarce no new task is admitted
//! at all (`size/admission.rs`).
pub(crate) mod forced;
pub(crate) mod lease;
pub(crate) mod queues;
pub(crate) mod ready;
pub(crate) mod run_queue;
pub(crate) mod stats;

use crate::core::ready::Ready;
use crate::core::run_queue::fifo::{Fifo, FifoStealer};
use crate::core::run_queue::lifo::{Lifo, LifoStealer};
use crate::sleep::conversation::Conversation;
use std::cell::RefCell;
use std::time::Instant;

/// See the module.
pub(crate) struct Core {
    /// Which core, and which port of the channel.
    pub(crate) index: usize,
    begun: Fifo<Ready, SLOTS>,
    new: Lifo<Ready, SLOTS>,
    /// For the conversation that its port may have; `None` where there is no other core.
    conversation: RefCell<Option<Conversation>>,
}

/// What others steal from a core by.
pub(crate) struct Stealer {
    begun: FifoStealer<Ready, SLOTS>,
    new: LifoStealer<Ready, SLOTS>,
}

/// So many are in a ring; more than that are chained. (Two kilobytes, which stay in a cache.)
const SLOTS: usize = 256;

/// Which part of the queue is next, if there is something in both.
#[derive(Default)]
pub(crate) struct Turn {
    /// Taken of those that can go on since the last new one.
    begun: u32,
    /// Taken of the new ones since the last oldest one.
    new: u32,
    /// New ones that come first because a task has let them.
    owed: usize,
}

/// So many that can go on may come before one that is new.
const BEGUN_FIRST: u32 = 3;
/// Every so many new ones the oldest is taken. (Each such one begins another branch of a tree, whose tasks then live
/// beside the others: at 16, a tree of a million tasks had forty thousand stacks, at 256 four thousand.)
const OLDEST_EVERY: u32 = 128;

impl Core {
    /// The cores of a pool, and what others steal from them by.
    pub(crate) fn all(count: usize) -> (Vec<Core>, Box<[Stealer]>) {
        let make = |index| {
            let conversation = RefCell::new((count > 1).then(Conversation::default));
            Core { index, begun: Fifo::new(), new: Lifo::new(), conversation }
        };
        let cores: Vec<_> = (0..count).map(make).collect();
        let stealers =
            cores.iter().map(|core| Stealer { begun: core.begun.stealer(), new: core.new.stealer() });
        let stealers = stealers.collect();
        (cores, stealers)
    }

    /// To the end of its part of the queue.
    #[inline]
    pub(crate) fn push(&self, ready: Ready) {
        if ready.is_new() { self.new.push(ready) } else { self.begun.push(ready) }
    }

    /// As [`push`](Core::push), for a task that goes behind all others, the new ones too.
    #[inline]
    pub(crate) fn push_behind(&self, ready: Ready, turn: &mut Turn) {
        turn.owed = self.new.len();
        self.begun.push(ready);
    }

    /// What is next.
    #[inline]
    pub(crate) fn pop(&self, turn: &mut Turn, admit: bool) -> Option<Ready> {
        if !admit {
            return self.pop_begun();
        }
        if (turn.begun >= BEGUN_FIRST || turn.owed > 0)
            && let Some(ready) = self.pop_new(turn)
        {
            return Some(ready);
        }
        if let Some(ready) = self.begun.pop() {
            turn.begun += 1;
            return Some(ready);
        }
        self.pop_new(turn)
    }

    /// What is next of what has begun.
    #[cold]
    fn pop_begun(&self) -> Option<Ready> {
        // (What came from outside, or from another core, may be new.)
        loop {
            match self.begun.pop()? {
                ready if ready.is_new() => self.new.push(ready),
                ready => return Some(ready),
            }
        }
    }

    /// `ready`, unless it is new and none is admitted: then what is next of what has begun.
    fn admitted(&self, ready: Option<Ready>, admit: bool) -> Option<Ready> {
        match ready? {
            ready if admit || !ready.is_new() => Some(ready),
            new => {
                self.new.push(new);
                self.pop_begun()
            }
        }
    }

    #[inline]
    fn pop_new(&self, turn: &mut Turn) -> Option<Ready> {
        turn.begun = 0;
        if self.new.is_empty() {
            turn.owed = 0;
            return None;
        }
        turn.owed = turn.owed.saturating_sub(1);
        turn.new += 1;
        if turn.new < OLDEST_EVERY {
            return self.new.pop();
        }
        turn.new = 0;
        self.new.pop_oldest()
    }

    /// How many wait here.
    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.new.len()
    }

    /// Called when something may have come: how much waits here. If it is one it counts as a message.
    pub(crate) fn note_message(&self) -> usize {
        let waiting = self.len();
        if waiting == 1 {
            self.conversation.borrow_mut().iter_mut().for_each(|it| it.heard(Instant::now));
        }
        waiting
    }

    /// See [`Conversation::wants_partner`].
    pub(crate) fn wants_partner(&self) -> bool {
        self.conversation.borrow().as_ref().is_some_and(Conversation::wants_partner)
    }

    /// Queues what came from outside, in its order; the first of it to run at once.
    pub(crate) fn enqueue_batch(&self, mut more: impl Iterator<Item = Ready>, admit: bool) -> Option<Ready> {
        let first = more.next();
        more.for_each(|ready| self.begun.push(ready));
        self.admitted(first, admit)
    }

    /// Takes about half of what another core has queued, the oldest; one of it to run at once.
    pub(crate) fn steal_from(&self, other: &Stealer, admit: bool) -> Option<Ready> {
        let begun = self.enqueue_batch(other.begun.steal(), admit);
        if begun.is_some() || !admit {
            return begun;
        }
        other.new.steal().for_each(|ready| self.new.push(ready));
        self.new.pop()
    }

    /// Takes about half of what another core has queued, the oldest, behind what is here. Returns how many.
    pub(crate) fn move_from(&self, other: &Stealer, admit: bool) -> usize {
        let begun = other.begun.steal().map(|ready| self.push(ready)).count();
        if begun > 0 || !admit {
            return begun;
        }
        other.new.steal().map(|ready| self.new.push(ready)).count()
    }

    /// All that is left, in no order.
    pub(crate) fn drain(&self) -> impl Iterator<Item = Ready> {
        std::iter::from_fn(|| self.begun.pop().or_else(|| self.new.pop()))
    }
}

impl Stealer {
    /// Takes one, for somebody without a core.
    pub(crate) fn take(&self, admit: bool) -> Option<Ready> {
        self.begun.take().or_else(|| admit.then(|| self.new.take()).flatten())
    }

    /// Does a new task wait?
    pub(crate) fn has_new(&self) -> bool {
        !self.new.is_empty()
    }

    /// Is there nothing to take, new tasks being admitted or not?
    pub(crate) fn is_empty(&self, admit: bool) -> bool {
        self.begun.is_empty() && (!admit || self.new.is_empty())
    }

    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.new.len()
    }
}
