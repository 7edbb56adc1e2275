//! What can be polled, and whose calls may wait all the same: terminals, FIFOs, pipes that were spliced to. Whoever drives is not held up.

mod common;

use common::{all_drivers, each_driver, none_for, room, terminal};
use ec_channel::{EventChannel, EventKind, Request, Source};
use ec_test_support::limit;
use ec_unkind as _;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// More than any of them takes while nobody reads.
const MUCH: usize = 1 << 20;
const SOON: Duration = Duration::from_millis(20);

fn on_each_driver(f: impl Fn(&EventChannel)) {
    limit(60, || {
        for driver in all_drivers() {
            eprintln!("on {driver}");
            f(&EventChannel::builder().driver(driver).build().unwrap());
        }
    });
}

fn a_fifo() -> (OwnedFd, OwnedFd) {
    let path = std::env::temp_dir().join(format!("ec-terminals-{}", std::process::id()));
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a string with its end.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let writer = File::options().write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    (writer.into(), both.into())
}

/// (From then on it does not know `RWF_NOWAIT` any more.)
fn a_pipe_that_was_spliced_to() -> (OwnedFd, OwnedFd) {
    let ((reader, writer), (from, mut bytes)) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
    bytes.write_all(b"first").unwrap();
    let [from, to] = [from.as_raw_fd(), writer.as_raw_fd()];
    // SAFETY: no offset is passed.
    assert_eq!(unsafe { libc::splice(from, ptr::null_mut(), to, ptr::null_mut(), 5, 0) }, 5);
    (writer.into(), reader.into())
}

/// To write to, with the end where that comes out.
fn all() -> Vec<(&'static str, OwnedFd, OwnedFd)> {
    let (near, far) = terminal();
    let (slave, master) = terminal();
    let (fifo, reader) = a_fifo();
    let (writer, end) = a_pipe_that_was_spliced_to();
    let (output, input) = std::io::pipe().map(|(input, output)| (output.into(), input.into())).unwrap();
    vec![
        ("a terminal", near, far),
        ("a terminal's other side", master, slave),
        ("a FIFO", fifo, reader),
        ("a pipe that was spliced to", writer, end),
        ("a pipe", output, input),
    ]
}

#[test]
fn a_write_of_more_than_there_is_room_for_holds_up_nobody() {
    on_each_driver(|channel| {
        for (words, writer, reader) in all() {
            let writer = Arc::new(writer);
            // Some of it goes in, and the timer comes: although nobody reads.
            channel.post(Request::timer(SOON)).unwrap();
            channel.post(Request::write(writer.clone(), vec![b'w'; MUCH])).unwrap();
            let mut taken = 0;
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                if event.kind() == EventKind::Write {
                    taken = event.result().unwrap();
                }
            }
            assert!(0 < taken && taken < MUCH, "{words} took {taken}");
            // (As far as it says that there is room: a terminal hands on what it has meanwhile.)
            let mut more = || {
                channel.post(Request::timer(SOON)).unwrap();
                let id = channel.post(Request::write(writer.clone(), vec![b'w'; MUCH])).unwrap();
                let first = channel.get_event().unwrap();
                if first.kind() == EventKind::Timer {
                    return Some(id);
                }
                taken += first.result().unwrap();
                assert_eq!(channel.get_event().unwrap().kind(), EventKind::Timer);
                None
            };
            let waits = std::iter::repeat_with(&mut more).flatten().next().unwrap();
            // What waits can be cancelled.
            assert!(channel.cancel(waits));
            let event = channel.get_event().unwrap();
            let last = event.result().unwrap_or(0);
            assert!(event.is_cancelled() || last > 0, "{words}: {:?}", event.failure());
            // What waits goes in when somebody reads, and all that is said to be written comes out.
            channel.post(Request::write(writer.clone(), vec![b'w'; 100])).unwrap();
            none_for(channel, SOON);
            let mut reader = File::from(reader);
            let mut got = reader.read(&mut vec![0; 1 << 16]).unwrap();
            let event = std::iter::repeat_with(|| {
                got += if got < 1 << 12 { reader.read(&mut [0; 1 << 12]).unwrap() } else { 0 };
                channel.get_event_timeout(SOON).unwrap()
            });
            let written = event.flatten().next().unwrap().result().unwrap();
            let all = taken + last + written + if words == "a pipe that was spliced to" { 5 } else { 0 };
            while got < all {
                got += reader.read(&mut vec![0; 1 << 16]).unwrap();
            }
            assert_eq!(got, all, "{words}");
        }
    });
}

/// Of a terminal that gathers what is typed until there is a pause: ready with the first byte, and a read waits for more.
#[test]
fn a_read_that_waits_for_more_holds_up_nobody() {
    // (Tenths of a second: longer than the limit is.)
    const PAUSE: libc::cc_t = 255;
    limit(20, || {
        for driver in all_drivers() {
            eprintln!("on {driver}");
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let (near, far) = terminal();
            // SAFETY: all zero is a valid mode, and is filled.
            unsafe {
                let mut mode = std::mem::zeroed();
                assert_eq!(libc::tcgetattr(near.as_raw_fd(), &mut mode), 0);
                (mode.c_cc[libc::VMIN], mode.c_cc[libc::VTIME]) = (10, PAUSE);
                assert_eq!(libc::tcsetattr(near.as_raw_fd(), libc::TCSANOW, &mode), 0);
            }
            let mut far = File::from(far);
            far.write_all(b"abc").unwrap();
            channel.post(Request::timer(SOON)).unwrap();
            channel.post(Request::read(near, room(100))).unwrap();
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                assert!(event.kind() == EventKind::Timer || event.buffer() == b"abc", "{event:?}");
            }
        }
    });
}

/// Each gets a byte of its own, however many wait, and as soon as there is one.
#[test]
fn those_who_wait_for_one_terminal_all_get_something() {
    on_each_driver(|channel| {
        let (near, far) = terminal();
        let (reader, writer) = std::io::pipe().unwrap();
        for (from, to) in [(near, far), (reader.into(), writer.into())] {
            let (from, mut to) = (Arc::new(from), File::from(to));
            for round in 0..20 {
                (0..8).for_each(|_| _ = channel.post(Request::read(from.clone(), room(1))).unwrap());
                none_for(channel, Duration::ZERO);
                let mut got: Vec<u8> = (0..8)
                    .map(|n| {
                        to.write_all(&[round * 8 + n]).unwrap();
                        channel.get_event().unwrap().buffer()[0]
                    })
                    .collect();
                got.sort();
                assert!(got.into_iter().eq(round * 8..round * 8 + 8));
            }
        }
    });
}

/// The calls are a helper's there: what can be polled is ready, and the call may wait.
#[test]
fn what_goes_to_a_terminal_that_nobody_reads_holds_up_nobody() {
    on_each_driver(|channel| {
        type Make = fn(Source, Source) -> Request;
        let makes: [(&str, Make); 2] = [
            ("pump", |from, to| Request::pump(from, to)),
            ("splice", |from, to| Request::splice(from, to, MUCH)),
        ];
        for (words, make) in makes {
            let (near, far) = terminal();
            let (reader, writer) = std::io::pipe().unwrap();
            ec_channel::set_nonblocking(writer.as_fd(), true).unwrap();
            while (&writer).write(&[b'w'; 4096]).is_ok() {}
            let id = channel.post(make(OwnedFd::from(reader).into(), near.into())).unwrap();
            channel.post(Request::timer(SOON)).unwrap();
            let mut came = [channel.get_event().unwrap(), {
                channel.cancel(id);
                channel.get_event().unwrap()
            }];
            came.sort_by_key(|event| event.kind() == EventKind::Timer);
            assert!(came[0].kind() != EventKind::Timer && came[1].kind() == EventKind::Timer, "{words}");
            assert!(
                came[0].failure().is_none() || came[0].is_cancelled(),
                "{words}: {:?}",
                came[0].failure()
            );
            drop(far);
        }
    });
}

/// On the ring as elsewhere no helper is needed for them, in whatever mode they are.
#[test]
fn no_helper_waits_for_what_can_be_polled() {
    limit(60, || {
        each_driver(|channel| {
            for (words, writer, reader) in all() {
                for nonblocking in [false, true] {
                    [&writer, &reader]
                        .iter()
                        .for_each(|it| ec_channel::set_nonblocking(it.as_fd(), nonblocking).unwrap());
                    let (writer, reader) = (writer.try_clone().unwrap(), reader.try_clone().unwrap());
                    channel.post(Request::read(reader, room(8))).unwrap();
                    channel.post(Request::write(writer, b"x".to_vec())).unwrap();
                    for _ in 0..2 {
                        let event = channel.get_event().unwrap();
                        assert!(event.result().unwrap() > 0, "{words}");
                    }
                }
            }
            assert_eq!(channel.metrics().helped, 0);
        })
    });
}
