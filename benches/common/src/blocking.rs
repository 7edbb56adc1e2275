//! Helpers of the workloads with code that blocks its thread: `block`, `mutex`, `file`.

use crate::{Args, na, out, pct};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// The file of workload `file`, which the driver has made: path, pages, reads, tasks.
pub fn file_plan(args: &Args) -> (String, u64, usize, usize) {
    let path = args.str("path", "target/data.bin");
    let pages = std::fs::metadata(&path).map_or(0, |file| file.len() / 4096);
    if pages == 0 {
        na("no file to read");
    }
    (path, pages, args.num("n", 100_000), args.num("tasks", 64))
}

/// How late a loop of ticks is, shared with the thread that reports.
#[derive(Default)]
pub struct Ticks(Mutex<(Vec<u32>, Option<Instant>)>);

impl Ticks {
    pub fn tick(&self, started: Instant, asked: Duration) {
        let late = started.elapsed().saturating_sub(asked).as_micros() as u32;
        let mut ticks = self.0.lock().unwrap();
        ticks.0.push(late);
        ticks.1 = Some(Instant::now());
    }

    /// Ticks, and p50, p99, p99.9, max in microseconds, and how many of a hundred thousand were late by more than 5 ms; a tick
    /// still to come counts as late until now.
    fn report(&self, began: Instant) -> (usize, [f64; 4], f64) {
        let mut ticks = self.0.lock().unwrap();
        let n = ticks.0.len();
        let last = ticks.1.unwrap_or(began);
        ticks.0.push(last.elapsed().as_micros() as u32);
        let late = ticks.0.iter().filter(|late| **late > 5_000).count();
        let late = late as f64 / ticks.0.len() as f64 * 1e5;
        (n, [0.5, 0.99, 0.999, 1.0].map(|share| pct(&mut ticks.0, share)), late)
    }
}

/// Program `load` with one connection: `how` it asks, and more words.
fn one_connection(how: &str, port: u16, secs: usize, more: &str) -> Child {
    let load = std::env::current_exe().expect("own path").with_file_name("load");
    let words = [how.into(), format!("port={port}"), "conns=1".into(), format!("secs={secs}"), more.into()];
    let words = words.iter().filter(|word| !word.is_empty());
    Command::new(load).args(words).stdout(Stdio::piped()).spawn().expect("load")
}

/// A figure of what `load` says; 0 if it is missing: no answer at all within the load's own limits.
fn figure(said: &[u8], name: &str) -> f64 {
    let said = String::from_utf8_lossy(said);
    let words: Vec<&str> =
        said.split(['{', '}', ':', ',']).map(|word| word.trim_matches([' ', '"'])).collect();
    let at = words.iter().position(|word| *word == name);
    at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(0.0)
}

/// Prints the figures of workload `hogs`: what one connection gets while `begin` has made tasks compute. Ends the
/// process.
pub fn hogs_report(port: u16, secs: usize, begin: impl FnOnce()) -> ! {
    std::thread::sleep(Duration::from_millis(300));
    // In an open loop: a closed one asks nothing while it waits, and so hardly notices a server that stands still.
    let load = one_connection("open", port, secs, "rate=1000");
    // The load is connected by then, and does not measure yet.
    std::thread::sleep(Duration::from_millis(150));
    begin();
    let said = load.wait_with_output().expect("load").stdout;
    let threads = std::fs::read_dir("/proc/self/task").expect("tasks").count() as f64;
    let figures = ["p99_us", "p50_us", "max_us"].map(|name| (name, figure(&said, name)));
    out(&[figures[0], figures[1], figures[2], ("threads", threads)]);
    std::process::exit(0)
}

/// Computes for so long, by the clock.
pub fn compute(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Prints the figures of workload `block`: ticks, and the round trips of one connection from program `load`. Ends the
/// process, in whatever state the runtime is.
pub fn block_report(ticks: &Ticks, port: u16, secs: usize, began: Instant) -> ! {
    std::thread::sleep(Duration::from_millis(300));
    let rate =
        figure(&one_connection("echo", port, secs, "").wait_with_output().expect("load").stdout, "msgs_s");
    let (n, [p50, p99, p999, max], late) = ticks.report(began);
    let threads = std::fs::read_dir("/proc/self/task").expect("tasks").count();
    out(&[
        ("ticks_s", n as f64 / began.elapsed().as_secs_f64()),
        ("late_p50_us", p50),
        ("late_p99_us", p99),
        ("late_p999_us", p999),
        ("late_max_us", max),
        ("late_5ms", late),
        ("echo_rtt_s", rate),
        ("threads", threads as f64),
    ]);
    std::process::exit(0)
}

/// Connects to `port` from a thread of its own, later.
pub fn connect_after(ms: u64, port: u16) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(ms));
        let stream = TcpStream::connect(("127.0.0.1", port));
        std::thread::sleep(Duration::from_secs(60));
        drop(stream);
    });
}

/// Ends workload `mutex` with finished=0 if it has not ended by itself.
pub fn watchdog(secs: u64) {
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(secs));
        out(&[("finished", 0.0), ("ms", secs as f64 * 1e3)]);
        std::process::exit(0)
    });
}

/// A lock as naive code would write it: it blocks the thread, and its holder may do anything.
#[derive(Default)]
pub struct StdLock(Mutex<bool>, Condvar);

impl StdLock {
    pub fn lock(&self) {
        let mut held = self.0.lock().unwrap();
        while *held {
            held = self.1.wait(held).unwrap();
        }
        *held = true;
    }

    pub fn unlock(&self) {
        *self.0.lock().unwrap() = false;
        self.1.notify_one();
    }
}
