//! What the kernel says about a thread of this process: does it sleep, and how much has it computed.

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// A thread's number, as `gettid` gives it.
pub(crate) type Tid = i32;

/// The calling thread's.
pub(crate) fn tid() -> Tid {
    nix::unistd::gettid().as_raw()
}

/// How often the calling thread has waited in the kernel so far.
pub(crate) fn sleeps() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches())
}

/// The CPU time that the calling thread has used so far.
pub(crate) fn cpu_time() -> Duration {
    time_of(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

fn time_of(clock: ClockId) -> Option<Duration> {
    clock_gettime(clock).ok().map(Duration::from)
}

/// What one look at a thread shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// In the kernel, waiting for something other than a CPU.
    Asleep,
    /// Running, or ready to.
    Running,
    /// There is no telling: no /proc, or it is not to be read (any more), or there is no such thread.
    Hidden,
}

/// A thread's state file, kept open.
pub(crate) struct Watch {
    tid: Tid,
    /// `None`: there is no such file; /proc may be missing.
    stat: Option<File>,
}

impl Watch {
    pub(crate) fn of(tid: Tid) -> Watch {
        Watch { tid, stat: File::open(format!("/proc/self/task/{tid}/stat")).ok() }
    }

    pub(crate) fn tid(&self) -> Tid {
        self.tid
    }

    pub(crate) fn look(&self) -> Look {
        let mut line = [0u8; 64];
        let read = self.stat.as_ref().and_then(|stat| stat.read_at(&mut line, 0).ok());
        state_of(&line[..read.unwrap_or(0)])
    }

    /// The CPU time that the thread has used so far. `None`: it is not there any more.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        // The kernel's encoding of "CPU time, as the scheduler counts it, of one thread".
        time_of(ClockId::from_raw((!self.tid << 3) | 6))
    }
}

/// The state stands behind the name, which may contain anything, brackets too; it has at most 15 bytes.
fn state_of(line: &[u8]) -> Look {
    let state = line.iter().rposition(|&byte| byte == b')').and_then(|at| line.get(at + 2));
    match state {
        Some(b'S' | b'D') => Look::Asleep,
        Some(_) => Look::Running,
        None => Look::Hidden,
    }
}

/// The system call in which thread `tid` of this process waits. `None`: in none, or there is no telling.
pub(crate) fn call_of(tid: Tid) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    let number: i64 = line.split_whitespace().next()?.parse().ok()?;
    let known = CALLS.iter().find(|(known, _)| *known == number);
    (number >= 0)
        .then(|| known.map_or_else(|| format!("system call {number}"), |(_, name)| String::from(*name)))
}

/// Those that a thread usually waits in.
const CALLS: [(i64, &str); 16] = [
    (libc::SYS_futex, "futex"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_pselect6, "pselect6"),
    (libc::SYS_epoll_pwait, "epoll_pwait"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_accept4, "accept4"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_wait4, "wait4"),
    (libc::SYS_waitid, "waitid"),
    (libc::SYS_openat, "openat"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use ec_test_support::limit;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert_eq!(state_of(b"12 (ec-worker-0) S 1 12 12 0"), Look::Asleep);
        assert_eq!(state_of(b"12 (a) S (b) R 1 12"), Look::Running);
        assert_eq!(state_of(b"12 (a) R) D 1 12"), Look::Asleep);
        assert_eq!(state_of(b""), Look::Hidden);
    }

    #[test]
    fn a_thread_that_waits_is_asleep_and_one_that_computes_is_not() {
        limit(20, || {
            let (tell, told) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            let sleeper = thread::spawn(move || {
                tell.send(tid()).unwrap();
                ended.recv().unwrap_err();
            });
            let watch = Watch::of(told.recv().unwrap());
            // (On its way there it may sleep for a moment elsewhere, in a page fault say.)
            while (watch.look(), call_of(watch.tid()).as_deref()) != (Look::Asleep, Some("futex")) {
                thread::yield_now();
            }
            assert_eq!(Watch::of(tid()).look(), Look::Running);
            drop(end);
            sleeper.join().unwrap();
            // (A thread that was joined is listed for a moment longer.)
            while watch.cpu_time().is_some() {
                thread::yield_now();
            }
            assert_eq!(watch.look(), Look::Hidden);
        });
    }

    #[test]
    fn cpu_time_is_that_of_the_thread() {
        let watch = Watch::of(tid());
        let before = watch.cpu_time().unwrap();
        while watch.cpu_time().unwrap() - before < Duration::from_millis(2) {}
        let before = watch.cpu_time().unwrap();
        thread::sleep(Duration::from_millis(50));
        assert!(watch.cpu_time().unwrap() - before < Duration::from_millis(40));
    }
}
