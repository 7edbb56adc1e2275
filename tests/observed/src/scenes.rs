//! The scenes: what a checker of memory should see of tasks.

use event_channel::task::{self, JoinHandle};
use std::cell::RefCell;
use std::panic::{catch_unwind, panic_any};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Enough that stacks are used again and queues are stolen from; few enough for a checker that slows all down.
const TASKS: usize = 40;
const HOPS: usize = 6;

/// Gives the worker away.
pub(crate) fn hop() {
    task::yield_now();
}

pub(crate) fn join_all<T>(handles: Vec<JoinHandle<T>>) -> Vec<T> {
    handles.into_iter().map(|handle| handle.join().expect("the task does not panic")).collect()
}

static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// Has memory and a destructor.
struct Noted(Vec<usize>);

impl Noted {
    fn new() -> Noted {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Noted(Vec::new())
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        // In the middle of the destructors, too.
        hop();
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static NOTES: RefCell<Noted> = RefCell::new(Noted::new());
}

/// Holds a borrow of its thread-local over each suspension.
fn takes_notes(number: usize) {
    NOTES.with_borrow_mut(|notes| {
        assert!(notes.0.is_empty(), "somebody else's notes");
        for hop_number in 0..HOPS {
            notes.0.push(number * HOPS + hop_number);
            hop();
        }
        assert!(notes.0.iter().copied().eq(number * HOPS..(number + 1) * HOPS));
    });
}

pub(crate) fn own() {
    // Twice: the second time on stacks that were used before.
    for _ in 0..2 {
        join_all((0..TASKS).map(|number| task::spawn(move || takes_notes(number))).collect());
    }
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "every destructor ran");
}

pub(crate) fn dedicated() {
    let start =
        |number| task::Builder::new().dedicated().spawn(move || takes_notes(number)).expect("a thread");
    join_all((0..TASKS / 4).map(start).collect());
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "every destructor ran");
}

pub(crate) fn lean() {
    let sums = |number: usize| {
        move || {
            let mut sum = Box::new(0);
            for hop_number in 0..HOPS {
                *sum += number + hop_number;
                hop();
            }
            *sum
        }
    };
    // SAFETY: nothing in the closure has to do with its thread.
    let start = |number| unsafe { task::Builder::new().spawn_lean(sums(number)) }.expect("a task");
    for (number, sum) in join_all((0..TASKS).map(start).collect()).into_iter().enumerate() {
        assert_eq!(sum, number * HOPS + HOPS * (HOPS - 1) / 2);
    }
}

/// What one task allocates another lets grow and a third frees.
pub(crate) fn memory() {
    let shelf: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let handles = (0..TASKS).map(|number| {
        let shelf = shelf.clone();
        task::spawn(move || {
            for round in 1..=HOPS {
                let taken = shelf.lock().expect("nobody panics").pop();
                let mut piece = taken.unwrap_or_default();
                assert!(piece.iter().all(|byte| *byte == 7));
                piece.resize(piece.len() + number * 37 * round, 7);
                hop();
                if piece.len() < 20_000 {
                    shelf.lock().expect("nobody panics").push(piece);
                }
                hop();
            }
        })
    });
    join_all(handles.collect());
}

/// Closures with little and with much in them, in turn on the same stacks: they begin on their task's stack.
pub(crate) fn captures() {
    fn all<const BYTES: usize>() {
        let handles = (0..TASKS / 4).map(|number| {
            let captured = [number as u8; BYTES];
            task::spawn(move || {
                hop();
                captured.iter().map(|byte| usize::from(*byte)).sum::<usize>()
            })
        });
        for (number, sum) in join_all(handles.collect()).into_iter().enumerate() {
            assert_eq!(sum, number * BYTES);
        }
    }
    for _ in 0..2 {
        all::<8>();
        all::<900>();
        all::<1_500>();
        all::<3_000>();
    }
}

/// Panics that are caught inside, that end the task, and that suspend while they unwind.
pub(crate) fn panics() {
    struct Hops;
    impl Drop for Hops {
        fn drop(&mut self) {
            hop();
        }
    }
    let handles: Vec<_> = (0..TASKS / 4)
        .map(|number| {
            task::spawn(move || {
                let caught = catch_unwind(|| {
                    let _hops = Hops;
                    hop();
                    panic_any(number)
                });
                assert_eq!(caught.err().and_then(|payload| payload.downcast_ref().copied()), Some(number));
                assert!(!std::thread::panicking());
                hop();
                let _hops = Hops;
                panic_any(String::from("on purpose"));
            })
        })
        .collect();
    for handle in handles {
        let payload = handle.join().expect_err("it has panicked");
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("on purpose"));
    }
}

/// A read of memory that nobody has written, and memory that is lost: in a task, after a suspension.
pub(crate) fn planted() {
    let wrong = || {
        hop();
        // SAFETY: memory of that size; that it is read too soon is what the checker is to find.
        let first = unsafe { libc::malloc(64).cast::<u8>().read_volatile() };
        if first == 7 { "seven" } else { "another number" }
    };
    println!("the first byte was {}", task::spawn(wrong).join().expect("it does not panic"));
}
