//! What threads share, and a forked child finds in order.
//!
//! Of the parent's threads only the one that has forked is in the child. What another one was in the middle of stays so for good: a
//! [`Mutex`] that it had is held for ever, and nobody fills a place that it had reserved. Where code of a child may come there is
//! a [`ForkCell`] around it. It has a word that says in which process it was used last. Who comes first in a child sees an
//! older one there, and [mends](Mend) what is inside before anybody else is let in. At all other times that word is loaded and compared.
//!
//! [`ForkMutex`] is a lock that a child finds free. If it was so at the fork, what is inside is whole, and stays. If a thread held it
//! that is not there, what is inside is replaced by what the type [says](Forked). What was there is forgotten, and not dropped, for it
//! may be half written.
//!
//! The thread that forks is not inside: no code of others runs there ([`Crossing`](crate::Crossing)), so nobody forks.

#![allow(unsafe_code)]

use super::forked::{count_forks, forks};
use super::lock::{Mutex, MutexGuard};
use std::cell::UnsafeCell;
use std::mem;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// What the first one in a forked child does.
pub trait Mend {
    /// No thread is inside, nor comes in meanwhile; those of the parent that were are gone, wherever they were. Runs no code of others, and
    /// does not panic. `again`: a thread of the parent was just doing this, as the first one there.
    fn mend(&mut self, again: bool);
}

/// See the module.
pub struct ForkCell<T: Mend> {
    /// In which process it was used last ([`here`]).
    process: AtomicU32,
    /// Of those that have come in; and of the first one, alone.
    inside: UnsafeCell<T>,
}

/// Nobody has come yet, in any process.
const UNUSED: u32 = u32::MAX;
/// Beside the number of the process: one has come first there, and is not ready yet.
const AT_WORK: u32 = 1;
const ONE: u32 = 2;

/// This process.
#[inline]
fn here() -> u32 {
    forks().wrapping_mul(ONE)
}

// SAFETY: it is the value, and a number.
unsafe impl<T: Mend + Send> Send for ForkCell<T> {}
// SAFETY: the value is shared; and used by one alone, which may be any.
unsafe impl<T: Mend + Send + Sync> Sync for ForkCell<T> {}

impl<T: Mend> ForkCell<T> {
    /// With `value` inside.
    pub const fn new(value: T) -> Self {
        ForkCell { process: AtomicU32::new(UNUSED), inside: UnsafeCell::new(value) }
    }

    /// What is inside, in order. (Without memory for having forks [counted](count_forks) a child does not know that it is one.)
    ///
    /// # Safety
    /// No code of others runs on this thread as long as this is used: it might fork.
    #[inline]
    pub unsafe fn get(&self) -> &T {
        self.enter();
        // SAFETY: nobody mends it in this process any more.
        unsafe { &*self.inside.get() }
    }

    /// As above.
    pub fn get_mut(&mut self) -> &mut T {
        if *self.process.get_mut() != UNUSED {
            self.enter();
        }
        self.inside.get_mut()
    }

    #[inline]
    fn enter(&self) {
        // (What the first one has done is seen.)
        if self.process.load(Ordering::Acquire) != here() {
            self.enter_first();
        }
    }

    #[cold]
    fn enter_first(&self) {
        // (Before anybody is in the middle of something.)
        count_forks();
        let here = here();
        let mut was = self.process.load(Ordering::Acquire);
        while was != here {
            if was == here | AT_WORK {
                thread::yield_now();
                was = self.process.load(Ordering::Acquire);
                continue;
            }
            let next = if was == UNUSED { here } else { here | AT_WORK };
            match self.process.compare_exchange(was, next, Ordering::Acquire, Ordering::Acquire) {
                Ok(UNUSED) => return,
                Ok(_) => {
                    let armed = Armed;
                    // SAFETY: this is the first one in this process, and nobody else comes in before the word says so. Who has come in
                    // before was a thread of the parent, and is not there: the one that has forked was not inside (see `get`).
                    unsafe { &mut *self.inside.get() }.mend(was & AT_WORK != 0);
                    mem::forget(armed);
                    self.process.store(here, Ordering::Release);
                    return;
                }
                Err(now) => was = now,
            }
        }
    }
}

impl<T: Mend> Drop for ForkCell<T> {
    fn drop(&mut self) {
        // What is dropped next is in order.
        if mem::needs_drop::<T>() {
            self.get_mut();
        }
    }
}

/// Others would wait for ever.
struct Armed;

impl Drop for Armed {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// What a forked child finds in a [`ForkMutex`]. Neither function runs code of others, or panics.
pub trait Forked {
    /// A thread of the parent was in the middle of a change, which nobody looks at any more.
    fn left_half() -> Self;

    /// Nobody was, and the child comes here for the first time.
    fn left_whole(&mut self) {}
}

impl<T: Forked> Mend for Mutex<T> {
    #[cold]
    fn mend(&mut self, again: bool) {
        if !again && self.try_lock().is_some() {
            self.get_mut().left_whole();
        } else {
            // (Not dropped.)
            mem::forget(mem::replace(self, Mutex::new(T::left_half())));
        }
    }
}

/// A lock that a forked child finds free; see the module. Whoever holds it does not fork.
pub struct ForkMutex<T: Forked>(ForkCell<Mutex<T>>);

impl<T: Forked + Default> Default for ForkMutex<T> {
    fn default() -> Self {
        ForkMutex::new(T::default())
    }
}

impl<T: Forked> ForkMutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        ForkMutex(ForkCell::new(Mutex::new(value)))
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // SAFETY: no code of others runs under a lock of the runtime's, which the guard watches over in a debug build.
        unsafe { self.0.get() }.lock()
    }

    /// What is inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().get_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;
    use std::sync::atomic::AtomicBool;

    /// How it came to the child.
    #[derive(Debug, PartialEq)]
    enum Left {
        Fresh,
        Half,
        Whole,
    }

    struct Inside {
        left: Left,
        /// Not to be dropped if it was left half written.
        held: Option<Held>,
    }

    struct Held;

    static DROPPED: AtomicBool = AtomicBool::new(false);

    impl Drop for Held {
        fn drop(&mut self) {
            DROPPED.store(true, Ordering::Relaxed);
        }
    }

    impl Forked for Inside {
        fn left_half() -> Self {
            Inside { left: Left::Half, held: None }
        }

        fn left_whole(&mut self) {
            self.left = Left::Whole;
        }
    }

    /// Forks, and gives what `child` says there. A child that hangs is ended.
    fn fork(child: impl FnOnce() -> bool) -> Option<bool> {
        // SAFETY: the child uses atomics, starts threads and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: no pointer is passed.
            unsafe { libc::alarm(10) };
            let code = i32::from(!child());
            // SAFETY: ends the child, which has the test's harness on its stack.
            unsafe { libc::_exit(code) };
        }
        let mut status = 0;
        // SAFETY: a live place for the status.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status) == 0)
    }

    fn new() -> ForkMutex<Inside> {
        ForkMutex::new(Inside { left: Left::Fresh, held: Some(Held) })
    }

    /// Calls `f` while another thread holds it.
    fn while_held(mutex: &ForkMutex<Inside>, f: impl FnOnce()) {
        let (held, over) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                let guard = mutex.lock();
                held.store(true, Ordering::Release);
                while !over.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                drop(guard);
            });
            while !held.load(Ordering::Acquire) {
                thread::yield_now();
            }
            f();
            over.store(true, Ordering::Release);
        });
    }

    #[test]
    fn a_child_finds_a_lock_free_that_another_thread_held() {
        let mut mutex = new();
        let mut seen = Vec::new();
        while_held(&mutex, || {
            seen.push(fork(|| mutex.lock().left == Left::Half && mutex.lock().held.is_none()));
            // Also one that is of the child's child.
            seen.push(fork(|| fork(|| mutex.lock().left == Left::Half) == Some(true)));
            // All of several that come at once.
            seen.push(fork(|| {
                let each = || (0..1000).all(|_| mutex.lock().left == Left::Half);
                thread::scope(|scope| {
                    let all: Vec<_> = (0..4).map(|_| scope.spawn(each)).collect();
                    all.into_iter().all(|thread| thread.join().unwrap())
                })
            }));
            // And what the child's threads do is held there.
            seen.push(fork(|| {
                drop(mutex.lock());
                let mut seen = None;
                while_held(&mutex, || seen = fork(|| mutex.lock().left == Left::Half));
                seen == Some(true)
            }));
        });
        assert_eq!(seen, [Some(true); 4]);
        assert!(mutex.lock().left == Left::Fresh && mutex.get_mut().held.is_some());
    }

    #[test]
    fn a_child_finds_what_is_inside_if_nobody_held_it() {
        let mutex = new();
        // (Nobody has ever used it.)
        assert_eq!(fork(|| mutex.lock().left == Left::Fresh), Some(true));
        drop(mutex.lock());
        let whole = || mutex.lock().left == Left::Whole && mutex.lock().held.is_some();
        assert_eq!(fork(whole), Some(true));
        assert_eq!(mutex.lock().left, Left::Fresh);
    }

    #[test]
    fn a_child_does_not_drop_what_was_half_written() {
        let mutex = new();
        drop(mutex.lock());
        let drops = || {
            DROPPED.store(false, Ordering::Relaxed);
            // SAFETY: the child ends without dropping it again.
            unsafe { ptr::drop_in_place(ptr::from_ref(&mutex).cast_mut()) };
            DROPPED.load(Ordering::Relaxed)
        };
        assert_eq!(fork(drops), Some(true));
        while_held(&mutex, || assert_eq!(fork(|| !drops()), Some(true)));
    }
}
