//! A closure run by a helper thread.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry};
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

type Output = Box<dyn Any + Send>;

/// One thread at a time has it: whoever posts and gets it, or the helper.
struct Work {
    closure: Cell<Option<Box<dyn FnOnce() -> Output + Send>>>,
    outcome: Cell<Option<thread::Result<Output>>>,
}

// SAFETY: it touches what it holds.
unsafe impl Carry for Work {
    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Work {
    fn is_for_helpers(&self) -> bool {
        true
    }

    unsafe fn call(&self, _caller: &dyn Caller) -> i32 {
        let Some(closure) = self.closure.take() else { return -libc::EINVAL };
        self.outcome.set(Some(catch_unwind(AssertUnwindSafe(closure))));
        0
    }
}

struct Held(Work);

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::Work as u8
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.0
    }
}

impl Request {
    /// Runs `f` on a helper thread of the process: for what can only be done blocking, or takes long to compute. The event gives what it
    /// returned, or its panic ([`Event::take_work`]); the result is `Ok(0)` when it has run.
    ///
    /// There are as many helpers as have work to do, at most 512; beyond that, closures wait for their turn. An idle helper leaves after ten
    /// seconds. One that is given up (cancelled, over its time limit) before it has begun is not run, and is dropped with the event. One that
    /// has begun runs to its end, and its event comes then: as done. If the system gives the process no thread at all, the event has
    /// `EAGAIN`; also where it has some, and all are in what lasts for as long as others wish (an [`open`](Self::open) of a FIFO, a
    /// [`word`](Self::word)). Where some are busy otherwise, it waits for them, or for the system to give one.
    ///
    /// If the channel goes meanwhile, the closure runs to its end all the same, and its thread drops the rest of the request, and what the
    /// closure has returned.
    ///
    /// What a thread has for itself (a signal mask, say, which children get) is that of whichever thread [started](crate#on-which-thread) the
    /// helper.
    ///
    /// It runs once: posted [again](Event::again) after it has run, its event has `EINVAL`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::work(|| (1..=20u64).product::<u64>()))?;
    /// let product = channel.get_event()?.take_work::<u64>().unwrap().unwrap();
    /// assert_eq!(product, 2_432_902_008_176_640_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn work<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Self {
        let closure = Box::new(move || Box::new(f()) as Output);
        Self::of(Held(Work { closure: Cell::new(Some(closure)), outcome: Cell::new(None) }))
    }
}

impl Event {
    /// What the closure of a [`Request::work`] returned, or its panic, once. `None`: it was not run, its result has been taken, or is of
    /// another type than `T`; or the event is of another kind.
    pub fn take_work<T: 'static>(&mut self) -> Option<thread::Result<T>> {
        let work = &mut self.0.body_mut()?.of_mut::<Held>()?.0;
        match work.outcome.take()? {
            Ok(output) => match output.downcast::<T>() {
                Ok(output) => Some(Ok(*output)),
                Err(output) => {
                    work.outcome.set(Some(Ok(output)));
                    None
                }
            },
            Err(panic) => Some(Err(panic)),
        }
    }
}
