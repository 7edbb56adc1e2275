//! Processes that end. (What else is particular to them: `channel/tests/children.rs`.)

use crate::common::until_ended;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request};
use std::process::{Child, ChildStdin, Command, Stdio};
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
        Input { words: "no number of a process", make: || pid(0), gives: Err(libc::EINVAL) },
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

/// One that ends when its input does.
fn child() -> (Child, ChildStdin) {
    let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

/// It is reaped once: by the request, if that says so, else it is there still.
fn ends() -> Scene {
    let (child, input) = child();
    let pid = child.id() as libc::pid_t;
    let cause = move || {
        drop(input);
        until_ended(pid as u32);
    };
    Scene::new(Request::process_exit(child.id())).cause(cause).check(move |got, outcome| {
        let mut status = 0;
        // SAFETY: a live int.
        let reaped = unsafe { libc::waitpid(pid, &mut status, 0) };
        let told = got.event.as_ref().and_then(|event| event.exit_status());
        let is_due = match outcome {
            Outcome::Done => reaped == -1 && told.is_some_and(|status| status.success()),
            _ => (reaped, status) == (pid, 0) && told.is_none(),
        };
        ensure(is_due, || format!("{got:?}, and then waitpid gives {reaped}"))
    })
}

/// Somebody else waits for it.
fn taken() -> Scene {
    let (mut child, input) = child();
    let request = Request::pidfd_exit(world::pidfd(&child));
    Scene::new(request).late().cause(move || {
        drop(input);
        child.wait().unwrap();
    })
}

fn limited() -> Scene {
    let (mut child, input) = child();
    let request = Request::process_exit(child.id()).within(Duration::from_micros(10));
    Scene::new(request).late().check(move |_, _| {
        drop(input);
        ensure(child.wait().unwrap().success(), || "it is not there any more".to_owned())
    })
}
