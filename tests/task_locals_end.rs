//! Task-locals end with the task's thread-locals: what was used first later goes before, what was used first earlier after them.

use corosensei::{Coroutine, Yielder};
use ec_test_support::limit;
use ec_unkind as _;
use event_channel::{task, task_local};
use std::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex, mpsc};

/// What happened, in this order.
type Told = Arc<Mutex<Vec<&'static str>>>;

struct Tells(&'static str, Told);

impl Drop for Tells {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

task_local! {
    static VALUE: RefCell<Option<Tells>> = const { RefCell::new(None) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
}

thread_local! {
    static HELD: RefCell<Option<Coroutine<(), (), ()>>> = const { RefCell::new(None) };
    static LATE: RefCell<Option<Counts>> = const { RefCell::new(None) };
}

/// Counts in a task-local when it is dropped, and says how far that came.
struct Counts(mpsc::Sender<u32>);

impl Drop for Counts {
    fn drop(&mut self) {
        COUNT.set(COUNT.get() + 1);
        self.0.send(COUNT.get()).unwrap();
    }
}

/// In each kind of task.
fn in_each(f: impl Fn() + Clone + Send + 'static) {
    limit(60, || {
        task::spawn(f.clone()).join().unwrap();
        task::Builder::new().dedicated().spawn(f).unwrap().join().unwrap();
    });
}

/// A coroutine of another crate that is suspended in a task-local's `with`, and kept in a thread-local.
#[test]
fn a_borrow_that_a_later_thread_local_holds_ends_before_the_value() {
    let told = Told::default();
    let mine = told.clone();
    in_each(move || {
        VALUE.set(Some(Tells("value", mine.clone())));
        let borrow = mine.clone();
        let mut coroutine = Coroutine::new(move |yielder: &Yielder<(), ()>, ()| {
            VALUE.with(|_value| {
                let _borrow = Tells("borrow", borrow);
                yielder.suspend(());
            });
        });
        coroutine.resume(());
        HELD.set(Some(coroutine));
    });
    assert_eq!(*told.lock().unwrap(), ["borrow", "value", "borrow", "value"]);
}

#[test]
fn a_thread_locals_destructor_may_use_one() {
    let (sender, receiver) = mpsc::channel();
    let (first, last) = (sender.clone(), sender);
    in_each(move || LATE.set(Some(Counts(first.clone()))));
    // Used first after the thread-local: it begins anew.
    in_each(move || {
        LATE.set(Some(Counts(last.clone())));
        COUNT.set(10);
    });
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 1, 1, 1]);
}

#[test]
fn the_destructor_of_a_result_that_nobody_wants_may_use_one() {
    limit(60, || {
        let (sender, receiver) = mpsc::channel();
        for dedicated in [false, true] {
            let builder = task::Builder::new();
            let builder = if dedicated { builder.dedicated() } else { builder };
            let (go_on, waits) = mpsc::channel::<()>();
            let sender = sender.clone();
            let work = move || {
                let _ = waits.recv();
                COUNT.set(5);
                Counts(sender)
            };
            drop(builder.spawn(work).unwrap());
            drop(go_on);
            assert_eq!(receiver.recv().unwrap(), 6);
        }
    });
}
