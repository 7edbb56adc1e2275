//! A pump, or a splice, that waits or is stopped: it takes no more than there is room for, holds up nobody, and loses nothing.

mod common;
#[path = "common/ends.rs"]
mod ends;

use common::{AtEnd, Random, each_driver, threads_in, until_asleep};
use ec_channel::{Event, EventChannel, Request, Source};
use ec_test_support::{cpu_time, limit};
use ends::{ROOM, SORTS, Sort, each_driver_of_all, numbers, scratch, tcp};
use socket2::SockRef;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Nobody takes anything, so it stops, and does nothing at all meanwhile.
#[test]
fn no_more_is_taken_than_there_is_room_for() {
    limit(60, || {
        each_driver_of_all(|channel| {
            let mut file = scratch();
            file.write_all(&numbers(1 << 20)).unwrap();
            file.rewind().unwrap();
            let (mut reader, writer) = std::io::pipe().unwrap();
            let request = Request::pump(file.try_clone().unwrap(), OwnedFd::from(writer));
            let id = channel.post(request).unwrap();
            thread::scope(|s| {
                let getter = s.spawn(|| {
                    let _end = AtEnd(|| channel.shutdown());
                    let clock = || cpu_time(libc::CLOCK_THREAD_CPUTIME_ID);
                    // Until it has stopped: the pipe is full, and so is the buffer.
                    while file.stream_position().unwrap() < 2 * ROOM {
                        assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
                    }
                    let (start, before) = (Instant::now(), clock());
                    let none = channel.get_event_timeout(Duration::from_millis(100)).unwrap();
                    let (took, spent) = (start.elapsed(), clock() - before);
                    assert!(none.is_none() && spent * 4 < took, "{spent:?} of {took:?}");
                    assert_eq!(file.stream_position().unwrap(), 2 * ROOM);
                    channel.cancel(id);
                    channel.get_event().unwrap()
                });
                let event = getter.join().unwrap();
                assert!(event.is_cancelled());
                // (Of the buffer nothing is lost.)
                let mut came = vec![0; event.pumped() as usize];
                reader.read_exact(&mut came).unwrap();
                came.extend(event.buffer());
                assert!(came == numbers(2 * ROOM as usize));
            });
        })
    });
}

/// Nobody takes anything, at each sort of end in each mode, and others go on.
#[test]
fn an_output_that_is_full_holds_up_nobody() {
    let content = numbers(1 << 20);
    limit(60, || {
        each_driver(|channel| {
            let mut file = scratch();
            file.write_all(&content).unwrap();
            for to in SORTS.into_iter().filter(|to| !matches!(to, Sort::File)) {
                for from in [Sort::File, Sort::Unix] {
                    let ((reader, output), (near, far)) = (to.ends(), tcp());
                    // (Sockets have little room.)
                    let _ = SockRef::from(&output).set_send_buffer_size(1 << 16);
                    let _ = SockRef::from(&reader).set_recv_buffer_size(1 << 16);
                    let mut reader = File::from(reader);
                    thread::scope(|s| {
                        let input = match from {
                            Sort::File => {
                                file.rewind().unwrap();
                                OwnedFd::from(file.try_clone().unwrap())
                            }
                            // (What it cannot write any more is of no interest.)
                            _ => {
                                s.spawn(|| (&far).write_all(&content).is_ok());
                                near.try_clone().unwrap().into()
                            }
                        };
                        let id = channel.post(Request::pump(input, to.of_pump(output))).unwrap();
                        for _ in 0..20 {
                            let timer = channel.post(Request::timer(Duration::from_micros(300))).unwrap();
                            assert_eq!(channel.get_event().unwrap().id(), timer, "{from:?} to {to:?}");
                        }
                        channel.cancel(id);
                        let event = channel.get_event().unwrap();
                        assert!(event.is_cancelled(), "{from:?} to {to:?}: {event:?}");
                        let (pumped, rest) = (event.pumped() as usize, event.buffer().to_vec());
                        drop(event);
                        let mut came = vec![0; pumped];
                        reader.read_exact(&mut came).unwrap();
                        came.extend(rest);
                        assert!(came == content[..came.len()], "{from:?} to {to:?}");
                        near.shutdown(Shutdown::Both).unwrap();
                    });
                }
            }
        })
    });
}

/// Neither end ever waits, which the mode says, or nothing.
#[test]
fn a_pump_without_an_end_leaves_others_their_turns() {
    limit(60, || {
        each_driver_of_all(|channel| {
            [0, libc::O_NONBLOCK].iter().for_each(|mode| pump_without_end(&channel, *mode))
        })
    });
}

fn pump_without_end(channel: &EventChannel, mode: i32) {
    let device = |name| {
        File::options().read(true).write(true).custom_flags(mode | libc::O_CLOEXEC).open(name).unwrap()
    };
    let id = channel.post(Request::pump(device("/dev/zero"), device("/dev/null"))).unwrap();
    for _ in 0..20 {
        let other = channel.post(Request::timer(Duration::from_micros(100))).unwrap();
        assert_eq!(channel.get_event().unwrap().id(), other);
    }
    channel.cancel(id);
    let event = channel.get_event().unwrap();
    assert!(event.is_cancelled() && event.pumped() > 0, "{event:?}");
}

/// Whoever shares an open file may change its mode at any time.
#[test]
fn a_change_of_mode_meanwhile_holds_up_nobody() {
    limit(60, || {
        each_driver_of_all(|channel| {
            for pumps in [true, false] {
                let (input, mut writer) = std::io::pipe().unwrap();
                // SAFETY: no pointer is passed.
                let size = unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 1 << 20) };
                let (to, mut far) = UnixStream::pair().unwrap();
                to.set_nonblocking(true).unwrap();
                let shared = to.try_clone().unwrap();
                while (&to).write(&[0; 4096]).is_ok() {}
                writer.write_all(&vec![1; size as usize]).unwrap();
                let input = OwnedFd::from(input);
                let id = match pumps {
                    true => channel.post(Request::pump(input, to)),
                    false => channel.post(Request::splice(input, to, size as usize)),
                };
                let id = id.unwrap();
                assert!(channel.get_event_timeout(Duration::from_millis(20)).unwrap().is_none());
                shared.set_nonblocking(false).unwrap();
                // There is room now, but not for all.
                far.set_nonblocking(true).unwrap();
                while far.read(&mut [0; 4096]).is_ok() {}
                let timer = channel.post(Request::timer(Duration::from_millis(20))).unwrap();
                // (The one request at a time of a driver may be done first.)
                let mut events = vec![channel.get_event().unwrap()];
                if events[0].id() == id {
                    events.push(channel.get_event().unwrap());
                }
                assert_eq!(events.last().unwrap().id(), timer);
                channel.cancel(id);
                if events.len() == 1 {
                    assert_eq!(channel.get_event().unwrap().id(), id);
                }
            }
        })
    });
}

/// Stopped at any moment, and posted again: all of it comes, in order.
#[test]
fn nothing_is_lost_where_it_stops() {
    const BYTES: usize = 1 << 20;
    let content = numbers(BYTES);
    limit(120, || {
        each_driver_of_all(|channel| {
            for mode in [false, true] {
                let ((near, far), (next, last)) = (tcp(), UnixStream::pair().unwrap());
                near.set_nonblocking(mode).unwrap();
                next.set_nonblocking(mode).unwrap();
                thread::scope(|s| {
                    s.spawn(|| (&far).write_all(&content).and_then(|()| far.shutdown(Shutdown::Write)));
                    // (Nobody reads until it has been stopped once, so that it is.)
                    let (begin, begins) = std::sync::mpsc::channel();
                    let reads = s.spawn(|| {
                        begins.into_iter().next().unwrap();
                        let (mut came, mut some) = (Vec::<u8>::new(), [0; 5000]);
                        while let n @ 1.. = (&last).read(&mut some).unwrap() {
                            came.extend(&some[..n]);
                        }
                        came
                    });
                    let mut random = Random(7);
                    let (mut pumped, mut stops) = (0, 0);
                    let mut request = Request::pump(near, next).relay_end();
                    loop {
                        let id = channel.post(request).unwrap();
                        let (canceller, spins) = (&channel, random.below(20_000));
                        let event: Event = thread::scope(|s| {
                            s.spawn(move || {
                                (0..spins).for_each(|_| std::hint::spin_loop());
                                canceller.cancel(id)
                            });
                            canceller.get_event().unwrap()
                        });
                        pumped += event.pumped();
                        if !event.is_cancelled() {
                            assert_eq!((event.failure(), event.buffer()), (None, &b""[..]));
                            break;
                        }
                        stops += 1;
                        let _ = begin.send(());
                        request = event.again();
                    }
                    assert_eq!(pumped, BYTES as u64, "after {stops} stops");
                    assert!(stops > 0);
                    assert!(reads.join().unwrap() == content);
                });
            }
        })
    });
}

#[test]
fn an_idle_pump_ends_with_its_limit_and_says_how_far_it_was() {
    limit(30, || {
        each_driver_of_all(|channel| {
            let ((near, mut far), (next, mut last)) =
                (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            far.write_all(b"some").unwrap();
            channel.post(Request::pump(near, next).within(Duration::from_millis(20))).unwrap();
            let event = channel.get_event().unwrap();
            assert!(event.is_timed_out());
            // (On a busy machine the limit may come before anything has gone.)
            let pumped = event.pumped();
            drop(event);
            let mut came = Vec::new();
            last.read_to_end(&mut came).unwrap();
            assert!(
                came.len() as u64 == pumped && [&b"some"[..], b""].contains(&&*came),
                "{pumped}: {came:?}"
            );
        })
    });
}

/// Those that wait have neither a thread of the process's nor one of the kernel's.
#[test]
fn very_many_that_wait_hold_up_nobody() {
    const MANY: usize = 2000;
    limit(60, || {
        each_driver(|channel| {
            let (reader, writer) = std::io::pipe().unwrap();
            let (_next, last) = std::io::pipe().unwrap();
            let (from, to) = (Source::from(OwnedFd::from(reader)), Source::from(OwnedFd::from(last)));
            // (To a file only a helper would write, once there is something.)
            let file = Source::from(scratch());
            let to = |at: usize| if at.is_multiple_of(2) { to.clone() } else { file.clone() };
            channel.post_all((0..MANY).map(|at| Request::splice(from.clone(), to(at), 1))).unwrap();
            // Sockets in blocking mode, too, and what only a helper would read.
            let ((near, _far), (next, _last)) = (UnixStream::pair().unwrap(), tcp());
            // SAFETY: a new descriptor.
            let counter = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
            let counts = counter.as_raw_fd();
            let idle = channel.post_all([Request::pump(near, next), Request::pump(counter, scratch())]);
            assert!(channel.try_get_event().unwrap().is_none());
            channel.post(Request::work(|| ()).token(2)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            assert_eq!((channel.metrics().helped, threads_in(libc::SYS_read, Some(counts))), (1, 0));
            thread::scope(|s| {
                s.spawn(|| {
                    until_asleep(&channel);
                    drop(writer);
                });
                for _ in 0..MANY {
                    assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
                }
            });
            for id in idle.unwrap() {
                assert!(channel.cancel(id) && channel.get_event().unwrap().is_cancelled());
            }
        })
    });
}

/// To a socket in blocking mode a helper sends; it is stopped, and what had gone counts.
#[test]
fn a_splice_that_blocks_a_helper_is_ended() {
    limit(60, || {
        each_driver_of_all(|channel| {
            let (near, far) = tcp();
            let socket = Source::from(Arc::new(near));
            // (So that much less goes in at once than is in the pipe.)
            let (reader, mut writer) = std::io::pipe().unwrap();
            let pipe = Source::from(OwnedFd::from(reader));
            let (mut sent, mut cancelled) = (0, false);
            let content = vec![7; ROOM as usize];
            while !cancelled {
                writer.write_all(&content).unwrap();
                let mut left = content.len();
                while left > 0 && !cancelled {
                    let request = Request::splice(pipe.clone(), socket.clone(), left);
                    let id = channel.post(request).unwrap();
                    let event = match channel.get_event_timeout(Duration::from_millis(30)).unwrap() {
                        Some(event) => event,
                        None => {
                            // It waits: for the socket, or in the call.
                            cancelled = true;
                            assert!(channel.cancel(id));
                            channel.get_event().unwrap()
                        }
                    };
                    assert!(event.is_cancelled() || event.result().is_ok(), "{event:?}");
                    let n = event.result().unwrap_or(0);
                    (left, sent) = (left - n, sent + n);
                }
            }
            drop(socket);
            let mut came = Vec::new();
            { far }.read_to_end(&mut came).unwrap();
            assert_eq!(came.len(), sent);
        })
    });
}
