//! Threads that owe nothing to std, for a process that may be a forked child.
//!
//! std takes a lock of its own when a thread begins and when it ends. In a child that was forked in that moment it is held for ever, and
//! the next thread that std begins there hangs. A [start of ours](super::thread_start) holds up the fork; those of a program do not.

#![allow(unsafe_code)]

use crate::util::foreign::catch_quietly;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::{io, ptr};

/// What such a thread is: its name, of which Linux shows 15 bytes, and all that it does.
struct Plain {
    name: &'static CStr,
    body: Box<dyn FnOnce() + Send>,
}

/// Starts a thread that nobody joins, without std. A panic of `body` ends it, and nothing else. What std knows of its own threads it does
/// not know of this one: it has no name in a panic's line, and an overflow of its stack is a plain `SIGSEGV`.
///
/// # Errors
/// As pthread_create(3): `WouldBlock` where there is no room for one more thread.
pub fn start_plain_thread(name: &'static CStr, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let plain = Box::into_raw(Box::new(Plain { name, body: Box::new(body) }));
    let mut attributes = MaybeUninit::uninit();
    // (A number or a pointer, as libc likes.)
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the attributes are made before they are used, and destroyed once; `run` is given what it takes, and it alone.
    let errno = unsafe {
        match libc::pthread_attr_init(attributes.as_mut_ptr()) {
            0 => {
                libc::pthread_attr_setdetachstate(attributes.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED);
                let errno = libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), run, plain.cast());
                libc::pthread_attr_destroy(attributes.as_mut_ptr());
                errno
            }
            errno => errno,
        }
    };
    if errno != 0 {
        // SAFETY: no thread has it.
        drop(unsafe { Box::from_raw(plain) });
        return Err(io::Error::from_raw_os_error(errno));
    }
    Ok(())
}

extern "C" fn run(plain: *mut c_void) -> *mut c_void {
    // SAFETY: what `start_plain_thread` made, for this thread alone.
    let plain = unsafe { Box::from_raw(plain.cast::<Plain>()) };
    // SAFETY: a string that ends. (It cannot be refused if it is short; the name matters to nobody but a reader of `ps`.)
    unsafe { libc::pthread_setname_np(libc::pthread_self(), plain.name.as_ptr()) };
    catch_quietly(plain.body);
    ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn it_runs_what_it_is_given_under_its_name_and_its_panic_ends_it_alone() {
        let (tell, told) = mpsc::channel();
        start_plain_thread(c"ec-plain", move || {
            let name = std::fs::read_to_string("/proc/thread-self/comm");
            tell.send(name.unwrap()).unwrap();
            std::panic::resume_unwind(Box::new("on purpose"));
        })
        .unwrap();
        assert_eq!(told.recv().unwrap(), "ec-plain\n");
        // Its channel's end went with it.
        told.recv().unwrap_err();
    }
}
