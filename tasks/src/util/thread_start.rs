//! Threads do not come and go while the process forks.
//!
//! std takes a lock of its own for a moment when a thread begins and when it ends. A child that is forked in that
//! moment inherits the lock, held by a thread that does not exist there. The first thread that the child starts waits
//! for it for ever. So:
//!
//! * A fork waits until the threads that a runtime is starting have begun, and those that end have ended.
//! * These threads wait for the fork.
//! * Each waits for at most [`LONGEST`], because whoever forks may hold what the other needs.
//!
//! There is no lock: a handler of a signal may fork, too.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::{Duration, Instant};

/// In the lower half the threads that begin or end, in the upper half those that fork.
static COUNTS: AtomicU64 = AtomicU64::new(0);
const FORK: u64 = 1 << 32;

const LONGEST: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_micros(50);

/// Starts a thread of a runtime's. No fork comes while it begins or ends, see the module `thread_start`.
///
/// # Errors
/// As [`Builder::spawn`].
pub fn start_thread<T: Send + 'static>(
    builder: Builder,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let start = ThreadStart::new();
    builder.spawn(move || start.run(body))
}

/// A thread that is being started: made before, and [run](ThreadStart::run) by the thread itself.
#[must_use = "the thread runs what it is given in `run`"]
pub(crate) struct ThreadStart(Change);

impl ThreadStart {
    /// To be called before the thread is started. If it cannot be, this is dropped.
    pub(crate) fn new() -> ThreadStart {
        ThreadStart(Change::begin())
    }

    /// All that the thread does.
    pub(crate) fn run<T>(self, body: impl FnOnce() -> T) -> T {
        drop(self);
        let result = body();
        // Its destructor, the last that is registered, is the first that runs when std has done its part; what the program has
        // registered comes afterwards, and may fork.
        DEATH.set(Some(Change::begin()));
        result
    }
}

thread_local! {
    static DEATH: Cell<Option<Change>> = const { Cell::new(None) };
}

/// A thread that begins or ends, as long as it does.
struct Change;

impl Change {
    fn begin() -> Change {
        let end = Instant::now() + LONGEST;
        while !super::forked::forked() {
            let counts = COUNTS.load(Ordering::Relaxed);
            if counts >= FORK && Instant::now() < end {
                sleep(NAP);
                continue;
            }
            if COUNTS.compare_exchange(counts, counts + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                break;
            }
        }
        Change
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if !super::forked::forked() {
            COUNTS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Before a fork, by the thread that forks.
pub(crate) extern "C" fn before_fork() {
    let end = Instant::now() + LONGEST;
    COUNTS.fetch_add(FORK, Ordering::SeqCst);
    while COUNTS.load(Ordering::SeqCst) & (FORK - 1) != 0 && Instant::now() < end {
        sleep(NAP);
    }
}

/// After it, in the parent.
pub(crate) extern "C" fn after_fork() {
    COUNTS.fetch_sub(FORK, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ec_test_support::limit;
    use std::sync::{Mutex, mpsc};
    use std::thread;

    /// There is one count for all.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn a_fork_waits_until_a_thread_has_begun() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let start = ThreadStart::new();
        let forker = thread::spawn(|| {
            before_fork();
            after_fork();
        });
        thread::sleep(LONGEST / 5);
        assert!(!forker.is_finished());
        thread::spawn(|| start.run(|| ())).join().unwrap();
        forker.join().unwrap();
    }

    #[test]
    fn a_thread_waits_for_a_fork_before_it_ends() {
        let _alone = ONE_AT_A_TIME.lock().unwrap();
        let (let_go, held) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let start = ThreadStart::new();
        let body = move || {
            tell.send(()).unwrap();
            held.recv().unwrap_err();
        };
        let thread = thread::spawn(|| start.run(body));
        told.recv().unwrap();
        before_fork();
        drop(let_go);
        thread::sleep(LONGEST / 5);
        assert!(!thread.is_finished());
        after_fork();
        thread.join().unwrap();
    }

    #[test]
    fn neither_waits_for_ever() {
        limit(20, || {
            let _alone = ONE_AT_A_TIME.lock().unwrap();
            let start = ThreadStart::new();
            before_fork();
            drop(ThreadStart::new());
            after_fork();
            drop(start);
        });
    }
}
