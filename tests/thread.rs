//! `event_channel::thread`: what std's own tests of `std::thread` go through, by the names of ours. On plain threads, in tasks, and with
//! both.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::thread::{self, Builder, JoinHandle, Thread, ThreadId};
use event_channel::time::{Duration, Instant};
use net_common::each_runtime_of;
use std::any::Any;
use std::cell::Cell;
use std::collections::HashSet;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe, catch_unwind, panic_any};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Barrier};

/// On a plain thread, and in tasks of each runtime.
fn everywhere(check: fn()) {
    limit(60, || {
        check();
        each_runtime_of(&[1, 2, 8], |runtime| runtime.run(check));
    });
}

type Work = Box<dyn FnOnce() + Send>;

/// `check` gets what starts a thread or a task: of std, and of ours.
fn mixed(check: fn(&dyn Fn(Work))) {
    fn of_std(f: Work) {
        std::thread::spawn(f);
    }
    fn of_ours(f: Work) {
        drop(thread::spawn(f));
    }
    limit(60, || {
        check(&of_std);
        check(&of_ours);
        each_runtime_of(&[1, 2, 8], |runtime| {
            runtime.run(|| check(&of_std));
            runtime.run(|| check(&of_ours));
        });
    });
}

#[test]
fn the_types_are_what_stds_are() {
    fn all<T: Send + Sync + UnwindSafe + RefUnwindSafe + Unpin>() {}
    fn value<T: Copy + Eq + std::hash::Hash + std::fmt::Debug>() {}
    all::<Thread>();
    all::<ThreadId>();
    all::<Builder>();
    value::<ThreadId>();
    // Whatever the thread returns.
    fn handle<T: Send + Sync>() {}
    handle::<JoinHandle<Cell<u8>>>();
    assert_eq!(mem::size_of::<Option<ThreadId>>(), mem::size_of::<ThreadId>());
}

#[test]
fn a_thread_without_a_name_has_none() {
    everywhere(|| {
        let handle = thread::spawn(|| thread::current().name().map(str::to_owned));
        assert_eq!(handle.thread().name(), None);
        assert_eq!(handle.join().unwrap(), None);
    });
}

#[test]
fn a_thread_with_a_name_has_it_inside_and_outside() {
    everywhere(|| {
        // The kernel would keep fifteen letters of it.
        let name = "Ada Lovelace, whose name is longer than that";
        let handle = Builder::new().name(name.into()).spawn(thread::current).unwrap();
        assert_eq!(handle.thread().name(), Some(name));
        assert_eq!(handle.join().unwrap().name(), Some(name));
    });
}

#[test]
fn a_name_with_a_nul_is_a_panic() {
    everywhere(|| {
        let spawned = catch_unwind(|| Builder::new().name("Ada l\0velace".into()).spawn(|| {}).is_ok());
        assert!(spawned.is_err());
    });
}

#[test]
fn a_thread_runs() {
    everywhere(|| {
        let (sent, received) = channel();
        thread::spawn(move || sent.send(()).unwrap());
        received.recv().unwrap();
    });
}

#[test]
fn is_finished_says_when() {
    everywhere(|| {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = barrier.clone();
        let handle = thread::spawn(move || {
            theirs.wait();
            1234
        });
        assert!(!handle.is_finished());
        barrier.wait();
        let begun = Instant::now();
        while !handle.is_finished() {
            assert!(begun.elapsed() < Duration::from_secs(50));
            thread::yield_now();
        }
        assert_eq!(handle.join().unwrap(), 1234);
    });
}

#[test]
fn a_join_tells_of_a_panic() {
    everywhere(|| assert!(thread::spawn(|| panic!()).join().is_err()));
}

#[test]
fn the_payload_of_a_panic_comes_with_the_join() {
    fn payload<T: Any + Send>(value: T) -> Box<dyn Any + Send> {
        thread::spawn(|| -> () { panic_any(value) }).join().unwrap_err()
    }
    struct Juju;
    everywhere(|| {
        assert_eq!(payload("static string").downcast_ref(), Some(&"static string"));
        assert_eq!(payload("owned string".to_owned()).downcast_ref(), Some(&"owned string".to_owned()));
        let nested: Box<dyn Any + Send> = Box::new(413u16);
        let any = payload(nested).downcast::<Box<dyn Any + Send>>().unwrap();
        assert_eq!(any.downcast_ref(), Some(&413u16));
        assert!(payload(Juju).is::<Juju>());
    });
}

#[test]
fn a_thread_that_panics_says_so_while_it_does() {
    struct Panicking(Sender<bool>);
    impl Drop for Panicking {
        fn drop(&mut self) {
            self.0.send(thread::panicking()).unwrap();
            // Another one does not.
            let other = thread::spawn(thread::panicking);
            self.0.send(other.join().unwrap()).unwrap();
        }
    }
    everywhere(|| {
        let (told, hears) = channel();
        let panics = thread::spawn(move || {
            let _panicking = Panicking(told);
            panic!();
        });
        assert!(panics.join().is_err() && !thread::panicking());
        assert_eq!(hears.iter().collect::<Vec<_>>(), [true, false]);
    });
}

#[test]
fn threads_spawn_threads() {
    fn generation(number: u32, told: Sender<()>) {
        thread::spawn(move || match number {
            0 => told.send(()).unwrap(),
            _ => generation(number - 1, told),
        });
    }
    everywhere(|| {
        let (told, hears) = channel();
        generation(10, told);
        hears.recv().unwrap();
    });
}

#[test]
fn a_child_does_not_need_its_parent() {
    fn child(number: u32, told: Sender<u32>) -> Work {
        Box::new(move || match number {
            16 => told.send(number).unwrap(),
            _ => drop(thread::spawn(child(number + 1, told))),
        })
    }
    everywhere(|| {
        let (told, hears) = channel();
        drop(thread::spawn(child(0, told)));
        assert_eq!(hears.recv(), Ok(16));
    });
}

#[test]
fn what_a_thread_takes_along_is_not_copied() {
    everywhere(|| {
        let (told, hears) = channel();
        let value = Box::new(1u32);
        let here = &raw const *value as usize;
        thread::spawn(move || told.send(&raw const *value as usize).unwrap());
        assert_eq!(hears.recv().unwrap(), here);

        let value = Box::new(2u32);
        let here = &raw const *value as usize;
        let back = thread::spawn(move || value).join().unwrap();
        assert_eq!((&raw const *back as usize, *back), (here, 2));
    });
}

#[test]
fn an_unpark_before_the_park_counts() {
    everywhere(|| {
        for _ in 0..10 {
            thread::current().unpark();
            thread::park();
            thread::current().unpark();
            thread::park_timeout(Duration::from_secs(3600));
        }
    });
}

#[test]
fn another_thread_unparks() {
    mixed(|spawn| {
        for _ in 0..10 {
            let parked = thread::current();
            spawn(Box::new(move || {
                thread::sleep(Duration::from_micros(200));
                parked.unpark();
            }));
            thread::park();
            let parked = thread::current();
            spawn(Box::new(move || {
                thread::sleep(Duration::from_micros(200));
                parked.unpark();
            }));
            thread::park_timeout(Duration::from_secs(3600));
        }
    });
}

#[test]
fn a_handle_unparks_its_thread() {
    everywhere(|| {
        let parked = thread::spawn(|| {
            thread::park();
            7
        });
        parked.thread().unpark();
        assert_eq!(parked.join().unwrap(), 7);
    });
}

#[test]
fn a_park_ends_with_its_time() {
    everywhere(|| {
        for _ in 0..5 {
            // (It may end without a reason: std's may, too.)
            thread::park_timeout(Duration::from_millis(2));
        }
        let begun = Instant::now();
        let end = begun + Duration::from_millis(5);
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            thread::park_timeout(left);
        }
        assert!(begun.elapsed() >= Duration::from_millis(5));
    });
}

#[test]
fn scoped_threads_borrow() {
    everywhere(|| {
        let mut words = ["these", "are"].map(String::from);
        let length = thread::scope(|s: &thread::Scope<'_, '_>| {
            let longest: thread::ScopedJoinHandle<'_, usize> =
                s.spawn(|| words.iter().map(String::len).max().unwrap());
            let named = Builder::new().name("named".into()).spawn_scoped(s, || words[1].len()).unwrap();
            assert_eq!(named.thread().name(), Some("named"));
            longest.join().unwrap() + named.join().unwrap()
        });
        thread::scope(|s| words.iter_mut().for_each(|word| drop(s.spawn(|| word.push('!')))));
        assert_eq!((length, words), (8, ["these!", "are!"].map(String::from)));
    });
}

#[test]
#[allow(deprecated)]
fn the_old_names_are_there() {
    everywhere(|| {
        let begun = Instant::now();
        thread::sleep_ms(2);
        assert!(begun.elapsed() >= Duration::from_millis(2));
        thread::current().unpark();
        thread::park_timeout_ms(u32::MAX);
    });
}

#[test]
fn sleep_takes_its_time() {
    everywhere(|| {
        for span in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(2)] {
            let begun = Instant::now();
            thread::sleep(span);
            assert!(begun.elapsed() >= span);
        }
    });
}

#[test]
fn an_id_is_the_threads_own_and_stays() {
    mixed(|spawn| {
        let (told, hears) = channel();
        for _ in 0..20 {
            let told = told.clone();
            spawn(Box::new(move || {
                let id = thread::current().id();
                thread::sleep(Duration::from_micros(100));
                assert_eq!(thread::current().id(), id);
                told.send(id).unwrap();
            }));
        }
        drop(told);
        let ids: HashSet<ThreadId> = hears.iter().chain([thread::current().id()]).collect();
        assert_eq!(ids.len(), 21);
    });
}

#[test]
fn an_id_is_the_same_inside_and_outside() {
    everywhere(|| {
        let handle = thread::spawn(|| thread::current().id());
        let outside = handle.thread().id();
        let copy = handle.thread().clone();
        assert_eq!(handle.join().unwrap(), outside);
        assert_eq!(copy.id(), outside);
        assert!(format!("{copy:?}").contains(&format!("{outside:?}")), "{copy:?}");
    });
}

#[test]
fn there_is_some_parallelism() {
    everywhere(|| assert!(thread::available_parallelism().unwrap().get() > 0));
}

#[test]
fn handles_join_in_any_order_and_from_anywhere() {
    mixed(|spawn| {
        let (told, hears) = channel();
        let handles: Vec<_> = (0..10)
            .map(|number| {
                thread::spawn(move || {
                    thread::sleep(Duration::from_micros(100 * (10 - number)));
                    number
                })
            })
            .collect();
        for handle in handles.into_iter().rev() {
            let told = told.clone();
            spawn(Box::new(move || told.send(handle.join().unwrap()).unwrap()));
        }
        drop(told);
        let mut numbers: Vec<_> = hears.iter().collect();
        numbers.sort();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    });
}
