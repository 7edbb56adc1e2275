//! The queues of channels, for forked children, too: what a thread of the parent was just putting in or taking out is in nobody's way there,
//! and is in the queue no longer.
//!
//! This file has `unsafe` in it: the contract of `ForkCell::get`.

#![allow(unsafe_code)]

use ec_channel::ring::{Refused, Taken};
use ec_channel::{queue, ring};
use ec_tasks::lock::{ForkCell, Mend};

/// An [`ec_channel::queue::Queue`]: without bound.
pub(crate) struct Queue<T>(ForkCell<Unbounded<T>>);

/// An [`ec_channel::ring::Ring`]: of a fixed size.
pub(crate) struct Ring<T>(ForkCell<Bounded<T>>);

struct Unbounded<T>(queue::Queue<T>);
struct Bounded<T>(ring::Ring<T>);

impl<T> Mend for Unbounded<T> {
    fn mend(&mut self, _: bool) {
        self.0.mend();
    }
}

impl<T> Mend for Bounded<T> {
    fn mend(&mut self, _: bool) {
        self.0.mend();
    }
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Queue(ForkCell::new(Unbounded(queue::Queue::new())))
    }

    #[inline]
    fn inner(&self) -> &queue::Queue<T> {
        // SAFETY: all that the functions below call is the allocator, while nothing is half done.
        unsafe { &self.0.get().0 }
    }

    #[inline]
    pub(crate) fn push_open(&self, item: T) -> Result<bool, T> {
        self.inner().push_open(item)
    }

    #[inline]
    pub(crate) fn pop(&self) -> Option<T> {
        self.inner().pop()
    }

    #[inline]
    pub(crate) fn pop_or_rest(&self) -> Option<(T, bool)> {
        self.inner().pop_or_rest()
    }

    pub(crate) fn close(&self) -> bool {
        self.inner().close()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.inner().is_empty()
    }
}

impl<T> Ring<T> {
    pub(crate) fn new(places: usize) -> Self {
        Ring(ForkCell::new(Bounded(ring::Ring::new(places))))
    }

    #[inline]
    fn inner(&self) -> &ring::Ring<T> {
        // SAFETY: the functions below call nobody.
        unsafe { &self.0.get().0 }
    }

    #[inline]
    pub(crate) fn push(&self, item: T) -> Result<bool, Refused<T>> {
        self.inner().push(item)
    }

    #[inline]
    pub(crate) fn pop(&self) -> Taken<T> {
        self.inner().pop()
    }

    pub(crate) fn close(&self) -> bool {
        self.inner().close()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.inner().is_closed()
    }

    pub(crate) fn places(&self) -> usize {
        self.inner().places()
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.inner().is_empty()
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.inner().is_full()
    }
}
