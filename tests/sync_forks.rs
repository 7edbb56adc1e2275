//! Locks in forked children: those that waited in the parent are not there.

mod fork_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::Runtime;
use event_channel::sync::channel::{self, RecvTimeoutError};
use event_channel::sync::{Arc, Barrier, Condvar, Mutex, Notification, RwLock, Semaphore};
use fork_common::{End, fork};
use std::panic::AssertUnwindSafe;
use std::thread;
use std::time::Duration;

/// Of threads that wait, and of those that come in their place.
const STACK: usize = 128 << 10;

/// Threads whose stacks lie where those of the parent's lay, and are full of something else.
fn overwrite_stacks() {
    let threads = (0..24).map(|_| {
        let body = || {
            let mut words = [0x0101_0101_0101_0101u64; STACK / 2 / size_of::<u64>()];
            std::hint::black_box(&mut words);
            thread::sleep(Duration::from_millis(20));
        };
        thread::Builder::new().stack_size(STACK).spawn(body).unwrap()
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
}

#[derive(Default)]
struct Things {
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    condvar: Condvar,
    notification: Notification,
}

impl Things {
    /// In a child that holds both locks: those that come now get them, and those of the parent are in nobody's way.
    fn serve_the_child(self: Arc<Things>, semaphore: Arc<Semaphore>) {
        self.condvar.notify_all();
        self.notification.post();
        semaphore.add_permits(1);
        let threads = (0..4).map(|_| {
            let (things, semaphore) = (self.clone(), semaphore.clone());
            thread::spawn(move || {
                for _ in 0..100 {
                    *things.mutex.lock().unwrap() += 1;
                    *things.lock.write().unwrap() += 1;
                    drop(semaphore.acquire());
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((*self.mutex.lock().unwrap(), *self.lock.read().unwrap()), (400, 400));
        // The post was for whoever comes.
        self.notification.wait();
    }
}

fn fork_while_others_wait(start: impl Fn(Box<dyn FnOnce() + Send>)) {
    let (things, semaphore) = (Arc::new(Things::default()), Arc::new(Semaphore::new(0)));
    let (mutex, lock) = (things.mutex.lock().unwrap(), things.lock.write().unwrap());
    for _ in 0..3 {
        let (a, b, c, d, e) =
            (things.clone(), things.clone(), things.clone(), things.clone(), semaphore.clone());
        start(Box::new(move || drop(a.mutex.lock())));
        start(Box::new(move || drop(b.lock.read())));
        start(Box::new(move || c.notification.wait()));
        start(Box::new(move || {
            let own = Mutex::new(());
            drop(d.condvar.wait(own.lock().unwrap()));
        }));
        start(Box::new(move || drop(e.acquire())));
    }
    // (Those that come later wait for nobody in the child either.)
    thread::sleep(Duration::from_millis(20));
    let (theirs, permits) = (things.clone(), semaphore.clone());
    let mut held = Some((mutex, lock));
    let end = fork(|| {
        let served = std::panic::catch_unwind(AssertUnwindSafe(|| {
            overwrite_stacks();
            held = None;
            theirs.serve_the_child(permits);
        }));
        // SAFETY: ends the child, which has the test's harness on its stack.
        unsafe { libc::_exit(i32::from(served.is_err())) }
    });
    assert_eq!(end, Some(End::Code(0)));
    drop(held);
    things.notification.post_all();
    things.condvar.notify_all();
    semaphore.add_permits(3);
}

#[test]
fn threads_of_the_parent_are_in_nobodys_way() {
    limit(60, || {
        fork_while_others_wait(|f| drop(thread::Builder::new().stack_size(STACK).spawn(f).unwrap()));
    });
}

#[test]
fn tasks_of_the_parent_are_in_nobodys_way() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        fork_while_others_wait(|f| drop(runtime.spawn(f)));
    });
}

/// Also one that has been used: its rounds go on.
#[test]
fn a_barrier_goes_on_in_the_child() {
    limit(60, || {
        let barrier = Arc::new(Barrier::new(2));
        let meet = |rounds: usize| {
            let barrier = barrier.clone();
            let theirs = barrier.clone();
            let other = thread::spawn(move || (0..rounds).filter(|_| theirs.wait().is_leader()).count());
            let mine = (0..rounds).filter(|_| barrier.wait().is_leader()).count();
            assert_eq!(mine + other.join().unwrap(), rounds);
        };
        meet(3);
        // (One is there, and is not in the child.)
        let theirs = barrier.clone();
        let waits = thread::spawn(move || theirs.wait().is_leader());
        thread::sleep(Duration::from_millis(20));
        let end = fork(|| {
            let met = std::panic::catch_unwind(AssertUnwindSafe(|| {
                assert!(barrier.wait_timeout(Duration::from_millis(5)).is_none(), "nobody is there");
                meet(3);
            }));
            // SAFETY: ends the child, which has the test's harness on its stack.
            unsafe { libc::_exit(i32::from(met.is_err())) }
        });
        assert_eq!(end, Some(End::Code(0)));
        assert!(barrier.wait().is_leader() != waits.join().unwrap());
    });
}

/// What is offered where both have to be there: the one that offers it is not.
#[test]
fn an_offer_of_the_parents_is_not_taken_in_the_child() {
    limit(60, || {
        let (sender, receiver) = channel::bounded(0);
        let theirs = sender.clone();
        let offers = thread::spawn(move || theirs.send(42));
        thread::sleep(Duration::from_millis(20));
        let end = fork(|| {
            let met = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let nobody = receiver.recv_timeout(Duration::from_millis(5));
                assert_eq!(nobody, Err(RecvTimeoutError::Timeout));
                assert!(receiver.try_recv().is_err());
                let also = receiver.clone();
                let receives = thread::spawn(move || also.recv());
                assert_eq!(sender.send(7), Ok(()));
                assert_eq!(receives.join().unwrap(), Ok(7));
            }));
            // SAFETY: ends the child, which has the test's harness on its stack.
            unsafe { libc::_exit(i32::from(met.is_err())) }
        });
        assert_eq!(end, Some(End::Code(0)));
        assert_eq!((receiver.recv(), offers.join().unwrap()), (Ok(42), Ok(())));
    });
}
