//! What must not be done twice is done once, although the threads that post and drive it exit at once. (What a ring is asked for belongs to
//! the thread that asked: it may have to be asked again.)

mod common;

use common::{all_drivers, room};
use ec_channel::{EventChannel, Request};
use ec_test_support::limit;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const BLOCK: usize = 4096;
/// In each round one thread posts so many, drives once, and exits.
const AT_ONCE: usize = 64;
const ROUNDS: usize = 16;

/// A file of its own.
fn scratch(name: &str) -> (File, PathBuf) {
    common::new_file(&format!("once-{name}"), 0).unwrap()
}

fn each_driver(f: impl Fn(EventChannel)) {
    for driver in all_drivers() {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().unwrap());
    }
}

/// Posts these from a thread that drives once, and exits. Gives what came of them, each once.
fn come_of(channel: &EventChannel, requests: Vec<Request>) -> Vec<ec_channel::Event> {
    let count = requests.len();
    let mut came = std::thread::scope(|s| {
        let poster = s.spawn(|| {
            channel.post_all(requests).unwrap();
            channel.get_event_timeout(Duration::ZERO).unwrap()
        });
        Vec::from_iter(poster.join().unwrap())
    });
    while came.len() < count {
        came.push(channel.get_event().unwrap());
    }
    assert!(came.iter().all(|event| event.failure().is_none()), "{came:?}");
    came
}

#[test]
fn reads_at_the_cursor_take_each_byte_once() {
    limit(120, || {
        each_driver(|channel| {
            let (mut file, path) = scratch("read");
            std::fs::remove_file(path).unwrap();
            for at in 0..AT_ONCE {
                file.write_all_at(&[at as u8; BLOCK], (at * BLOCK) as u64).unwrap();
            }
            file.sync_all().unwrap();
            for _ in 0..ROUNDS {
                // SAFETY: no pointer is passed.
                unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
                file.rewind().unwrap();
                let shared = Arc::new(file.try_clone().unwrap());
                let reads = (0..AT_ONCE).map(|_| Request::read(shared.clone(), room(BLOCK))).collect();
                let mut seen: Vec<_> = come_of(&channel, reads)
                    .iter()
                    .map(|event| {
                        assert!(event.buffer().iter().all(|byte| *byte == event.buffer()[0]));
                        (event.buffer().len(), usize::from(event.buffer()[0]))
                    })
                    .collect();
                seen.sort();
                assert!(seen.into_iter().eq((0..AT_ONCE).map(|at| (BLOCK, at))));
                assert_eq!(file.stream_position().unwrap(), (AT_ONCE * BLOCK) as u64);
            }
        })
    });
}

/// Each is full of its number, and there is nothing else in the file.
fn each_once(content: &[u8], records: usize) {
    assert_eq!(content.len(), records * RECORD);
    let mut seen: Vec<_> = content
        .chunks(RECORD)
        .map(|record| {
            assert!(record.chunks(2).all(|number| number == &record[..2]), "a record is torn");
            u16::from_ne_bytes([record[0], record[1]])
        })
        .collect();
    seen.sort();
    assert!(seen.into_iter().eq(0..records as u16));
}

/// Not a whole page, so that they share some.
const RECORD: usize = 1000;

fn record(number: usize) -> Vec<u8> {
    (number as u16).to_ne_bytes().repeat(RECORD / 2)
}

/// Posts a record for each number, made a request by `of`.
fn writes_once(name: &str, appends: bool, of: impl Fn(Arc<File>, Vec<u8>) -> Request) {
    limit(120, || {
        each_driver(|channel| {
            let (_, path) = scratch(name);
            let file = OpenOptions::new().write(true).append(appends).open(&path).unwrap();
            let file = Arc::new(file);
            for round in 0..ROUNDS {
                let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
                let writes = numbers.map(|number| of(file.clone(), record(number))).collect();
                for event in come_of(&channel, writes) {
                    assert_eq!(event.result().unwrap(), RECORD);
                }
            }
            let content = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            each_once(&content, ROUNDS * AT_ONCE);
        })
    });
}

#[test]
fn writes_at_the_cursor_are_written_once() {
    writes_once("write", false, Request::write);
}

#[test]
fn writes_at_the_end_are_written_once() {
    writes_once("append", true, Request::write);
}

#[test]
fn what_is_written_at_a_position_and_appended_is_appended_once() {
    writes_once("append-at", true, |file, record| Request::write_at(file, record, 0));
}

#[test]
fn what_is_written_from_several_buffers_and_appended_is_appended_once() {
    writes_once("append-vectored", true, |file, record| {
        let (head, rest) = record.split_at(10);
        Request::write_at_vectored(file, vec![head.to_vec(), rest.to_vec()], 0)
    });
}

/// Blocks put in at the beginning of a file: one for each, where the file system can.
#[test]
fn blocks_that_are_put_in_are_put_in_once() {
    limit(120, || {
        each_driver(|channel| {
            let (file, path) = scratch("insert");
            std::fs::remove_file(path).unwrap();
            file.write_all_at(&[7; BLOCK], 0).unwrap();
            let file = Arc::new(file);
            for _ in 0..ROUNDS {
                let insert =
                    || Request::allocate(file.clone(), ec_channel::Allocation::Insert, 0, BLOCK as u64);
                channel.post(insert()).unwrap();
                if channel.get_event().unwrap().result().is_err() {
                    return ec_test_support::skipped("this file system puts in no blocks");
                }
                come_of(&channel, (1..AT_ONCE).map(|_| insert()).collect());
            }
            assert_eq!(file.metadata().unwrap().len(), ((ROUNDS * AT_ONCE + 1) * BLOCK) as u64);
        })
    });
}

/// A descriptor's number is another's as soon as it is closed: a second close would close that.
#[test]
fn descriptors_are_closed_once() {
    limit(120, || {
        each_driver(|channel| {
            for _ in 0..ROUNDS {
                let (mut readers, mut closes) = (Vec::new(), Vec::new());
                for _ in 0..AT_ONCE {
                    let (reader, writer) = std::io::pipe().unwrap();
                    readers.push(reader);
                    closes.push(Request::close(writer));
                }
                let early = std::thread::scope(|s| {
                    let poster = s.spawn(|| {
                        channel.post_all(closes).unwrap();
                        channel.get_event_timeout(Duration::ZERO).unwrap().is_some()
                    });
                    poster.join().unwrap()
                });
                // These have the numbers that are closed by and by.
                let mut others: Vec<OwnedFd> = Vec::new();
                for reader in &readers[usize::from(early)..] {
                    assert_eq!(channel.get_event().unwrap().failure(), None);
                    others.push(reader.try_clone().unwrap().into());
                }
                for reader in readers {
                    assert_eq!(std::io::read_to_string(reader).unwrap(), "");
                }
                for other in &others {
                    // SAFETY: no pointer is passed.
                    assert!(unsafe { libc::fcntl(other.as_raw_fd(), libc::F_GETFD) } >= 0, "{other:?}");
                }
            }
        })
    });
}

/// What waits in the ring for its descriptor, and is asked for again since its submitter has exited.
#[test]
fn writes_that_wait_for_a_pipe_arrive_once() {
    limit(120, || {
        each_driver(|channel| {
            let (reader, writer) = std::io::pipe().unwrap();
            let (mut reader, writer) = (File::from(OwnedFd::from(reader)), Arc::new(OwnedFd::from(writer)));
            // Nothing more goes in.
            let mut filled = 0;
            ec_channel::set_nonblocking(writer.as_fd(), true).unwrap();
            while let Ok(n) = File::from(writer.try_clone().unwrap()).write(&[0; BLOCK]) {
                filled += n;
            }
            ec_channel::set_nonblocking(writer.as_fd(), false).unwrap();
            let mut content = vec![0; ROUNDS * AT_ONCE * RECORD];
            std::thread::scope(|s| {
                for round in 0..ROUNDS {
                    let channel = &channel;
                    let writes = (round * AT_ONCE..(round + 1) * AT_ONCE)
                        .map(|number| Request::write(writer.clone(), record(number)))
                        .collect::<Vec<_>>();
                    s.spawn(move || {
                        channel.post_all(writes).unwrap();
                        assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
                    })
                    .join()
                    .unwrap();
                }
                s.spawn(|| {
                    reader.read_exact(&mut vec![0; filled]).unwrap();
                    reader.read_exact(&mut content).unwrap();
                });
                for _ in 0..ROUNDS * AT_ONCE {
                    assert_eq!(channel.get_event().unwrap().result().unwrap(), RECORD);
                }
            });
            each_once(&content, ROUNDS * AT_ONCE);
            ec_channel::set_nonblocking(reader.as_fd(), true).unwrap();
            assert!(reader.read(&mut [0]).is_err(), "there is more in the pipe");
        })
    });
}

/// Each of these reads takes one off the number.
#[test]
fn reads_that_wait_for_an_eventfd_take_from_it_once() {
    limit(120, || {
        each_driver(|channel| {
            // SAFETY: no pointer is passed, and the descriptor is new.
            let fd = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_SEMAPHORE)) };
            let eventfd = Arc::new(fd);
            const ALL: u64 = (ROUNDS * AT_ONCE) as u64;
            for _ in 0..ROUNDS {
                std::thread::scope(|s| {
                    s.spawn(|| {
                        let reads = (0..AT_ONCE).map(|_| Request::read(eventfd.clone(), room(8)));
                        channel.post_all(reads).unwrap();
                        assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
                    });
                });
            }
            let mut number = File::from(eventfd.try_clone().unwrap());
            number.write_all(&(ALL + 5).to_ne_bytes()).unwrap();
            for _ in 0..ALL {
                assert_eq!(channel.get_event().unwrap().buffer(), 1u64.to_ne_bytes());
            }
            ec_channel::set_nonblocking(eventfd.as_fd(), true).unwrap();
            let mut left = 0;
            while number.read(&mut [0; 8]).is_ok() {
                left += 1;
            }
            assert_eq!(left, 5);
        })
    });
}
