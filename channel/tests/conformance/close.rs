//! A descriptor closed.

use crate::common::each_driver;
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::world;
use ec_channel::{EventKind, Request};
use ec_test_support::limit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;

pub static ROW: Row = Row {
    kind: EventKind::Close,
    on_descriptor: true,
    completes: Cell::Can { make: pipe, allowed: &[Outcome::Done] },
    fails: Cell::Cannot("a descriptor that is owned is open"),
    // It waits for nobody: a cancel comes before it has begun, or too late.
    cancelled: Cell::Can { make: pipe, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: pipe, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: pipe, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "a file", make: || Scene::new(Request::close(world::scratch())), gives: Ok(0) },
        Input { words: "a socket", make: || Scene::new(Request::close(world::listener())), gives: Ok(0) },
    ],
};

/// It is closed, or the event has it, as the outcome says.
fn pipe() -> Scene {
    let (reader, writer) = std::io::pipe().unwrap();
    Scene::new(Request::close(writer)).check(move |_, outcome| {
        let mut ask = libc::pollfd { fd: reader.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: a live pollfd.
        let is_closed = unsafe { libc::poll(&mut ask, 1, 0) } == 1;
        ensure(is_closed == (outcome == Outcome::Done), || format!("is it closed? {is_closed}"))
    })
}

#[test]
fn a_descriptor_is_closed_once() {
    limit(30, || {
        each_driver(|channel| {
            let (reader, writer) = std::io::pipe().unwrap();
            let number = writer.as_raw_fd();
            channel.post(Request::close(writer)).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap(), 0);
            // Its number is another's by the time that it is posted again.
            // SAFETY: the duplicate is new, or fails.
            let other = unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number) };
            // SAFETY: as above.
            let other = unsafe { OwnedFd::from_raw_fd(other) };
            channel.post(event.again()).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(
                event.failure().unwrap().to_string(),
                "close on its descriptor: Bad file descriptor (os error 9)"
            );
            drop(event);
            // SAFETY: no pointer is passed.
            assert!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_GETFD) } >= 0);
        })
    });
}

#[test]
fn one_that_was_cancelled_closes_with_its_event() {
    limit(30, || {
        each_driver(|channel| {
            let (reader, writer) = std::io::pipe().unwrap();
            let reader = Arc::new(OwnedFd::from(reader));
            let id = channel.post(Request::close(writer)).unwrap();
            assert!(channel.cancel(id));
            let event = channel.get_event().unwrap();
            assert!(event.is_cancelled());
            channel.post(Request::read(reader, Vec::with_capacity(1)).token(1)).unwrap();
            crate::common::none_for(&channel, crate::SOON);
            drop(event);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}
