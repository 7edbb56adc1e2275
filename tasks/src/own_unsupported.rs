//! Tasks with thread-locals of their own do not exist on this target: each is a thread. The names are
//! those of `own/mod.rs`. What only such tasks need is never called.

#![allow(unsafe_code)]

use std::io;

use crate::slab::BlockHead;

pub(crate) const FACTS: &[&str] = &[];

/// As in `own/mod.rs`; nobody asks anything of it here.
/// # Safety
/// As there.
pub(crate) unsafe trait BlockStack: Sized {
    fn with_block() -> io::Result<Self>;
    fn thread_pointer(&self) -> usize;
    unsafe fn release(self);
}

pub(crate) fn known() -> Option<Result<(), &'static str>> {
    None
}

pub(crate) fn ask<S: BlockStack>() -> Result<(), &'static str> {
    Err(if cfg!(feature = "own-tls") {
        "tasks can have thread-locals of their own only on x86-64 Linux with a shared glibc"
    } else {
        "the feature `own-tls` is off"
    })
}

pub(crate) fn space() -> usize {
    0
}

pub(crate) fn thread_pointer_below(_: usize) -> usize {
    unreachable!("asked for without support")
}

pub(crate) fn low_end(_: usize) -> usize {
    unreachable!("asked for without support")
}

pub(crate) fn admits(_: usize) -> bool {
    unreachable!("asked for without support")
}

pub(crate) unsafe fn build(_: usize, _: usize, _: &BlockHead) {
    unreachable!("asked for without support")
}

pub(crate) unsafe fn clear(_: &BlockHead) {}

pub(crate) unsafe fn take_kept(_: &BlockHead) -> usize {
    0
}

pub(crate) unsafe fn free_kept(_: usize) {}

pub(crate) fn begin() {}

pub(crate) fn run_destructors() {}

pub(crate) fn after_fork() {}

#[inline(always)]
pub(crate) unsafe fn enter(_: usize) -> usize {
    0
}

#[inline(always)]
pub(crate) unsafe fn leave(_: usize, _: usize) {}

pub(crate) fn on_thread<R>(f: impl FnOnce() -> R) -> R {
    f()
}

pub(crate) fn step_out<R>(f: impl FnOnce() -> R, _: bool) -> R {
    f()
}
