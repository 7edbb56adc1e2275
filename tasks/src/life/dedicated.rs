//! Dedicated tasks: an OS thread each, for code that needs one, and where nothing else works.
//!
//! They have the same header, word and handle as all tasks. To wait, the thread blocks on its
//! [`Parker`](crate::task::Parker).

#![allow(unsafe_code)]

use std::cell::Cell;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::thread;

use super::end::ended_with_its_thread;
use crate::here;
use crate::task::{Header, RUNNING};
use crate::util::thread_start::ThreadStart;
use crate::wait::section;

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
        unsafe { header.as_ref() }.continuation.locals.clear();
        // SAFETY: as above.
        section::end(unsafe { header.as_ref() });
        here::leave(0);
        ended_with_its_thread(header);
    }
}

/// `PTHREAD_DESTRUCTOR_ITERATIONS` of all systems.
const ROUNDS: u32 = 4;

thread_local! {
    static ROUND: Cell<u32> = const { Cell::new(0) };
}

struct ThreadBody(NonNull<Header>);

// SAFETY: `spawn`'s contract: the closure may run on any thread.
unsafe impl Send for ThreadBody {}

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
    let body = ThreadBody(header);
    let start = ThreadStart::new();
    let live = move || {
        let body = body;
        let ThreadBody(header) = body;
        // SAFETY: the run reference is this thread's now.
        unsafe {
            here::enter(header.as_ptr().cast(), ptr::null(), 0);
            if let Some(parker) = &header.as_ref().parker {
                parker.is_of(libc::syscall(libc::SYS_gettid) as i32);
            }
            header.as_ref().thread_changes();
            header.as_ref().phase.store(RUNNING, std::sync::atomic::Ordering::Relaxed);
            (header.as_ref().vtable.run)(header);
        }
        at_thread_end(header);
    };
    // SAFETY: the caller keeps what the closure borrows until the task has ended; `ended`, after which
    // the thread uses nothing of it, comes when the thread has left `live`.
    unsafe { builder.spawn_unchecked(move || start.run(live)) }.map(drop)
}
