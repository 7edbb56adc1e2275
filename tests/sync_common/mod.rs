//! Who takes part in a test of `event_channel::sync`: tasks, plain threads, or both.
#![allow(dead_code, unused_imports)] // each test file uses a part

#[path = "../net_common/mod.rs"]
mod net_common;

use event_channel::{Runtime, task};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub use net_common::{each_runtime_of, eventually};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Tasks,
    Threads,
    Both,
}

/// Starts tasks of a runtime, or threads, or one of each in turn.
pub struct Crew<'a> {
    runtime: &'a Runtime,
    kind: Kind,
    started: AtomicUsize,
}

pub enum Hand<T> {
    Task(task::JoinHandle<T>),
    Thread(thread::JoinHandle<T>),
}

impl Crew<'_> {
    pub fn spawn<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Hand<T> {
        let nth = self.started.fetch_add(1, Ordering::Relaxed);
        if self.kind == Kind::Tasks || self.kind == Kind::Both && nth.is_multiple_of(2) {
            Hand::Task(self.runtime.spawn(f))
        } else {
            Hand::Thread(thread::spawn(f))
        }
    }
}

impl<T> Hand<T> {
    pub fn join(self) -> T {
        match self {
            Hand::Task(task) => task.join().unwrap(),
            Hand::Thread(thread) => thread.join().unwrap(),
        }
    }
}

/// Runs `test` with tasks, with threads and with both; from a task and from a thread; on runtimes of each kind.
pub fn everywhere(test: impl Fn(&Crew<'_>) + Sync) {
    each_runtime_of(&[1, 2, 8], |runtime| {
        for kind in [Kind::Tasks, Kind::Threads, Kind::Both] {
            let crew = Crew { runtime, kind, started: AtomicUsize::new(0) };
            if kind != Kind::Threads {
                runtime.run(|| test(&crew));
            }
            if kind != Kind::Tasks {
                test(&crew);
            }
        }
    });
}
