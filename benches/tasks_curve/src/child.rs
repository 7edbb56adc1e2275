//! One measurement, in a process of its own: so many tasks are spawned, suspend, and are woken; what that took and
//! what the process held meanwhile goes to the parent in one line.

use event_channel::task::{self, JoinHandle, Task};
use std::fmt;
use std::io;
use std::process::Command;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

pub const FLAG: &str = "--child";
pub const TOUCH: &str = "--touch";
pub const PROTECTED: &str = "protected";

static ARRIVED: AtomicUsize = AtomicUsize::new(0);
static WOKEN: AtomicBool = AtomicBool::new(false);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Own,
    Lean,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if *self == Kind::Own { "own" } else { "lean" })
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(word: &str) -> Result<Kind, String> {
        [Kind::Own, Kind::Lean]
            .into_iter()
            .find(|kind| kind.to_string() == word)
            .ok_or_else(|| format!("no kind of task: {word}"))
    }
}

impl Kind {
    fn spawn(self, f: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
        match self {
            Kind::Own => task::Builder::new().spawn(f),
            // SAFETY: the tasks below keep nothing of a thread's across their suspension.
            Kind::Lean => unsafe { task::Builder::new().spawn_lean(f) },
        }
    }
}

/// What so many suspended tasks came to.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub tasks: usize,
    /// From the first spawn until all are suspended.
    pub spawn_ns: f64,
    /// From the first wake-up until all have ended and were joined.
    pub finish_ns: f64,
    /// Bytes resident, and bytes of page tables, that the process had not before.
    pub resident: f64,
    pub page_tables: f64,
    pub mappings: f64,
    /// OS threads: some where tasks have none of their own.
    pub threads: f64,
    /// Are guards a mapping each?
    pub protected: bool,
}

pub enum Answer {
    Measured(Figures),
    Refused(String),
}

/// What the process holds at the moment.
#[derive(Clone, Copy)]
struct Held {
    resident: f64,
    page_tables: f64,
    mappings: f64,
    threads: f64,
}

impl Held {
    fn now() -> io::Result<Held> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
        };
        // `status` and `statm` may be off by some pages for each CPU, which counts with few tasks.
        let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap_or_default();
        let exact = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
        let exact = exact.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        Ok(Held {
            resident: exact.unwrap_or_else(|| number("VmRSS:")) * 1024.0,
            page_tables: number("VmPTE:") * 1024.0,
            mappings: std::fs::read_to_string("/proc/self/maps")?.lines().count() as f64,
            threads: number("Threads:"),
        })
    }
}

/// Measures, as the child, and prints the answer.
pub fn measure(kind: Kind, tasks: usize, protected: bool) -> Result<(), Box<dyn std::error::Error>> {
    if protected {
        // SAFETY: this process is for that.
        unsafe { ec_tasks::force_protected_guards() };
    }
    let measured = event_channel::run(move || measure_here(kind, tasks));
    match measured? {
        Answer::Measured(f) => println!(
            "measured {} {} {} {} {} {} {} {}",
            f.tasks, f.spawn_ns, f.finish_ns, f.resident, f.page_tables, f.mappings, f.threads, f.protected
        ),
        Answer::Refused(why) => println!("refused {why}"),
    }
    // Whatever tasks there may still be are not waited for.
    std::process::exit(0);
}

fn measure_here(kind: Kind, tasks: usize) -> io::Result<Answer> {
    // The first task pays for what is made once.
    if let Err(why) = kind.spawn(task::yield_now).map(JoinHandle::join) {
        return Ok(Answer::Refused(why.to_string()));
    }
    // The handles are the measurement's, not the task's: their memory is there, and touched, beforehand.
    let mut handles: Vec<Option<JoinHandle<()>>> = Vec::new();
    handles.resize_with(tasks, || None);
    let before = Held::now()?;

    let spawner = task::current();
    let start = Instant::now();
    for (number, handle) in handles.iter_mut().enumerate() {
        let spawner = spawner.clone();
        match kind.spawn(move || suspend_once(tasks, &spawner)) {
            Ok(new) => *handle = Some(new),
            Err(why) => return Ok(Answer::Refused(format!("after {number}: {why}"))),
        }
    }
    while ARRIVED.load(Ordering::Acquire) < tasks {
        task::park();
    }
    let spawn_ns = start.elapsed().as_nanos() as f64;
    let held = Held::now()?;

    let start = Instant::now();
    WOKEN.store(true, Ordering::Release);
    for handle in handles.iter().flatten() {
        handle.task().unpark();
    }
    for handle in handles.iter_mut() {
        let ended = handle.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))), "a task has panicked");
    }
    let finish_ns = start.elapsed().as_nanos() as f64;
    Ok(Answer::Measured(Figures {
        tasks,
        spawn_ns,
        finish_ns,
        resident: (held.resident - before.resident).max(0.0),
        page_tables: (held.page_tables - before.page_tables).max(0.0),
        mappings: (held.mappings - before.mappings).max(0.0),
        threads: (held.threads - before.threads).max(0.0),
        protected: ec_tasks::stack_stats().guard == ec_tasks::GuardKind::Protected,
    }))
}

fn suspend_once(tasks: usize, spawner: &Task) {
    if ARRIVED.fetch_add(1, Ordering::AcqRel) + 1 == tasks {
        spawner.unpark();
    }
    while !WOKEN.load(Ordering::Acquire) {
        task::park();
    }
}

/// Has a child measure, as the parent.
pub fn run(kind: Kind, tasks: usize, protected: bool) -> Answer {
    let guards = if protected { PROTECTED } else { "any" };
    let output = std::env::current_exe().and_then(|program| {
        Command::new(program).args([FLAG, &kind.to_string(), &tasks.to_string(), guards]).output()
    });
    let output = match output {
        Ok(output) => output,
        Err(why) => return Answer::Refused(why.to_string()),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    if let Some(why) = said.strip_prefix("refused ") {
        return Answer::Refused(why.trim().to_owned());
    }
    match said.strip_prefix("measured ").and_then(parse) {
        Some(figures) => Answer::Measured(figures),
        None => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().next_back().unwrap_or("");
            Answer::Refused(format!("the process ended with {} {last}", output.status))
        }
    }
}

/// Has a child touch so much memory once, as the parent.
pub fn touch(bytes: f64) {
    let touched = std::env::current_exe()
        .and_then(|program| Command::new(program).args([TOUCH, &(bytes as usize).to_string()]).status());
    if !touched.is_ok_and(|status| status.success()) {
        println!(
            "the memory could not be touched beforehand: the first of the largest measurements may seem slow"
        );
    }
}

/// As the child.
pub fn touch_here(bytes: usize) {
    let mut memory: Vec<u8> = Vec::with_capacity(bytes);
    for page in memory.spare_capacity_mut().chunks_mut(4096) {
        page[0].write(1);
    }
    std::hint::black_box(&memory);
}

fn parse(line: &str) -> Option<Figures> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |at: usize| words.get(at)?.parse::<f64>().ok();
    Some(Figures {
        tasks: words.first()?.parse().ok()?,
        spawn_ns: number(1)?,
        finish_ns: number(2)?,
        resident: number(3)?,
        page_tables: number(4)?,
        mappings: number(5)?,
        threads: number(6)?,
        protected: words.get(7)?.parse().ok()?,
    })
}

/// Each figure's median by itself.
pub fn median(samples: &[Figures]) -> Figures {
    let of = |figure: fn(&Figures) -> f64| {
        let mut all: Vec<f64> = samples.iter().map(figure).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Figures {
        tasks: samples[0].tasks,
        spawn_ns: of(|f| f.spawn_ns),
        finish_ns: of(|f| f.finish_ns),
        resident: of(|f| f.resident),
        page_tables: of(|f| f.page_tables),
        mappings: of(|f| f.mappings),
        threads: of(|f| f.threads),
        protected: samples[0].protected,
    }
}
