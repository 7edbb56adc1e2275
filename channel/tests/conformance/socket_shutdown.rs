//! Connections shut down.

use crate::common::{each_driver, none_for, room};
use crate::row::{Cell, Input, Outcome, Row, Scene, ensure};
use crate::{SOON, world};
use ec_channel::{EventKind, Request, Source};
use ec_test_support::limit;
use std::io::Write;
use std::net::Shutdown;

pub static ROW: Row = Row {
    kind: EventKind::Shutdown,
    on_descriptor: true,
    completes: Cell::Can { make: shut, allowed: &[Outcome::Done] },
    fails: Cell::Can { make: || of(world::unconnected()), allowed: &[Outcome::Failed(libc::ENOTCONN)] },
    // It never waits: each cancel comes before it is begun, or too late.
    cancelled: Cell::Can { make: shut, allowed: &[Outcome::Done, Outcome::Cancelled] },
    races: Cell::Can { make: shut, allowed: &[Outcome::Done, Outcome::Cancelled] },
    shut_down: Cell::Can { make: shut, allowed: &[Outcome::Done, Outcome::Cancelled] },
    inputs: &[
        Input { words: "no socket", make: || of(world::null()), gives: Err(libc::ENOTSOCK) },
        Input { words: "a pipe", make: || of(world::pipe()), gives: Err(libc::ENOTSOCK) },
        Input { words: "O_PATH", make: || of(world::path_only()), gives: Err(libc::EBADF) },
        Input { words: "no descriptor", make: || of(world::not_open()), gives: Err(libc::EBADF) },
        Input { words: "it listens", make: || of(world::listener().into()), gives: Ok(0) },
        Input { words: "datagrams", make: || of(world::datagrams().into()), gives: Err(libc::ENOTCONN) },
        Input { words: "the peer has gone", make: gone, gives: Ok(0) },
        Input { words: "twice", make: twice, gives: Ok(0) },
    ],
};

fn of(socket: Source) -> Scene {
    Scene::new(Request::shutdown(socket, Shutdown::Both))
}

/// The peer gets what was sent, and then the end; it can still send.
fn shut() -> Scene {
    let (near, far) = world::streams();
    (&*near).write_all(b"last words").unwrap();
    Scene::new(Request::shutdown(near.clone(), Shutdown::Write)).check(move |_, outcome| {
        let read = world::rest_of(&far);
        let ended = world::has_ended(&far);
        (&*far).write_all(b"answer").unwrap();
        let answer = world::rest_of(&near);
        let is_due = ended == (outcome == Outcome::Done);
        ensure(read == b"last words" && is_due && answer == b"answer", || {
            format!("{read:?} came, and the end: {ended}; answered {answer:?}")
        })
    })
}

fn gone() -> Scene {
    let (near, far) = world::streams();
    drop(far);
    Scene::new(Request::shutdown(near, Shutdown::Both))
}

fn twice() -> Scene {
    let (near, far) = world::streams();
    near.shutdown(Shutdown::Both).unwrap();
    Scene::new(Request::shutdown(near, Shutdown::Both)).keeping(far)
}

/// On a ring, too, although it is handed over together with what was posted before.
#[test]
fn what_was_posted_before_is_sent_before() {
    limit(30, || {
        each_driver(|channel| {
            for _ in 0..100 {
                let (near, far) = world::streams();
                channel.post(Request::send(near.clone(), vec![7; 100])).unwrap();
                channel.post(Request::shutdown(near, Shutdown::Write)).unwrap();
                for _ in 0..2 {
                    channel.get_event().unwrap().result().unwrap();
                }
                assert_eq!(world::rest_of(&far), [7; 100]);
                assert!(world::has_ended(&far));
            }
        })
    });
}

#[test]
fn a_receive_that_waits_gets_the_end_and_a_send_fails() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = world::streams();
            channel.post(Request::recv(near.clone(), room(8)).token(1)).unwrap();
            none_for(&channel, SOON);
            channel.post(Request::shutdown(near.clone(), Shutdown::Both).token(2)).unwrap();
            let mut came = [channel.get_event().unwrap(), channel.get_event().unwrap()];
            came.sort_by_key(|event| event.token());
            assert!(came.iter().all(|event| event.result().unwrap() == 0));
            channel.post(Request::send(near, vec![1])).unwrap();
            assert_eq!(channel.get_event().unwrap().failure().unwrap().errno(), libc::EPIPE);
            drop(far);
        })
    });
}
