//! The life of a runtime: run, run again, run inside, drop, shut down.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::{Cancelled, Runtime, run, task, time};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(30);

fn runtime(cores: usize) -> Runtime {
    Runtime::builder().cores(cores).build().unwrap()
}

#[test]
fn run_returns_what_the_closure_returns_again_and_again() {
    limit(60, || (0..100).for_each(|i| assert_eq!(run(|| i + 1), i + 1)));
}

#[test]
fn run_may_borrow_from_its_surroundings() {
    limit(60, || {
        let text = String::from("borrowed");
        let mut length = 0;
        let part: &str = run(|| {
            task::yield_now();
            length = text.len();
            &text[..3]
        });
        assert_eq!((part, length), ("bor", 8));
    });
}

#[test]
fn a_panic_of_the_main_task_goes_on_in_the_caller() {
    limit(60, || {
        let runtime = runtime(1);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            runtime.run(|| panic!("on purpose {}", std::hint::black_box(7)))
        }));
        let payload = caught.err().unwrap();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "on purpose 7");
        assert_eq!(runtime.run(|| 1), 1, "and the runtime goes on");
    });
}

#[test]
fn run_inside_a_task_runs_in_the_same_runtime_and_suspends_the_caller() {
    limit(60, || {
        // With one core: would the caller block its worker, nothing would ever run.
        let runtime = runtime(1);
        let value = runtime.run(|| {
            let outer = task::current().id();
            let inner = run(|| {
                time::sleep(Duration::from_millis(1));
                task::current().id()
            });
            assert_ne!(outer, inner);
            run(|| run(|| 7))
        });
        assert_eq!(value, 7);
        assert_eq!(runtime.metrics().tasks_spawned, 4);
    });
}

#[test]
fn run_of_another_runtime_inside_a_task_suspends_it_too() {
    limit(60, || {
        let (one, two) = (runtime(1), runtime(1));
        let other = one.spawn(task::park);
        let id = other.task().clone();
        let value = one.run(|| two.run(|| one.run(|| 7)));
        assert_eq!(value, 7);
        id.unpark();
        other.join().unwrap();
    });
}

#[test]
fn tasks_spawned_and_not_joined_go_on_when_run_returns() {
    limit(60, || {
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        run(move || {
            drop(task::spawn(move || {
                time::sleep(Duration::from_millis(20));
                flag.store(true, Ordering::Release);
            }));
        });
        while !done.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn spawn_outside_any_runtime_uses_the_default_one() {
    limit(60, || {
        assert_eq!(task::spawn(|| 7).join().unwrap(), 7);
        let handles: Vec<_> =
            (0..8).map(|i| std::thread::spawn(move || task::spawn(move || i).join())).collect();
        for (i, handle) in handles.into_iter().enumerate() {
            assert_eq!(handle.join().unwrap().unwrap(), i);
        }
    });
}

#[test]
fn a_runtime_dropped_inside_its_own_task_lets_that_task_go_on() {
    limit(60, || {
        for cores in [1, 2] {
            let runtime = Arc::new(runtime(cores));
            let mine = runtime.clone();
            let ended = Arc::new(AtomicBool::new(false));
            let flag = ended.clone();
            let gone = Arc::new(AtomicBool::new(false));
            let gate = gone.clone();
            let caller = runtime.spawn(move || {
                while !gate.load(Ordering::Acquire) {
                    task::yield_now();
                }
                drop(mine); // the last one
                task::yield_now();
                flag.store(true, Ordering::Release);
            });
            drop(runtime);
            gone.store(true, Ordering::Release);
            caller.join().unwrap();
            assert!(ended.load(Ordering::Acquire));
        }
    });
}

#[test]
fn shutdown_makes_each_cancellation_point_fail_and_returns_when_the_tasks_have_ended() {
    limit(60, || {
        let runtime = runtime(2);
        let errors = Arc::new(AtomicUsize::new(0));
        for _ in 0..20 {
            let errors = errors.clone();
            runtime.spawn(move || {
                let listener = event_channel::net::TcpListener::bind("127.0.0.1:0").unwrap();
                for _ in 0..2 {
                    let error = listener.accept().unwrap_err();
                    assert!(Cancelled::is(&error), "{error}");
                    errors.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        time::sleep(Duration::from_millis(5));
        runtime.shutdown(LONG).unwrap();
        assert_eq!(errors.load(Ordering::SeqCst), 40);
        assert_eq!(runtime.metrics().workers, 0);
        runtime.shutdown(LONG).unwrap();
    });
}

#[test]
fn after_shutdown_spawning_is_an_error_and_the_channel_refuses() {
    limit(60, || {
        let runtime = runtime(1);
        runtime.shutdown(LONG).unwrap();
        let error = runtime.spawn_with(task::Builder::new(), || ()).unwrap_err();
        assert!(error.to_string().contains("shut down"), "{error}");
        assert!(runtime.channel().get_event().is_err());
    });
}

#[test]
fn park_and_unpark_work_between_tasks_and_threads() {
    limit(60, || {
        let thread = task::current();
        let parked = task::spawn(|| {
            task::park();
            task::current().name().map(String::from)
        });
        let id = parked.task().clone();
        let other = task::spawn(move || {
            id.unpark();
            thread.unpark();
        });
        task::park();
        other.join().unwrap();
        assert_eq!(parked.join().unwrap(), None);
    });
}

#[test]
fn park_timeout_returns_by_itself_and_by_unpark() {
    limit(60, || {
        run(|| {
            let start = Instant::now();
            task::park_timeout(Duration::from_millis(10));
            assert!(start.elapsed() >= Duration::from_millis(10));
            let me = task::current();
            let other = task::spawn(move || me.unpark());
            task::park_timeout(LONG);
            assert!(start.elapsed() < LONG);
            other.join().unwrap();
            // A token left before is taken at once.
            task::current().unpark();
            task::park_timeout(LONG);
            assert!(start.elapsed() < LONG);
        });
    });
}

#[test]
fn builder_names_sizes_and_kinds() {
    limit(60, || {
        let named = task::Builder::new().name("n".into()).stack_size(64 * 1024);
        let name = named.spawn(|| task::current().name().map(String::from)).unwrap();
        assert_eq!(name.task().name(), Some("n"));
        assert_eq!(name.join().unwrap().as_deref(), Some("n"));
        let here = std::thread::current().id();
        let dedicated = task::Builder::new().dedicated().spawn(move || {
            time::sleep(Duration::from_millis(1));
            std::thread::current().id() != here
        });
        assert!(dedicated.unwrap().join().unwrap());
        let bad = catch_unwind(|| task::Builder::new().name("a\0b".into()).spawn(|| ()));
        assert!(bad.is_err(), "as std's");
    });
}

/// The size of the calling thread's stack.
fn stack_of_this_thread() -> usize {
    let mut size = 0;
    // SAFETY: the attributes are initialised by the first call, read by the second, freed by the third.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_getattr_np(libc::pthread_self(), &mut attributes), 0);
        assert_eq!(libc::pthread_attr_getstacksize(&attributes, &mut size), 0);
        libc::pthread_attr_destroy(&mut attributes);
    }
    size
}

#[test]
fn a_dedicated_task_has_the_stack_of_a_thread_unless_told_otherwise() {
    limit(60, || {
        let told = std::env::var("RUST_MIN_STACK").ok().and_then(|bytes| bytes.parse().ok());
        let threads: usize = told.unwrap_or(2 << 20);
        let dedicated = || task::Builder::new().dedicated();
        // (Not the same: libc gives a thread the stack of one that has ended, if it is large enough.)
        assert!(dedicated().spawn(stack_of_this_thread).unwrap().join().unwrap() >= threads);
        let told = dedicated().stack_size(32 * threads).spawn(stack_of_this_thread).unwrap();
        assert!(told.join().unwrap() >= 32 * threads);
    });
}

#[test]
fn cancel_is_seen_by_the_task_and_delivered_once() {
    limit(60, || {
        let waiter = task::spawn(|| {
            let listener = event_channel::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let error = listener.accept().unwrap_err();
            (Cancelled::is(&error), task::is_cancelled())
        });
        time::sleep(Duration::from_millis(5));
        waiter.cancel();
        assert_eq!(waiter.join().unwrap(), (true, true));
        assert!(!task::is_cancelled());
    });
}

#[test]
fn forced_migration_takes_a_task_to_another_worker_each_time_it_waits() {
    fn moves(wait: fn()) {
        // SAFETY: the call takes nothing and cannot fail.
        let thread = || unsafe { libc::syscall(libc::SYS_gettid) };
        let before = thread();
        wait();
        assert_ne!(thread(), before);
    }
    for driver in Driver::ALL {
        limit(60, || {
            let runtime = match Runtime::builder().cores(3).driver(driver).force_migration().build() {
                Ok(runtime) => runtime,
                Err(error) => return ec_test_support::skipped(&format!("{driver}: {error}")),
            };
            let body = || {
                (0..100).for_each(|_| moves(task::yield_now));
                (0..20).for_each(|_| moves(|| task::sleep(Duration::from_millis(1))));
            };
            // SAFETY: the task holds nothing of a thread across its waits.
            runtime.run(|| unsafe { task::Builder::new().spawn_lean(body) }.unwrap().join().unwrap());
            if task::migrates() {
                runtime.spawn(body).join().unwrap();
            }
        });
    }
}

#[test]
fn debug_shows_a_runtime_in_a_line() {
    limit(30, || {
        let runtime = Runtime::builder().cores(2).max_threads(9).driver(Driver::Epoll).build().unwrap();
        let words = format!("{runtime:?}");
        assert!(words.starts_with("Runtime(Pool { driver: Epoll, cores: 2, threads: "), "{words}");
        assert!(words.ends_with(", max_threads: 9, open: true })"), "{words}");
        runtime.shutdown(Duration::from_secs(5)).unwrap();
        assert!(format!("{runtime:?}").contains("open: false"));
    });
}

/// As std's `Thread` is.
const _: () = {
    const fn is_unwind_safe<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    is_unwind_safe::<task::Task>();
};
