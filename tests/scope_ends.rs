//! How a [`task::scope`] ends where a runtime, a process or a coroutine does: what its children borrow stays as long as one of them may
//! use it.

mod fork_common;
mod net_common;
mod scope_common;

use corosensei::{Coroutine, CoroutineResult, Yielder};
use ec_test_support::{ended_itself, in_child, limit, skipped, this_test_again, went_well};
use ec_unkind as _;
use event_channel::channel::Request;
use event_channel::sync::Notification;
use event_channel::{Runtime, task};
use fork_common::{End as Exit, fork};
use net_common::eventually;
use scope_common::{Counts, End, SHORT, everywhere, panic_of, waits};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Where the owner of a scope is whose children are tasks of another runtime.
#[derive(Clone, Copy, Debug)]
enum Owner {
    Thread,
    Task,
    Dedicated,
}

impl Owner {
    const ALL: [Owner; 3] = [Owner::Thread, Owner::Task, Owner::Dedicated];

    /// Calls `f` there, in the background. What this gives is told of its end.
    fn call<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> mpsc::Receiver<T> {
        let (tell, told) = mpsc::channel();
        let body = move || _ = tell.send(f());
        match self {
            Owner::Thread => drop(thread::spawn(body)),
            Owner::Task => drop(task::spawn(body)),
            Owner::Dedicated => drop(task::Builder::new().dedicated().spawn(body).unwrap()),
        }
        told
    }
}

fn small_runtime() -> Arc<Runtime> {
    Arc::new(Runtime::builder().cores(1).max_threads(1).build().unwrap())
}

const WORDS: &str = "a scope waits for task 'stays' (id ";

/// Runs `case` in a process of its own, whose words are on stderr: it has no logger.
fn says_once(name: &str, case: impl FnOnce()) {
    let Some(mut again) = this_test_again(name) else { return limit(60, case) };
    let output: Output = limit(90, || again.env_remove("EC_UNKIND_LOGGER").output().unwrap());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if !said.contains(" is skipped: ") {
        assert_eq!(said.matches(WORDS).count(), Owner::ALL.len(), "{said}");
    }
    went_well(Some(output));
}

#[test]
fn a_scope_whose_child_was_abandoned_does_not_return_and_says_so_once() {
    says_once("a_scope_whose_child_was_abandoned_does_not_return_and_says_so_once", || {
        if let Some(why) = task::why_not() {
            return skipped(why);
        }
        let mut returned = Vec::new();
        for owner in Owner::ALL {
            let (theirs, ready) =
                (Runtime::builder().cores(1).build().unwrap(), Arc::new(Notification::new()));
            let theirs = Arc::new(theirs);
            let (runtime, tell) = (theirs.clone(), ready.clone());
            returned.push(owner.call(move || {
                let borrowed = AtomicUsize::new(0);
                task::scope(|s| {
                    runtime.run(|| {
                        for _ in 0..2 {
                            let stays = task::Builder::new().name("stays".into());
                            let child = stays.spawn_scoped(s, || {
                                borrowed.fetch_add(1, Ordering::Relaxed);
                                tell.post();
                                task::park();
                            });
                            drop(child.unwrap());
                        }
                    });
                });
            }));
            (0..2).for_each(|_| ready.wait());
            assert!(theirs.shutdown(Duration::ZERO).is_err());
        }
        // (By now each has been told, and says it.)
        thread::sleep(10 * SHORT);
        returned.iter().for_each(|it| assert_eq!(it.try_recv(), Err(mpsc::TryRecvError::Empty)));
    });
}

#[test]
fn a_child_that_blocks_over_the_whole_shutdown_is_waited_for_and_its_result_arrives() {
    limit(60, || {
        for owner in Owner::ALL {
            let runtime = Arc::new(Runtime::builder().cores(1).build().unwrap());
            let (let_go, held) = mpsc::channel::<()>();
            let (theirs, begun) = (runtime.clone(), Arc::new(AtomicBool::new(false)));
            let begins = begun.clone();
            let returned = owner.call(move || {
                let held = Mutex::new(held);
                task::scope(|s| {
                    let child = theirs.run(|| {
                        s.spawn(|| {
                            begins.store(true, Ordering::Release);
                            let _ = held.lock().unwrap().recv();
                            7
                        })
                    });
                    child.join().unwrap()
                })
            });
            eventually(|| begun.load(Ordering::Acquire));
            let _ = runtime.shutdown(SHORT);
            assert_eq!(returned.try_recv(), Err(mpsc::TryRecvError::Empty), "{owner:?}");
            drop(let_go);
            assert_eq!(returned.recv(), Ok(7), "{owner:?}");
        }
    });
}

#[test]
fn a_dedicated_child_goes_on_after_the_shutdown_and_is_waited_for() {
    limit(60, || {
        for owner in Owner::ALL {
            let (runtime, go) = (small_runtime(), Arc::new(Notification::new()));
            let (theirs, waits, begun) = (runtime.clone(), go.clone(), Arc::new(Notification::new()));
            let begins = begun.clone();
            let returned = owner.call(move || {
                let mut borrowed = 0;
                task::scope(|s| {
                    theirs.run(|| {
                        let dedicated = task::Builder::new().dedicated();
                        drop(dedicated.spawn_scoped(s, || {
                            begins.post();
                            waits.wait();
                            borrowed += 1;
                        }));
                    });
                });
                borrowed
            });
            begun.wait();
            assert!(runtime.shutdown(Duration::ZERO).is_err());
            assert_eq!(returned.try_recv(), Err(mpsc::TryRecvError::Empty), "{owner:?}");
            go.post();
            assert_eq!(returned.recv(), Ok(1), "{owner:?}");
        }
    });
}

/// The runtime's one thread is in a handler until what this gives is dropped.
fn hold_up(runtime: &Runtime) -> mpsc::Sender<()> {
    let ((let_go, held), (tell, told)) = (mpsc::channel::<()>(), mpsc::channel());
    let held = Mutex::new(held);
    let request = Request::notification().on_complete(move |_, _| {
        tell.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
    });
    runtime.channel().post(request).unwrap();
    told.recv().unwrap();
    let_go
}

#[test]
fn children_that_never_began_are_dropped_and_count_as_failed_unless_joined() {
    limit(60, || {
        if let Some(why) = task::why_not() {
            return skipped(why);
        }
        for (owner, joins) in Owner::ALL.into_iter().flat_map(|owner| [(owner, false), (owner, true)]) {
            let (theirs, spawned) = (small_runtime(), Arc::new(Notification::new()));
            let let_go = Mutex::new(None);
            // The spawns come from a task of that runtime which then blocks its only thread.
            let (runtime, tell) = (theirs.clone(), spawned.clone());
            let (hold, held) = mpsc::channel::<()>();
            *let_go.lock().unwrap() = Some(hold);
            let returned = owner.call(move || {
                let (dropped, held) = (AtomicUsize::new(0), Mutex::new(held));
                let end = catch_unwind(AssertUnwindSafe(|| {
                    task::scope(|s| {
                        let (handles, errors) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
                        runtime.run(|| {
                            for _ in 0..3 {
                                let counts = Counts(&dropped);
                                handles.lock().unwrap().push(s.spawn(move || drop(counts)));
                            }
                            tell.post();
                            let _ = held.lock().unwrap().recv();
                        });
                        for handle in handles.into_inner().unwrap() {
                            match joins {
                                true => {
                                    _ = errors
                                        .fetch_add(usize::from(handle.join().is_err()), Ordering::Relaxed)
                                }
                                false => drop(handle),
                            }
                        }
                        errors.into_inner()
                    })
                }));
                let said = end.map_err(|it| scope_common::words(&*it).to_owned());
                (said, dropped.into_inner())
            });
            spawned.wait();
            let _ = theirs.shutdown(Duration::ZERO);
            drop(let_go);
            let right = if joins {
                Ok(3)
            } else {
                Err(String::from("a scoped task never began: its runtime was shut down"))
            };
            assert_eq!(returned.recv().unwrap(), (right, 3), "{owner:?}");
        }
        // Without anybody who holds up: the handles are dropped before.
        let runtime = small_runtime();
        let let_go = hold_up(&runtime);
        let _ = runtime.shutdown(Duration::ZERO);
        let failed = task::scope(|s| {
            runtime.spawn_with(task::Builder::new(), || ()).is_err() && s.spawn(|| true).join().unwrap()
        });
        drop(let_go);
        assert!(failed);
    });
}

/// Suspends inside of a scope, with children of it that go on.
fn in_a_coroutine(ended: &'static AtomicUsize) -> Coroutine<(), (), ()> {
    Coroutine::new(move |y: &Yielder<(), ()>, ()| {
        let borrowed = AtomicUsize::new(0);
        task::scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    let end = waits();
                    event_channel::time::sleep(SHORT);
                    borrowed.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(end, End::Cancelled);
                    ended.fetch_add(1, Ordering::Relaxed);
                });
            }
            y.suspend(());
        });
        unreachable!("it is unwound");
    })
}

#[test]
fn a_coroutine_that_is_unwound_inside_a_scope_waits_for_the_children() {
    static ENDED: AtomicUsize = AtomicUsize::new(0);
    everywhere(|| {
        ENDED.store(0, Ordering::Relaxed);
        let mut coroutine = in_a_coroutine(&ENDED);
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        assert_eq!(ENDED.load(Ordering::Relaxed), 0);
        drop(coroutine);
        assert_eq!(ENDED.load(Ordering::Relaxed), 3);
        // While the task itself is unwound.
        let said = panic_of(|| {
            let mut coroutine = in_a_coroutine(&ENDED);
            assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
            panic!("on purpose");
        });
        assert_eq!((said.as_str(), ENDED.load(Ordering::Relaxed)), ("on purpose", 6));
    });
}

#[test]
fn a_coroutine_that_is_leaked_inside_a_scope_leaves_its_children_what_they_borrow() {
    limit(60, || {
        static GO: Notification = Notification::new();
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let mut coroutine: Coroutine<(), (), ()> = Coroutine::new(|y: &Yielder<(), ()>, ()| {
            let borrowed = AtomicUsize::new(41);
            task::scope(|s| {
                s.spawn(|| {
                    GO.wait();
                    SEEN.store(borrowed.fetch_add(1, Ordering::Relaxed), Ordering::Release);
                });
                y.suspend(());
            });
        });
        assert!(matches!(coroutine.resume(()), CoroutineResult::Yield(())));
        std::mem::forget(coroutine);
        GO.post();
        eventually(|| SEEN.load(Ordering::Acquire) == 41);
    });
}

#[test]
fn a_thread_that_leaves_a_scope_by_force_ends_the_process() {
    let words = "unwinding out of a frame that tasks borrow from";
    ended_itself(
        in_child("a_thread_that_leaves_a_scope_by_force_ends_the_process", || {
            let leaves = || {
                task::scope(|s| {
                    s.spawn(task::park);
                    unsafe extern "C-unwind" {
                        fn pthread_exit(value: *mut libc::c_void) -> !;
                    }
                    // SAFETY: it is not sound, and that is what this is about.
                    unsafe { pthread_exit(std::ptr::null_mut()) }
                })
            };
            // (What the caller sees of a thread that has ended so does not matter.)
            let _ = thread::spawn(leaves).join();
        }),
        words,
    );
}

/// Of the parent's children none is there.
fn forks() {
    let (mut borrowed, go) = (1, Notification::new());
    let mine = std::process::id();
    let child = task::scope(|s| {
        let waits = s.spawn(|| go.wait());
        s.spawn(|| {
            go.wait();
            borrowed = 2;
        });
        let ended = s.spawn(|| 7);
        eventually(|| ended.is_finished());
        let child = fork(|| {
            let error = task::Builder::new().spawn_scoped(s, || ()).unwrap_err();
            assert!(error.to_string().contains("forked child"), "{error}");
        });
        assert_eq!(ended.join().unwrap(), 7);
        if child.is_none() {
            assert!(waits.join().is_err());
            s.cancel();
        } else {
            (0..2).for_each(|_| go.post());
        }
        child
    });
    // In the child, too.
    if std::process::id() != mine {
        assert_eq!(task::scope(|_| 8), 8);
        // SAFETY: it ends a process that has nothing to lose.
        unsafe { libc::_exit(if borrowed == 1 { 0 } else { 1 }) };
    }
    assert_eq!((child, borrowed), (Some(Exit::Code(0)), 2));
}

#[test]
fn in_a_forked_child_a_scope_waits_for_none_of_the_parents_tasks() {
    let name = "in_a_forked_child_a_scope_waits_for_none_of_the_parents_tasks";
    went_well(this_test_again(name).map(|mut again| limit(90, || again.output().unwrap())));
    if this_test_again(name).is_some() {
        return;
    }
    limit(60, || {
        thread::spawn(forks).join().unwrap();
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(forks);
        runtime.spawn(forks).join().unwrap();
        runtime.spawn_with(task::Builder::new().dedicated(), forks).unwrap().join().unwrap();
    });
}
