//! Waiting for the end of a thread, not for ever: at its end the destructors of the program's thread-locals run, which may block.
//!
//! This file has `unsafe` in it: std's join knows no limit of time.

#![allow(unsafe_code)]

use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(1);

/// Waits until the thread is gone; false if it is not at `end`, after which nobody waits for it any more.
pub(crate) fn join_until(thread: JoinHandle<()>, end: Option<Instant>) -> bool {
    // (For musl std and libc have different types for the same number.)
    #[allow(clippy::unnecessary_cast)]
    let thread = thread.into_pthread_t() as libc::pthread_t;
    let mut nap = SHORTEST;
    loop {
        // SAFETY: a thread that `std` has started joinable, whose handle was given up: it is joined or detached here and nowhere
        // else, once.
        if unsafe { libc::pthread_tryjoin_np(thread, std::ptr::null_mut()) } != libc::EBUSY {
            return true;
        }
        if end.is_some_and(|end| end <= Instant::now()) {
            // SAFETY: as above.
            unsafe { libc::pthread_detach(thread) };
            return false;
        }
        std::thread::sleep(nap);
        nap = (2 * nap).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ec_test_support::limit;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn a_thread_that_ends_is_waited_for_and_one_that_does_not_is_left() {
        limit(20, || {
            assert!(join_until(thread::spawn(|| thread::sleep(LONGEST)), None));
            let (let_go, held) = mpsc::channel::<()>();
            let stuck = thread::spawn(move || {
                let _ = held.recv();
            });
            assert!(!join_until(stuck, Some(Instant::now() + LONGEST)));
            drop(let_go);
        });
    }

    /// Its function has returned, but it is not gone.
    #[test]
    fn a_thread_that_blocks_in_its_last_destructors_is_left() {
        struct Blocks(mpsc::Receiver<()>);
        impl Drop for Blocks {
            fn drop(&mut self) {
                let _ = self.0.recv();
            }
        }
        thread_local!(static LAST: std::cell::RefCell<Option<Blocks>> = const { std::cell::RefCell::new(None) });
        limit(20, || {
            let (let_go, held) = mpsc::channel::<()>();
            let thread = thread::spawn(move || LAST.set(Some(Blocks(held))));
            while !thread.is_finished() {
                thread::yield_now();
            }
            assert!(!join_until(thread, Some(Instant::now() + LONGEST)));
            drop(let_go);
        });
    }
}
