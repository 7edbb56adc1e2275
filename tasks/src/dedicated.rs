//! Dedicated tasks: an OS thread each, for code that needs one, and where nothing else works.
//!
//! They have the same header, word and handle as lean tasks; to wait, the thread blocks on its
//! [`Parker`].

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::thread;

use crate::births::Birth;
use crate::header::{Header, RUNNING};
use crate::lock::{Condvar, Mutex};
use crate::tokens::Tokens;
use crate::{current, scheduler};

/// Where a thread waits for a condition that others change.
#[derive(Default)]
pub(crate) struct Parker {
    /// Whether it waits.
    waits: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    /// Blocks as long as `waits` says so, which only looks at something. Who changes that calls `notify` afterwards.
    pub(crate) fn wait_while(&self, waits: impl Fn() -> bool) {
        let mut guard = self.waits.lock();
        *guard = true;
        while waits() {
            self.changed.wait(&mut guard);
        }
        *guard = false;
    }

    /// The condition has changed.
    pub(crate) fn notify(&self) {
        // The lock: the thread is not between its look at the condition and its sleep. (One thread, and one that waits in one place.)
        let waits = *self.waits.lock();
        if waits {
            self.changed.notify_all();
        }
    }
}

/// Blocks the thread of the dedicated task `header` until a token of `accept` is there.
pub(crate) fn block(header: &Header, accept: Tokens) {
    let parker = header.parker.as_ref().expect("a dedicated task has a parker");
    if header.word.park(accept.bits()) {
        parker.wait_while(|| header.word.parked().is_some());
    }
}

/// The task ends when the destructors of the thread's thread-locals have run: who joins it finds
/// nothing under way any more, and they may call what suspends. So its end is a destructor itself,
/// of a value of `pthread_setspecific`, in the last round of those.
fn at_thread_end(header: NonNull<Header>) {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    let key = KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: a place for the key, and a destructor for what is set below.
        (unsafe { libc::pthread_key_create(&mut key, Some(round)) } == 0).then_some(key)
    });
    ROUND.set(0);
    // SAFETY: a key of ours.
    if key.is_none_or(|key| unsafe { libc::pthread_setspecific(key, header.as_ptr().cast()) } != 0) {
        end(header);
    }

    unsafe extern "C" fn round(header: *mut libc::c_void) {
        ROUND.set(ROUND.get() + 1);
        let header = NonNull::new(header).expect("only values are destroyed").cast::<Header>();
        let again = match KEY.get() {
            // SAFETY: as above.
            Some(Some(key)) if ROUND.get() < ROUNDS => unsafe {
                libc::pthread_setspecific(*key, header.as_ptr().cast()) == 0
            },
            _ => false,
        };
        if !again {
            end(header);
        }
    }

    fn end(header: NonNull<Header>) {
        // SAFETY: the run reference is this thread's. (What destructors of thread-locals have made anew.)
        unsafe { header.as_ref() }.own.locals.clear();
        current::leave(0);
        OVER.set(true);
        scheduler::ended(header);
        OVER.set(false);
    }
}

/// `PTHREAD_DESTRUCTOR_ITERATIONS` of all systems.
const ROUNDS: u32 = 4;

thread_local! {
    static ROUND: Cell<u32> = const { Cell::new(0) };
    static OVER: Cell<bool> = const { Cell::new(false) };
}

/// Is this the end of a dedicated task's thread, at which even std's own thread-locals are gone?
pub(crate) fn is_thread_over() -> bool {
    OVER.get()
}

struct Body(NonNull<Header>);

// SAFETY: `spawn`'s contract: the closure may run on any thread.
unsafe impl Send for Body {}

/// Starts the thread that is the task.
///
/// # Safety
/// As for [`spawn_unchecked`](crate::spawn_unchecked); the task has not been started yet. On an error it never is.
pub(crate) unsafe fn start(header: NonNull<Header>, stack_size: usize) -> io::Result<()> {
    // SAFETY: the caller has the run reference.
    let name = unsafe { header.as_ref() }.name.as_deref();
    let mut builder = thread::Builder::new();
    if let Some(name) = name {
        if name.contains('\0') {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a thread's name cannot contain a NUL"));
        }
        builder = builder.name(name.to_owned());
    }
    if stack_size != 0 {
        builder = builder.stack_size(stack_size);
    }
    let body = Body(header);
    let birth = Birth::new();
    let live = move || {
        let body = body;
        let Body(header) = body;
        current::enter(header.as_ptr(), ptr::null(), 0);
        // SAFETY: the run reference is this thread's now.
        unsafe {
            header.as_ref().phase.store(RUNNING, std::sync::atomic::Ordering::Relaxed);
            (header.as_ref().vtable.run)(header);
        }
        at_thread_end(header);
    };
    // SAFETY: the caller keeps what the closure borrows until the task has ended; `ended`, after which
    // the thread uses nothing of it, comes when the thread has left `live`.
    unsafe { builder.spawn_unchecked(move || birth.run(live)) }.map(drop)
}
