//! A fork while other threads are inside of a lock, a channel or a list, anywhere: in the child none of them is in the way. So a child
//! comes through whatever it calls, and drops.
//!
//! The others go in and out all the time, by waits that end at once, and the process forks again and again. (The lock that does it
//! has tests of its own, in which a thread holds it at the fork: `tasks/src/util/fork_lock.rs`; so do the queues, in
//! `channel/src/mend.rs` and `ring.rs`.)

mod fork_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::Runtime;
use event_channel::sync::channel::{self, Receiver, Sender};
use event_channel::sync::{
    Arc, Barrier, Condvar, Mutex, MutexGuard, Notification, Once, RwLock, RwLockWriteGuard, Semaphore,
    SemaphorePermit, mpsc, oneshot, select,
};
use event_channel::task::{self, CancelToken, JoinHandle, JoinSet};
use event_channel::time::Duration;
use fork_common::{End, fork};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

const MOMENT: Duration = Duration::from_micros(20);

/// How often each process forks while others do the same thing.
const FORKS: usize = 60;
/// So many do it.
const OTHERS: usize = 3;

/// What all use.
struct Things {
    mutex: Mutex<u32>,
    lock: RwLock<u32>,
    semaphore: Semaphore,
    line: Semaphore,
    notification: Notification,
    condvar: Condvar,
    once: Once,
    barrier: Barrier,
    token: CancelToken,
    ends: [(Sender<u64>, Receiver<u64>); 3],
    next: AtomicU64,
    over: AtomicBool,
}

impl Things {
    fn new() -> Arc<Things> {
        Arc::new(Things {
            mutex: Mutex::new(0),
            lock: RwLock::new(0),
            semaphore: Semaphore::new(0),
            line: Semaphore::new(1),
            notification: Notification::new(),
            condvar: Condvar::new(),
            once: Once::new(),
            barrier: Barrier::new(2),
            token: CancelToken::new(),
            ends: [channel::unbounded(), channel::bounded(2), channel::bounded(0)],
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
        })
    }
}

/// What the one has that forks.
struct Held<'a> {
    mutex: MutexGuard<'a, u32>,
    lock: RwLockWriteGuard<'a, u32>,
    permit: SemaphorePermit<'a>,
    /// One that was made from that of all.
    token: CancelToken,
}

struct Case {
    name: &'static str,
    /// What others do, again and again.
    others: fn(&Things),
    child: fn(&Things, Held<'_>),
}

/// Numbers go through the channel in their order.
fn through_channel(things: &Things, kind: usize) {
    let (sender, receiver) = &things.ends[kind];
    let _ = sender.send_timeout(things.next.fetch_add(1, Ordering::Relaxed), MOMENT);
    let _ = receiver.try_recv();
    let _ = sender.try_send(things.next.fetch_add(1, Ordering::Relaxed));
    let _ = receiver.recv_timeout(MOMENT);
}

/// What is in it comes; and then it is as a new one, or closed if a thread of the parent was just at it.
fn uses_channel(things: &Things, kind: usize) {
    let (sender, receiver) = &things.ends[kind];
    let mut seen = 0;
    while let Ok(number) = receiver.try_recv() {
        assert!(number < things.next.load(Ordering::Relaxed));
        seen += 1;
    }
    assert!(seen < 1000, "nothing comes twice for ever");
    let _ = receiver.recv_timeout(MOMENT);
    let _ = sender.try_send(1);
    let _ = receiver.recv_timeout(MOMENT);
    if kind < 2 {
        assert!(!sender.is_closed());
        for number in 0..100 {
            sender.send(number).unwrap();
            assert_eq!(receiver.recv(), Ok(number));
        }
    } else if !sender.is_closed() {
        let sends = AtomicBool::new(false);
        on_threads(2, || {
            if !sends.swap(true, Ordering::Relaxed) {
                (0..100).for_each(|number| _ = sender.send(number));
            } else {
                let received = (0..100).map_while(|_| receiver.recv().ok());
                received.enumerate().for_each(|(wanted, number)| assert_eq!(number, wanted as u64));
            }
        });
    }
    let _ = (sender.is_closed(), receiver.len(), format!("{sender:?}{receiver:?}"));
    sender.close();
    assert!(sender.try_send(1).is_err() && receiver.recv().is_err());
}

/// Calls `f` on so many threads at once. They are libc's: of std's start of a thread a child may find a lock that is held.
fn on_threads<F: Fn() + Sync>(count: usize, f: F) {
    extern "C" fn body<F: Fn()>(f: *mut libc::c_void) -> *mut libc::c_void {
        // SAFETY: it is there until this thread has been joined.
        unsafe { (*f.cast::<F>())() };
        std::ptr::null_mut()
    }
    let data = std::ptr::from_ref(&f).cast_mut().cast();
    let threads = (0..count).map(|_| {
        let mut thread = 0;
        // SAFETY: the function gets what it expects.
        let failed = unsafe { libc::pthread_create(&mut thread, std::ptr::null(), body::<F>, data) };
        assert_eq!(failed, 0);
        thread
    });
    for thread in threads.collect::<Vec<_>>() {
        // SAFETY: it was made above, and is joined once.
        assert_eq!(unsafe { libc::pthread_join(thread, std::ptr::null_mut()) }, 0);
    }
}

const CASES: &[Case] = &[
    Case {
        name: "mutex",
        others: |things| drop(things.mutex.lock_timeout(MOMENT)),
        child: |things, held| {
            drop(held.mutex);
            on_threads(3, || (0..50).for_each(|_| *things.mutex.lock().unwrap() += 1));
            assert_eq!(*things.mutex.lock().unwrap(), 150);
        },
    },
    Case {
        name: "rwlock",
        others: |things| {
            drop(things.lock.read_timeout(MOMENT));
            drop(things.lock.write_timeout(MOMENT));
        },
        child: |things, held| {
            drop(held.lock);
            on_threads(3, || (0..50).for_each(|_| *things.lock.write().unwrap() += 1));
            assert_eq!(*things.lock.read().unwrap(), 150);
        },
    },
    Case {
        name: "permit",
        others: |things| {
            if let Some(permit) = things.line.acquire_timeout(MOMENT) {
                permit.forget();
            }
        },
        child: |things, held| {
            drop(held.permit);
            drop(things.line.acquire());
            drop(format!("{:?}", things.line));
        },
    },
    Case {
        name: "semaphore",
        others: |things| {
            if let Some(permit) = things.semaphore.acquire_timeout(MOMENT) {
                permit.forget();
            }
        },
        child: |things, _| {
            things.semaphore.add_permits(1);
            drop(things.semaphore.acquire());
        },
    },
    Case {
        name: "notification",
        others: |things| _ = things.notification.wait_timeout(MOMENT),
        child: |things, _| {
            things.notification.post();
            things.notification.wait();
            things.notification.post_all();
        },
    },
    Case {
        name: "condvar",
        others: |things| {
            let own = Mutex::new(());
            drop(things.condvar.wait_timeout(own.lock().unwrap(), MOMENT));
            things.condvar.notify_one();
        },
        child: |things, _| {
            things.condvar.notify_one();
            things.condvar.notify_all();
            let own = Mutex::new(());
            assert!(things.condvar.wait_timeout(own.lock().unwrap(), MOMENT).unwrap().1.timed_out());
        },
    },
    Case {
        name: "once",
        others: |things| _ = things.once.wait_timeout(MOMENT),
        child: |things, _| {
            assert!(!things.once.wait_timeout(MOMENT));
            things.once.call_once(|| ());
            things.once.wait();
        },
    },
    Case {
        name: "barrier",
        others: |things| _ = things.barrier.wait_timeout(MOMENT),
        // (It has seen many rounds.)
        child: |things, _| on_threads(2, || (0..20).for_each(|_| _ = things.barrier.wait())),
    },
    Case {
        name: "token",
        others: |things| {
            let child = things.token.child_token();
            child.enter(|| event_channel::time::sleep(MOMENT));
        },
        child: |things, held| {
            let own = things.token.child_token();
            assert!(!held.token.is_cancelled());
            drop(things.token.child_token().child_token());
            drop(format!("{:?}", things.token));
            things.token.cancel();
            assert!(things.token.is_cancelled() && own.is_cancelled() && held.token.is_cancelled());
            assert!(things.token.enter(task::check).is_err());
        },
    },
    Case {
        name: "first waits of threads",
        others: |things| {
            on_threads(1, || _ = things.notification.wait_timeout(MOMENT));
        },
        child: |_, _| {
            on_threads(2, || _ = Notification::new().wait_timeout(MOMENT));
            assert!(!Notification::new().wait_timeout(MOMENT));
        },
    },
    Case {
        name: "names",
        others: |_| drop(Semaphore::named(0, "a lock").acquire_timeout(MOMENT)),
        child: |_, _| drop(Semaphore::named(0, "another lock").acquire_timeout(MOMENT)),
    },
    Case {
        name: "select",
        others: |things| {
            let _ = select! {
                recv(&things.ends[1].1) -> _ => (),
                send(&things.ends[2].0, 7) -> _ => (),
                sleep(MOMENT) => (),
            };
        },
        child: |things, _| {
            for _ in 0..10 {
                let _ = select! {
                    recv(&things.ends[1].1) -> _ => (),
                    send(&things.ends[2].0, 7) -> _ => (),
                    sleep(MOMENT) => (),
                };
            }
        },
    },
    Case {
        name: "channel without bound",
        others: |things| through_channel(things, 0),
        child: |things, _| uses_channel(things, 0),
    },
    Case {
        name: "channel with places",
        others: |things| through_channel(things, 1),
        child: |things, _| uses_channel(things, 1),
    },
    Case {
        name: "channel without places",
        others: |things| through_channel(things, 2),
        child: |things, _| uses_channel(things, 2),
    },
];

/// Forks, and has the child do this, which is to come to its end.
fn fork_and(what: &str, child: impl FnOnce()) {
    let end = fork(|| {
        let done = catch_unwind(AssertUnwindSafe(child));
        // SAFETY: ends the child, which has the test's harness on its stack.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    });
    assert_eq!(end, Some(End::Code(0)), "{what}");
}

fn each_case(start: impl Fn(Box<dyn FnOnce() + Send>) -> Box<dyn FnOnce()>) {
    for case in CASES {
        let things = Things::new();
        let mut held = Some(Held {
            mutex: things.mutex.lock().unwrap(),
            lock: things.lock.write().unwrap(),
            permit: things.line.acquire(),
            token: things.token.child_token(),
        });
        let threads: Vec<_> = (0..OTHERS)
            .map(|_| {
                let things = things.clone();
                start(Box::new(move || {
                    while !things.over.load(Ordering::Relaxed) {
                        (case.others)(&things);
                    }
                }))
            })
            .collect();
        for _ in 0..FORKS {
            fork_and(case.name, || (case.child)(&things, held.take().unwrap()));
        }
        drop(held);
        things.over.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|join| join());
    }
}

#[test]
fn a_child_comes_through_whatever_threads_of_the_parent_did() {
    limit(120, || {
        each_case(|f| {
            let thread = thread::spawn(f);
            Box::new(|| thread.join().unwrap())
        });
    });
}

#[test]
fn a_child_comes_through_whatever_tasks_of_the_parent_did() {
    limit(120, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        each_case(|f| {
            let task = runtime.spawn(f);
            Box::new(|| task.join().unwrap())
        });
    });
}

/// Threads that do the same while this lives.
struct Others(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Others {
    fn start(f: impl Fn() + Clone + Send + 'static) -> Others {
        let over = Arc::new(AtomicBool::new(false));
        let threads = (0..OTHERS).map(|_| {
            let (over, f) = (over.clone(), f.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    f();
                }
            })
        });
        let threads = threads.collect();
        Others(over, threads)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

/// The last sender of each kind.
#[test]
fn a_child_drops_the_ends_of_channels() {
    fn drops<S>(what: &str, sender: S, waits: impl Fn() + Clone + Send + 'static) {
        let _others = Others::start(waits);
        let mut sender = Some(sender);
        for _ in 0..FORKS {
            fork_and(what, || drop(sender.take()));
        }
    }
    limit(120, || {
        for (kind, bound) in [None, Some(1), Some(0)].into_iter().enumerate() {
            let (sender, receiver) = bound.map_or_else(channel::unbounded::<u32>, channel::bounded::<u32>);
            drops(["unbounded", "bounded", "rendezvous"][kind], sender, move || {
                let _ = receiver.recv_timeout(MOMENT);
            });
            let (sender, receiver) = bound.map_or_else(channel::unbounded::<u32>, channel::bounded::<u32>);
            drops("a receiver", receiver, move || {
                if sender.len() < 100 {
                    let _ = sender.send_timeout(7, MOMENT);
                }
            });
        }
        let (sender, receiver) = mpsc::sync_channel::<Box<u32>>(3);
        drops("mpsc", receiver, move || drop(sender.try_send(Box::new(7))));
    });
}

/// The other end is used just now, once; and a value is made just now.
#[test]
fn a_child_has_one_end_of_a_oneshot() {
    limit(120, || {
        let (give, get) = std::sync::mpsc::channel::<oneshot::Sender<Box<u32>>>();
        let sends = thread::spawn(move || get.into_iter().for_each(|sender| drop(sender.send(Box::new(7)))));
        for round in 0..4 * FORKS {
            let (sender, receiver) = oneshot::channel();
            give.send(sender).unwrap();
            let mut receiver = Some(receiver);
            fork_and("oneshot", || {
                let receiver = receiver.take().unwrap();
                if round % 2 == 0 {
                    // (What was not sent at the fork is never sent.)
                    let _ = receiver.try_recv();
                    let _ = receiver.recv_timeout(MOMENT).inspect(|value| assert_eq!(**value, 7));
                }
            });
        }
        drop(give);
        sends.join().unwrap();
    });
}

/// Tasks that end just now, in sets, as futures, in scopes; and a lazy value.
#[test]
fn a_child_has_the_parents_tasks() {
    limit(120, || {
        let runtime = Arc::new(Runtime::builder().cores(2).build().unwrap());
        runtime.run(|| {
            for _ in 0..FORKS {
                let mut set = JoinSet::new();
                let mut handles: Vec<JoinHandle<u32>> = (0..3).map(|_| task::spawn(|| 7)).collect();
                (0..20).for_each(|number| _ = set.spawn(move || number));
                poll_all(&mut handles);
                let mut set = Some(set);
                fork_and("tasks", || {
                    let mut set = set.take().unwrap();
                    drop(format!("{set:?}"));
                    poll_all(&mut handles);
                    (0..10).for_each(|_| drop(set.try_join_next()));
                    drop(set);
                    handles.clear();
                });
            }
        });
    });
}

fn poll_all(handles: &mut [JoinHandle<u32>]) {
    for handle in handles {
        if !handle.is_finished() {
            let polled = Pin::new(handle).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(_)));
        }
    }
}
