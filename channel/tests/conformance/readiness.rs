//! Descriptors ready.

use crate::common::{each_driver, none_for, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Interest, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;

pub static ROW: Row = Row {
    kind: EventKind::Readiness,
    on_descriptor: true,
    completes: Cell::Can { make: waits, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(world::path_only()), allowed: &[Outcome::Failed(libc::EBADF)] },
    cancelled: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    races: Cell::Can { make: waits, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: waits, allowed: &[Outcome::Cancelled] },
    inputs: &[
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "a device", make: || ready(world::null()), gives: Ok(0) },
        Input { words: "a directory", make: || ready(world::directory()), gives: Ok(0) },
        Input { words: "a pipe of nobody's", make: || ready(world::pipe()), gives: Ok(0) },
        Input { words: "not connected", make: || ready(world::unconnected()), gives: Ok(0) },
    ],
};

fn of(descriptor: Source) -> Scene {
    Scene::new(Request::readiness(descriptor, Interest::READABLE))
}

fn ready(descriptor: Source) -> Scene {
    of(descriptor).check(|got, _| ensure(got.ready == Interest::READABLE, || format!("{got:?}")))
}

/// Whatever it says, the bytes stay in the socket.
fn waits() -> Scene {
    let (near, far) = world::streams();
    let writer = far.clone();
    of(Source::from(near.clone())).cause(move || (&*writer).write_all(b"here").unwrap()).check(
        move |got, outcome| {
            let (rest, _open) = (world::rest_of(&near), far);
            let is_due = rest == b"here" && (outcome != Outcome::Done || got.ready == Interest::READABLE);
            ensure(is_due, || format!("{got:?}, and in the socket {rest:?}"))
        },
    )
}

#[test]
fn readiness_is_level_triggered_and_once() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            channel.post(Request::readiness(a.clone(), Interest::READABLE)).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"z").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.ready(), Interest::READABLE);
            none_for(&channel, SOON);
            channel.post(event.again()).unwrap();
            assert_eq!(
                channel.get_event().unwrap().ready(),
                Interest::READABLE,
                "still readable, so told again"
            );
        })
    });
}

#[test]
fn a_pipe_can_be_watched_for_both_ends() {
    limit(30, || {
        each_driver(|channel| {
            let (r, w) = std::io::pipe().unwrap();
            let (r, w) = (std::os::fd::OwnedFd::from(r), std::os::fd::OwnedFd::from(w));
            channel.post(Request::readiness(w, Interest::WRITABLE).token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            // the write end went with its event, so the read end hangs up
            channel.post(Request::readiness(r, Interest::READABLE).token(2)).unwrap();
            assert_eq!(channel.get_event().unwrap().ready(), Interest::READABLE);
        })
    });
}

#[test]
fn what_cannot_be_polled_is_always_ready() {
    limit(30, || {
        each_driver(|channel| {
            let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
            channel.post(Request::readiness(file, Interest::READABLE)).unwrap();
            assert_eq!(channel.get_event().unwrap().ready(), Interest::READABLE);
        })
    });
}

#[test]
fn a_descriptor_of_no_use_is_not_ready() {
    limit(30, || {
        each_driver(|channel| {
            let path = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
            channel.post(Request::readiness(path, Interest::READABLE)).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        })
    });
}

#[test]
fn a_reader_and_a_writer_wait_on_one_descriptor() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            channel.post(Request::recv(a.clone(), room(8)).token(1)).unwrap();
            channel.post(Request::readiness(a, Interest::WRITABLE).token(2)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            b.write_all(b"!").unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
        })
    });
}
