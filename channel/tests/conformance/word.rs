//! Words in memory that others change.

use crate::SOON;
use crate::common::{each_driver, none_for};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use ec_channel::{EventKind, Request, wake_word};
use ec_test_support::limit;
use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub static ROW: Row = Row {
    kind: EventKind::Word,
    on_descriptor: true,
    completes: Cell::Can { make: changes, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("a word that is there can be waited for"),
    cancelled: Cell::Can { make: changes, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: changes, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: changes, allowed: &[Outcome::Cancelled] },
    inputs: &[Input { words: "it has another value already", make: || other(), gives: Ok(0) }],
};

fn changes() -> Scene {
    let word = Arc::new(AtomicU32::new(1));
    let theirs = word.clone();
    Scene::new(Request::word(word.clone(), 1))
        .cause(move || {
            theirs.store(2, Ordering::Release);
            wake_word(&theirs);
        })
        .check(move |_, outcome| {
            let value = word.load(Ordering::Acquire);
            ensure(outcome != Outcome::Done || value == 2, || format!("the word is {value}"))
        })
}

fn other() -> Scene {
    Scene::new(Request::word(Arc::new(AtomicU32::new(7)), 1))
}

/// Woken for nothing, it waits on.
#[test]
fn a_wake_up_without_a_change_is_none() {
    limit(30, || {
        each_driver(|channel| {
            let word = Arc::new(AtomicU32::new(0));
            channel.post(Request::word(word.clone(), 0)).unwrap();
            for _ in 0..3 {
                wake_word(&word);
                none_for(&channel, SOON);
            }
            word.store(1, Ordering::Release);
            wake_word(&word);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

/// (In a mapping that is shared with a child.)
#[test]
fn a_word_is_changed_by_another_process() {
    struct Mapped(*mut libc::c_void);
    // SAFETY: an atomic, mapped until it is dropped.
    unsafe impl Send for Mapped {}
    // SAFETY: as above.
    unsafe impl Sync for Mapped {}
    impl Borrow<AtomicU32> for Mapped {
        fn borrow(&self) -> &AtomicU32 {
            // SAFETY: as above; a page's beginning is aligned.
            unsafe { AtomicU32::from_ptr(self.0.cast()) }
        }
    }
    impl Drop for Mapped {
        fn drop(&mut self) {
            // SAFETY: nobody has it any more.
            unsafe { libc::munmap(self.0, 4096) };
        }
    }
    ec_test_support::alone(30, || {
        each_driver(|channel| {
            let (access, sort) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
            // SAFETY: a new mapping.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, sort, -1, 0) };
            assert_ne!(at, libc::MAP_FAILED);
            let word = Arc::new(Mapped(at));
            channel.post(Request::word(word.clone(), 0)).unwrap();
            none_for(&channel, SOON);
            // SAFETY: the child stores a number, makes one system call, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let word: &AtomicU32 = (*word).borrow();
                word.store(1, Ordering::Release);
                wake_word(word);
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
            // SAFETY: no status is wanted.
            unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        })
    });
}
