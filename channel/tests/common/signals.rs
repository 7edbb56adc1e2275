//! What tests of signals share: two signals, and what the program itself does with them.

use ec_channel::{Event, EventChannel, Signal};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

pub const SOON: Duration = Duration::from_millis(20);
pub const ONE: i32 = libc::SIGUSR1;
pub const OTHER: i32 = libc::SIGUSR2;

pub fn raise(signal: i32) {
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

pub fn told(event: &Event) -> Signal {
    *event.signal().unwrap_or_else(|| panic!("{event:?}"))
}

pub fn next(channel: &EventChannel) -> Signal {
    told(&channel.get_event().unwrap())
}

pub fn disposition(signal: i32) -> libc::sigaction {
    let mut now = MaybeUninit::uninit();
    // SAFETY: room for the answer.
    unsafe {
        assert_eq!(libc::sigaction(signal, ptr::null(), now.as_mut_ptr()), 0);
        now.assume_init()
    }
}

/// Gives what was before.
pub fn dispose(signal: i32, action: &libc::sigaction) -> libc::sigaction {
    let mut before = MaybeUninit::uninit();
    // SAFETY: a live action, and room for the answer.
    unsafe {
        assert_eq!(libc::sigaction(signal, action, before.as_mut_ptr()), 0);
        before.assume_init()
    }
}

pub fn action(handler: usize, flags: i32) -> libc::sigaction {
    // SAFETY: all zero is a valid value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    action
}

/// The program's own handlers.
pub static CALLED: AtomicU64 = AtomicU64::new(0);
/// What the one that calls others has found.
pub static BELOW: AtomicUsize = AtomicUsize::new(0);

pub extern "C" fn plain(_signal: i32) {
    CALLED.fetch_add(1, Ordering::SeqCst);
}

pub type WithInfo = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

pub extern "C" fn with_info(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: it is called as a handler is.
    let is_right = unsafe { (*info).si_signo == signal } && !context.is_null();
    CALLED.fetch_add(if is_right { 1 } else { 1000 }, Ordering::SeqCst);
}

pub extern "C" fn calls_below(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    CALLED.fetch_add(1, Ordering::SeqCst);
    let below = BELOW.load(Ordering::SeqCst);
    // SAFETY: the tests set it over one that takes these.
    unsafe { std::mem::transmute::<usize, WithInfo>(below)(signal, info, context) };
}

pub fn called(f: impl FnOnce()) -> u64 {
    let before = CALLED.load(Ordering::SeqCst);
    f();
    CALLED.load(Ordering::SeqCst) - before
}
