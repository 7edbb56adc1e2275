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
//! There is no lock: a handler of a signal may fork, too. In a child nobody begins or ends, whatever was on the way in the parent.

use super::forked::{count_forks, forks};
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
        count_forks();
        ThreadStart(Change::begin())
    }

    /// All that the thread does.
    pub(crate) fn run<T>(self, body: impl FnOnce() -> T) -> T {
        drop(self.0);
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
struct Change {
    /// It was counted after so many forks, and is not in a child of that process.
    forks: u32,
}

impl Change {
    fn begin() -> Change {
        let end = Instant::now() + LONGEST;
        loop {
            let forks = forks();
            let counts = COUNTS.load(Ordering::Relaxed);
            if counts >= FORK && Instant::now() < end {
                sleep(NAP);
                continue;
            }
            if COUNTS.compare_exchange(counts, counts + 1, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
                return Change { forks };
            }
        }
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        if self.forks == forks() {
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

/// After it, in the child.
pub(crate) fn in_child() {
    COUNTS.store(0, Ordering::SeqCst);
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

    /// (It is forked by a thread that has one on the way itself.)
    #[test]
    #[allow(unsafe_code)]
    fn a_child_waits_for_no_thread_of_its_parent() {
        limit(20, || {
            let _alone = ONE_AT_A_TIME.lock().unwrap();
            let (start, own) = (ThreadStart::new(), Change::begin());
            // SAFETY: the child uses atomics, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let before = COUNTS.load(Ordering::SeqCst);
                drop(own);
                let counts = (before, COUNTS.load(Ordering::SeqCst));
                // SAFETY: ends the child, which has the test's harness on its stack.
                unsafe { libc::_exit(i32::from(counts != (0, 0))) };
            }
            let mut status = -1;
            // SAFETY: a live place for the status.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0);
            drop((start, own));
            assert_eq!(COUNTS.load(Ordering::SeqCst), 0);
        });
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
