//! Joining a thread without waiting for it: at its end the destructors of the program's thread-locals run, which may block.
//!
//! This file has `unsafe` in it: std's join knows no limit of time.

#![allow(unsafe_code)]

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

/// A thread that is to end. Dropped, it is waited for no longer.
pub(crate) struct Leaving(Option<JoinHandle<()>>);

/// Is the thread gone, if there is one? See [`Leaving::is_gone`].
pub(crate) fn is_gone(thread: &mut Option<Leaving>) -> bool {
    thread.as_mut().is_none_or(Leaving::is_gone)
}

impl Leaving {
    /// A thread of its own for code of the program's that the caller must not run: it may block.
    pub(crate) fn start(body: impl FnOnce() + Send + 'static) -> io::Result<Leaving> {
        let builder = std::thread::Builder::new().name(String::from("ec-last"));
        ec_tasks::start_thread(builder, body).map(Leaving::new)
    }

    pub(crate) fn new(thread: JoinHandle<()>) -> Leaving {
        Leaving(Some(thread))
    }

    /// Is the thread gone, with all that it had? Then it is joined. Does not wait.
    pub(crate) fn is_gone(&mut self) -> bool {
        let Some(thread) = &self.0 else { return true };
        // (For musl std and libc have different types for the same number.)
        #[allow(clippy::unnecessary_cast)]
        let number = thread.as_pthread_t() as libc::pthread_t;
        // SAFETY: a thread that `std` has started joinable, whose handle is here: nobody else joins or detaches it. Once it is joined the
        // handle is taken apart, which does neither.
        let gone = unsafe { libc::pthread_tryjoin_np(number, std::ptr::null_mut()) } != libc::EBUSY;
        if gone {
            self.0.take().map(JoinHandleExt::into_pthread_t);
        }
        gone
    }

    /// Has its function returned? What may still run are destructors of thread-locals.
    pub(crate) fn has_returned(&self) -> bool {
        self.0.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ec_test_support::limit;
    use std::sync::mpsc;
    use std::thread;

    fn until(mut condition: impl FnMut() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_thread_that_ends_is_joined_and_one_that_does_not_is_left() {
        limit(20, || {
            let mut ends = Leaving::new(thread::spawn(|| ()));
            until(|| ends.is_gone());
            assert!(ends.is_gone() && ends.has_returned());
            let (let_go, held) = mpsc::channel::<()>();
            let mut stuck = Leaving::new(thread::spawn(move || {
                let _ = held.recv();
            }));
            assert!(!stuck.is_gone() && !stuck.has_returned());
            drop((stuck, let_go));
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
            let mut thread = Leaving::new(thread::spawn(move || LAST.set(Some(Blocks(held)))));
            until(|| thread.has_returned());
            assert!(!thread.is_gone());
            drop((thread, let_go));
        });
    }
}
