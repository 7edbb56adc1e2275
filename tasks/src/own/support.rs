//! Whether tasks can have thread-locals of their own in this process. Whoever asks first finds out, once.
//!
//! Others wait for the answer, but not for ever. Whoever is inside of the search does not wait at all. The search
//! takes memory and threads. Meanwhile an allocator may spawn a task, on any thread that has to do with the search. So
//! may the constructor of a library that is being loaded. Such a task is a thread; the next task may not be one any
//! more.

#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::loading::is_loading;
use super::plain::{self, begin_within, on_new_thread};
use super::{BlockStack, VARIABLE, find_out};
use crate::util::foreign::drop_quietly;
use crate::util::lock::{Condvar, Mutex};

static FOUND: OnceLock<Result<(), String>> = OnceLock::new();

/// Somebody is finding out.
static ASKING: Mutex<bool> = Mutex::new(false);
static FOUND_OUT: Condvar = Condvar::new();

/// It takes some milliseconds. Whoever waits this long may be what it waits for.
const LONGEST: Duration = Duration::from_secs(5);
const UNDECIDED: &str = "it is just being found out whether tasks can have thread-locals of their own";

/// Whether they can, else why not; `None`: nobody has found out yet.
#[inline]
pub(crate) fn known() -> Option<Result<(), &'static str>> {
    FOUND.get().map(answer)
}

fn answer(found: &'static Result<(), String>) -> Result<(), &'static str> {
    found.as_ref().copied().map_err(String::as_str)
}

/// The caller is the one to find out, as long as this lives.
struct Asking;

impl Asking {
    /// `None`: it is known by now, or somebody else takes too long.
    fn begin() -> Option<Asking> {
        let end = Instant::now() + LONGEST;
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
        begin_within();
        Some(Asking)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        plain::end_within();
        *ASKING.lock() = false;
        FOUND_OUT.notify_all();
    }
}

/// Finds out, if need be; see the module. `S` is what tasks run on.
#[cold]
pub(crate) fn ask<S: BlockStack>() -> Result<(), &'static str> {
    if crate::util::forked::forked() {
        return Err("in a forked child no task can be spawned");
    }
    if plain::is_within() || is_loading() {
        return Err(UNDECIDED);
    }
    let Some(asking) = Asking::begin() else { return FOUND.get().map_or(Err(UNDECIDED), answer) };
    // On a thread of its own: the one that asks may be in a task.
    let body = || {
        begin_within();
        // SAFETY: the name of this thread.
        unsafe { libc::pthread_setname_np(libc::pthread_self(), c"ec-own-check".as_ptr()) };
        // SAFETY: no pointer is passed. (In a setuid process whoever has started it is not to choose.)
        let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
        find_out::<S>(std::env::var(VARIABLE).ok().filter(|_| !secure))
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
