//! The load: phases that ask different things of the pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use event_channel::task::JoinHandle;
use event_channel::{Runtime, task, time};

use crate::Phase;

/// How long each phase takes, in parts of the whole; the last one takes the rest.
const IDLE: f64 = 0.08;
const ORDINARY: f64 = 0.17;
const BLOCKING: f64 = 0.25;
const PAUSE: f64 = 0.10;
const BURST: f64 = 0.05;

const CONNECTIONS: u64 = 500;
const BLOCKERS: u64 = 200;
const AT_ONCE: u64 = 300;

/// Runs the phases one after the other, all of them `stretch` times as long as they are by default.
pub fn run(runtime: &Runtime, start: Instant, stretch: f64) -> Vec<Phase> {
    let whole = Duration::from_secs_f64(crate::SECONDS * stretch);
    let mut phases = Vec::new();
    let mut end = Duration::ZERO;
    let mut phase = |name, part: f64, load: &dyn Fn(Instant)| {
        let from = start.elapsed().as_secs_f64();
        end += whole.mul_f64(part);
        load(start + end);
        std::thread::sleep((start + end).saturating_duration_since(Instant::now()));
        phases.push(Phase { name, from, to: start.elapsed().as_secs_f64() });
    };
    phase("idle", IDLE, &|_| ());
    phase("500 tasks suspend", ORDINARY, &|end| join(spawn(runtime, CONNECTIONS, end, serve)));
    phase("200 tasks block, 5 to 50 ms at a time", BLOCKING, &|end| {
        join(spawn(runtime, BLOCKERS, end, block));
    });
    phase("idle", PAUSE, &|_| ());
    phase("burst of 300", BURST, &|end| join(spawn(runtime, AT_ONCE, end, block_once)));
    let rest = 1.0 - IDLE - ORDINARY - BLOCKING - PAUSE - BURST;
    phase("idle: the threads leave after keep_alive", rest, &|end| settle(runtime, end + whole));
    phases
}

fn spawn(runtime: &Runtime, tasks: u64, end: Instant, body: fn(u64, Instant)) -> Vec<JoinHandle<()>> {
    (0..tasks).map(|number| runtime.spawn(move || body(number, end))).collect()
}

fn join(tasks: Vec<JoinHandle<()>>) {
    for task in tasks {
        if task.join().is_err() {
            // Its message is on stderr. The picture would be of some other load.
            std::process::exit(1);
        }
    }
}

/// Until the pool has as many threads as cores again. The phase is long enough, except on a machine with much else to do.
fn settle(runtime: &Runtime, limit: Instant) {
    let is_large = || {
        let metrics = runtime.metrics();
        metrics.workers > metrics.cores
    };
    while is_large() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// As a connection is served: wait, compute a little, pass something on. No thread ever blocks.
fn serve(number: u64, end: Instant) {
    let mut random = Random::new(number);
    let sum = Arc::new(AtomicU64::new(0));
    while Instant::now() < end {
        time::sleep(random.milliseconds(1..30));
        let passed = (0..random.below(20_000)).fold(number, |sum, n| std::hint::black_box(sum ^ n));
        sum.fetch_add(passed, Ordering::Relaxed);
        task::yield_now();
    }
}

/// As code that knows nothing of tasks: it blocks its thread, again and again, with short waits that suspend between.
fn block(number: u64, end: Instant) {
    let mut random = Random::new(number);
    while Instant::now() < end {
        std::thread::sleep(random.milliseconds(5..50));
        time::sleep(random.milliseconds(1..20));
    }
}

/// All at once, and for as long as the phase lasts.
fn block_once(_: u64, end: Instant) {
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
}

/// Spans that differ, the same ones each time (xorshift).
struct Random(u64);

impl Random {
    fn new(number: u64) -> Random {
        Random((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn milliseconds(&mut self, span: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(span.start + self.below(span.end - span.start + 1))
    }
}
