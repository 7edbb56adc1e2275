//! Threads for finding out what libc does.
//!
//! Such a thread has nothing of std's around it. Before the work it is for begins, nothing is allocated on it, and no
//! foreign code runs on it.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::thread;

thread_local! {
    /// This thread is finding out, or has to do with it.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// What finds out is going to run on this thread (on these thread-locals), which somebody waits for.
pub(super) fn begin_within() {
    WITHIN.set(true);
}

pub(super) fn end_within() {
    WITHIN.set(false);
}

pub(super) fn is_within() -> bool {
    WITHIN.get()
}

struct Call<F, R> {
    f: Option<F>,
    result: Option<thread::Result<R>>,
}

/// Runs `f` on a thread of its own and waits for its end.
pub(super) fn on_new_thread<R: Send>(f: impl FnOnce() -> R + Send) -> io::Result<thread::Result<R>> {
    let mut call = Call { f: Some(f), result: None };
    let start = start_of(&call);
    let mut thread = 0;
    // SAFETY: the thread, which has `call` to itself, has ended before this returns.
    unsafe {
        match libc::pthread_create(&mut thread, ptr::null(), start, (&raw mut call).cast()) {
            0 => libc::pthread_join(thread, ptr::null_mut()),
            errno => return Err(io::Error::from_raw_os_error(errno)),
        };
    }
    Ok(call.result.take().expect("it has run to its end"))
}

fn start_of<F: FnOnce() -> R, R>(_: &Call<F, R>) -> extern "C" fn(*mut c_void) -> *mut c_void {
    extern "C" fn start<F: FnOnce() -> R, R>(call: *mut c_void) -> *mut c_void {
        // SAFETY: the starter's, which waits.
        let call = unsafe { &mut *call.cast::<Call<F, R>>() };
        let f = call.f.take();
        call.result = f.map(|f| catch_unwind(AssertUnwindSafe(f)));
        ptr::null_mut()
    }
    start::<F, R>
}
