//! Processes that end. (What else is particular to them: `channel/tests/children.rs`.)

use crate::common::until_ended;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request};
use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsRawFd;
use std::time::Duration;

pub static ROW: Row = Row {
    kind: EventKind::ChildExit,
    on_descriptor: true,
    completes: Cell::Can { make: ends, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: taken, allowed: &[Outcome::Failed(libc::ECHILD)] },
    cancelled: Cell::Can { make: ends, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: ends, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: ends, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no number of a process", make: || pid(0), gives: Err(libc::ESRCH) },
        Input { words: "too great a number", make: || pid(u32::MAX), gives: Err(libc::ESRCH) },
        Input { words: "a number of nobody's", make: || pid(i32::MAX as u32), gives: Err(libc::ESRCH) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "no process's descriptor", make: || of(world::null()), gives: Err(libc::EBADF) },
        Input { words: "a pipe's", make: || of(world::pipe()), gives: Err(libc::EBADF) },
        Input { words: "a limit", make: limited, gives: Err(libc::ETIME) },
    ],
};

fn pid(pid: u32) -> Scene {
    Scene::new(Request::process_exit(pid))
}

fn of(pidfd: ec_channel::Source) -> Scene {
    Scene::new(Request::pidfd_exit(pidfd))
}

/// A child that ends when its input does. It shares this process's descriptors: one that had them for itself, if for a moment, would keep
/// open what other tests close.
struct Waits {
    pid: libc::pid_t,
    /// What it reads from.
    _output: PipeReader,
}

impl Waits {
    fn new() -> (Self, PipeWriter) {
        let (output, input) = std::io::pipe().unwrap();
        let flags = libc::c_long::from(libc::CLONE_FILES | libc::SIGCHLD);
        // SAFETY: a child with a copy of the memory, which makes system calls alone, and ends with its parent.
        let pid = unsafe {
            let pid = libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0);
            if pid == 0 {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let mut byte = 0u8;
                while libc::read(output.as_raw_fd(), (&raw mut byte).cast(), 1) > 0 {}
                libc::_exit(0);
            }
            pid as libc::pid_t
        };
        assert!(pid > 0, "{}", std::io::Error::last_os_error());
        (Waits { pid, _output: output }, input)
    }

    /// Reaps it. Gives its status; `None`: it is not there any more.
    fn wait(&self) -> Option<i32> {
        let mut status = 0;
        // SAFETY: a live int.
        (unsafe { libc::waitpid(self.pid, &mut status, 0) } == self.pid).then_some(status)
    }
}

impl Drop for Waits {
    /// Before the descriptor is closed that it reads from: its number may be another test's next.
    fn drop(&mut self) {
        // SAFETY: no pointer is passed; it is killed as long as it is this process's child.
        unsafe {
            if libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) == 0 {
                libc::kill(self.pid, libc::SIGKILL);
                libc::waitpid(self.pid, std::ptr::null_mut(), 0);
            }
        }
    }
}

/// It is reaped once: by the request, if that says so, else it is there still.
fn ends() -> Scene {
    let (child, input) = Waits::new();
    let pid = child.pid as u32;
    let cause = move || {
        drop(input);
        until_ended(pid);
    };
    Scene::new(Request::process_exit(pid)).cause(cause).check(move |got, outcome| {
        let reaped = child.wait();
        let told = got.event.as_ref().and_then(|event| event.exit_status());
        let is_due = match outcome {
            Outcome::Done => reaped.is_none() && told.is_some_and(|status| status.success()),
            _ => reaped == Some(0) && told.is_none(),
        };
        ensure(is_due, || format!("{got:?}, and then waitpid gives {reaped:?}"))
    })
}

/// Somebody else waits for it.
fn taken() -> Scene {
    let (child, input) = Waits::new();
    let request = Request::pidfd_exit(world::pidfd(child.pid));
    Scene::new(request).late().cause(move || {
        drop(input);
        assert_eq!(child.wait(), Some(0));
    })
}

fn limited() -> Scene {
    let (child, input) = Waits::new();
    let request = Request::process_exit(child.pid as u32).within(Duration::from_micros(10));
    Scene::new(request).late().check(move |_, _| {
        drop(input);
        ensure(child.wait() == Some(0), || "it is not there any more".to_owned())
    })
}
