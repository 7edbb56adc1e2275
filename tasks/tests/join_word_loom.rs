//! The join word under every interleaving, where a joiner may take back that it waits: the production source against loom's atomics.
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
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

/// A joiner: how often it was told of the end, and what the completer reads of it.
struct Joiner {
    told: AtomicUsize,
    name: UnsafeCell<usize>,
}

impl Joiner {
    fn new() -> Arc<Joiner> {
        Arc::new(Joiner { told: AtomicUsize::new(0), name: UnsafeCell::new(0) })
    }

    fn is_told(&self) {
        // SAFETY: loom checks that the joiner's write comes before; that is the test.
        assert_eq!(self.name.with(|name| unsafe { *name }), 7);
        self.told.fetch_add(1, Ordering::AcqRel);
    }
}

fn waits(word: &JoinWord<Arc<Joiner>>) -> (Arc<Joiner>, bool) {
    let joiner = Joiner::new();
    // SAFETY: nobody else has it yet.
    joiner.name.with_mut(|name| unsafe { *name = 7 });
    // SAFETY: the one handle.
    let waits = unsafe { word.wait_for(joiner.clone()) };
    (joiner, waits)
}

/// The last joiner is told, unless it finds the end by itself; one that has withdrawn in time is not. What was taken back is so once.
#[test]
fn a_joiner_that_has_withdrawn_is_not_told_and_the_next_one_is() {
    loom::model(|| {
        let word = Arc::new(JoinWord::<Arc<Joiner>>::new());
        let result = Arc::new(UnsafeCell::new(0));
        let (theirs, writes) = (word.clone(), result.clone());
        let completer = thread::spawn(move || {
            // SAFETY: loom checks that whoever reads it comes after; that is the test.
            writes.with_mut(|result| unsafe { *result = 1 });
            if let Some(joiner) = theirs.complete() {
                joiner.is_told();
            }
        });
        let (first, first_waits) = waits(&word);
        let mut withdrawn = false;
        if first_waits {
            // SAFETY: the one handle.
            let taken = unsafe { word.withdraw() };
            withdrawn = taken.as_ref().is_some_and(|taken| Arc::ptr_eq(taken, &first));
            assert!(withdrawn || (taken.is_none() && word.is_complete()));
        }
        let (second, second_waits) = if word.is_complete() { (Joiner::new(), false) } else { waits(&word) };
        if !second_waits {
            assert!(word.is_complete());
            // SAFETY: loom checks it.
            assert_eq!(result.with(|result| unsafe { *result }), 1);
        }
        completer.join().unwrap();
        let told = |joiner: &Joiner| joiner.told.load(Ordering::Acquire);
        assert_eq!(told(&second), usize::from(second_waits));
        assert_eq!(told(&first), usize::from(first_waits && !withdrawn));
    });
}
