//! A process that ends.
//!
//! Its pidfd is awaited, so there is no mistaking it for another process of the same number, and no SIGCHLD is needed. What came of a child
//! is asked for first, and nothing is taken: a child that is given up for a cancel is still there to be waited for. As its event is made it
//! is reaped: by its [`Child`], which knows from then on that it must not signal that number any more, or by waitid(2).

#![allow(unsafe_code)]

use super::EventKind;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::request::Request;
use crate::events::source::Source;
use crate::operation::{Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::cell::Cell;
use std::cell::LazyCell;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// What waitid(2) says of a child that has ended.
#[derive(Clone, Copy)]
struct Found {
    status: ExitStatus,
    usage: ResourceUsage,
}

/// Asks for it, by a pidfd. `None`: it has not ended. (To be asked without `WNOWAIT` only if it has: a stop would be taken.)
fn wait(pidfd: RawFd, flags: i32) -> Result<Option<Found>, i32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // (Also if it tells nobody of its end by SIGCHLD.)
    let flags = libc::WEXITED | libc::WNOHANG | libc::__WALL | flags;
    // SAFETY: room for both answers, of which all zero is a valid value. (libc's own waitid has no place for the second.)
    let (result, info, usage) = unsafe {
        let (to_info, to_usage) = (info.as_mut_ptr(), usage.as_mut_ptr());
        let result = libc::syscall(libc::SYS_waitid, libc::P_PIDFD, pidfd, to_info, flags, to_usage);
        (result, info.assume_init(), usage.assume_init())
    };
    if result < 0 {
        return Err(sys::errno());
    }
    // SAFETY: waitid fills this in, or has left it zero.
    let status = unsafe { info.si_status() };
    let status = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_KILLED => status,
        libc::CLD_DUMPED => status | 0x80,
        // Nothing; or a stop, of which Linux tells whoever traces the process, although he has not asked.
        _ => return Ok(None),
    };
    Ok(Some(Found { status: ExitStatus::from_raw(status), usage: ResourceUsage::of(&usage) }))
}

fn pidfd_of(pid: u32) -> Result<Source, i32> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| libc::ESRCH)?;
    sys::pidfd_open(pid).map(Source::from).map_err(|error| match error.raw_os_error() {
        // It is a thread's (which of them depends on the kernel), or 0.
        Some(libc::EINVAL | libc::ENOENT) | None => libc::ESRCH,
        Some(errno) => errno,
    })
}

/// Waits until the process has ended.
struct Await {
    /// -1: there is nothing to be awaited.
    pidfd: RawFd,
    /// It had ended as it was posted, or there is no telling.
    is_over: bool,
    found: Cell<Result<Option<Found>, i32>>,
}

impl Await {
    /// Has it ended, or will there be no telling? What is found out is kept.
    fn look(&self) -> bool {
        let found = wait(self.pidfd, libc::WNOWAIT);
        self.found.set(found);
        match found {
            Ok(found) => found.is_some(),
            // Nobody's child, or nobody's any more. All the same its pidfd says when it ends.
            Err(libc::ECHILD) => sys::ready_now(self.pidfd, libc::POLLIN).is_ok_and(|ready| ready != 0),
            Err(_) => true,
        }
    }
}

static EXIT: Class = Class::new();

// SAFETY: it touches nothing but what it has itself.
unsafe impl Carry for Await {
    fn needs_driver(&self) -> bool {
        !self.is_over
    }

    fn waits_for(&self) -> Option<Readiness> {
        let line = Line { each: true, barges: true, ..Line::new(&EXIT, 0) };
        Some(Readiness { fd: self.pidfd, interest: libc::POLLIN, line })
    }

    fn entry(&self) -> Option<squeue::Entry> {
        Some(opcode::PollAdd::new(types::Fd(self.pidfd), libc::POLLIN as u32).build())
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        self.look().then_some(0)
    }

    fn is_attempted_at_last(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.is_over || self.look() { Verdict::Final } else { Verdict::Rest }
    }
}

enum Who {
    Child(Option<Child>),
    Pid(u32),
    Pidfd,
}

struct Held {
    who: Who,
    pidfd: Result<Source, i32>,
    /// It was a child of ours when it was posted.
    is_ours: bool,
    has_ended: bool,
    status: Option<ExitStatus>,
    usage: Option<ResourceUsage>,
    operation: Await,
}

impl Held {
    fn new(who: Who, pidfd: Result<Source, i32>) -> Self {
        let operation = Await { pidfd: -1, is_over: false, found: Cell::new(Ok(None)) };
        Held { who, pidfd, is_ours: false, has_ended: false, status: None, usage: None, operation }
    }

    /// Reaps it, if it is ours to do that; or an errno.
    fn reap(&mut self) -> Result<(), i32> {
        let found = self.operation.found.get();
        match (&mut self.who, found) {
            // Somebody else was faster: the number may be another child's by now.
            (Who::Child(_), Err(libc::ECHILD)) if self.is_ours => return Err(libc::ECHILD),
            // (It may have been waited for long ago.)
            (Who::Child(Some(child)), Ok(Some(_)) | Err(libc::ECHILD | libc::ESRCH)) => {
                let status = child.try_wait().ok().flatten();
                self.status = Some(status.ok_or(libc::ECHILD)?);
                self.usage = found.ok().flatten().map(|found| found.usage);
            }
            (Who::Child(None), _) | (_, Ok(None)) => return Err(libc::ECHILD),
            (_, Ok(Some(_))) => {
                let found = wait(self.operation.pidfd, 0)?.ok_or(libc::ECHILD)?;
                (self.status, self.usage) = (Some(found.status), Some(found.usage));
            }
            (_, Err(libc::ECHILD)) if !self.is_ours => {}
            (_, Err(errno)) => return Err(errno),
        }
        Ok(())
    }
}

impl Kept for Held {
    fn kind(&self) -> u8 {
        EventKind::ChildExit as u8
    }

    fn role(&self) -> Option<&'static str> {
        Some("process")
    }

    fn source(&self) -> Option<&Source> {
        self.pidfd.as_ref().ok()
    }

    fn descriptor(&self) -> RawFd {
        self.operation.pidfd
    }

    fn prepare(&mut self) {
        (self.status, self.usage) = (None, None);
        let pid = match &self.who {
            Who::Child(child) => child.as_ref().map(Child::id),
            Who::Pid(pid) => Some(*pid),
            Who::Pidfd => None,
        };
        // (Posted again when it has ended, it is about whoever has the number then.)
        let is_anew = self.pidfd.is_err() || self.has_ended && matches!(self.who, Who::Pid(_));
        if let Some(pid) = pid.filter(|_| is_anew) {
            self.pidfd = pidfd_of(pid);
        }
        self.has_ended = false;
        let pidfd = self.pidfd.as_ref().map(Source::raw);
        let mut operation =
            Await { pidfd: pidfd.unwrap_or(-1), is_over: pidfd.is_err(), found: Cell::new(Ok(None)) };
        match pidfd {
            Err(errno) => operation.found.set(Err(*errno)),
            Ok(_) => operation.is_over = operation.look(),
        }
        let is_nobodys = matches!(operation.found.get(), Err(libc::ECHILD));
        self.is_ours = !is_nobodys;
        // One that has been waited for: the number may be another's by now.
        operation.is_over |= is_nobodys && matches!(self.who, Who::Child(_));
        self.operation = operation;
    }

    /// What needs no driver is over at once.
    fn deadline(&mut self, _now: &LazyCell<Instant>, limit: Option<Instant>) -> Option<Instant> {
        limit.filter(|_| self.operation.needs_driver())
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn finish(&mut self, result: i32) -> i32 {
        if result < 0 {
            return result;
        }
        self.has_ended = true;
        self.reap().map_or_else(|errno| -errno, |()| 0)
    }
}

/// What a process has used, with those of its children that it has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResourceUsage {
    /// CPU time of its own code.
    pub user: Duration,
    /// CPU time of the kernel's on its behalf.
    pub system: Duration,
    /// The most memory that it had in use at a time, in bytes; of its children the greatest.
    pub most_memory: u64,
    /// Page faults that were served from memory.
    pub minor_faults: u64,
    /// Page faults for which a disk was read.
    pub major_faults: u64,
    /// How often it has given up the CPU, because it waited.
    pub voluntary_switches: u64,
    /// How often the CPU was taken away from it.
    pub involuntary_switches: u64,
}

impl ResourceUsage {
    fn of(raw: &libc::rusage) -> Self {
        let time = |time: libc::timeval| {
            Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
        };
        ResourceUsage {
            user: time(raw.ru_utime),
            system: time(raw.ru_stime),
            most_memory: raw.ru_maxrss as u64 * 1024,
            minor_faults: raw.ru_minflt as u64,
            major_faults: raw.ru_majflt as u64,
            voluntary_switches: raw.ru_nvcsw as u64,
            involuntary_switches: raw.ru_nivcsw as u64,
        }
    }
}

impl Request {
    /// Completes when this child has ended, and reaps it: its event has the [status](Event::exit_status), what it
    /// [has used](Event::resource_usage), and the [`Child`](Event::take_child) itself, with the pipes that were left in it. If it is given
    /// up before (cancelled, over its time) the child goes on, or stays to be waited for, and comes back in the event all the same. One that
    /// had been waited for before is told of at once, without what it has used. That a child stops is not its end: if this process traces it,
    /// and so may wait for that, it is left to be waited for.
    ///
    /// It fails with `ECHILD` if somebody else has reaped the child: by waitpid(2) for any child, or the kernel, since the program ignores
    /// SIGCHLD. With `ENOSYS` (or what a filter says) where there is no pidfd_open(2), or waitid(2) does not take one: before Linux 5.4. It
    /// takes a descriptor, until its event is dropped; where there is none to be had it fails with `EMFILE` or `ENFILE`. In each case the
    /// child comes back.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::process::{Command, Stdio};
    /// # use std::{io::Read, os::fd::OwnedFd};
    /// let channel = EventChannel::new()?;
    /// // As popen(3): the output is received as it comes, by a socket.
    /// let (mine, its) = std::os::unix::net::UnixStream::pair()?;
    /// let child = Command::new("echo").arg("words").stdout(OwnedFd::from(its)).spawn()?;
    /// let exit = channel.post(Request::child_exit(child))?;
    /// channel.post(Request::recv(mine, Vec::with_capacity(64)))?;
    /// for _ in 0..2 {
    ///     let event = channel.get_event()?;
    ///     event.result()?;
    ///     if event.id() == exit {
    ///         assert!(event.exit_status().unwrap().success());
    ///         println!("{:?} of CPU time", event.resource_usage().unwrap().user);
    ///     } else {
    ///         assert_eq!(event.buffer(), b"words\n");
    ///     }
    /// }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn child_exit(child: Child) -> Self {
        Self::of(Held::new(Who::Child(Some(child)), Err(libc::ESRCH)))
    }

    /// As [`child_exit`](Self::child_exit), for a process that is known by its number: the one that has it when this is posted. A child is
    /// reaped, also one of clone(2) that sends no signal when it ends; so is, for its parent to see it then, a process that this one traces. Of
    /// another process it is only told that it has ended: its event has no status. Where there is no such process it fails with `ESRCH`; the
    /// number of a thread is none, nor is 0.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// let channel = EventChannel::new()?;
    /// let child = std::process::Command::new("true").spawn()?;
    /// channel.post(Request::process_exit(child.id()))?;
    /// assert_eq!(channel.get_event()?.exit_status().unwrap().code(), Some(0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn process_exit(pid: u32) -> Self {
        Self::of(Held::new(Who::Pid(pid), Err(libc::ESRCH)))
    }

    /// As [`process_exit`](Self::process_exit), for a process by its pidfd. What is none gives `EBADF`.
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request};
    /// # use std::os::fd::{FromRawFd, OwnedFd};
    /// let channel = EventChannel::new()?;
    /// let child = std::process::Command::new("true").spawn()?;
    /// // SAFETY: no pointer is passed.
    /// let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    /// assert!(fd >= 0);
    /// // SAFETY: the descriptor is new, and nobody else has it.
    /// let pidfd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    /// channel.post(Request::pidfd_exit(pidfd))?;
    /// assert!(channel.get_event()?.exit_status().unwrap().success());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn pidfd_exit(pidfd: impl Into<Source>) -> Self {
        Self::of(Held::new(Who::Pidfd, Ok(pidfd.into())))
    }
}

impl Event {
    /// Of a [child](Request::child_exit) that has ended: how. `None` for everything else, and for a process that is nobody's child here.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.0.of_kind::<Held>()?.status
    }

    /// Of a [child](Request::child_exit) that has ended: what it has used.
    pub fn resource_usage(&self) -> Option<ResourceUsage> {
        self.0.of_kind::<Held>()?.usage
    }

    /// The [child](Request::child_exit), once. It knows that it has been waited for, if it has.
    pub fn take_child(&mut self) -> Option<Child> {
        match &mut self.0.of_kind_mut::<Held>()?.who {
            Who::Child(child) => child.take(),
            _ => None,
        }
    }
}
