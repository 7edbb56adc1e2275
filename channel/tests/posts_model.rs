//! Posts from signal handlers, model-checked by loom: each is taken once, and who takes does not sleep while one is due.
//!
//! A taker that sleeps although something is due shows as a deadlock, which loom reports.
#![cfg(loom)]

#[path = "../src/posts.rs"]
mod posts;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use posts::{Bell, Posts};

/// Every schedule with up to four preemptions: to lose the bell of the second of two posts takes two.
fn model(f: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(4);
    builder.check(f);
}

#[derive(Default)]
struct TestBell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell for TestBell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.rings.notify_one();
    }

    fn hush(&self) {
        *self.rung.lock().unwrap() = false;
    }
}

/// As the stream does on a driver that polls for the bell before each item: it waits for the bell, always.
fn take_all(posts: &Posts<TestBell>, mut then: impl FnMut()) {
    loop {
        let mut rung = posts.bell.rung.lock().unwrap();
        while !*rung {
            rung = posts.bell.rings.wait(rung).unwrap();
        }
        drop(rung);
        if posts.is_due() {
            match posts.take() {
                true => then(),
                false => return,
            }
        }
    }
}

#[test]
fn each_post_is_taken_once_and_the_end_after_them() {
    model(|| {
        let posts = Arc::new(Posts::new(TestBell::default()));
        let theirs = posts.clone();
        let poster = thread::spawn(move || {
            theirs.post();
            theirs.post();
            theirs.end();
        });
        let mut taken = 0;
        take_all(&posts, || taken += 1);
        assert_eq!(taken, 2);
        poster.join().unwrap();
    });
}

#[test]
fn two_who_post_are_both_heard() {
    model(|| {
        let posts = Arc::new(Posts::new(TestBell::default()));
        let (one, other) = (posts.clone(), posts.clone());
        let one = thread::spawn(move || one.post());
        let other = thread::spawn(move || other.post());
        let mut taken = 0;
        take_all(&posts, || {
            taken += 1;
            if taken == 2 {
                posts.end();
            }
        });
        assert_eq!(taken, 2);
        one.join().unwrap();
        other.join().unwrap();
    });
}
