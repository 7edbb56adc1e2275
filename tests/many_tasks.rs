//! Very many tasks at once: each keeps its own thread-local while all of them are suspended, and what they held comes
//! back. One test in a program of its own: the numbers are the whole process's.

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::runtime::Runtime;
use event_channel::task::{self, JoinHandle, Task};
use std::cell::RefCell;
use std::fs::read_to_string;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const MANY: usize = 20_000;
/// What a suspended task may take at most: address space is not counted.
const BYTES_EACH: usize = 24 * 1024;
/// Where each task is a thread there are fewer, for the sake of the system.
const MANY_THREADS: usize = 500;

thread_local! {
    static MINE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The first number behind `name` in a file of /proc.
fn number(file: &str, name: &str) -> Option<usize> {
    let text = read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn resident() -> usize {
    // Added up at the moment of asking; `statm` may be off by some pages for each CPU.
    let exact = number("/proc/self/smaps_rollup", "Rss:");
    exact.or_else(|| number("/proc/self/status", "VmRSS:")).expect("/proc tells the resident memory") * 1024
}

/// As many tasks as this machine has room for.
fn room_for() -> usize {
    if !task::migrates() {
        skipped(&format!(
            "tasks are threads here: {MANY_THREADS} of them instead of {MANY}, and no stacks to come back"
        ));
        return MANY_THREADS;
    }
    let mut tasks = MANY;
    if let Some(available) = number("/proc/meminfo", "MemAvailable:").map(|kib| kib * 1024)
        && available / 2 < tasks * BYTES_EACH
    {
        tasks = available / 2 / BYTES_EACH;
        skipped(&format!("{MANY} tasks at once, with {available} bytes available: {tasks} instead"));
    }
    // A guard by mprotect takes two mappings; whoever has a stack knows which sort there is.
    task::spawn(task::yield_now).join().expect("a task");
    let mappings = number("/proc/sys/vm/max_map_count", "").unwrap_or(65_530);
    if ec_tasks::stack_stats().guard == ec_tasks::GuardKind::Protected && mappings / 4 < tasks {
        tasks = mappings / 4;
        skipped(&format!("{MANY} tasks at once, with {mappings} mappings: {tasks} instead"));
    }
    tasks
}

/// What the tasks of a round and the test have in common.
struct Round {
    tasks: usize,
    arrived: AtomicUsize,
    woken: AtomicBool,
    test: Task,
}

impl Round {
    /// A task's life: says who it is in its thread-local, with a borrow of it that lives on, is suspended, and
    /// still is who it was.
    fn suspend_once(&self, number: usize) -> bool {
        MINE.with(|mine| {
            // Its own: nobody else has it borrowed, nobody has left anything in it.
            let mut mine = mine.try_borrow_mut().ok().filter(|mine| mine.is_empty());
            if let Some(mine) = &mut mine {
                **mine = format!("task {number}");
            }
            if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.tasks {
                self.test.unpark();
            }
            while !self.woken.load(Ordering::Acquire) {
                task::park();
            }
            mine.is_some_and(|mine| *mine == format!("task {number}"))
        })
    }
}

/// Spawns `tasks`, waits until all are suspended, calls `meanwhile`, and wakes and joins them. Gives how many were right.
fn round(tasks: usize, meanwhile: impl FnOnce()) -> io::Result<usize> {
    let arrived = AtomicUsize::new(0);
    let round = Arc::new(Round { tasks, arrived, woken: AtomicBool::new(false), test: task::current() });
    let start = |number| {
        let round = round.clone();
        task::Builder::new().spawn(move || round.suspend_once(number))
    };
    let handles: io::Result<Vec<JoinHandle<bool>>> = (0..tasks).map(start).collect();
    let handles = match handles {
        Ok(handles) => handles,
        Err(why) => {
            // Those that are there wait for nobody else.
            round.woken.store(true, Ordering::Release);
            return Err(why);
        }
    };
    while round.arrived.load(Ordering::Acquire) < tasks {
        task::park();
    }
    meanwhile();
    round.woken.store(true, Ordering::Release);
    handles.iter().for_each(|handle| handle.task().unpark());
    Ok(handles
        .into_iter()
        .map(|handle| handle.join().is_ok_and(|right| right))
        .filter(|right| *right)
        .count())
}

#[test]
fn many_suspended_tasks_keep_their_own_thread_locals_and_their_memory_comes_back() {
    limit(240, || {
        let runtime = Runtime::new().unwrap();
        runtime.run(|| {
            let tasks = room_for();
            let before = resident();
            let mut most = 0;
            let right = round(tasks, || most = resident()).unwrap();
            assert_eq!(right, tasks, "every task finds its own thread-local as it left it");
            let each = most.saturating_sub(before) / tasks;
            println!("{tasks} suspended tasks: {each} bytes resident each");
            if task::migrates() {
                assert!(each < BYTES_EACH, "a suspended task takes {each} bytes");
                memory_comes_back(tasks, before, most);
            }
            // What was given back is as good as new.
            assert_eq!(round(tasks, || ()).unwrap(), tasks, "the second round");
        });
    });
}

/// Nobody has asked for it: the workers return what is not needed, as they fall asleep.
fn memory_comes_back(tasks: usize, before: usize, most: usize) {
    let returned = || ec_tasks::stack_stats().free_and_returned;
    let taken = most.saturating_sub(before);
    let begun = Instant::now();
    // The test's limit ends it if it never happens.
    while returned() < tasks * 9 / 10 || resident().saturating_sub(before) > taken / 2 {
        task::sleep(Duration::from_millis(50));
    }
    println!(
        "{} of {tasks} stacks returned after {:?}, {} bytes of {taken} still resident",
        returned(),
        begun.elapsed(),
        resident().saturating_sub(before)
    );
}
