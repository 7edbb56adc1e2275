//! What `#[event_channel::main]` and `#[event_channel::test]` make of a function calls this. Not for programs to call.

use super::{Builder, Runtime, run, run_named};
use crate::channel::{DRIVER_VARIABLE, Driver, EXCLUDE_VARIABLE};
use std::any::Any;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Termination;
use std::time::Duration;

pub use std::process::ExitCode;

/// What a test's runtime may take for its end, as one that is dropped.
const GRACE: Duration = Duration::from_secs(1);

/// A program: in the default runtime, or in one that `builder` makes. Both end with the process.
pub fn main<R: Termination>(builder: Option<Builder>, body: fn() -> R) -> ExitCode {
    // What `body` returns need not be fit for another thread: so what becomes of it is made there.
    let code = move || body().report();
    match builder.map(Builder::build) {
        None => run(code),
        Some(Ok(runtime)) => ManuallyDrop::new(runtime).run(code),
        Some(Err(error)) => panic!("the runtime of `main` could not be started: {error}"),
    }
}

/// A test, as it was written.
#[derive(Clone, Copy)]
pub struct Test {
    /// Where it is, with the name of the crate.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// The only driver.
    pub driver: Option<Driver>,
    /// Words that its panic is to have. `None`: it is not to panic.
    pub panics: Option<&'static str>,
}

type Payload = Box<dyn Any + Send>;

/// Runs `body` on each driver in turn, up to the first on which it fails. If it is to panic, it has to on each, and the last panic goes on.
///
/// # Panics
/// If it fails.
pub fn test<R: Termination>(test: Test, builder: impl Fn() -> Builder, body: fn() -> R) {
    let path = format!("{}::{}", test.module, test.name);
    let name = path.split_once("::").map_or(&*path, |(_, name)| name);
    let named = named_driver();
    let mut last_panic: Option<Payload> = None;
    for driver in Driver::ALL {
        if test.driver.is_some_and(|only| only != driver) {
            continue;
        }
        let runtime = match why_not(driver, named) {
            None => build(driver, builder()),
            Some(why) => Err(why),
        };
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(why) => {
                // Past the test harness, which keeps the words of a test that passes.
                let _ = writeln!(io::stderr(), "test {name} is skipped on {driver}: {why}");
                continue;
            }
        };
        let result = run_on(&runtime, format!("{name} on {driver}"), body);
        if let Err(error) = runtime.shutdown(GRACE) {
            eprintln!("after the test {name} on {driver}: {error}");
        }
        match (result, test.panics) {
            (Ok(true), None) => {}
            (Ok(false), None) => panic!("the test {name} returned an error on {driver}"),
            (Ok(_), Some(_)) => return eprintln!("the test {name} was to panic, and did not on {driver}"),
            (Err(payload), Some(words)) if message_of(&*payload).contains(words) => {
                last_panic = Some(payload)
            }
            (Err(payload), _) => {
                eprintln!("the test {name} has panicked on {driver}");
                resume_unwind(payload);
            }
        }
    }
    if let Some(words) = test.panics {
        // Skipped on all drivers, it counts as others that are.
        resume_unwind(last_panic.unwrap_or_else(|| Box::new(words)));
    }
}

/// Whether it went well.
fn run_on<R: Termination>(runtime: &Runtime, name: String, body: fn() -> R) -> Result<bool, Payload> {
    // (`Debug`, and the destructor of what is returned, are the test's as well.)
    let went_well = move || body().report() == ExitCode::SUCCESS;
    catch_unwind(AssertUnwindSafe(|| run_named(runtime.pool.here(), name, went_well)))
}

fn message_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&'static str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The driver that the environment insists on.
fn named_driver() -> Option<Driver> {
    let name = variable(DRIVER_VARIABLE)?;
    Some(name.trim().parse().unwrap_or_else(|error| panic!("{DRIVER_VARIABLE}: {error}")))
}

/// Why the environment does not want that driver.
fn why_not(driver: Driver, named: Option<Driver>) -> Option<String> {
    match named {
        Some(named) if named == driver => None,
        Some(named) => Some(format!("{DRIVER_VARIABLE} is {named}")),
        None => {
            let excluded = variable(EXCLUDE_VARIABLE)?;
            let is_excluded = excluded.split(',').any(|name| name.trim() == driver.name());
            is_excluded.then(|| format!("{EXCLUDE_VARIABLE} is {excluded}"))
        }
    }
}

/// `Err`: the machine does not have that driver. What it always has, and settings that cannot be, are worth a panic.
fn build(driver: Driver, builder: Builder) -> Result<Runtime, String> {
    match builder.driver(driver).build() {
        Ok(runtime) => Ok(runtime),
        Err(error) if driver == Driver::IoUring && error.kind() != io::ErrorKind::InvalidInput => {
            Err(error.to_string())
        }
        Err(error) => panic!("the runtime of a test on {driver} could not be started: {error}"),
    }
}
