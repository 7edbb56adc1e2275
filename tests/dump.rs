//! What a dump tells of tasks that run, of tasks that are parked, and of very many.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream};
use event_channel::task::{self, Doing, JoinHandle, TaskInfo, TaskState};
use event_channel::{Runtime, time};
use net_common::{each_runtime, each_runtime_of, eventually};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// By so much a time in a dump may be longer than it was: the kernel's coarse clock has long ticks.
const COARSE: Duration = Duration::from_millis(100);

fn named(name: &str) -> task::Builder {
    task::Builder::new().name(String::from(name))
}

fn info(runtime: &Runtime, name: &str) -> Option<TaskInfo> {
    runtime.dump().tasks.into_iter().find(|task| task.name.as_deref() == Some(name))
}

/// The dump's words about `name` when they are as wanted.
fn info_when(runtime: &Runtime, name: &str, is_so: impl Fn(&TaskInfo) -> bool) -> TaskInfo {
    let mut found = None;
    eventually(|| {
        found = info(runtime, name).filter(&is_so);
        found.is_some()
    });
    found.unwrap()
}

fn doing(task: &TaskInfo) -> Option<&Doing> {
    task.thread.as_ref().map(|thread| &thread.doing)
}

/// Whether /proc tells what a thread does.
fn proc_tells() -> bool {
    let tells = std::fs::read_to_string("/proc/thread-self/syscall").is_ok();
    if !tells {
        skipped("/proc does not tell in which system call a thread is");
    }
    tells
}

/// It runs on a thread that is told of, and has for at least as long as somebody could see, and no longer than it has.
fn runs(task: &TaskInfo, began: Instant, dedicated: bool) {
    assert_eq!((task.state, &task.waits_for), (TaskState::Running, &None), "{task:?}");
    assert!(task.since.unwrap() < began.elapsed() + COARSE, "{task:?} after {:?}", began.elapsed());
    let thread = task.thread.as_ref().unwrap();
    assert!(std::fs::exists(format!("/proc/self/task/{}", thread.id)).unwrap(), "{task:?}");
    match &thread.worker {
        None => assert!(dedicated || !task::migrates(), "{task:?}"),
        Some(worker) => assert!(!dedicated && worker.starts_with("ec-worker-"), "{task:?}"),
    }
}

#[test]
fn of_a_task_that_computes_it_says_since_when_and_where() {
    limit(60, || {
        each_runtime(|runtime| {
            for dedicated in [false, true] {
                let stop = Arc::new(AtomicBool::new(false));
                let flag = stop.clone();
                let began = Instant::now();
                let builder = if dedicated { named("computes").dedicated() } else { named("computes") };
                let computes = runtime.spawn_with(builder, move || {
                    while !flag.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
                let long = Duration::from_millis(50);
                let task = info_when(runtime, "computes", |task| {
                    task.since.is_some_and(|since| since >= long) && doing(task) == Some(&Doing::Computing)
                });
                runs(&task, began, dedicated);
                let table = runtime.dump().to_string();
                assert!(table.lines().any(|line| line.contains("computes, on ")), "{table}");
                stop.store(true, Ordering::Relaxed);
                computes.unwrap().join().unwrap();
            }
        });
    });
}

#[test]
fn of_a_task_that_blocks_it_says_in_which_system_call() {
    limit(60, || {
        if !proc_tells() {
            return;
        }
        each_runtime(|runtime| {
            for dedicated in [false, true] {
                let (mut reader, writer) = io::pipe().unwrap();
                let descriptor = reader.as_raw_fd();
                let began = Instant::now();
                let builder = if dedicated { named("blocks").dedicated() } else { named("blocks") };
                let blocks = runtime.spawn_with(builder, move || reader.read(&mut [0; 1]).unwrap()).unwrap();
                // (Long enough for its core to be handed over.)
                let task = info_when(runtime, "blocks", |task| {
                    task.since.is_some_and(|since| since >= Duration::from_millis(50))
                        && matches!(doing(task), Some(Doing::Asleep { call: Some(call), .. }) if call == "read")
                });
                runs(&task, began, dedicated);
                assert!(
                    matches!(doing(&task), Some(Doing::Asleep { descriptor: Some(there), .. }) if *there == descriptor),
                    "{task:?}"
                );
                let table = runtime.dump().to_string();
                assert!(table.contains(&format!("asleep in read: descriptor {descriptor}, on ")), "{table}");
                drop(writer);
                assert_eq!(blocks.join().unwrap(), 0);
            }
        });
    });
}

/// The first look finds the worker in another run than the last one, long ago. Until then the older one's time is known only.
#[test]
fn a_run_that_has_just_begun_is_not_taken_for_an_older_one() {
    limit(60, || {
        each_runtime_of(&[1], |runtime| {
            runtime.run(|| {
                let me = task::current().id();
                let since = || {
                    let task = runtime.dump().tasks.into_iter().find(|task| task.id == me).unwrap();
                    task.since.unwrap_or_default()
                };
                for _ in 0..2 {
                    // So long that it is looked at, and not so long that it loses its core.
                    let began = Instant::now();
                    while since().is_zero() && began.elapsed() < Duration::from_secs(10) {}
                    time::sleep(3 * COARSE);
                    let here = Instant::now();
                    assert!(since() < here.elapsed() + COARSE);
                }
            });
        });
    });
}

/// Parks again each time it is unparked, after `between`.
fn parks(
    runtime: &Runtime,
    builder: task::Builder,
    mut between: impl FnMut() + Send + 'static,
) -> (JoinHandle<()>, Arc<AtomicBool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let parks = move || {
        while !flag.load(Ordering::Relaxed) {
            task::park();
            between();
        }
    };
    (runtime.spawn_with(builder, parks).unwrap(), stop)
}

fn is_parked_for(task: &TaskInfo, long: Duration) -> bool {
    task.state == TaskState::Suspended && task.since.is_some_and(|since| since >= long)
}

/// Nobody looks at a clock meanwhile: all workers sleep, and the monitor, too.
#[test]
fn a_park_has_its_time_also_after_a_long_rest() {
    limit(60, || {
        each_runtime_of(&[2], |runtime| {
            for builder in [named("parks"), named("parks").dedicated()] {
                let rounds = Arc::new(AtomicUsize::new(0));
                let counts = rounds.clone();
                let count = move || _ = counts.fetch_add(1, Ordering::SeqCst);
                let (parks, stop) = parks(runtime, builder, count);
                for round in 1..3 {
                    let task = info_when(runtime, "parks", |task| is_parked_for(task, 3 * COARSE));
                    assert_eq!(task.waits_for.as_deref(), Some("unpark"));
                    let unparked = Instant::now();
                    parks.task().unpark();
                    eventually(|| rounds.load(Ordering::SeqCst) == round);
                    let again = info_when(runtime, "parks", |task| is_parked_for(task, Duration::ZERO));
                    assert!(again.since.unwrap() < unparked.elapsed() + COARSE, "{again:?}");
                }
                stop.store(true, Ordering::Relaxed);
                parks.task().unpark();
                parks.join().unwrap();
            }
        });
    });
}

/// As above, and the task itself is the only one that is awake, on a thread without a core.
#[test]
fn a_park_has_its_time_also_where_the_task_has_lost_its_core() {
    limit(60, || {
        each_runtime(|runtime| {
            let (mut reader, writer) = io::pipe().unwrap();
            let (parks, stop) = parks(runtime, named("parks"), move || {
                let _ = reader.read(&mut [0; 1]);
            });
            info_when(runtime, "parks", |task| is_parked_for(task, Duration::ZERO));
            parks.task().unpark();
            info_when(runtime, "parks", |task| {
                task.state == TaskState::Running && task.since.is_some_and(|since| since >= 5 * COARSE)
            });
            let released = Instant::now();
            drop(writer);
            let task = info_when(runtime, "parks", |task| is_parked_for(task, Duration::ZERO));
            assert!(task.since.unwrap() < released.elapsed() + COARSE, "{task:?}");
            stop.store(true, Ordering::Relaxed);
            parks.task().unpark();
            parks.join().unwrap();
        });
    });
}

/// The lines with `word`.
fn lines<'a>(table: &'a str, word: &str) -> Vec<&'a str> {
    table.lines().filter(|line| line.contains(word)).collect()
}

#[test]
fn equal_lines_are_one_with_their_number_and_the_busy_come_first() {
    limit(60, || {
        each_runtime(|runtime| {
            let count = if task::migrates() { 1200 } else { 120 };
            let stop = Arc::new(AtomicBool::new(false));
            let flag = stop.clone();
            let parked: Vec<_> =
                (0..count).map(|_| runtime.spawn_with(named("many"), task::park).unwrap()).collect();
            let few: Vec<_> = (0..3)
                .map(|number| runtime.spawn_with(named(&format!("few {number}")), task::park).unwrap())
                .collect();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let mut clients = Vec::new();
            let connections: Vec<_> = (0..20)
                .map(|number| {
                    clients.push(TcpStream::connect(address).unwrap());
                    let mut stream = listener.accept().unwrap().0;
                    let read = move || stream.read(&mut [0; 1]).unwrap();
                    runtime.spawn_with(named(&format!("connection {number}")), read).unwrap()
                })
                .collect();
            let busy = runtime.spawn_with(named("busy"), move || {
                while !flag.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            eventually(|| {
                let tasks = runtime.dump().tasks;
                let ours = tasks.iter().filter(|task| task.name.is_some());
                ours.filter(|task| task.state == TaskState::Suspended).count() == count + 3 + 20
                    && info(runtime, "busy").is_some_and(|task| task.thread.is_some())
            });
            let dump = runtime.dump();
            assert!(dump.tasks.len() >= count + 24, "each by itself");
            let table = dump.to_string();
            let many = lines(&table, "many");
            let number = if task::migrates() { "× 1,200" } else { "× 120" };
            assert!(many.len() == 1 && many[0].contains(number) && many[0].contains("unpark"), "{table}");
            assert_eq!(lines(&table, "few").len(), 3, "{table}");
            let connected = lines(&table, "connection #");
            assert!(connected.len() == 1 && connected[0].contains("× 20 "), "{table}");
            assert!(connected[0].contains("descriptor #"), "{table}");
            assert!(table.lines().nth(1).unwrap().contains("busy"), "{table}");
            stop.store(true, Ordering::Relaxed);
            busy.unwrap().join().unwrap();
            drop(clients);
            connections.into_iter().for_each(|task| assert_eq!(task.join().unwrap(), 0));
            for task in parked.into_iter().chain(few) {
                task.task().unpark();
                task.join().unwrap();
            }
        });
    });
}

/// A dump as of a program with a hundred thousand tasks, made of the words about one.
#[test]
fn a_dump_of_very_many_tasks_is_short() {
    limit(60, || {
        let runtime = Runtime::new().unwrap();
        let parked = runtime.spawn_with(named("parked"), task::park).unwrap();
        let one = info_when(&runtime, "parked", |task| task.state == TaskState::Suspended);
        parked.task().unpark();
        let mut dump = runtime.dump();
        dump.tasks = (0..100_000)
            .map(|number: u64| {
                let mut task = one.clone();
                task.name = Some(format!("connection {number}"));
                task.waits_for = Some(format!("recv: descriptor {}", number + 10));
                task.since = Some(Duration::from_millis(number));
                task
            })
            .collect();
        dump.tasks[7].waits_for = Some(String::from("sleep"));
        let table = dump.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4, "{table}");
        let words = |line: &str| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        assert_eq!(words(lines[1]), "× 99,999 connection # suspended 100.0 s to 0 ms recv: descriptor #");
        assert_eq!(words(lines[2]), "connection 7 suspended 7 ms sleep");
        assert_eq!(lines[3], "100,000 tasks: 100,000 suspended");
        parked.join().unwrap();
    });
}
