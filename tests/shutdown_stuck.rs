//! Whatever is stuck, `shutdown` returns with the end of its grace, and names who it is. What stays behind goes when its obstacle does.

mod net_common;

use ec_test_support::{limit, this_test_again, threads_and_files};
use ec_unkind as _;
use event_channel::channel::{Driver, Request};
use event_channel::runtime::{Builder, PoolEvent};
use event_channel::{Runtime, task};
use net_common::{build, eventually};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const GRACE: Duration = Duration::from_millis(100);
/// For a machine with other things to do.
const SLACK: Duration = Duration::from_millis(250);

/// What somebody is stuck in until it is opened.
#[derive(Clone, Default)]
struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    open: AtomicBool,
    inside: AtomicUsize,
}

impl Gate {
    /// Blocks the thread.
    fn pass(&self) {
        self.pass_with(|| thread::sleep(Duration::from_millis(1)));
    }

    fn pass_with(&self, turn: impl Fn()) {
        self.0.inside.fetch_add(1, Ordering::SeqCst);
        while !self.0.open.load(Ordering::SeqCst) {
            turn();
        }
    }

    fn until_somebody_is_inside(&self) {
        eventually(|| self.0.inside.load(Ordering::SeqCst) > 0);
    }
}

/// Blocks when it is dropped.
struct Blocks(Gate);

impl Drop for Blocks {
    fn drop(&mut self) {
        self.0.pass();
    }
}

/// The time of a shutdown is taken: no other test takes the CPUs meanwhile.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One of several attempts is in time: others may need the CPUs meanwhile. (What waits too long does so each time.)
fn in_time(attempt: impl Fn() -> bool) {
    assert!((0..5).any(|_| attempt()), "never in time");
}

/// Ends `runtime`. Gives whom the error names, and whether that was within `grace`.
fn end(runtime: &Runtime, grace: Duration) -> (String, bool) {
    let began = Instant::now();
    let result = runtime.shutdown(grace);
    let took = began.elapsed();
    let error = result.expect_err("somebody is stuck").to_string();
    println!("{:?} beyond the grace: {error}", took.saturating_sub(grace));
    (error, took < grace + SLACK)
}

/// On each driver: `stick` has somebody get stuck in the gate, whom the error names by one of the words.
fn stuck(words: &[&str], settings: impl Fn(Builder, &Gate) -> Builder, stick: impl Fn(&Runtime, &Gate)) {
    let _alone = alone();
    limit(60, || {
        for driver in Driver::ALL {
            let attempt = |grace| {
                let gate = Gate::default();
                let builder = settings(Runtime::builder().cores(2), &gate);
                let Some(runtime) = build(driver, builder) else { return true };
                stick(&runtime, &gate);
                gate.until_somebody_is_inside();
                let (error, in_time) = end(&runtime, grace);
                assert!(words.iter().any(|word| error.contains(word)), "none of {words:?}: {error}");
                // (And once more.)
                runtime.shutdown(grace).unwrap();
                gate.0.open.store(true, Ordering::SeqCst);
                eventually(|| runtime.metrics().workers == 0);
                in_time
            };
            in_time(|| attempt(GRACE));
            in_time(|| attempt(Duration::ZERO));
        }
    });
}

/// The handler of an event that blocks, until a core was handed over, and the listener is in the gate.
fn hold_up_a_core(runtime: &Runtime, gate: &Gate) {
    let gate = gate.clone();
    let request = Request::timer(Duration::ZERO).on_complete(move |_, _| gate.until_somebody_is_inside());
    runtime.channel().post(request).unwrap();
}

fn named(name: &str) -> task::Builder {
    task::Builder::new().name(name.into())
}

fn as_it_is(builder: Builder, _: &Gate) -> Builder {
    builder
}

#[test]
fn a_listener() {
    let listens = |builder: Builder, gate: &Gate| {
        let gate = gate.clone();
        builder.on_event(move |event| {
            if matches!(event, PoolEvent::HandedOver { .. }) {
                gate.pass();
            }
        })
    };
    stuck(&["the listener to events"], listens, hold_up_a_core);
}

#[test]
fn a_handler() {
    stuck(&["a handler of an event on ec-worker"], as_it_is, |runtime, gate| {
        let gate = gate.clone();
        let request = Request::timer(Duration::ZERO).on_complete(move |_, _| gate.pass());
        runtime.channel().post(request).unwrap();
    });
}

#[test]
fn a_task_that_blocks_its_thread() {
    stuck(&["'blocks'"], as_it_is, |runtime, gate| {
        let gate = gate.clone();
        drop(runtime.spawn_with(named("blocks"), move || gate.pass()).unwrap());
    });
}

#[test]
fn a_task_that_computes() {
    stuck(&["'computes'"], as_it_is, |runtime, gate| {
        let gate = gate.clone();
        drop(runtime.spawn_with(named("computes"), move || gate.pass_with(std::hint::spin_loop)).unwrap());
    });
}

#[test]
fn a_task_that_blocks_and_one_more_thread_that_does() {
    for word in ["'blocks'", "a handler of an event on ec-worker"] {
        stuck(&[word], as_it_is, |runtime, gate| {
            let theirs = gate.clone();
            drop(runtime.spawn_with(named("blocks"), move || theirs.pass()).unwrap());
            let theirs = gate.clone();
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| theirs.pass());
            runtime.channel().post(request).unwrap();
            eventually(|| gate.0.inside.load(Ordering::SeqCst) == 2);
        });
    }
}

/// Of the task's own.
#[test]
fn the_destructor_of_a_thread_local_of_a_task() {
    thread_local!(static HELD: RefCell<Option<Blocks>> = const { RefCell::new(None) });
    stuck(&["'ends'"], as_it_is, |runtime, gate| {
        let held = Blocks(gate.clone());
        drop(runtime.spawn_with(named("ends"), move || HELD.set(Some(held))).unwrap());
    });
}

#[test]
fn the_destructor_of_a_task_local() {
    event_channel::task_local! {
        static HELD: RefCell<Option<Blocks>> = RefCell::new(None);
    }
    stuck(&["'ends'"], as_it_is, |runtime, gate| {
        let held = Blocks(gate.clone());
        let body = move || HELD.with(|place| drop(place.borrow_mut().replace(held)));
        drop(runtime.spawn_with(named("ends"), body).unwrap());
    });
}

/// What holds it has not begun: there is no thread for it. (Where tasks are threads it begins.)
#[test]
fn the_destructor_of_what_a_task_holds_that_never_began() {
    let few = |builder: Builder, _: &Gate| builder.cores(1).max_threads(1);
    let words: &[&str] = if task::migrates() { &["a task that never began"] } else { &["'waits'"] };
    stuck(words, few, |runtime, gate| {
        let theirs = gate.clone();
        let request = Request::timer(Duration::ZERO).on_complete(move |_, _| theirs.pass());
        runtime.channel().post(request).unwrap();
        gate.until_somebody_is_inside();
        let held = Blocks(gate.clone());
        drop(runtime.spawn_with(named("waits"), move || held.0.pass()).unwrap());
    });
}

/// A thread-local of a worker.
#[test]
fn the_destructor_of_a_thread_local_of_a_worker() {
    thread_local!(static HELD: RefCell<Option<Blocks>> = const { RefCell::new(None) });
    let _alone = alone();
    limit(60, || {
        let attempt = |driver| {
            let gate = Gate::default();
            let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { return true };
            let (tell, told) = mpsc::channel();
            let held = Mutex::new(Some(Blocks(gate.clone())));
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| {
                HELD.set(held.lock().unwrap().take());
                tell.send(()).unwrap();
            });
            runtime.channel().post(request).unwrap();
            told.recv().unwrap();
            let (error, in_time) = end(&runtime, GRACE);
            assert!(error.contains("a destructor of a thread-local on ec-worker-0"), "{error}");
            gate.0.open.store(true, Ordering::SeqCst);
            in_time
        };
        Driver::ALL.into_iter().for_each(|driver| in_time(|| attempt(driver)));
    });
}

/// What a runtime still holds when it is dropped, also if it was shut down before. Who drops it does not run its destructors.
#[test]
fn what_a_dropped_runtime_holds() {
    type Settings = fn(Builder, &Gate) -> Builder;
    let listens: Settings = |builder, gate| {
        let held = Blocks(gate.clone());
        builder.on_event(move |_| _ = &held)
    };
    let ways: [(Settings, _); 3] =
        [(listens, None), (as_it_is, Some(Duration::ZERO)), (as_it_is, Some(Duration::from_secs(1000)))];
    let attempt = |driver, (settings, event): (Settings, _), shut_down| {
        let gate = Gate::default();
        // (What a builder holds whose driver is refused goes at once.)
        gate.0.open.store(true, Ordering::SeqCst);
        let Some(runtime) = build(driver, settings(Runtime::builder().cores(2), &gate)) else { return true };
        gate.0.open.store(false, Ordering::SeqCst);
        if let Some(after) = event {
            // Nobody gets it.
            let request = Request::timer(after).context(Box::new(Blocks(gate.clone())));
            runtime.channel().post(request).unwrap();
        }
        if shut_down {
            runtime.shutdown(GRACE).unwrap();
        }
        let began = Instant::now();
        drop(runtime);
        let took = began.elapsed();
        println!("{driver:?}, {event:?}, shut down before: {shut_down}: {took:?}");
        gate.until_somebody_is_inside();
        gate.0.open.store(true, Ordering::SeqCst);
        took < Duration::from_secs(1) + SLACK
    };
    let _alone = alone();
    limit(60, || {
        // Side by side: each waits for its second.
        thread::scope(|scope| {
            for driver in Driver::ALL {
                for (way, shut_down) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
                    scope.spawn(move || in_time(|| attempt(driver, way, shut_down)));
                }
            }
        });
    });
}

/// The lock that its logger needs is held by who shuts it down, or drops it.
#[test]
fn a_logger() {
    struct Takes;
    static LOCK: Mutex<()> = Mutex::new(());
    static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
    impl log::Log for Takes {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            drop(LOCK.lock());
            LINES.lock().unwrap().push(record.args().to_string());
        }
        fn flush(&self) {}
    }
    if let Some(mut child) = this_test_again("a_logger") {
        // (Which has a logger of its own.)
        let output = limit(90, || child.env_remove("EC_UNKIND_LOGGER").output().unwrap());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    limit(60, || {
        log::set_logger(&Takes).unwrap();
        log::set_max_level(log::LevelFilter::Debug);
        let attempt = |driver| {
            let Some(runtime) = build(driver, Runtime::builder().cores(2)) else { return true };
            let held = LOCK.lock().unwrap();
            let (error, in_time) = end(&runtime, GRACE);
            assert!(error.contains("the logger"), "{error}");
            drop(held);
            // A drop says in a line who was abandoned.
            let runtime = build(driver, Runtime::builder().cores(2)).unwrap();
            let (_let_go, never) = mpsc::channel::<()>();
            drop(runtime.spawn_with(named("stays"), move || never.recv().is_err()).unwrap());
            eventually(|| runtime.dump().to_string().contains("running"));
            let held = LOCK.lock().unwrap();
            let began = Instant::now();
            drop(runtime);
            let drops_in_time = began.elapsed() < Duration::from_secs(1) + SLACK;
            drop(held);
            let is_it = |line: &String| line.contains("a runtime was dropped") && line.contains("'stays'");
            eventually(|| LINES.lock().unwrap().iter().any(is_it));
            LINES.lock().unwrap().clear();
            in_time && drops_in_time
        };
        Driver::ALL.into_iter().for_each(|driver| in_time(|| attempt(driver)));
    });
}

/// No thread spins, or waits for what has come, when the obstacle is gone.
#[test]
fn what_stays_behind_goes_with_its_obstacle() {
    if let Some(mut child) = this_test_again("what_stays_behind_goes_with_its_obstacle") {
        let output = limit(90, || child.output().unwrap());
        assert!(output.status.success(), "{output:?}");
        return;
    }
    ec_unkind::no_other_runtime();
    limit(60, || {
        let attempt = |driver| {
            let gate = Gate::default();
            let (listens, handles, blocks) = (gate.clone(), gate.clone(), gate.clone());
            let builder = Runtime::builder().cores(2).on_event(move |_| listens.pass());
            let Some(runtime) = build(driver, builder) else { return true };
            let request = Request::timer(Duration::ZERO).on_complete(move |_, _| handles.pass());
            runtime.channel().post(request).unwrap();
            drop(runtime.spawn_with(named("blocks"), move || blocks.pass()).unwrap());
            eventually(|| gate.0.inside.load(Ordering::SeqCst) == 3);
            let (error, in_time) = end(&runtime, GRACE);
            for word in ["'blocks'", "a handler of an event", "the listener to events"] {
                assert!(error.contains(word), "{error}");
            }
            let (clock, began) = (cpu_time(), Instant::now());
            thread::sleep(SLACK);
            let (computed, passed) = (cpu_time() - clock, began.elapsed());
            // (Three naps in a loop.)
            assert!(computed < passed / 4, "{computed:?} of CPU in {passed:?}");
            gate.0.open.store(true, Ordering::SeqCst);
            eventually(|| threads_and_files().0 == 0);
            in_time
        };
        Driver::ALL.into_iter().for_each(|driver| in_time(|| attempt(driver)));
    });
}

/// Of all threads of the process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|place| fields[*place].parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}
