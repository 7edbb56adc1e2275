//! One library is loaded or unloaded at a time, with what follows from it. Otherwise another thread's refresh of the
//! template could take a half-loaded library for a known one.
//!
//! It is a lock over foreign code, the libraries' constructors and destructors, like libc's own lock around them. So it
//! behaves like that one: the thread that has it may come again, and others wait until it is through.

use crate::util::forked::forked;
use crate::util::lock::{Condvar, Mutex};

use super::switch;
use crate::here;

/// Which thread loads (by its own thread pointer), and how deep in it.
struct Owner {
    thread: usize,
    depth: usize,
}

static OWNER: Mutex<Owner> = Mutex::new(Owner { thread: 0, depth: 0 });
static FREE: Condvar = Condvar::new();

/// As long as it lives the thread is the one that loads.
struct Turn;

impl Turn {
    fn new() -> Turn {
        let thread = here::thread_pointer();
        let mut owner = OWNER.lock();
        while owner.depth > 0 && owner.thread != thread {
            FREE.wait(&mut owner);
        }
        owner.thread = thread;
        owner.depth += 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // (In a child that a constructor has forked nobody waits, and the lock may be held by a thread that is not there.)
        if forked() {
            return;
        }
        let mut owner = OWNER.lock();
        owner.depth -= 1;
        let free = owner.depth == 0;
        drop(owner);
        if free {
            FREE.notify_one();
        }
    }
}

/// Runs `f`, which loads or unloads, on the thread's own thread-locals, since libc finds only those of threads.
pub(super) fn loading<R>(f: impl FnOnce() -> R) -> R {
    switch::load_on_thread(|| {
        // In a forked child it may be held by a thread that is not there.
        let _turn = (!forked()).then(Turn::new);
        f()
    })
}

/// Is the caller inside [`loading`], in a constructor for instance? Not to be asked on a task's own thread-locals.
pub(super) fn is_loading() -> bool {
    let owner = OWNER.lock();
    owner.depth > 0 && owner.thread == here::thread_pointer()
}
