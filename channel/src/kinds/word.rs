//! A word in memory that others change, in this process or another one.

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::request::Request;
use crate::operation::{Blocking, Caller, Carry, Readiness};
use crate::sys::futex;
use io_uring::squeue;
use std::borrow::Borrow;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Waits until a word has another value: futex(2).
struct Change {
    /// Valid as long as the request holds what it lies in; null before the first post.
    word: *const AtomicU32,
    value: u32,
}

// SAFETY: an atomic may be used from any thread.
unsafe impl Send for Change {}

impl Change {
    fn is_there(&self) -> bool {
        // SAFETY: it is valid while the request is in flight.
        unsafe { &*self.word }.load(Ordering::Acquire) != self.value
    }
}

// SAFETY: it reads the word.
unsafe impl Carry for Change {
    fn waits_for(&self) -> Option<Readiness> {
        None
    }

    /// (The ring can, from Linux 6.7 on. But its requests end when their submitter does, and a word has no descriptor to be polled for.)
    fn entry(&self) -> Option<squeue::Entry> {
        None
    }

    fn blocking(&self) -> Option<&dyn Blocking> {
        Some(self)
    }
}

// SAFETY: as above.
unsafe impl Blocking for Change {
    unsafe fn at_once(&self) -> Option<i32> {
        self.is_there().then_some(0)
    }

    /// (Whoever waits by fits and starts may miss a change.)
    fn is_for_helpers(&self) -> bool {
        true
    }

    fn lasts(&self) -> bool {
        true
    }

    unsafe fn call(&self, caller: &dyn Caller) -> i32 {
        caller.until(&mut |end| {
            if self.is_there() {
                return Some(0);
            }
            // SAFETY: the word is valid.
            unsafe { futex::until_other(self.word, self.value, end) }.err().map(|errno| -errno)
        })
    }
}

struct Held<T> {
    lies_in: Arc<T>,
    operation: Change,
}

impl<T: Borrow<AtomicU32> + Send + Sync + 'static> Kept for Held<T> {
    fn kind(&self) -> u8 {
        EventKind::Word as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("word")
    }

    fn prepare(&mut self) {
        // (The borrow is good for as long as the Arc, which is beside it.)
        self.operation.word = (*self.lies_in).borrow();
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }
}

impl Request {
    /// Waits until a word in memory has another value than `value`: in this process, or in memory that processes share. Whoever changes it
    /// calls [`wake_word`] afterwards; without that the change may be seen late, or never. A change and one back again may not be seen.
    ///
    /// A helper thread waits ([`work`](Self::work)), and does not count among those: up to 2,048 words are waited for at a time, hold up
    /// nothing, and wait for no helper that is busy. No signal ends the wait, so it does not matter what the program does with its signals.
    /// (Where the kernel does not let a thread wait for two words, before Linux 5.16, a wait that is given up ends up to 20 ms late.)
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request, wake_word};
    /// # use std::sync::{Arc, atomic::{AtomicU32, Ordering}};
    /// let channel = EventChannel::new()?;
    /// let word = Arc::new(AtomicU32::new(1));
    /// channel.post(Request::word(word.clone(), 1))?;
    /// # let waker = std::thread::spawn(move || {
    /// word.store(2, Ordering::Release);
    /// wake_word(&word);
    /// # });
    /// assert_eq!(channel.get_event()?.result()?, 0);
    /// # waker.join().unwrap();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// Between processes, a parent and its child here (with memfd_create(2) in place of `MAP_ANONYMOUS` it is any that have the descriptor):
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request, wake_word};
    /// # use std::{borrow::Borrow, ptr, sync::{Arc, atomic::{AtomicU32, Ordering}}};
    /// struct Shared(*const AtomicU32);
    /// // SAFETY: an atomic may be used from any thread.
    /// unsafe impl Send for Shared {}
    /// unsafe impl Sync for Shared {}
    /// impl Borrow<AtomicU32> for Shared {
    ///     fn borrow(&self) -> &AtomicU32 {
    ///         // SAFETY: the page stays mapped as long as this lives.
    ///         unsafe { &*self.0 }
    ///     }
    /// }
    /// impl Drop for Shared {
    ///     fn drop(&mut self) {
    ///         // SAFETY: nobody borrows from it any more.
    ///         unsafe { libc::munmap(self.0.cast_mut().cast(), 4096) };
    ///     }
    /// }
    /// let (access, sharing) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    /// // SAFETY: a page that nobody else has.
    /// let page = unsafe { libc::mmap(ptr::null_mut(), 4096, access, sharing, -1, 0) };
    /// assert_ne!(page, libc::MAP_FAILED);
    /// let shared = Arc::new(Shared(page.cast()));
    /// let word: &AtomicU32 = (*shared).borrow();
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::word(shared.clone(), 0))?;
    /// // SAFETY: the child does what may be done between a fork and an exec, and nothing else.
    /// let child = unsafe { libc::fork() };
    /// if child == 0 {
    ///     word.store(7, Ordering::Release);
    ///     wake_word(word);
    ///     // SAFETY: it ends here.
    ///     unsafe { libc::_exit(0) };
    /// }
    /// channel.get_event()?.result()?;
    /// assert_eq!(word.load(Ordering::Acquire), 7);
    /// # // SAFETY: no pointer is passed but null.
    /// # unsafe { libc::waitpid(child, ptr::null_mut(), 0) };
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn word<T: Borrow<AtomicU32> + Send + Sync + 'static>(word: Arc<T>, value: u32) -> Self {
        Self::of(Held { lies_in: word, operation: Change { word: ptr::null(), value } })
    }
}

/// Tells all who wait for this word that it has changed: [`Request::word`], in any process, and others who wait by futex(2). One system call.
pub fn wake_word(word: &AtomicU32) {
    futex::wake(word);
}
