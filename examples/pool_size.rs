//! pool_size: how the number of the pool's threads follows the load, as a picture.
//!
//! ```text
//! cargo run --release --example pool_size                     twelve seconds; draws target/pool_size.svg
//! cargo run --release --example pool_size -- --out size.svg   somewhere else
//! cargo run --release --example pool_size -- --seconds 30     the same load, drawn out
//! ```
//!
//! A pool begins with a thread for each core, and that is all that tasks need which suspend. A task that blocks its
//! thread for real (here with [`std::thread::sleep`]) costs the pool one more thread for as long as that lasts; what is
//! not needed any more leaves after `keep_alive`. `pool_size/load.rs` has the load, `pool_size/chart.rs` the picture,
//! `pool_size/options.rs` the command line; here both are put together, and a plain thread looks at
//! [`Runtime::metrics`] all the while.

#[path = "pool_size/chart.rs"]
mod chart;
#[path = "pool_size/load.rs"]
mod load;
#[path = "pool_size/options.rs"]
mod options;

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use event_channel::runtime::Metrics;
use event_channel::{Runtime, task};

use options::{Command, Options};

/// As long as the load lasts when nobody asks for something else; all spans in it are for this.
const SECONDS: f64 = 12.0;
/// Between two looks at the pool, and how long a thread stays that is not needed.
const LOOK: Duration = Duration::from_millis(20);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// What one look at the pool has shown.
struct Sample {
    /// Seconds since the beginning.
    at: f64,
    metrics: Metrics,
}

/// A part of the load, as it came.
struct Phase {
    name: &'static str,
    /// Seconds since the beginning.
    from: f64,
    to: f64,
}

fn main() -> ExitCode {
    let options = match options::parse(std::env::args_os()) {
        Ok(Command::Draw(options)) => options,
        Ok(Command::Help) => return say(options::HELP),
        Err(error) => {
            eprintln!("pool_size: {error}\npool_size --help says what it takes.");
            return ExitCode::from(2);
        }
    };
    match pool_size(&options) {
        Ok(summary) => say(&summary),
        Err(error) => {
            eprintln!("pool_size: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load, draws the picture, and says in words what there was.
fn pool_size(options: &Options) -> Result<String, Box<dyn Error>> {
    // Better to hear now that it cannot be written.
    prepare(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let stretch = options.seconds / SECONDS;
    let runtime = Runtime::builder().keep_alive(KEEP_ALIVE.mul_f64(stretch)).build()?;

    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (phases, samples) = thread::scope(|scope| {
        let observer = scope.spawn(|| observe(&runtime, start, LOOK.mul_f64(stretch), &done));
        let phases = load::run(&runtime, start, stretch);
        done.store(true, Ordering::Relaxed);
        observer.join().map(|samples| (phases, samples)).map_err(|_| "the observer panicked")
    })?;

    chart::draw(&options.out, &phases, &samples)
        .map_err(|error| format!("{}: {error}", options.out.display()))?;
    let summary = summary(&samples, &options.out);
    runtime.shutdown(Duration::from_secs(5))?;
    Ok(summary)
}

/// Makes the file, and the default's directory, which may not be there yet.
fn prepare(out: &Path) -> io::Result<()> {
    if out == Path::new(options::OUT)
        && let Some(place) = out.parent()
    {
        fs::create_dir_all(place)?;
    }
    fs::File::create(out).map(drop)
}

/// Looks at the pool again and again, on a plain thread: the pool does not notice.
fn observe(runtime: &Runtime, start: Instant, every: Duration, done: &AtomicBool) -> Vec<Sample> {
    let mut samples = Vec::new();
    while !done.load(Ordering::Relaxed) {
        samples.push(Sample { at: start.elapsed().as_secs_f64(), metrics: runtime.metrics() });
        thread::sleep(every);
    }
    samples
}

fn summary(samples: &[Sample], out: &Path) -> String {
    let Some(Sample { metrics: last, .. }) = samples.last() else { return String::from("nothing was seen") };
    let mut lines = vec![
        format!("peak threads      {:>8}", last.workers_peak),
        format!("grown             {:>8}", last.grown),
        format!("shrunk            {:>8}", last.shrunk),
        format!("handed over       {:>8}", last.handed_over),
        format!("lent              {:>8}", last.lent),
        format!("longest stall     {:>8.1} ms", last.longest_stall.as_secs_f64() * 1e3),
        format!("tasks             {:>8}", last.tasks_finished),
        format!("threads at the end{:>8}", last.workers),
        format!("cores             {:>8}", last.cores),
        format!("the picture is in {}", out.display()),
    ];
    if let Some(why) = task::why_not() {
        lines.push(format!("each task is a thread here, so the pool has no reason to grow: {why}"));
    }
    lines.join("\n")
}

/// To stdout, which may have been closed by whoever has read enough.
fn say(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("pool_size: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
