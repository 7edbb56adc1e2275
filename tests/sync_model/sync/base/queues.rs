//! The queues of channels, each under a lock: each step of one is a step of the model. What happens within a step is left to the models of
//! the queues themselves (`channel/tests/queue_model.rs`, `ring_model.rs`). Here everybody has gone on for long, all the time.

use loom::sync::Mutex;
use std::collections::VecDeque;

pub(crate) struct Queue<T>(Mutex<Inner<T>>);

pub(crate) struct Ring<T> {
    inner: Mutex<Inner<T>>,
    places: usize,
}

struct Inner<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Inner<T> {
    fn new() -> Mutex<Self> {
        Mutex::new(Inner { items: VecDeque::new(), closed: false })
    }

    fn close(&mut self) -> bool {
        !std::mem::replace(&mut self.closed, true)
    }
}

pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

pub(crate) enum Taken<T> {
    Got(T, bool),
    Nothing,
    Closed,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue(Inner::new())
    }

    pub(crate) fn push_open(&self, item: T) -> Result<bool, T> {
        let mut inner = self.0.lock().unwrap();
        if inner.closed {
            return Err(item);
        }
        inner.items.push_back(item);
        Ok(true)
    }

    pub(crate) fn pop(&self) -> Option<T> {
        self.0.lock().unwrap().items.pop_front()
    }

    pub(crate) fn pop_or_rest(&self) -> Option<(T, bool)> {
        Some((self.pop()?, true))
    }

    pub(crate) fn close(&self) -> bool {
        self.0.lock().unwrap().close()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().unwrap().closed
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Ring<T> {
    pub(crate) fn new(places: usize) -> Self {
        Ring { inner: Inner::new(), places }
    }

    pub(crate) fn push(&self, item: T) -> Result<bool, Refused<T>> {
        let mut inner = self.inner.lock().unwrap();
        if inner.closed {
            return Err(Refused::Closed(item));
        }
        if inner.items.len() == self.places {
            return Err(Refused::Full(item));
        }
        inner.items.push_back(item);
        Ok(true)
    }

    pub(crate) fn pop(&self) -> Taken<T> {
        let mut inner = self.inner.lock().unwrap();
        match inner.items.pop_front() {
            Some(item) => Taken::Got(item, true),
            None if inner.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    pub(crate) fn close(&self) -> bool {
        self.inner.lock().unwrap().close()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.inner.lock().unwrap().closed
    }

    pub(crate) fn places(&self) -> usize {
        self.places
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.lock().unwrap().items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.places
    }
}
