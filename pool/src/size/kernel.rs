//! What the kernel says about a thread of this process: does it sleep, and how much has it computed.

use ec_tasks::Doing;
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

/// What thread `tid` of this process does at this moment.
pub(crate) fn doing(tid: Tid) -> Doing {
    match Watch::of(tid).look() {
        Look::Hidden => Doing::Hidden,
        Look::Running => Doing::Computing,
        Look::Asleep => {
            let read = |what: &str| std::fs::read_to_string(format!("/proc/self/task/{tid}/{what}")).ok();
            asleep(read("syscall").as_deref(), read("wchan").as_deref())
        }
    }
}

/// The system call in which thread `tid` of this process sleeps. `None`: in none, or there is no telling.
pub(crate) fn call_of(tid: Tid) -> Option<String> {
    call(doing(tid))
}

/// The system call that a thread sleeps in.
pub(crate) fn call(doing: Doing) -> Option<String> {
    match doing {
        Doing::Asleep { call, .. } => call,
        _ => None,
    }
}

/// What a thread does that slept a moment ago, from its files `syscall` and `wchan`.
fn asleep(syscall: Option<&str>, wchan: Option<&str>) -> Doing {
    let mut words = syscall.unwrap_or_default().split_whitespace();
    let first = words.next();
    if first == Some("running") {
        // It woke up in between.
        return Doing::Computing;
    }
    // (It is negative for who is in none.)
    let number = first.and_then(|first| first.parse::<i64>().ok()).filter(|&number| number >= 0);
    let known = number.and_then(|number| CALLS.iter().chain(OLD_CALLS).find(|call| call.0 == number));
    let argument =
        words.next().and_then(|first| u64::from_str_radix(first.trim_start_matches("0x"), 16).ok());
    // ("0": the kernel keeps that to itself.)
    let within = wchan.map(str::trim).filter(|within| !matches!(*within, "" | "0"));
    let name = |number| match known {
        _ if number == libc::SYS_restart_syscall => String::from(restarted(within.unwrap_or_default())),
        Some(call) => String::from(call.1),
        None => format!("system call {number}"),
    };
    Doing::Asleep {
        call: number.map(name),
        descriptor: argument.filter(|_| known.is_some_and(|call| call.2)).map(|argument| argument as i32),
        within: within.map(String::from),
    }
}

/// A signal, or a completion of the thread's own requests, has cut a wait with a time short, and the kernel goes on with it under a
/// number that does not tell which call it was. (These are all that it does so with.)
fn restarted(within: &str) -> &'static str {
    match within {
        _ if within.starts_with("hrtimer_nanosleep") || within.starts_with("do_nanosleep") => {
            "clock_nanosleep"
        }
        _ if within.contains("poll") => "poll",
        _ if within.starts_with("futex") => "futex",
        _ => "restart_syscall",
    }
}

/// Those that a thread usually waits in, and whether their first argument is a descriptor.
const CALLS: &[(i64, &str, bool)] = &[
    (libc::SYS_futex, "futex", false),
    (libc::SYS_read, "read", true),
    (libc::SYS_write, "write", true),
    (libc::SYS_readv, "readv", true),
    (libc::SYS_writev, "writev", true),
    (libc::SYS_pread64, "pread64", true),
    (libc::SYS_pwrite64, "pwrite64", true),
    (libc::SYS_fsync, "fsync", true),
    (libc::SYS_fdatasync, "fdatasync", true),
    (libc::SYS_flock, "flock", true),
    (libc::SYS_fcntl, "fcntl", true),
    (libc::SYS_ioctl, "ioctl", true),
    (libc::SYS_close, "close", true),
    (libc::SYS_nanosleep, "nanosleep", false),
    (libc::SYS_clock_nanosleep, "clock_nanosleep", false),
    (libc::SYS_ppoll, "ppoll", false),
    (libc::SYS_pselect6, "pselect6", false),
    (libc::SYS_epoll_pwait, "epoll_pwait", true),
    (libc::SYS_io_uring_enter, "io_uring_enter", true),
    (libc::SYS_recvfrom, "recvfrom", true),
    (libc::SYS_recvmsg, "recvmsg", true),
    (libc::SYS_sendto, "sendto", true),
    (libc::SYS_sendmsg, "sendmsg", true),
    (libc::SYS_accept, "accept", true),
    (libc::SYS_accept4, "accept4", true),
    (libc::SYS_connect, "connect", true),
    (libc::SYS_wait4, "wait4", false),
    (libc::SYS_waitid, "waitid", false),
    (libc::SYS_openat, "openat", false),
];

/// Those that only older architectures have.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(i64, &str, bool)] = &[
    (libc::SYS_poll, "poll", false),
    (libc::SYS_select, "select", false),
    (libc::SYS_epoll_wait, "epoll_wait", true),
    (libc::SYS_open, "open", false),
    (libc::SYS_pause, "pause", false),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(i64, &str, bool)] = &[];

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
            while watch.look() != Look::Asleep || !doing(watch.tid()).to_string().contains("futex") {
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
    fn a_call_is_named_and_what_proc_does_not_tell_is_said_to_be_so() {
        let said = |syscall: Option<&str>, wchan: Option<&str>| asleep(syscall, wchan).to_string();
        let read = format!("{} 0x5 0x7f00 0x1000 0x0 0x0 0x0 0x7ffd 0x7f12\n", libc::SYS_read);
        assert_eq!(said(Some(&read), Some("pipe_read")), "asleep in read: descriptor 5");
        assert_eq!(said(Some("100000 0x1 0x2"), None), "asleep in system call 100000");
        assert_eq!(
            said(Some("-1 0x7ffd 0x7f12"), Some("folio_wait_bit")),
            "asleep in the kernel's folio_wait_bit"
        );
        assert_eq!(said(Some("running\n"), Some("0")), "computes");
        let again = format!("{} 0x0", libc::SYS_restart_syscall);
        assert_eq!(said(Some(&again), Some("hrtimer_nanosleep\n")), "asleep in clock_nanosleep");
        assert_eq!(said(Some(&again), Some("poll_schedule_timeout.constprop.0")), "asleep in poll");
        assert_eq!(said(Some(&again), None), "asleep in restart_syscall");
        assert_eq!(said(None, Some("0")), "asleep, /proc does not tell where");
        assert_eq!(doing(0), Doing::Hidden, "there is no such thread");
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
