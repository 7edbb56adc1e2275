//! What a handler of ours has found in its place, as it reads it: under no lock, while others may replace it.

#![allow(unsafe_code)]

use super::dispositions::{GENERATIONS, as_kernel_calls_once, place, set_default};
use super::signals::MOST;
use std::mem::transmute;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) struct Found {
    /// (The default, once one has been called that is called once.)
    handler: AtomicUsize,
    /// As `handler`, if it is one that takes three arguments. (What handles in the other way has 0 here.)
    with_info: AtomicUsize,
    /// `SA_RESETHAND`.
    is_once: AtomicBool,
}

static FOUND: [[Found; GENERATIONS]; MOST] = [const {
    [const {
        Found {
            handler: AtomicUsize::new(0),
            with_info: AtomicUsize::new(0),
            is_once: AtomicBool::new(false),
        }
    }; GENERATIONS]
}; MOST];

/// What the handler of this generation has found.
pub(super) fn found(signal: i32, generation: usize) -> &'static Found {
    &FOUND[place(signal)][generation]
}

/// What the handler of this generation has found in its place.
pub(super) enum Before {
    Default,
    Ignored,
    Plain(extern "C" fn(i32)),
    WithInfo(extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)),
}

impl Found {
    pub(super) fn set(&self, action: &libc::sigaction) {
        let with_info = if action.sa_flags & libc::SA_SIGINFO != 0 { action.sa_sigaction } else { 0 };
        let is_once = action.sa_flags & libc::SA_RESETHAND != 0;
        let is_other = self.with_info.load(Ordering::SeqCst) != with_info
            || self.is_once.load(Ordering::SeqCst) != is_once;
        if is_other {
            // (A handler that reads in between calls none of them.)
            self.handler.store(libc::SIG_IGN, Ordering::SeqCst);
            self.with_info.store(with_info, Ordering::SeqCst);
            self.is_once.store(is_once, Ordering::SeqCst);
        }
        self.handler.store(action.sa_sigaction, Ordering::SeqCst);
    }

    /// It was to be called once, and has been.
    pub(super) fn is_spent(&self) -> bool {
        self.is_once.load(Ordering::SeqCst) && self.handler.load(Ordering::SeqCst) == libc::SIG_DFL
    }

    /// What is to be called now. Of one that is called once only the first who asks hears. (In a child that shares its parent's memory,
    /// where this is `shared`, nothing is noted.)
    pub(super) fn take(&self, signal: i32, generation: usize, shared: bool) -> Before {
        loop {
            let handler = self.handler.load(Ordering::SeqCst);
            match handler {
                libc::SIG_DFL => return Before::Default,
                libc::SIG_IGN => return Before::Ignored,
                _ => {}
            }
            let with_info = self.with_info.load(Ordering::SeqCst) == handler;
            if self.is_once.load(Ordering::SeqCst) {
                if shared {
                    set_default(signal, generation);
                } else if self.spend(handler) {
                    as_kernel_calls_once(signal, generation, handler);
                } else {
                    continue;
                }
            }
            // SAFETY: whoever has set this action has said which of both it is.
            return unsafe {
                match with_info {
                    true => Before::WithInfo(transmute::<
                        usize,
                        extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void),
                    >(handler)),
                    false => Before::Plain(transmute::<usize, extern "C" fn(i32)>(handler)),
                }
            };
        }
    }

    fn spend(&self, handler: usize) -> bool {
        let (now, then) = (handler, libc::SIG_DFL);
        self.handler.compare_exchange(now, then, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}
