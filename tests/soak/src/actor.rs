//! An actor: a task that takes random steps until it has had enough, the epoch is over, or it is cancelled.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_channel::task::{self, JoinHandle};
use event_channel::{Cancelled, time};

use crate::random::{Random, mix};
use crate::steps::{self, Step};
use crate::watch::{check, fail, progress};
use crate::world::World;
use crate::{post, tally};

/// How a task of ours has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With what follows from its seed.
    Done(u64),
    /// It was cancelled before.
    Cancelled,
}

pub struct Actor {
    pub world: Arc<World>,
    pub random: Random,
    /// How many actors are above this one.
    pub depth: u32,
    seed: u64,
    /// Told apart by those who get messages.
    name: u64,
    /// How many messages have gone to each mailbox.
    sent: Vec<u64>,
}

/// Counts what tasks have in their thread-locals.
struct Local(Arc<World>);

impl Drop for Local {
    fn drop(&mut self) {
        self.0.locals.fetch_sub(1, Ordering::SeqCst);
    }
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static NUMBERS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

impl Actor {
    pub fn new(world: &Arc<World>, seed: u64, depth: u32) -> Actor {
        static NAMES: AtomicU64 = AtomicU64::new(0);
        Actor {
            world: world.clone(),
            random: Random::new(seed),
            depth,
            seed,
            name: NAMES.fetch_add(1, Ordering::Relaxed),
            sent: vec![0; world.boxes.len()],
        }
    }

    /// The body of its task.
    pub fn live(mut self) -> End {
        check!(STEPS.get() == 0, "a new task has another's thread-locals");
        self.world.locals.fetch_add(1, Ordering::SeqCst);
        LOCAL.set(Some(Local(self.world.clone())));
        let most = if self.depth == 0 { self.random.between(3, 60) } else { self.random.between(1, 4) };
        let mut taken = 0;
        let mut end = End::Done(mix(self.seed));
        while taken < most && !self.world.is_over() {
            let step = steps::choose(&mut self.random);
            if !self.take(step) {
                end = End::Cancelled;
                break;
            }
            taken += 1;
            STEPS.set(STEPS.get() + 1);
            check!(STEPS.get() == taken, "{} steps by the thread-local, {taken} in truth", STEPS.get());
        }
        check!(NUMBERS.with_borrow(Vec::is_empty), "the thread-local of a task has changed by itself");
        end
    }

    /// False: the task was cancelled in it.
    fn take(&mut self, step: Step) -> bool {
        let result = step(self);
        progress();
        match result {
            Ok(()) => true,
            Err(error) => {
                check!(Cancelled::is(&error) && task::is_cancelled(), "a step has failed: {error}");
                tally::CANCELS.add(1);
                false
            }
        }
    }

    /// Another actor, below this one.
    pub fn child(&mut self) -> (u64, Actor) {
        let seed = self.random.number();
        (seed, Actor::new(&self.world, seed, self.depth + 1))
    }

    /// The next message of this actor to one of the mailboxes.
    pub fn write(&mut self) {
        let at = self.random.between(0, self.sent.len() as u64 - 1) as usize;
        let mailbox: &post::Mailbox = &self.world.boxes[at];
        mailbox.send(self.name, self.sent[at]);
        self.sent[at] += 1;
    }

    /// Borrows its thread-local across suspensions.
    pub fn borrow(&mut self) {
        let (numbers, wait) = (self.random.between(1, 10), self.random.milliseconds(0, 3));
        NUMBERS.with_borrow_mut(|kept| {
            for number in 0..numbers {
                kept.push(number);
                match number % 3 {
                    0 => time::sleep(wait),
                    1 => task::yield_now(),
                    _ => std::thread::sleep(wait / 4),
                }
                check!(kept.iter().sum::<u64>() == number * (number + 1) / 2, "numbers: {kept:?}");
            }
            kept.clear();
        });
    }
}

/// Joins a task that has to return what follows from `seed`, or was cancelled, if it `may` have been.
pub fn joined(task: JoinHandle<End>, seed: u64, may: bool) {
    match task.join() {
        Ok(End::Cancelled) if may => {}
        Ok(End::Done(value)) if value == mix(seed) => {}
        Ok(end) => fail!("a task has ended with {end:?} instead of {}", mix(seed)),
        Err(_) => fail!("a task has panicked"),
    }
}

/// Joins `task`, whatever has become of the caller: it is cancelled first if `result` is an error.
pub fn with<T>(task: JoinHandle<T>, result: io::Result<()>) -> io::Result<T> {
    if result.is_err() {
        task.cancel();
    }
    let value = task.join().unwrap_or_else(|_| fail!("a task has panicked"));
    result.map(|()| value)
}
