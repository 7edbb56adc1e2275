//! Who ends the system calls of tasks and threads that are in a section: one thread of the process.
//!
//! 1. A thread that enters a section says so in its record (`record.rs`), with the task it runs and the deadline around that. (`wait/interruptible.rs`
//!    says what a section is, and when a task in one enters and leaves.)
//! 2. A deadline may be earlier than the sender has planned to look (`plan.rs`), or somebody cancels the task: the sender is woken.
//! 3. The sender looks at all records. To who is cancelled, or beyond the deadline, it sends a signal, by the protocol of `word.rs`. It does so again
//!    each millisecond until the section is left: the thread may not have been in a call yet. But it sends none before the last one was handled.
//!    A call may not let itself be interrupted for as long as it likes, and the kernel would queue them.
//! 4. While there is nothing to do, it sleeps.
//!
//! It is a thread of its own, since all others may be what is to be ended: cores whose tasks block, dedicated tasks, threads without any pool.

mod clock;
mod plan;
mod record;
mod word;

use crate::quietly;
use plan::{NEVER, Plan};
use record::Due;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread::Builder;
use std::time::{Duration, Instant};

pub(crate) use clock::of as clock_at;
pub(crate) use record::{Found, Kept, Record, Who};
pub(crate) use word::Seen;

use ec_channel::interrupt;
use ec_tasks::lock::{Condvar, Mutex};

/// Between two signals to one thread.
const AGAIN: Duration = Duration::from_millis(1);

struct Sender {
    plan: Plan,
    /// It is to look again.
    rung: Mutex<bool>,
    bell: Condvar,
}

fn sender() -> &'static Sender {
    static SENDER: OnceLock<Sender> = OnceLock::new();
    SENDER.get_or_init(|| Sender { plan: Plan::new(), rung: Mutex::new(false), bell: Condvar::new() })
}

const NONE: u8 = 0;
const BEGINS: u8 = 1;
const RUNS: u8 = 2;

/// The signal of who has not chosen one; 0: none so far.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// What sections need is there: the sender, and a signal, which is `chosen` or else the one that is given. `None`, and the log is told why: there is
/// no such thing to be had.
#[inline]
pub(crate) fn signal(chosen: Option<i32>) -> Option<i32> {
    static STATE: AtomicU8 = AtomicU8::new(NONE);
    // (Who finds that somebody else starts it just now goes on: it will look at all who are there.)
    if STATE.load(Ordering::Acquire) == NONE
        && STATE.compare_exchange(NONE, BEGINS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    {
        let begun = begin();
        STATE.store(if begun { RUNS } else { NONE }, Ordering::Release);
        if !begun {
            return None;
        }
    }
    match (chosen, SIGNAL.load(Ordering::Relaxed)) {
        (Some(signal), _) => Some(signal),
        (None, 0) => another_signal().or_else(|| {
            quietly!(warn, "no real-time signal is left: blocking calls in interruptible sections will not be interrupted");
            None
        }),
        (None, signal) => Some(signal),
    }
}

/// One for who has chosen none, or has lost it.
fn another_signal() -> Option<i32> {
    let found = interrupt::any_signal()?;
    SIGNAL.store(found, Ordering::Relaxed);
    Some(found)
}

#[cold]
fn begin() -> bool {
    let body = || sender().run();
    let builder = Builder::new().name(String::from("ec-interrupts"));
    let begun = ec_tasks::watch_forks().and_then(|()| ec_tasks::start_thread(builder, body));
    if let Err(error) = &begun {
        quietly!(
            warn,
            "blocking calls in interruptible sections will not be interrupted, since no thread can do it: {error}"
        );
    }
    begun.is_ok()
}

/// Somebody has entered a section, with this deadline: the sender is not to miss it.
pub(crate) fn entered(deadline: u64) {
    if sender().plan.is_late_for(deadline) {
        ring();
    }
}

/// The task is to be sent signals, if it is on a thread in a section.
pub(crate) fn cancelled(task: *const (), who: Who) {
    // (No task is on two.)
    if record::all().any(|record| record.want(task, who)) {
        ring();
    }
}

/// The sender is to look.
pub(crate) fn ring() {
    let sender = sender();
    let rung = std::mem::replace(&mut *sender.rung.lock(), true);
    if !rung {
        sender.bell.notify_one();
    }
}

impl Sender {
    fn run(&self) -> ! {
        loop {
            self.plan.looks();
            let next = look();
            self.plan.sleeps_until(next);
            self.sleep(clock::time(next));
        }
    }

    /// Until somebody rings, or `end`.
    fn sleep(&self, end: Option<Instant>) {
        let mut rung = self.rung.lock();
        while !*rung {
            match end {
                None => self.bell.wait(&mut rung),
                Some(end) => {
                    if self.bell.wait_until(&mut rung, end) {
                        break;
                    }
                }
            }
        }
        *rung = false;
    }
}

/// Sends to whom there is something to send, and gives the time of the next look.
fn look() -> u64 {
    let now = clock::now();
    let again = now.saturating_add(AGAIN.as_nanos() as u64);
    let mut next = NEVER;
    for record in record::all() {
        match record.due(now) {
            Due::Nothing => {}
            Due::At(deadline) => next = next.min(deadline),
            Due::Now(seen) => {
                record.send(seen);
                next = next.min(again);
            }
        }
    }
    next
}
