//! The join word under every interleaving: the production source against loom's atomics.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p ec-tasks --release --test join_word_loom`
#![cfg(loom)]

mod sync {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicU32, Ordering};
}

#[allow(dead_code)]
#[path = "../src/task/join_word.rs"]
mod join_word;

use join_word::JoinWord;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A task that ends: what it leaves is to be seen by whoever learns of its end.
struct Model {
    word: JoinWord<u32>,
    result: UnsafeCell<u32>,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Model { word: JoinWord::new(), result: UnsafeCell::new(0) })
    }

    /// The task's end. Gives who is to be told.
    fn end(&self) -> Option<u32> {
        // SAFETY: loom checks that it is exclusive; that is the test.
        self.result.with_mut(|result| unsafe { *result = 42 });
        assert!(!self.word.settle(), "nobody has detached");
        self.word.complete()
    }

    fn wait_for(&self, joiner: u32) -> bool {
        // SAFETY: by the one thread that stands for the handle, when nobody is named.
        match unsafe { self.word.wait_for(joiner) } {
            Ok(()) => true,
            Err(back) => {
                assert_eq!(back, joiner);
                self.take_result();
                false
            }
        }
    }

    /// `None`: the task is complete.
    fn take_back(&self) -> Option<u32> {
        // SAFETY: as above.
        let joiner = unsafe { self.word.take_back() };
        if joiner.is_none() {
            self.take_result();
        }
        joiner
    }

    fn take_result(&self) {
        assert!(self.word.is_complete());
        // SAFETY: as in `end`.
        self.result.with_mut(|result| assert_eq!(unsafe { *result }, 42));
    }
}

#[test]
fn who_waits_is_told_or_finds_it_complete() {
    loom::model(|| {
        let task = Model::new();
        let other = task.clone();
        let completer = thread::spawn(move || other.end());
        let waits = task.wait_for(1);
        assert_eq!(completer.join().unwrap(), waits.then_some(1));
        task.take_result();
    });
}

/// Who gives up and comes again: the completer gives nobody who was taken back, and who was not is given once.
#[test]
fn who_was_taken_back_is_not_told_and_who_came_later_is() {
    loom::model(|| {
        let task = Model::new();
        let other = task.clone();
        let completer = thread::spawn(move || other.end());
        let mut named = None;
        for joiner in [1, 2, 3] {
            if !task.wait_for(joiner) {
                break;
            }
            named = Some(joiner);
            if joiner < 3 {
                match task.take_back() {
                    Some(back) => {
                        assert_eq!(back, joiner);
                        named = None;
                    }
                    None => break,
                }
            }
        }
        assert_eq!(completer.join().unwrap(), named);
        task.take_result();
    });
}

/// A handle that is dropped while it has named somebody: that one is dropped once, by one of the two, and the result, too.
#[test]
fn a_handle_that_goes_leaves_nothing_behind() {
    loom::model(|| {
        let task = Model::new();
        let other = task.clone();
        let completer = thread::spawn(move || {
            // SAFETY: as in `end`.
            other.result.with_mut(|result| unsafe { *result = 42 });
            let result_is_its = other.word.settle();
            (other.word.complete(), result_is_its)
        });
        // SAFETY: by the one thread that stands for the handle, which names one.
        let waits = unsafe { task.word.wait_for(1) }.is_ok();
        // SAFETY: as above.
        let back = unsafe { task.word.take_back() };
        let result_is_ours = task.word.detach();
        let (told, result_is_its) = completer.join().unwrap();
        assert!(result_is_ours != result_is_its, "one drops the result");
        let named = [told.is_some(), back.is_some()].iter().filter(|is| **is).count();
        assert_eq!(named, usize::from(waits), "told or taken back, once");
    });
}
