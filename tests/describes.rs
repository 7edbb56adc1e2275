//! What a task waits for is described by whoever made the wait, in its own words: nobody who must not wait asks for them. The dump shows them once.

mod net_common;

use ec_tasks::WaitKind;
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::net::UdpSocket;
use event_channel::runtime::PoolEvent;
use event_channel::sync::{Notification, channel, oneshot, select};
use event_channel::task::{TaskId, TaskInfo};
use event_channel::time::interval_at;
use event_channel::{Runtime, task, time};
use net_common::{build, eventually};
use std::os::fd::AsRawFd;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);

/// By its token a wait is described under one of these. Held by who waits, or by who blocks.
static HELD: [Mutex<()>; 4] = [const { Mutex::new(()) }; 4];
static MINE: WaitKind = WaitKind {
    name: "mine",
    cancel: None,
    describe: |token, _| {
        drop(HELD[token as usize].lock());
        String::from("described")
    },
};

fn waits(token: u64) {
    ec_tasks::begin_wait(&MINE, token, 0);
    task::park();
    ec_tasks::end_wait();
}

fn each_driver(test: impl Fn(Driver)) {
    match task::why_not() {
        None => limit(60, || Driver::ALL.into_iter().for_each(test)),
        Some(why) => skipped(why),
    }
}

#[test]
fn a_shutdown_with_a_limit_does_not_ask() {
    each_driver(|driver| {
        let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { return };
        let (says, hears) = mpsc::channel();
        // It keeps the lock, as whoever is abandoned keeps what he has.
        let token = match driver {
            Driver::Epoll => 0,
            Driver::IoUring => 1,
            _ => 3,
        };
        let waiting = runtime.spawn(move || {
            let _held = HELD[token as usize].lock();
            says.send(()).unwrap();
            loop {
                waits(token);
            }
        });
        hears.recv().unwrap();
        let error = runtime.shutdown(Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("unnamed"), "{error}");
        drop::<task::JoinHandle<()>>(waiting);
    });
}

#[test]
fn nor_does_the_monitor() {
    // (The cap may be told before anybody waits, where a worker is held up by the machine.)
    each_driver(|driver| {
        assert!((0..10).any(|_| told_at_the_cap(driver)), "nothing is told, or the description is left out")
    });
}

/// Three threads and one core: two tasks block, and that is told. The lock that the telling waits for is held by one of them, which
/// waits for a task that waits for a core. True: it was told what a task waited for.
fn told_at_the_cap(driver: Driver) -> bool {
    let (tells, told) = mpsc::channel();
    let listener = move |event: &PoolEvent| {
        if let PoolEvent::AtCap(cap) = event {
            tells.send(cap.dump.to_string().contains("described")).unwrap();
        }
    };
    let builder = Runtime::builder().cores(1).max_threads(3).on_event(listener);
    let Some(runtime) = build(driver, builder) else { return true };
    let waiting = runtime.spawn(|| waits(2));
    let (sends, receives) = mpsc::channel();
    let began = Instant::now();
    let sending = runtime.spawn(move || {
        time::sleep(20 * SHORT);
        sends.send(()).unwrap();
    });
    let holding = runtime.spawn(move || {
        let _held = HELD[2].lock();
        time::sleep(SHORT);
        receives.recv().unwrap();
        began.elapsed()
    });
    let blocking = [3, 5].map(|number| {
        runtime.spawn(move || {
            time::sleep(number * SHORT);
            thread::sleep(if number == 3 { 12 * SHORT } else { 100 * SHORT });
        })
    });
    let took = holding.join().unwrap();
    assert!(took < 60 * SHORT, "held up for {took:?}");
    sending.join().unwrap();
    blocking.into_iter().for_each(|task| task.join().unwrap());
    waiting.task().unpark();
    waiting.join().unwrap();
    runtime.shutdown(Duration::from_secs(5)).unwrap();
    // (Or nothing was told: where the machine holds all up there is no moment at which all three are blocked.)
    told.try_iter().any(|described| described)
}

#[test]
fn a_dump_says_once_what_a_task_waits_for() {
    each_driver(|driver| {
        let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { return };
        let (notification, over) = (Arc::new(Notification::new()), Arc::new(AtomicBool::new(false)));
        let (theirs, is_over) = (notification.clone(), over.clone());
        let posted = runtime.spawn(move || theirs.wait());
        let parked = runtime.spawn(|| task::park_timeout(Duration::from_secs(60)));
        let asleep = runtime.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                time::sleep(SHORT);
            }
        });
        let reading = runtime.spawn(|| {
            UdpSocket::bind("127.0.0.1:0").unwrap().recv(&mut [0]).unwrap_err();
        });
        let said = |id: TaskId| {
            let tasks: Vec<TaskInfo> = runtime.dump().tasks;
            tasks.into_iter().find(|task| task.id == id).and_then(|task| task.waits_for)
        };
        let says = |task: &task::JoinHandle<()>| {
            let mut words = None;
            eventually(|| {
                words = said(task.task().id());
                words.is_some()
            });
            words.unwrap()
        };
        let address = Arc::as_ptr(&notification).addr();
        assert_eq!(says(&posted), format!("notification: at {address:#x}"));
        assert_eq!(says(&parked), "park");
        assert_eq!(says(&asleep), "sleep");
        let words = says(&reading);
        assert!(
            words.strip_prefix("recv: descriptor ").is_some_and(|fd| fd.parse::<i32>().is_ok()),
            "{words}"
        );
        notification.post();
        parked.task().unpark();
        over.store(true, Ordering::SeqCst);
        reading.cancel();
        [posted, parked, asleep, reading].into_iter().for_each(|task| task.join().unwrap());
    });
}

/// What a dump says of a task in `f`, which is cancelled then.
fn said_in<T: Send + 'static>(runtime: &Runtime, f: impl FnOnce() -> T + Send + 'static) -> String {
    let waits = runtime.spawn(f);
    let id = waits.task().id();
    let mut words = None;
    eventually(|| {
        let tasks = runtime.dump().tasks;
        words = tasks.into_iter().find(|task| task.id == id).and_then(|task| task.waits_for);
        words.is_some()
    });
    waits.cancel();
    let _ = waits.join().unwrap();
    words.unwrap()
}

/// As those say that wait for it alone.
#[test]
fn a_dump_says_of_a_select_what_its_arms_wait_for() {
    const LONG: Duration = Duration::from_secs(3600);
    each_driver(|driver| {
        let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { return };
        let said = said_in(&runtime, || {
            let (_sender, jobs) = channel::bounded_named::<()>(1, "jobs");
            let (quit, never) = (Notification::named("quit"), false);
            select! {
                recv(&jobs) -> _ => (),
                wait(&quit) => (),
                wait(&quit), if never => (),
                sleep(Duration::from_millis(3_600_500)) => (),
            }
        });
        assert_eq!(said, "select: channel recv 'jobs', notification 'quit', sleep 3600.5s");
        let said = said_in(&runtime, || {
            let (full, _receiver) = channel::bounded_named(1, "out");
            full.send(1).unwrap();
            let (unnamed, _receiver) = channel::bounded::<()>(1);
            let (mut nothing, mut ticks) = (None, interval_at(Instant::now() + LONG, LONG));
            let (reply, answer) = oneshot::channel_named::<()>("answer");
            select! {
                send(&full, 2) -> _ => (),
                send_from(&unnamed, &mut nothing) -> _ => (),
                recv(&answer) -> _ => (),
                closed(&reply) => (),
                tick(&mut ticks) -> _ => (),
                sleep_until(Instant::now() + LONG) => (),
                sleep(Duration::MAX) => (),
            }
        });
        let words =
            "channel send 'out', oneshot recv 'answer', oneshot closed 'answer', tick, sleep_until, sleep";
        assert_eq!(said, format!("select: {words}"));
        let (socket, parked) = (UdpSocket::bind("127.0.0.1:0").unwrap(), runtime.spawn(task::park));
        let (fd, other, unpark) = (socket.as_raw_fd(), parked.task().id(), parked.task().clone());
        let said = said_in(&runtime, move || {
            let (mut parked, mut set) = (parked, task::JoinSet::new());
            (0..2).for_each(|_| _ = set.spawn(task::park_cancellable));
            let waited = select! {
                join(&mut parked) -> _ => (),
                join_next(&mut set) -> _ => (),
                wait_readable(&socket) -> _ => (),
            };
            (waited, parked)
        });
        let words = format!("join of task {other}, join_next of 2 tasks, wait_readable of descriptor {fd}");
        assert_eq!(said, format!("select: {words}"));
        unpark.unpark();
        // There is room for no more.
        let said = said_in(&runtime, || {
            let posts = Notification::new();
            select! {
                wait(&posts) => (), wait(&posts) => (), wait(&posts) => (), wait(&posts) => (), wait(&posts) => (),
                wait(&posts) => (), wait(&posts) => (), wait(&posts) => (), wait(&posts) => (), wait(&posts) => (),
            }
        });
        assert_eq!(said, format!("select: {}and 3 more", "notification, ".repeat(7)));
    });
}

#[test]
fn a_dump_says_whose_end_is_waited_for_with_a_limit_too() {
    const LONG: Duration = Duration::from_secs(3600);
    each_driver(|driver| {
        let Some(runtime) = build(driver, Runtime::builder().cores(1)) else { return };
        let waits: [fn(&mut task::JoinHandle<()>); 2] =
            [|handle| drop(handle.join_cancellable()), |handle| drop(handle.join_timeout_cancellable(LONG))];
        for waits in waits {
            let mut parked = runtime.spawn(task::park);
            let (id, unpark) = (parked.task().id(), parked.task().clone());
            assert_eq!(said_in(&runtime, move || waits(&mut parked)), format!("join: the end of task {id}"));
            unpark.unpark();
        }
    });
}
