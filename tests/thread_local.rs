//! `thread_local!` is std's, and in a task of `event_channel::thread` it is the task's own: what std's tests of it go through.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::thread::{self, ThreadId};
use net_common::each_runtime_of;
use std::cell::{Cell, RefCell};
use std::sync::mpsc::{Sender, channel};

/// On a plain thread, and in tasks of each runtime.
fn everywhere(check: fn()) {
    limit(60, || {
        check();
        each_runtime_of(&[1, 2, 8], |runtime| runtime.run(check));
    });
}

/// Tells when it is dropped.
struct Told(Option<Sender<&'static str>>, &'static str);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(told) = &self.0 {
            told.send(self.1).unwrap();
        }
    }
}

#[test]
fn each_thread_has_a_thread_local_of_its_own() {
    thread_local!(static NUMBER: Cell<i32> = const { Cell::new(1) });
    everywhere(|| {
        NUMBER.set(1);
        let (told, hears) = channel();
        thread::spawn(move || {
            assert_eq!(NUMBER.get(), 1);
            NUMBER.set(3);
            thread::yield_now();
            assert_eq!(NUMBER.get(), 3);
            told.send(()).unwrap();
        });
        hears.recv().unwrap();
        assert_eq!(NUMBER.replace(2), 1);
        let key: &'static thread::LocalKey<Cell<i32>> = &NUMBER;
        assert_eq!(key.get(), 2);
    });
}

#[test]
fn a_thread_local_is_dropped_when_the_thread_ends() {
    thread_local!(static TOLD: RefCell<Told> = const { RefCell::new(Told(None, "local")) });
    everywhere(|| {
        let (told, hears) = channel();
        let handle = thread::spawn(move || TOLD.with_borrow_mut(|local| local.0 = Some(told)));
        handle.join().unwrap();
        // Before the join returns.
        assert_eq!(hears.try_recv(), Ok("local"));
    });
}

#[test]
fn a_thread_local_that_is_being_dropped_is_an_error() {
    struct Looks(Sender<bool>);
    impl Drop for Looks {
        fn drop(&mut self) {
            let looked: Result<(), thread::AccessError> = LOOKS.try_with(|_| ());
            self.0.send(looked.is_err()).unwrap();
        }
    }
    thread_local!(static LOOKS: RefCell<Option<Looks>> = const { RefCell::new(None) });
    everywhere(|| {
        let (told, hears) = channel();
        let handle = thread::spawn(move || {
            assert!(LOOKS.try_with(|_| ()).is_ok());
            LOOKS.set(Some(Looks(told)));
        });
        handle.join().unwrap();
        assert_eq!(hears.try_recv(), Ok(true));
    });
}

#[test]
fn destructors_of_thread_locals_may_use_other_thread_locals() {
    thread_local! {
        static FIRST: RefCell<Option<First>> = const { RefCell::new(None) };
        static SECOND: RefCell<Option<Told>> = const { RefCell::new(None) };
    }
    struct First(Sender<&'static str>);
    impl Drop for First {
        fn drop(&mut self) {
            // (Used here for the first time.)
            SECOND.set(Some(Told(Some(self.0.clone()), "second")));
            self.0.send("first").unwrap();
        }
    }
    everywhere(|| {
        let (told, hears) = channel();
        thread::spawn(move || FIRST.set(Some(First(told)))).join().unwrap();
        assert_eq!(hears.iter().collect::<Vec<_>>(), ["first", "second"]);
    });
}

#[test]
fn a_destructor_of_a_thread_local_knows_its_thread() {
    struct Knows(Sender<ThreadId>);
    impl Drop for Knows {
        fn drop(&mut self) {
            self.0.send(thread::current().id()).unwrap();
        }
    }
    thread_local!(static KNOWS: RefCell<Option<Knows>> = const { RefCell::new(None) });
    everywhere(|| {
        let (told, hears) = channel();
        let handle = thread::spawn(move || KNOWS.set(Some(Knows(told))));
        let id = handle.thread().id();
        handle.join().unwrap();
        assert_eq!(hears.recv().unwrap(), id);
    });
}
