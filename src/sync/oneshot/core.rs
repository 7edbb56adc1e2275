//! What the two ends of a oneshot share: one value under a lock, and those who wait for it or for the other end.

use super::super::base::face::{ForkMutex, Forked, Stop, WaitKind};
use super::super::base::first::{Among, Arm, Stood};
use super::super::base::names::Name;
use super::super::base::said::{Kind, What};
use super::super::base::waiters::{How, Waited, Waiters};
use super::super::channel::core::Failed;

/// See the module. The list of those who wait is locked before the state.
pub(crate) struct Core<T> {
    state: ForkMutex<State<T>>,
    waiters: Waiters,
}

struct State<T> {
    value: Option<T>,
    /// Nothing is sent any more.
    sent: bool,
    /// Nothing may be sent any more.
    closed: bool,
}

impl<T> Forked for State<T> {
    /// Whether there is a value nobody knows: neither end has anything to hope for.
    fn left_half() -> Self {
        State { value: None, sent: true, closed: true }
    }
}

impl<T> Core<T> {
    pub(crate) fn new() -> Core<T> {
        let state = State { value: None, sent: false, closed: false };
        Core { state: ForkMutex::new(state), waiters: Waiters::new() }
    }

    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        {
            let mut state = self.state.lock();
            if state.closed {
                drop(state);
                return Err(value);
            }
            state.value = Some(value);
            state.sent = true;
        }
        self.waiters.tell_all();
        Ok(())
    }

    /// Nothing is sent any more, unless it has been.
    pub(crate) fn sender_goes(&self) {
        let was_sent = std::mem::replace(&mut self.state.lock().sent, true);
        if !was_sent {
            self.waiters.tell_all();
        }
    }

    /// From now on nothing is sent.
    pub(crate) fn close(&self) {
        let was_closed = std::mem::replace(&mut self.state.lock().closed, true);
        if !was_closed {
            self.waiters.tell_all();
        }
    }

    /// Gives what nobody will receive any more, to be dropped without the lock.
    pub(crate) fn receiver_goes(&self) -> Option<T> {
        self.close();
        self.state.lock().value.take()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// The value; `None` if there may be one later.
    pub(crate) fn take(&self) -> Option<Result<T, Failed>> {
        let mut state = self.state.lock();
        match state.value.take() {
            Some(value) => Some(Ok(value)),
            None if state.sent || state.closed => Some(Err(Failed::Closed)),
            None => None,
        }
    }

    fn is_ready(&self) -> bool {
        let state = self.state.lock();
        state.sent || state.closed
    }

    pub(crate) fn recv(&self, how: How) -> Result<T, Failed> {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            match self.waiters.wait(&how, |_| self.is_ready(), || (), |_| ()) {
                Waited::Not | Waited::Told => (),
                Waited::Late => return Err(Failed::Late),
                Waited::Stopped(stop) => return Err(Failed::Stopped(stop)),
            }
        }
    }

    /// Waits until it is closed. (There is no deadline of its own.)
    pub(crate) fn wait_closed(&self, how: How) -> Result<(), Stop> {
        while !self.is_closed() {
            if let Waited::Stopped(stop) = self.waiters.wait(&how, |_| self.is_closed(), || (), |_| ()) {
                return Err(stop);
            }
        }
        Ok(())
    }
}

/// To receive, as one of several.
pub(crate) struct RecvArm<'a, T> {
    core: &'a Core<T>,
    kind: &'static WaitKind,
    name: &'a Name,
    taken: Option<Result<T, Failed>>,
}

impl<'a, T> RecvArm<'a, T> {
    pub(crate) fn new(core: &'a Core<T>, kind: &'static WaitKind, name: &'a Name) -> Self {
        RecvArm { core, kind, name, taken: None }
    }

    /// What came of it, once.
    pub(crate) fn taken(&mut self) -> Option<Result<T, Failed>> {
        self.taken.take()
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn attempt(&mut self) -> bool {
        self.taken = self.core.take();
        self.taken.is_some()
    }

    fn what(&self) -> Option<What> {
        Some(What::named(Kind::OneshotRecv, self.name))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.core.waiters.stand_among(&How::new(self.kind, 0), |_| self.core.is_ready(), among, inner)
    }
}

/// To wait until it is closed, as one of several.
pub(crate) struct ClosedArm<'a, T> {
    core: &'a Core<T>,
    kind: &'static WaitKind,
    name: &'a Name,
}

impl<'a, T> ClosedArm<'a, T> {
    pub(crate) fn new(core: &'a Core<T>, kind: &'static WaitKind, name: &'a Name) -> Self {
        ClosedArm { core, kind, name }
    }
}

impl<T> Arm for ClosedArm<'_, T> {
    fn attempt(&mut self) -> bool {
        self.core.is_closed()
    }

    fn what(&self) -> Option<What> {
        Some(What::named(Kind::OneshotClosed, self.name))
    }

    fn stand(&mut self, among: &Among<'_>, inner: &mut dyn FnMut(&Among<'_>)) -> Stood {
        self.core.waiters.stand_among(&How::new(self.kind, 0), |_| self.core.is_closed(), among, inner)
    }
}
