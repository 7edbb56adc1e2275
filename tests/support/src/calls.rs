//! Which system calls a thread makes.
//!
//! A seccomp filter of that thread's own hands each call to another thread, which notes its number and lets it go on. Memory, locks,
//! yields, signals' returns and the thread's end are not asked about: they are no part of what is watched, and whoever notes could wait
//! for them himself.

use super::{end, go_on_if, install_with, load};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;

const NOT_ASKED: [libc::c_long; 11] = [
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mprotect,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_rt_sigreturn,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls in one watch. (Nothing is allocated where they are noted.)
const MOST: usize = 10_000;

/// See [`system_calls`].
pub struct Watch {
    /// What is asked about; none: all but those that never are.
    only: &'static [libc::c_long],
    thread: AtomicI32,
    /// Where the calls are told of; -1: nowhere yet.
    listener: AtomicI32,
    notes: AtomicBool,
    /// -1: none yet.
    last: AtomicI64,
    failed: Mutex<Option<io::Error>>,
    /// The listener is there, or there will be none.
    told: mpsc::Sender<()>,
}

impl Watch {
    /// What this thread calls during `f` is noted. From the first time on whatever it calls takes longer.
    pub fn note<T>(&self, f: impl FnOnce() -> T) -> T {
        if !self.works() {
            let (calls, then, last) = match self.only {
                [] => (&NOT_ASKED[..], libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF),
                only => (only, libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW),
            };
            let mut steps = vec![load(0)];
            for call in calls {
                steps.extend([go_on_if(*call as u32), end(then)]);
            }
            match install_with(steps, last, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) {
                Ok(listener) => self.listener.store(listener, Ordering::SeqCst),
                Err(error) => *self.failed.lock().unwrap() = Some(error),
            }
            let _ = self.told.send(());
        }
        self.notes.store(true, Ordering::SeqCst);
        let result = f();
        self.notes.store(false, Ordering::SeqCst);
        result
    }

    /// Calls can be noted here.
    pub fn works(&self) -> bool {
        self.listener.load(Ordering::SeqCst) >= 0
    }

    /// The call that was noted last: the thread makes it now, or has made it.
    pub fn last(&self) -> Option<libc::c_long> {
        Some(self.last.load(Ordering::SeqCst)).filter(|call| *call >= 0)
    }
}

/// Runs `work` on a thread of its own. Gives the numbers of the system calls which that has made in [`Watch::note`], each once.
///
/// # Errors
/// The machine does not allow it: the kernel is older than Linux 5.5, or whoever runs the program watches its calls already, say.
pub fn system_calls(work: impl FnOnce(&Watch) + Send) -> io::Result<BTreeSet<libc::c_long>> {
    Ok(each_system_call(work)?.into_iter().collect())
}

/// As [`system_calls`], but each as often as it was made, in their order.
///
/// # Errors
/// As there.
pub fn each_system_call(work: impl FnOnce(&Watch) + Send) -> io::Result<Vec<libc::c_long>> {
    let mut calls = Vec::with_capacity(MOST);
    let note = |call| {
        if calls.len() < MOST {
            calls.push(call);
        }
        0
    };
    watched(&[], work, note)?;
    Ok(calls)
}

/// Runs `work` on a thread of its own. Each of these system calls that it makes in [`Watch::note`] ends as `answer` says: with that errno; 0: it
/// goes on. (One that a signal ends is asked about, too.)
///
/// # Errors
/// As for [`system_calls`].
pub fn answer_calls(
    calls: &'static [libc::c_long],
    work: impl FnOnce(&Watch) + Send,
    mut answer: impl FnMut() -> i32,
) -> io::Result<()> {
    watched(calls, work, |_| answer())
}

fn watched(
    only: &'static [libc::c_long],
    work: impl FnOnce(&Watch) + Send,
    mut answer: impl FnMut(libc::c_long) -> i32,
) -> io::Result<()> {
    let (told, heard) = mpsc::channel();
    let watch = Watch {
        only,
        told,
        thread: AtomicI32::new(0),
        listener: AtomicI32::new(-1),
        notes: AtomicBool::new(false),
        last: AtomicI64::new(-1),
        failed: Mutex::new(None),
    };
    thread::scope(|s| {
        s.spawn(|| {
            // SAFETY: no pointer is passed.
            watch.thread.store(unsafe { libc::gettid() }, Ordering::SeqCst);
            // If it watches nothing, or panics before.
            let _told = Told(&watch.told);
            work(&watch);
        });
        let _ = heard.recv();
        let listener = watch.listener.load(Ordering::SeqCst);
        if listener >= 0 {
            // SAFETY: made for this thread alone.
            let listener = unsafe { OwnedFd::from_raw_fd(listener) };
            // Until it is gone. (Without a listener its calls would fail.)
            while is_there(watch.thread.load(Ordering::SeqCst)) {
                answer_one(listener.as_raw_fd(), |call| {
                    if !watch.notes.load(Ordering::SeqCst) {
                        return 0;
                    }
                    watch.last.store(call, Ordering::SeqCst);
                    answer(call)
                });
            }
        }
    });
    match watch.failed.into_inner().unwrap() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

struct Told<'a>(&'a mpsc::Sender<()>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn is_there(thread: i32) -> bool {
    // SAFETY: no pointer is passed, and no signal is sent.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) == 0 }
}

/// Waits a moment for a call, which fails with what `errno` says of it, or (0) goes on.
fn answer_one(listener: RawFd, errno: impl FnOnce(libc::c_long) -> i32) {
    let mut ask = libc::pollfd { fd: listener, events: libc::POLLIN, revents: 0 };
    // SAFETY: a live pollfd; all zero is a valid value of both structures, which live as long as the calls.
    unsafe {
        if libc::poll(&mut ask, 1, 20) < 1 || ask.revents & libc::POLLIN == 0 {
            return;
        }
        let mut call: libc::seccomp_notif = std::mem::zeroed();
        // (Else a signal has ended it meanwhile.)
        if libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) != 0 {
            return;
        }
        let mut answer: libc::seccomp_notif_resp = std::mem::zeroed();
        answer.id = call.id;
        match errno(libc::c_long::from(call.data.nr)) {
            0 => answer.flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
            errno => answer.error = -errno,
        }
        libc::ioctl(listener, libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_noted_while_they_are_watched() {
        let work = |watch: &Watch| {
            // SAFETY: no pointer is passed.
            let call = |number| unsafe { libc::syscall(number) };
            call(libc::SYS_getuid);
            assert_eq!(watch.last(), None);
            watch.note(|| (call(libc::SYS_getpid), call(libc::SYS_getppid), call(libc::SYS_getpid)));
            assert_eq!(watch.last(), watch.works().then_some(libc::SYS_getpid));
            call(libc::SYS_getgid);
        };
        match system_calls(work) {
            Ok(calls) => {
                assert_eq!(calls, BTreeSet::from([libc::SYS_getpid, libc::SYS_getppid]));
                let each = [libc::SYS_getpid, libc::SYS_getppid, libc::SYS_getpid];
                assert_eq!(each_system_call(work).unwrap(), each);
            }
            Err(error) => super::super::skipped(&format!("calls cannot be watched here: {error}")),
        }
    }

    #[test]
    fn a_call_fails_with_what_is_answered() {
        let mut came = Vec::new();
        let work = |watch: &Watch| {
            // SAFETY: no pointer is passed.
            let call = || unsafe { (libc::syscall(libc::SYS_getppid), *libc::__errno_location()) };
            came = watch.note(|| vec![call(), call()]);
        };
        let mut answers = [libc::EPROTO, 0].into_iter();
        match answer_calls(&[libc::SYS_getppid], work, || answers.next().unwrap()) {
            Ok(()) => assert!(came[0] == (-1, libc::EPROTO) && came[1].0 > 0, "{came:?}"),
            Err(error) => super::super::skipped(&format!("calls cannot be watched here: {error}")),
        }
    }
}
