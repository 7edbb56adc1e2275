//! What is left of a runtime that was shut down: those who wait for a task that never began, dedicated tasks that go on, and shutdowns
//! whose callers are abandoned themselves.

mod net_common;

use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use event_channel::channel::{Driver, Request};
use event_channel::net::{TcpStream, UdpSocket};
use event_channel::runtime::{Builder, ShutdownError};
use event_channel::sync::Notification;
use event_channel::{Cancelled, Runtime, task, time};
use net_common::{build, eventually, pair};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// On each driver, a runtime with one core and one thread.
fn each_driver(test: impl Fn(Runtime)) {
    each_of(|| Runtime::builder().cores(1).max_threads(1), test);
}

fn each_of(builder: impl Fn() -> Builder, test: impl Fn(Runtime)) {
    limit(60, || {
        for driver in Driver::ALL {
            if let Some(runtime) = build(driver, builder()) {
                test(runtime);
            }
        }
    });
}

/// Its one thread is inside a handler until what this gives is dropped.
fn hold_up(runtime: &Runtime) -> mpsc::Sender<()> {
    let (let_go, held) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let held = Mutex::new(held);
    let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
        tell.send(()).unwrap();
        let _ = held.lock().unwrap().recv();
    });
    runtime.channel().post(request).unwrap();
    told.recv().unwrap();
    let_go
}

struct Counts(Arc<AtomicUsize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn where_tasks_migrate(test: impl FnOnce()) {
    match task::why_not() {
        None => test(),
        Some(why) => skipped(why),
    }
}

/// Whoever joins it, before or afterwards; and what it holds is dropped.
#[test]
fn who_joins_a_task_that_never_began_gets_an_error() {
    where_tasks_migrate(|| {
        each_driver(|runtime| {
            let let_go = hold_up(&runtime);
            let (ran, dropped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let never = || {
                let (ran, counts) = (ran.clone(), Counts(dropped.clone()));
                runtime.spawn(move || {
                    drop(counts);
                    ran.store(true, Ordering::SeqCst);
                })
            };
            let tasks: [task::JoinHandle<()>; 6] = std::array::from_fn(|_| never());
            let [before, on_a_thread, dedicated, here, detached, let_be] = tasks;
            drop(detached);
            let why = |result: thread::Result<()>| *result.unwrap_err().downcast::<&str>().unwrap();
            // Where the joiner runs on.
            let other = Runtime::builder().cores(1).build().unwrap();
            let waits = other.spawn(move || why(before.join()));
            let builder = task::Builder::new().dedicated();
            let alone = other.spawn_with(builder, move || why(dedicated.join())).unwrap();
            let waiting = thread::spawn(move || why(on_a_thread.join()));
            eventually(|| other.dump().to_string().matches("the end of task").count() == 2);
            assert!(!here.is_finished());
            let error = runtime.shutdown(SHORT).unwrap_err();
            assert_eq!(error.names().iter().filter(|name| name.contains("unnamed")).count(), 6, "{error}");
            for said in
                [why(here.join()), waiting.join().unwrap(), waits.join().unwrap(), alone.join().unwrap()]
            {
                assert!(said.contains("before it began"), "{said}");
            }
            eventually(|| dropped.load(Ordering::SeqCst) == 6);
            drop((let_be, let_go));
            eventually(|| runtime.metrics().workers == 0);
            assert!(!ran.load(Ordering::SeqCst));
            assert_eq!(runtime.metrics().tasks_live, 0);
        });
    });
}

/// They are in the queue of a core whose worker is left behind.
#[test]
fn also_of_those_that_a_task_has_spawned_which_stays_behind() {
    where_tasks_migrate(|| {
        each_driver(|runtime| {
            let (let_go, held) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            drop(runtime.spawn(move || {
                let others: Vec<_> = (0..50).map(|_| task::spawn(|| ())).collect();
                tell.send(others).unwrap();
                let _ = held.recv();
                tell.send(vec![]).unwrap();
            }));
            let others = told.recv().unwrap();
            let error = runtime.shutdown(SHORT).unwrap_err();
            assert_eq!(error.names().iter().filter(|name| name.contains("(id ")).count(), 51);
            others.into_iter().for_each(|task| assert!(task.join().is_err()));
            drop(let_go);
            assert!(told.recv().unwrap().is_empty());
            eventually(|| runtime.metrics().tasks_live == 0);
        });
    });
}

#[test]
fn a_run_whose_task_never_begins_panics() {
    where_tasks_migrate(|| {
        each_driver(|runtime| {
            let let_go = hold_up(&runtime);
            let mut borrowed = 1;
            thread::scope(|threads| {
                let (runtime, borrowed) = (&runtime, &mut borrowed);
                let runs = threads.spawn(move || runtime.run(move || *borrowed += 1));
                eventually(|| runtime.dump().to_string().contains("main"));
                runtime.shutdown(SHORT).unwrap_err();
                assert!(runs.join().is_err());
            });
            drop(let_go);
        });
    });
}

/// Spawned in the last moment, out of a task that is left behind.
#[test]
fn none_is_left_queued_whenever_it_is_spawned() {
    limit(120, || {
        for round in 0..100u32 {
            let runtime = Arc::new(Runtime::builder().cores(1).build().unwrap());
            let theirs = runtime.clone();
            let spawner = thread::spawn(move || {
                let mut tasks = Vec::new();
                while let Ok(task) = theirs.spawn_with(task::Builder::new(), || ()) {
                    tasks.push(task);
                }
                tasks
            });
            thread::sleep(Duration::from_micros(10) * round);
            let _ = runtime.shutdown(Duration::ZERO);
            // Each has ended, or gives an error.
            spawner.join().unwrap().into_iter().for_each(|task| drop(task.join()));
        }
    });
}

/// A dedicated task is abandoned by a shutdown while its thread is blocked, and does `f` then.
fn goes_on_alone<T: Send + 'static>(
    before: impl Fn() -> T + 'static,
    f: impl Fn(T) + Send + Clone + 'static,
) {
    each_of(
        || Runtime::builder().cores(2),
        move |runtime| {
            let (let_go, held) = mpsc::channel::<()>();
            let (tell, told) = mpsc::channel();
            let (f, thing) = (f.clone(), before());
            let builder = task::Builder::new().name("alone".into()).dedicated();
            let task = runtime.spawn_with(builder, move || {
                tell.send(()).unwrap();
                let _ = held.recv();
                f(thing);
            });
            told.recv().unwrap();
            let error = runtime.shutdown(SHORT).unwrap_err();
            assert!(error.to_string().contains("'alone'"), "{error}");
            drop(let_go);
            task.unwrap().join().unwrap();
        },
    );
}

#[test]
fn a_dedicated_task_that_was_abandoned_sleeps_and_times_out() {
    goes_on_alone(
        || (),
        |()| {
            let began = Instant::now();
            time::sleep(SHORT);
            task::park_timeout(SHORT);
            assert!(!Notification::new().wait_timeout(SHORT));
            assert!(began.elapsed() >= 3 * SHORT);
        },
    );
}

/// Its cancel is sticky.
#[test]
fn and_its_calls_of_the_network_fail() {
    let nothing = || (pair(), UdpSocket::bind("127.0.0.1:0").unwrap());
    goes_on_alone(nothing, |((mut near, mut far), socket)| {
        let cancelled = |error: std::io::Error| assert!(Cancelled::is(&error), "{error:?}");
        for _ in 0..3 {
            cancelled(near.read(&mut [0; 8]).unwrap_err());
            cancelled(socket.recv_from(&mut [0; 8]).unwrap_err());
            cancelled(time::timeout(SHORT, || far.read(&mut [0; 8])).unwrap_err());
        }
        // What can be done at once may be done.
        let _ = far.write(b"more");
        let address = socket.local_addr().unwrap();
        assert!(TcpStream::connect(address).is_err());
        let channel = event_channel::channel::EventChannel::new().unwrap();
        assert!(channel.get_event().is_err());
    });
}

/// The call has begun before, and nobody drives the port that has it: its one worker is kept.
#[test]
fn a_dedicated_task_that_reads_when_it_is_abandoned_is_cancelled() {
    each_of(
        || Runtime::builder().cores(1).max_threads(1).without_monitor(),
        |runtime| {
            let (mut near, far) = pair();
            let builder = task::Builder::new().name("reads".into()).dedicated();
            let reads = runtime.spawn_with(builder, move || near.read(&mut [0; 8])).unwrap();
            eventually(|| runtime.dump().to_string().contains("recv"));
            let let_go = hold_up(&runtime);
            let error = runtime.shutdown(SHORT).unwrap_err();
            assert!(error.to_string().contains("'reads'"), "{error}");
            let error = reads.join().unwrap().unwrap_err();
            assert!(Cancelled::is(&error), "{error:?}");
            drop((let_go, far));
        },
    );
}

/// The sleep has begun before: no port's timer ends it.
#[test]
fn a_dedicated_task_that_sleeps_when_it_is_abandoned_wakes_up() {
    each_of(
        || Runtime::builder().cores(1),
        |runtime| {
            let builder = task::Builder::new().dedicated();
            let sleeps = runtime.spawn_with(builder, || time::sleep(20 * SHORT)).unwrap();
            eventually(|| runtime.dump().to_string().contains("sleep"));
            runtime.shutdown(SHORT).unwrap_err();
            assert!(!sleeps.is_finished());
            sleeps.join().unwrap();
        },
    );
}

/// Farther than a clock shows, and just not so far.
#[test]
fn a_dedicated_task_may_wait_as_long_as_it_likes() {
    each_of(
        || Runtime::builder().cores(1),
        |runtime| {
            for seconds in [u64::MAX, u64::MAX / 4, 1 << 62, 1 << 40] {
                let builder = task::Builder::new().dedicated();
                let waits = move || task::park_timeout(Duration::from_secs(seconds));
                let waits = runtime.spawn_with(builder, waits).unwrap();
                eventually(|| runtime.dump().to_string().contains("park"));
                assert!(!waits.is_finished());
                waits.task().unpark();
                waits.join().unwrap();
            }
        },
    );
}

type Results = Arc<Mutex<Vec<Result<(), ShutdownError>>>>;

/// A task of each shuts the other one down.
fn each_other(runtimes: &[Arc<Runtime>; 2], graces: [Duration; 2]) -> (Results, [task::JoinHandle<()>; 2]) {
    let (results, both) = (Results::default(), Arc::new(AtomicUsize::new(0)));
    let tasks = std::array::from_fn(|of| {
        let (other, results, both) = (runtimes[1 - of].clone(), results.clone(), both.clone());
        let name = ["first", "second"][of].into();
        let body = move || {
            both.fetch_add(1, Ordering::SeqCst);
            while both.load(Ordering::SeqCst) < 2 {
                task::yield_now();
            }
            let result = other.shutdown(graces[of]);
            results.lock().unwrap().push(result);
        };
        runtimes[of].spawn_with(task::Builder::new().name(name), body).unwrap()
    });
    (results, tasks)
}

/// The lines of the log of a test that runs in a process of its own.
static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn with_log(test: &str, body: impl FnOnce()) {
    struct Keeps;
    impl log::Log for Keeps {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            LINES.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    if let Some(mut child) = this_test_again(test) {
        // (Which has a logger of its own.)
        let output = limit(90, || child.env_remove("EC_UNKIND_LOGGER").output().unwrap());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    log::set_logger(&Keeps).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    limit(60, body);
}

fn two(driver: Driver) -> Option<[Arc<Runtime>; 2]> {
    let make = || build(driver, Runtime::builder().cores(1)).map(Arc::new);
    Some([make()?, make()?])
}

/// Both of them read how it went; or, on a machine that stands still just then, one of them, or the log has it.
#[test]
fn two_tasks_that_shut_each_others_runtime_down_are_told() {
    with_log("two_tasks_that_shut_each_others_runtime_down_are_told", || {
        let graces = [[200, 200], [200, 250], [100, 10_000]];
        for (driver, graces) in
            Driver::ALL.into_iter().flat_map(|driver| graces.map(|graces| (driver, graces)))
        {
            let Some(runtimes) = two(driver) else { continue };
            LINES.lock().unwrap().clear();
            let (results, tasks) = each_other(&runtimes, graces.map(Duration::from_millis));
            let told = || results.lock().unwrap().len();
            let is_it = |line: &&String| line.contains("does not hear it");
            let logged = || LINES.lock().unwrap().iter().filter(is_it).count();
            eventually(|| told() + logged() > 0);
            drop(tasks);
            eventually(|| runtimes.iter().all(|runtime| runtime.metrics().workers == 0));
            println!("{graces:?}: {} told, {} logged", told(), logged());
        }
    });
}

/// It is in the middle of a call that waits for another runtime, which has a task that would not stop.
#[test]
fn a_task_whose_own_runtime_ends_returns_from_its_shutdown_of_another() {
    static NEVER: Notification = Notification::new();
    let returns = |[mine, other]: [Arc<Runtime>; 2]| {
        drop(other.spawn_with(task::Builder::new().name("stays".into()), || NEVER.wait()).unwrap());
        let theirs = other.clone();
        let task = mine.spawn(move || theirs.shutdown(Duration::from_secs(3600)));
        eventually(|| mine.dump().to_string().contains("shutdown"));
        let in_time = mine.shutdown(SHORT).is_ok();
        if in_time {
            let error = task.join().unwrap().unwrap_err();
            assert!(error.goes_on() && error.to_string().contains("'stays'"), "{error}");
        }
        other.shutdown(SHORT).unwrap_err();
        in_time
    };
    limit(60, || {
        for driver in Driver::ALL {
            // On a machine that stands still it does not get to its end in time. (But not always.)
            let in_time = (0..20).any(|_| two(driver).is_none_or(returns));
            assert!(in_time);
        }
    });
}

/// A task that is abandoned while it waits for the end of another runtime does not hear how that went.
#[test]
fn what_an_abandoned_task_does_not_hear_is_logged() {
    where_tasks_migrate(|| {
        with_log("what_an_abandoned_task_does_not_hear_is_logged", || {
            for driver in Driver::ALL {
                let builder = Runtime::builder().cores(1).max_threads(1);
                let Some(mine) = build(driver, builder) else { continue };
                let other = Arc::new(build(driver, Runtime::builder().cores(1)).unwrap());
                static NEVER: Notification = Notification::new();
                drop(other.spawn_with(task::Builder::new().name("stays".into()), || NEVER.wait()).unwrap());
                let theirs = other.clone();
                drop(mine.spawn(move || theirs.shutdown(10 * SHORT)));
                eventually(|| mine.dump().to_string().contains("shutdown"));
                // Its one thread is kept, so that it does not run any more.
                let let_go = hold_up(&mine);
                mine.shutdown(Duration::ZERO).unwrap_err();
                let is_it = |line: &String| line.contains("does not hear it") && line.contains("'stays'");
                eventually(|| LINES.lock().unwrap().iter().any(is_it));
                LINES.lock().unwrap().clear();
                drop(let_go);
            }
        });
    });
}

/// Nor does a handler that has begun the end of a runtime.
#[test]
fn what_a_handler_does_not_hear_is_logged() {
    with_log("what_a_handler_does_not_hear_is_logged", || {
        for driver in Driver::ALL {
            let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { continue };
            let runtime = Arc::new(runtime);
            static NEVER: Notification = Notification::new();
            drop(runtime.spawn_with(task::Builder::new().name("stays".into()), || NEVER.wait()).unwrap());
            let theirs = Arc::downgrade(&runtime);
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                theirs.upgrade().unwrap().shutdown(SHORT).unwrap();
            });
            runtime.channel().post(request).unwrap();
            let is_it = |line: &String| line.contains("does not hear it") && line.contains("'stays'");
            eventually(|| LINES.lock().unwrap().iter().any(is_it));
            LINES.lock().unwrap().clear();
        }
    });
}
