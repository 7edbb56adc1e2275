//! A system call that may block, ended after a moment: by a signal to the very thread that makes it.
//!
//! accept4(2) has no flag for "do not block". To change the mode of the descriptor for its length would change it for all who
//! share the socket, other processes among them: one may lose what it sets meanwhile, another gets `EAGAIN` from a call
//! that should wait. So the call is made as it is. A timer of the kernel sends this thread a signal if the call has not
//! returned after a while, and then every [`AGAIN`]: the first one may come before the call has begun to wait.
//!
//! A short while is dear, since the processor's own timer has to be set: 12 µs on a virtual machine, against 1 µs for one that is
//! longer than the kernel's tick. So it is short where a call has had to be ended lately: there somebody else takes
//! what was to be had here.
//!
//! The signal is a real-time one for which the program has no handler. Its own only counts, but without `SA_RESTART`
//! the call returns with EINTR. It is sent only while the call lasts. (The JVM ends blocking calls in the same way.)
//!
//! A helper's call that lasts as long as others wish is ended by such a signal, too, chosen when it is to end ([`Reach`]), and calls of the
//! program's own (`crate::interrupt`).

#![allow(unsafe_code)]

use super::every_signal;
use super::mode::without_blocking;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Longer than the tick of most kernels.
const LONG: Duration = Duration::from_millis(5);
/// Many times what a call takes that does not wait.
const SHORT: Duration = Duration::from_micros(100);
const AGAIN: Duration = Duration::from_millis(1);
/// So long after a call was ended the while is a short one.
const LATELY: Duration = Duration::from_secs(1);

/// A thread that makes a call which may last, as those see it who are to end that call.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    thread: i32,
    /// What it does not let through.
    blocked: libc::sigset_t,
}

impl Reach {
    /// The calling thread, and what lets a signal through to it. (None, if there is none to be had now: there may be one later.)
    pub(crate) fn here() -> (Self, Option<Unblocked>) {
        let deliverable = signal().and_then(Unblocked::new);
        // (There is always an answer, since nothing is asked for that there is not.)
        let blocked = change(libc::SIG_BLOCK, None).unwrap_or_else(every_signal);
        (Reach { thread: this_thread(), blocked }, deliverable)
    }

    /// Ends the call that it makes, if that has begun to wait, and if there is a signal to be had for that: one that it lets through, and that
    /// is this module's now, or that the program leaves alone. So this is to be called again until the thread has left the call. (The program
    /// may have taken any signal since the call began.)
    pub(crate) fn interrupt(&self) {
        // SAFETY: a set that is filled.
        let is_open = |signal| unsafe { libc::sigismember(&self.blocked, signal) } == 0;
        // (None may be left, or no more may be queued. One that is not queued has no such limit; and this one means nothing to who does not ask.)
        if !signal_of(is_open).is_some_and(|signal| send(self.thread, signal)) && is_open(LAST) && take(LAST)
        {
            send(self.thread, LAST);
        }
    }
}

/// A real-time signal of those that `is_open` wants: one that is this module's now, or that the program leaves alone.
pub(crate) fn signal_of(is_open: impl Fn(i32) -> bool) -> Option<i32> {
    let open = || realtime().filter(|signal| is_open(*signal));
    open().find(|signal| is_ours(*signal)).or_else(|| open().find(|signal| take(*signal)))
}

/// To be used where there is no other.
const LAST: i32 = libc::SIGURG;

/// Rather the highest.
fn realtime() -> impl Iterator<Item = i32> {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).rev()
}

/// Sends `signal`, which is this module's, to a thread of this process. False: there is no such thread, or no more may be queued.
pub(crate) fn send(thread: i32, signal: i32) -> bool {
    // SAFETY: no pointer is passed. Its handler only counts.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) == 0 }
}

pub(crate) fn this_thread() -> i32 {
    // SAFETY: no pointer is passed.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Makes `call`, which ends with EINTR if it waits for longer than a while. `None`: there is no such signal, or no such timer,
/// to be had; nothing was called.
pub(crate) fn briefly(call: impl FnOnce() -> Result<i32, i32>) -> Option<Result<i32, i32>> {
    /// When a call was ended last. (No lock: one that is held at a fork is held for ever in the child.)
    static ENDED: AtomicU64 = AtomicU64::new(0);
    let signal = signal()?;
    let _deliverable = Unblocked::new(signal)?;
    let ended = ENDED.load(Ordering::Relaxed);
    let lately = ended != 0 && now().saturating_sub(ended) < LATELY.as_nanos() as u64;
    let timer = Timer::start(signal, this_thread(), if lately { SHORT } else { LONG })?;
    let result = call();
    drop(timer);
    if result == Err(libc::EINTR) {
        ENDED.store(now(), Ordering::Relaxed);
    }
    Some(result)
}

/// As [`briefly`]. Without a signal for that it does not wait, and the descriptor's mode is another one meanwhile.
pub(crate) fn briefly_or_without_blocking(
    fd: RawFd,
    mut call: impl FnMut() -> Result<i32, i32>,
) -> Result<i32, i32> {
    briefly(&mut call).unwrap_or_else(|| without_blocking(fd, call))
}

/// In nanoseconds since the machine began.
fn now() -> u64 {
    // SAFETY: all zero is a valid value; room for a time.
    let time = unsafe {
        let mut time = MaybeUninit::<libc::timespec>::zeroed().assume_init();
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time);
        time
    };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// A signal that this module handles, now.
pub(crate) fn signal() -> Option<i32> {
    /// The one that was found last; 0: none so far.
    static FOUND: AtomicI32 = AtomicI32::new(0);
    let found = FOUND.load(Ordering::Relaxed);
    if found != 0 && is_ours(found) {
        return Some(found);
    }
    // (Several threads may do so at a time. They find the same one, or each has one of its own.)
    // Rather one that this thread lets through: a program that takes signals by signalfd(2) or sigwait(3) has blocked them.
    let blocked = change(libc::SIG_BLOCK, None)?;
    // SAFETY: a set that the kernel has filled.
    let is_blocked = |signal: &i32| unsafe { libc::sigismember(&blocked, *signal) } == 1;
    let (open, closed) = (realtime().filter(|signal| !is_blocked(signal)), realtime().filter(is_blocked));
    let found = open.chain(closed).find(|signal| take(*signal))?;
    FOUND.store(found, Ordering::Relaxed);
    Some(found)
}

/// Does this module handle it?
pub(crate) fn is_ours(signal: i32) -> bool {
    handler_of(signal) == Some(counts as *const () as usize)
}

/// (The call sets no errno, since it does not fail.)
extern "C" fn counts(_signal: libc::c_int) {
    count_of(this_thread()).fetch_add(1, Ordering::Relaxed);
}

/// How many of these signals have reached `thread`, and those that share its place.
pub(crate) fn count_of(thread: i32) -> &'static AtomicU32 {
    static COUNTS: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];
    &COUNTS[thread as usize % COUNTS.len()]
}

/// `None`: whoever runs the program (valgrind) keeps this signal to himself.
fn handler_of(signal: i32) -> Option<usize> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: room for the answer, which is there if the call has succeeded.
    unsafe {
        match libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) {
            0 => Some(now.assume_init().sa_sigaction),
            _ => None,
        }
    }
}

/// Handles `signal`, if nobody does. (On the stack for signals, if the thread has one: a task's own is small.)
pub(crate) fn take(signal: i32) -> bool {
    let mine = counts as *const () as usize;
    match handler_of(signal) {
        Some(handler) if handler == mine => return true,
        Some(libc::SIG_DFL) => {}
        _ => return false,
    }
    // SAFETY: all zero is a valid value.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = mine;
    action.sa_flags = libc::SA_ONSTACK;
    action.sa_mask = every_signal();
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a handler that only counts may run at any time; room for what was before.
    unsafe {
        if libc::sigaction(signal, &action, before.as_mut_ptr()) != 0 {
            return false;
        }
        let before = before.assume_init();
        let free = before.sa_sigaction == libc::SIG_DFL || before.sa_sigaction == mine;
        if !free {
            // The program was faster.
            libc::sigaction(signal, &before, ptr::null_mut());
        }
        free
    }
}

/// The signal reaches this thread, whatever the program lets through.
pub(crate) struct Unblocked {
    signal: i32,
    was_blocked: bool,
}

impl Unblocked {
    fn new(signal: i32) -> Option<Self> {
        Some(Self { signal, was_blocked: unblock(signal)? })
    }
}

impl Drop for Unblocked {
    fn drop(&mut self) {
        if self.was_blocked {
            block(self.signal);
        }
    }
}

/// The calling thread lets `signal` through from now on; one that it has kept out has been handled when this returns. Gives whether it did not
/// before.
pub(crate) fn unblock(signal: i32) -> Option<bool> {
    let before = change(libc::SIG_UNBLOCK, Some(signal))?;
    // SAFETY: a set that the kernel has filled.
    Some(unsafe { libc::sigismember(&before, signal) } == 1)
}

/// The calling thread keeps `signal` out from now on.
pub(crate) fn block(signal: i32) {
    change(libc::SIG_BLOCK, Some(signal));
}

/// The mask before. (With no signal: the mask.)
fn change(how: i32, signal: Option<i32>) -> Option<libc::sigset_t> {
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: room for two sets. The second is there if the call has succeeded.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        if let Some(signal) = signal {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        match libc::pthread_sigmask(how, set.as_ptr(), before.as_mut_ptr()) {
            0 => Some(before.assume_init()),
            _ => None,
        }
    }
}

/// Signals a thread, until it is dropped.
struct Timer(libc::timer_t);

impl Timer {
    /// (Of a thread that is there no more the timer is refused.)
    fn start(signal: i32, thread: i32, first: Duration) -> Option<Self> {
        // SAFETY: all zero is a valid value of these plain structures.
        unsafe {
            let mut event = MaybeUninit::<libc::sigevent>::zeroed().assume_init();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal;
            event.sigev_notify_thread_id = thread;
            let mut timer = MaybeUninit::uninit();
            if libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr()) != 0 {
                return None;
            }
            let timer = Timer(timer.assume_init());
            let times = libc::itimerspec { it_interval: timespec(AGAIN), it_value: timespec(first) };
            (libc::timer_settime(timer.0, 0, &times, ptr::null_mut()) == 0).then_some(timer)
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        // SAFETY: a timer that was made, and deleted only here. What it has sent by then reaches this thread as the call
        // returns.
        unsafe { libc::timer_delete(self.0) };
    }
}

fn timespec(time: Duration) -> libc::timespec {
    // SAFETY: all zero is a valid value. (On some targets there are more fields than these two.)
    let mut spec = unsafe { MaybeUninit::<libc::timespec>::zeroed().assume_init() };
    spec.tv_sec = time.as_secs() as libc::time_t;
    spec.tv_nsec = time.subsec_nanos() as _;
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno;
    use ec_test_support::limit;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;

    fn accept(listener: &TcpListener) -> Result<i32, i32> {
        let call = || {
            let fd = listener.as_raw_fd();
            // SAFETY: nobody wants the peer's name.
            match unsafe { libc::accept4(fd, ptr::null_mut(), ptr::null_mut(), libc::SOCK_CLOEXEC) } {
                new if new >= 0 => Ok(new),
                _ => Err(errno()),
            }
        };
        briefly(call).expect("a signal and a timer are there")
    }

    fn nobody_comes(listener: &TcpListener) {
        assert_eq!(accept(listener), Err(libc::EINTR));
    }

    extern "C" fn theirs(_signal: libc::c_int) {
        crate::sys::end_process("a signal of the program's was sent\n");
    }

    /// One test, since the signals are the process's.
    #[test]
    fn a_call_that_waits_is_ended() {
        limit(30, || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            // One that the program has blocked, to wait for it, is left alone.
            let highest = libc::SIGRTMAX();
            change(libc::SIG_BLOCK, Some(highest)).unwrap();
            assert_eq!(signal().map(|found| found == highest), Some(false));
            nobody_comes(&listener);
            assert_eq!(handler_of(highest), Some(libc::SIG_DFL));

            for _ in 0..20 {
                nobody_comes(&listener);
            }
            let _near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            // SAFETY: the descriptor is this call's result.
            assert_eq!(unsafe { libc::close(accept(&listener).unwrap()) }, 0);

            // A thread that lets no signal through has them all blocked afterwards, too.
            let first = signal().unwrap();
            // SAFETY: plain sets.
            unsafe {
                let mut all = MaybeUninit::uninit();
                libc::sigfillset(all.as_mut_ptr());
                libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut());
            }
            nobody_comes(&listener);
            let before = change(libc::SIG_UNBLOCK, None).unwrap();
            // SAFETY: a set that is filled.
            assert_eq!(unsafe { libc::sigismember(&before, first) }, 1);

            // The program takes the signal away: another one serves.
            // SAFETY: to ignore it is no handler that could do anything.
            unsafe { libc::signal(first, libc::SIG_IGN) };
            nobody_comes(&listener);
            assert_ne!(signal().unwrap(), first);
            assert_eq!(handler_of(first), Some(libc::SIG_IGN));

            // Whoever ends another thread's call takes one that is there now, and none while there is none.
            change(libc::SIG_UNBLOCK, Some(first)).unwrap();
            let of_all = |action: usize| {
                // SAFETY: what is set handles nothing.
                realtime()
                    .chain([LAST])
                    .for_each(|signal| assert_ne!(unsafe { libc::signal(signal, action) }, libc::SIG_ERR));
            };
            of_all(libc::SIG_DFL);
            let (tell, hear) = std::sync::mpsc::channel();
            std::thread::scope(|s| {
                let waits = s.spawn(|| {
                    // SAFETY: an empty set: all are let through.
                    unsafe {
                        let mut none = MaybeUninit::uninit();
                        libc::sigemptyset(none.as_mut_ptr());
                        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
                    }
                    let (reach, _deliverable) = Reach::here();
                    tell.send(reach).unwrap();
                    // SAFETY: nobody wants the peer's name.
                    let fd = unsafe { libc::accept(listener.as_raw_fd(), ptr::null_mut(), ptr::null_mut()) };
                    (fd, errno())
                });
                let reach = hear.recv().unwrap();
                for action in [libc::SIG_IGN, theirs as *const () as usize] {
                    of_all(action);
                    for _ in 0..20 {
                        reach.interrupt();
                        std::thread::sleep(AGAIN);
                    }
                    assert!(!waits.is_finished());
                    assert!(realtime().chain([LAST]).all(|signal| handler_of(signal) == Some(action)));
                }
                // SAFETY: it is what it was at first.
                unsafe { libc::signal(libc::SIGRTMIN(), libc::SIG_DFL) };
                while !waits.is_finished() {
                    reach.interrupt();
                    std::thread::sleep(AGAIN);
                }
                assert_eq!(waits.join().unwrap(), (-1, libc::EINTR));
                assert!(is_ours(libc::SIGRTMIN()));
            });
            of_all(libc::SIG_DFL);
        });
    }
}
