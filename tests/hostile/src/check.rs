//! What a check is, and how a program of checks runs them: each in a process of its own, so that a crash is one
//! failure.
//!
//! ```text
//! hostile              every check, each in a process of its own
//! hostile NAME         one check, in this process
//! hostile --only WORD  those with the word in their names, each in a process of its own
//! hostile --list       their names
//! hostile --facts      what EVENT_CHANNEL_OWN_TLS=break:FACT can falsify
//! hostile --why        why tasks do not migrate here; nothing if they do
//! ```
//! The exit status is 0 if nothing failed, and 77 if the one check is skipped.

use crate::product;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// One check: it passes if `run` returns.
pub struct Check {
    /// A sentence of the specification, in snake case.
    pub name: &'static str,
    /// Panics, or ends the process, if it fails.
    pub run: fn(),
    /// It panics on purpose: left out where a panic ends the process.
    pub needs_unwind: bool,
}

impl Check {
    /// A check for any panic strategy.
    pub const fn new(name: &'static str, run: fn()) -> Check {
        Check { name, run, needs_unwind: false }
    }

    /// A check that panics on purpose.
    pub const fn unwinding(name: &'static str, run: fn()) -> Check {
        Check { name, run, needs_unwind: true }
    }

    fn cannot_run(&self) -> Option<&'static str> {
        (self.needs_unwind && cfg!(panic = "abort")).then_some("a panic ends this program")
    }
}

/// The exit status of a check that this machine cannot run.
const SKIPPED: i32 = 77;

const LIMIT: Duration = Duration::from_secs(120);

/// Says why the running check cannot tell anything on this machine, and ends its process.
pub fn skip(why: &str) -> ! {
    println!("skipped: {why}");
    std::process::exit(SKIPPED)
}

/// The `main` of a program of checks.
pub fn main(parts: &[&[&'static [Check]]]) -> ExitCode {
    log::set_logger(&Stderr).expect("the only logger");
    log::set_max_level(log::LevelFilter::Warn);
    let checks = || parts.iter().copied().flatten().copied().flatten();
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        None if run_apart(checks()) => return ExitCode::SUCCESS,
        None => return ExitCode::FAILURE,
        Some("--only") => {
            let word = std::env::args().nth(2).unwrap_or_default();
            if !run_apart(checks().filter(|check| check.name.contains(&word))) {
                return ExitCode::FAILURE;
            }
        }
        Some("--list") => checks().for_each(|check| println!("{}", check.name)),
        Some("--facts") => product::facts().iter().for_each(|fact| println!("{fact}")),
        Some("--why") => product::why_dedicated().iter().for_each(|why| println!("{why}")),
        Some(name) => match checks().find(|check| check.name == name) {
            Some(check) => run_here(check),
            None => {
                eprintln!("there is no check {name}; --list names them");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

/// The runtime's warnings, for the reader of the suite's output.
struct Stderr;

impl log::Log for Stderr {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            eprintln!("{}: {}", record.level(), record.args());
        }
    }

    fn flush(&self) {}
}

/// Runs one check in this process.
fn run_here(check: &Check) {
    if let Some(why) = check.cannot_run() {
        skip(why);
    }
    (check.run)();
    println!("ok {}", check.name);
}

enum Verdict {
    Ok,
    Skipped(String),
    Failed(String),
}

/// Runs the checks, each in a child process, and prints what came of them. True if none failed.
fn run_apart<'a>(checks: impl Iterator<Item = &'a Check>) -> bool {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for check in checks {
        let begin = Instant::now();
        let verdict = match check.cannot_run() {
            Some(why) => Verdict::Skipped(why.to_owned()),
            None => run_child(check).unwrap_or_else(|error| Verdict::Failed(format!("not run: {error}"))),
        };
        match verdict {
            Verdict::Ok => {
                passed += 1;
                println!("ok {} ({:.1} s)", check.name, begin.elapsed().as_secs_f32());
            }
            Verdict::Skipped(why) => {
                skipped += 1;
                println!("skipped {}: {why}", check.name);
            }
            Verdict::Failed(why) => {
                failed += 1;
                println!("FAILED {}: {why}", check.name);
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0
}

fn run_child(check: &Check) -> std::io::Result<Verdict> {
    // A file, not a pipe: a grandchild that lives on must not hold up the suite.
    let mut output = tempfile()?;
    let mut child = Command::new(std::env::current_exe()?)
        .arg(check.name)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?)
        .spawn()?;
    let factor = std::env::var("EC_TEST_SLOWDOWN").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let end = Instant::now() + LIMIT * factor;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            return Ok(Verdict::Failed(format!("hangs; it said\n{}", said(&mut output)?)));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let said = said(&mut output)?;
    Ok(match status.code() {
        Some(0) => Verdict::Ok,
        Some(SKIPPED) => Verdict::Skipped(reason(&said)),
        _ => Verdict::Failed(format!("{}; it said\n{said}", how_it_ended(status))),
    })
}

fn how_it_ended(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("killed by signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

fn reason(said: &str) -> String {
    said.lines()
        .filter_map(|line| line.strip_prefix("skipped: "))
        .next_back()
        .unwrap_or("no reason")
        .to_owned()
}

/// The last lines of the output.
fn said(output: &mut std::fs::File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    output.seek(SeekFrom::Start(0))?;
    output.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(40)..].join("\n"))
}

fn tempfile() -> std::io::Result<std::fs::File> {
    use std::os::fd::FromRawFd;
    // SAFETY: a literal with a NUL at its end.
    let number = unsafe { libc::memfd_create(c"hostile".as_ptr(), libc::MFD_CLOEXEC) };
    if number < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that nobody else has.
    Ok(unsafe { std::fs::File::from_raw_fd(number) })
}
