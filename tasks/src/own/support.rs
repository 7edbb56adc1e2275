//! Whether tasks can have thread-locals of their own in this process: found out once, by whoever asks first.
//!
//! Others wait for that; but not for ever, and not inside of it. To find out takes memory and threads: an allocator may
//! spawn a task meanwhile, on any thread that has to do with it, and so may the constructor of a library that is being loaded. Such a task is a
//! thread, and the next one may be none any more.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::loading::is_loading;
use super::plain::on_new_thread;
use super::{VARIABLE, find_out};
use crate::lock::{Condvar, Mutex};
use crate::quiet::drop_quietly;

static FOUND: OnceLock<Result<(), String>> = OnceLock::new();

/// Somebody is finding out.
static ASKING: Mutex<bool> = Mutex::new(false);
static FOUND_OUT: Condvar = Condvar::new();

/// It takes some milliseconds. Whoever waits this long may be what it waits for.
const PATIENCE: Duration = Duration::from_secs(5);
const UNDECIDED: &str = "it is just being found out whether tasks can have thread-locals of their own";

thread_local! {
    /// This thread is finding out, or has to do with it.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// What finds out is going to run on this thread (on these thread-locals), which somebody waits for.
pub(super) fn begin_within() {
    WITHIN.set(true);
}

/// Whether they can, else why not; see the module.
#[inline]
pub(crate) fn support() -> Result<(), &'static str> {
    FOUND.get().map_or_else(ask, answer)
}

fn answer(found: &'static Result<(), String>) -> Result<(), &'static str> {
    found.as_ref().copied().map_err(String::as_str)
}

/// The caller is the one to find out, as long as this lives.
struct Asking;

impl Asking {
    /// `None`: it is known by now, or somebody else takes too long.
    fn begin() -> Option<Asking> {
        let end = Instant::now() + PATIENCE;
        let mut asking = ASKING.lock();
        while *asking {
            if FOUND_OUT.wait_until(&mut asking, end) {
                return None;
            }
        }
        if FOUND.get().is_some() {
            return None;
        }
        *asking = true;
        WITHIN.set(true);
        Some(Asking)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        WITHIN.set(false);
        *ASKING.lock() = false;
        FOUND_OUT.notify_all();
    }
}

#[cold]
fn ask() -> Result<(), &'static str> {
    if crate::fork::forked() {
        return Err("in a forked child no task can be spawned");
    }
    if WITHIN.get() || is_loading() {
        return Err(UNDECIDED);
    }
    let Some(asking) = Asking::begin() else { return FOUND.get().map_or(Err(UNDECIDED), answer) };
    // On a thread of its own: the one that asks may be in a task.
    let body = || {
        begin_within();
        // SAFETY: the name of this thread.
        unsafe { libc::pthread_setname_np(libc::pthread_self(), c"ec-own-check".as_ptr()) };
        find_out(std::env::var(VARIABLE).ok())
    };
    let found = match on_new_thread(body) {
        Ok(Ok(found)) => found,
        Ok(Err(payload)) => {
            drop_quietly(payload);
            Err("the self-test panicked".into())
        }
        Err(why) => Err(format!("no thread for the self-test: {why}")),
    };
    // Put there, not made there: nobody's code runs in it, and nobody waits for it.
    let found = FOUND.get_or_init(|| found);
    drop(asking);
    // Now that all is as it will stay: a logger may spawn tasks.
    match found {
        Ok(()) => crate::quietly_log!(debug, "tasks have thread-locals of their own"),
        Err(why) => crate::quietly_log!(warn, "each task gets an OS thread, which is slower: {why}"),
    }
    answer(found)
}
