//! `future::wait` drives anybody's future, and a `JoinHandle` is one.

mod net_common;

use ec_test_support::{block_on, limit, skipped};
use ec_unkind as _;
use event_channel::future::{wait, wait_cancellable};
use event_channel::sync::Notification;
use event_channel::task::{self, JoinHandle};
use event_channel::{Cancelled, Runtime, is_deadline, time};
use net_common::{Numbers, each_runtime, each_runtime_of, eventually, until_waiting};
use std::cell::Cell;
use std::future::{self, poll_fn};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

/// Runs `test` as a task of each runtime, and on a plain thread beside it.
fn everywhere(test: impl Fn(&Runtime) + Sync) {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            test(runtime);
            runtime.run(|| test(runtime));
        });
    });
}

/// What one side gives and the other one awaits.
#[derive(Default)]
struct Shared<T>(Mutex<(Option<T>, Option<Waker>)>);

impl<T> Shared<T> {
    fn give(&self, value: T) {
        let waker = {
            let mut inner = self.0.lock().unwrap();
            inner.0 = Some(value);
            inner.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    async fn get(&self) -> T {
        poll_fn(|context| {
            let mut inner = self.0.lock().unwrap();
            match inner.0.take() {
                Some(value) => Poll::Ready(value),
                None => {
                    inner.1 = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn is_awaited(&self) -> bool {
        self.0.lock().unwrap().1.is_some()
    }
}

/// Ready at its second poll.
async fn second_poll() {
    let mut polls = 0;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        polls += 1;
        if polls == 1 { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
}

/// Counts how often it is woken.
#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counts {
    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn what_is_ready_is_given_at_once_and_may_borrow_and_need_not_be_send() {
    everywhere(|_| {
        assert_eq!(wait(future::ready(7)), 7);
        let (text, count) = (String::from("borrowed"), Rc::new(Cell::new(0)));
        let length = wait(async {
            count.set(count.get() + 1);
            text.len()
        });
        assert_eq!((length, count.get()), (8, 1));
        assert_eq!(wait_cancellable(future::ready(7)).unwrap(), 7);
    });
}

#[test]
fn it_waits_for_tasks_and_threads() {
    everywhere(|runtime| {
        for from_thread in [false, true] {
            let shared = Arc::new(Shared::default());
            let theirs = shared.clone();
            let gives = move || {
                eventually(|| theirs.is_awaited());
                theirs.give(7);
            };
            let thread = if from_thread {
                Some(thread::spawn(gives))
            } else {
                drop(runtime.spawn(gives));
                None
            };
            assert_eq!(wait(shared.get()), 7);
            thread.into_iter().for_each(|thread| thread.join().unwrap());
        }
    });
}

/// At random moments, from a poll that is under way to long after it.
#[test]
fn no_wake_is_lost() {
    limit(60, || {
        each_runtime(|runtime| {
            let shared = Arc::new(Shared::default());
            let theirs = shared.clone();
            let took = Arc::new(Notification::new());
            let taken = took.clone();
            let gives = thread::spawn(move || {
                let mut random = Numbers(7);
                for number in 0..3_000u64 {
                    (0..random.below(200)).for_each(|_| std::hint::spin_loop());
                    theirs.give(number);
                    taken.wait();
                }
            });
            runtime.run(|| {
                for number in 0..3_000 {
                    assert_eq!(wait(shared.get()), number);
                    took.post();
                }
            });
            gives.join().unwrap();
        });
    });
}

/// It lets others have their turn, and is not to be cancelled less for that.
#[test]
fn a_future_may_wake_itself_in_its_poll() {
    everywhere(|_| {
        let mut left = 100;
        let counts = wait(poll_fn(|context| {
            context.waker().wake_by_ref();
            left -= 1;
            if left > 0 { Poll::Pending } else { Poll::Ready(left) }
        }));
        assert_eq!(counts, 0);
    });
    limit(60, || {
        each_runtime_of(&[1], |runtime| {
            let goes_on = Arc::new(AtomicBool::new(true));
            let theirs = goes_on.clone();
            let polls = runtime.run(move || {
                drop(task::spawn(move || theirs.store(false, Ordering::SeqCst)));
                let mut polls = 0;
                wait(poll_fn(|context| {
                    context.waker().wake_by_ref();
                    polls += 1;
                    if goes_on.load(Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(polls) }
                }))
            });
            if task::migrates() {
                assert!(polls < 500, "the other task had its turn after {polls} polls");
            }

            let spins = runtime.spawn(|| {
                wait_cancellable(poll_fn(|context| {
                    context.waker().wake_by_ref();
                    Poll::<()>::Pending
                }))
            });
            spins.cancel();
            assert!(Cancelled::is(&spins.join().unwrap().unwrap_err()));
        });
    });
}

/// A waker may be kept: it wakes nobody, and it keeps nothing but a few words.
#[test]
fn a_waker_that_outlives_its_wait_finds_nothing() {
    everywhere(|runtime| {
        let kept = Arc::new(Mutex::new(Vec::<Waker>::new()));
        let keeps = kept.clone();
        let over = Arc::new(AtomicBool::new(false));
        let goes_on = over.clone();
        let task = runtime.spawn(move || {
            wait(poll_fn(|context| {
                keeps.lock().unwrap().push(context.waker().clone());
                Poll::Ready(())
            }));
            while !goes_on.load(Ordering::SeqCst) {
                task::yield_now();
            }
            // What it waits for next has its own end.
            wait(async { time::sleep(Duration::from_millis(1)) });
        });
        eventually(|| !kept.lock().unwrap().is_empty());
        let wakers = kept.lock().unwrap().clone();
        wakers.iter().for_each(Waker::wake_by_ref);
        over.store(true, Ordering::SeqCst);
        task.join().unwrap();
        // The task is gone. The last one is dropped on another thread.
        wakers.iter().for_each(Waker::wake_by_ref);
        drop(wakers);
        let last = kept.lock().unwrap().pop().unwrap();
        thread::spawn(move || last.wake()).join().unwrap();
    });
}

#[test]
fn a_poll_may_wait_itself() {
    everywhere(|runtime| {
        let shared = Arc::new(Shared::default());
        let outer = async {
            let inner = async {
                let given = runtime.spawn(|| {
                    task::yield_now();
                    20
                });
                time::sleep(Duration::from_millis(1));
                given.await.unwrap()
            };
            // In the middle of a poll; and what wakes the outer one meanwhile is not lost.
            let twenty: u64 = wait(inner);
            let theirs = shared.clone();
            drop(runtime.spawn(move || theirs.give(1)));
            assert_eq!(wait(future::ready(())), ());
            twenty + shared.get().await
        };
        assert_eq!(wait(outer), 21);
    });
}

#[test]
fn a_panic_in_a_poll_comes_out_and_the_future_is_dropped() {
    struct Drops(Rc<Cell<bool>>);
    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    everywhere(|_| {
        let dropped = Rc::new(Cell::new(false));
        let drops = Drops(dropped.clone());
        let panics = async move {
            let _drops = drops;
            task::yield_now();
            std::panic::resume_unwind(Box::new("on purpose"))
        };
        let caught = catch_unwind(AssertUnwindSafe(|| wait::<_>(panics) as ()));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        assert!(dropped.get());
    });
}

/// Its destructor has run when the call returns, and what that waits for is not cut short as well.
#[test]
fn a_cancel_or_a_deadline_drops_the_future_first() {
    struct Drops(Arc<AtomicUsize>);
    impl Drop for Drops {
        fn drop(&mut self) {
            let late = wait_cancellable(second_poll());
            self.0.fetch_add(if late.is_ok() { 1 } else { 100 }, Ordering::SeqCst);
        }
    }
    async fn never(drops: Drops) {
        let _drops = drops;
        future::pending().await
    }
    everywhere(|_| {
        let dropped = Arc::<AtomicUsize>::default();
        let drops = Drops(dropped.clone());
        let result = time::timeout(Duration::from_millis(2), || wait_cancellable(never(drops)));
        assert_eq!(result.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    });
    limit(60, || {
        each_runtime(|runtime| {
            let dropped = Arc::<AtomicUsize>::default();
            let drops = Drops(dropped.clone());
            let waits = runtime.spawn(move || {
                let error = wait_cancellable(never(drops)).unwrap_err();
                assert!(Cancelled::is(&error), "{error}");
                dropped.load(Ordering::SeqCst)
            });
            until_waiting(runtime, "future");
            waits.cancel();
            assert_eq!(waits.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_cancel_before_the_wait_is_delivered_there_unless_the_future_is_ready() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let task = runtime.spawn(|| {
                eventually(task::is_cancelled);
                assert_eq!(wait_cancellable(future::ready(7)).unwrap(), 7);
                wait(async { task::yield_now() });
                let error = wait_cancellable(future::pending::<()>()).unwrap_err();
                assert!(Cancelled::is(&error));
            });
            task.cancel();
            task.join().unwrap();
        });
    });
}

#[test]
fn a_task_is_awaited_by_any_executor() {
    everywhere(|runtime| {
        let tasks: Vec<JoinHandle<u64>> = (0..20u64)
            .map(|number| {
                let builder = task::Builder::new();
                let builder = if number.is_multiple_of(5) { builder.dedicated() } else { builder };
                let pause = Duration::from_micros(100 * (number % 3));
                let task = move || {
                    time::sleep(pause);
                    number
                };
                runtime.spawn_with(builder, task).unwrap()
            })
            .collect();
        let sum = async {
            let mut sum = 0;
            for task in tasks {
                sum += task.await.unwrap();
            }
            sum
        };
        assert_eq!(block_on(sum), 190);
        let panics = runtime.spawn(|| std::panic::resume_unwind(Box::new(7)));
        let result: thread::Result<()> = wait(panics);
        assert_eq!(*result.unwrap_err().downcast::<i32>().unwrap(), 7);
    });
}

fn poll<T>(handle: &mut JoinHandle<T>, counts: &Arc<Counts>) -> Poll<thread::Result<T>> {
    let waker = Waker::from(counts.clone());
    Pin::new(handle).poll(&mut Context::from_waker(&waker))
}

/// A task that waits for the notification.
fn waiting(runtime: &Runtime) -> (JoinHandle<u32>, Arc<Notification>) {
    let turn = Arc::new(Notification::new());
    let theirs = turn.clone();
    let task = runtime.spawn(move || {
        theirs.wait();
        7
    });
    (task, turn)
}

#[test]
fn the_waker_of_the_last_poll_is_woken_once() {
    everywhere(|runtime| {
        let (mut task, turn) = waiting(runtime);
        let (first, second) = (Arc::<Counts>::default(), Arc::<Counts>::default());
        assert!(poll(&mut task, &first).is_pending() && poll(&mut task, &first).is_pending());
        assert_eq!(Arc::strong_count(&first), 2, "one waker is kept");
        assert!(poll(&mut task, &second).is_pending());
        assert_eq!(Arc::strong_count(&first), 1, "and dropped for the next one");
        turn.post();
        eventually(|| second.get() == 1);
        let Poll::Ready(result) = poll(&mut task, &first) else { panic!("it was woken") };
        assert_eq!(result.unwrap(), 7);
        assert_eq!((first.get(), second.get()), (0, 1));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut task, &first))).is_err(), "polled after the end");
        drop(task);
        assert_eq!(Arc::strong_count(&second), 1);
    });
}

#[test]
fn a_handle_that_was_polled_may_be_joined_or_dropped() {
    everywhere(|runtime| {
        // (Told as well, if the end comes before the join.)
        let told = Arc::<Counts>::default();
        let (mut joined, turn) = waiting(runtime);
        assert!(poll(&mut joined, &told).is_pending());
        let other = runtime.spawn(move || turn.post());
        assert_eq!(joined.join().unwrap(), 7);
        other.join().unwrap();

        let counts = Arc::<Counts>::default();
        let (mut limited, turn) = waiting(runtime);
        assert!(poll(&mut limited, &counts).is_pending());
        let mut limited = limited.join_timeout(Duration::from_millis(1)).unwrap_err();
        assert!(poll(&mut limited, &counts).is_pending());
        let stopped = time::timeout(Duration::from_millis(1), || limited.join_cancellable());
        assert!(is_deadline(&stopped.unwrap_err()));
        assert!(poll(&mut limited, &counts).is_pending());
        turn.post();
        eventually(|| counts.get() == 1);
        assert_eq!(limited.join_timeout(Duration::ZERO).unwrap().unwrap(), 7);

        let (mut detached, turn) = waiting(runtime);
        let watched = detached.task().clone();
        assert!(poll(&mut detached, &counts).is_pending());
        drop(detached);
        assert_eq!(Arc::strong_count(&counts), 1, "the waker went with the handle");
        turn.post();
        eventually(|| !runtime.dump().to_string().contains(&format!("task {} ", watched.id())));
        assert_eq!(counts.get(), 1);
    });
}

/// It runs on the worker, as a handler does: what it does there is its own affair.
#[test]
fn a_waker_may_spawn_panic_and_block() {
    struct Unkind(Arc<AtomicUsize>);
    impl Wake for Unkind {
        fn wake(self: Arc<Self>) {
            let counts = self.0.clone();
            drop(task::spawn(move || counts.fetch_add(1, Ordering::SeqCst)));
            thread::sleep(Duration::from_millis(1));
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    impl Drop for Unkind {
        fn drop(&mut self) {
            self.0.fetch_add(100, Ordering::SeqCst);
            if !thread::panicking() {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        }
    }
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |_| {
            let kept = Arc::new(());
            let listener = kept.clone();
            let runtime = Runtime::builder().cores(2).on_event(move |_| _ = &listener).build().unwrap();
            for dedicated in [false, true] {
                let counts = Arc::<AtomicUsize>::default();
                let builder = task::Builder::new();
                let turn = Arc::new(Notification::new());
                let theirs = turn.clone();
                let builder = if dedicated { builder.dedicated() } else { builder };
                let mut task = runtime.spawn_with(builder, move || theirs.wait()).unwrap();
                let waker = Waker::from(Arc::new(Unkind(counts.clone())));
                assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
                std::mem::forget(waker);
                turn.post();
                eventually(|| counts.load(Ordering::SeqCst) == 1);
                task.join().unwrap();
            }
            // The runtime is as good as before, and nothing of the tasks is left.
            assert_eq!(runtime.spawn(|| 7).join().unwrap(), 7);
            runtime.shutdown(Duration::from_secs(20)).unwrap();
            drop(runtime);
            eventually(|| Arc::strong_count(&kept) == 1);
        });
    });
}

#[test]
fn no_end_is_missed_by_those_who_poll() {
    limit(60, || {
        each_runtime(|runtime| {
            for number in 0..2_000u64 {
                assert_eq!(block_on(runtime.spawn(move || number)).unwrap(), number);
            }
            runtime.run(|| {
                for number in 0..2_000u64 {
                    assert_eq!(wait(runtime.spawn(move || number)).unwrap(), number);
                }
            });
        });
    });
}

/// A task that never begins, because its runtime is shut down, ends for those who await it.
#[test]
fn a_task_that_is_refused_wakes_who_awaits_it() {
    limit(60, || {
        if !task::migrates() {
            return skipped("here each task is a thread of its own, and begins");
        }
        let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let began = Arc::new(AtomicBool::new(false));
        let begins = began.clone();
        let holds = runtime.spawn(move || {
            begins.store(true, Ordering::SeqCst);
            let _ = held.recv();
        });
        eventually(|| began.load(Ordering::SeqCst));
        let mut never = runtime.spawn(|| ());
        let counts = Arc::<Counts>::default();
        assert!(poll(&mut never, &counts).is_pending());
        assert!(runtime.shutdown(Duration::from_millis(20)).is_err());
        eventually(|| counts.get() == 1);
        let Poll::Ready(Err(error)) = poll(&mut never, &counts) else { panic!("it never began") };
        assert!(error.downcast::<&str>().unwrap().contains("abandoned before it began"));
        drop(let_go);
        drop(holds);
    });
}

#[test]
fn join_timeout_gives_the_result_or_the_handle() {
    everywhere(|runtime| {
        let (task, turn) = waiting(runtime);
        let task = task.join_timeout(Duration::ZERO).unwrap_err();
        // It is no cancellation point.
        let task = time::timeout(Duration::ZERO, || task.join_timeout(Duration::from_millis(2)).unwrap_err());
        turn.post();
        assert_eq!(task.join_timeout(Duration::from_secs(50)).unwrap().unwrap(), 7);
        let (task, turn) = waiting(runtime);
        turn.post();
        assert_eq!(task.join_timeout(Duration::MAX).unwrap().unwrap(), 7);
        let panics = runtime.spawn(|| std::panic::resume_unwind(Box::new(7)));
        let result: thread::Result<()> = panics.join_timeout(Duration::MAX).unwrap();
        assert!(result.is_err());
    });
}

#[test]
fn a_cancel_does_not_end_a_join_with_a_limit() {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            let (task, turn) = waiting(runtime);
            let waits = runtime.spawn(move || {
                let joined = task.join_timeout(Duration::from_secs(50)).unwrap().unwrap();
                (joined, wait_cancellable(future::pending::<()>()).unwrap_err())
            });
            until_waiting(runtime, "join: the end of task");
            waits.cancel();
            turn.post();
            let (joined, error) = waits.join().unwrap();
            assert!(joined == 7 && Cancelled::is(&error));
        });
    });
}
