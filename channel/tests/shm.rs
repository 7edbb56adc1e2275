//! Queues in shared memory, as one process sees them: order, redelivery, nothing dropped, who waits and who is woken, descriptors.

mod common;

use common::shm::{full, of_two, reader, record, released, tend, until_gone};
use common::{drivers, each_driver};
use ec_channel::shm::{Poster, Queue, Reader, Record, Shape};
use ec_channel::{EventChannel, EventKind, Interest, Request};
use ec_test_support::{in_child, limit, skipped, went_well};
use ec_unkind as _;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SMALL: Shape = Shape { posters: 1, readers: 1, slots: 4, bytes: 20 };
const LONG: Duration = Duration::from_secs(600);

#[test]
fn records_come_as_they_were_posted_and_in_order() {
    limit(20, || {
        let (_queue, mut poster, mut reader) = of_two(SMALL);
        for n in 0..100u64 {
            let bytes = vec![n as u8; n as usize % 21];
            let record =
                Record { kind: 1 << 31, token: u64::MAX - n, result: -2, bytes: &bytes, descriptor: None };
            poster.post(&record).unwrap();
            poster.post(&Record { result: i32::MAX, ..record }).unwrap();
            let taken = reader.take().unwrap();
            assert_eq!((taken.kind(), taken.token(), taken.bytes()), (1 << 31, u64::MAX - n, &bytes[..]));
            assert_eq!(taken.result().unwrap_err().kind(), ErrorKind::NotFound);
            assert!(!taken.redelivered());
            let second = reader.take().unwrap();
            assert_eq!(second.result().unwrap(), i32::MAX as usize);
            if n == 0 {
                // As an event's.
                poster.post(&Record { result: -libc::ETIME, ..record }).unwrap();
                let third = reader.take().unwrap();
                assert_eq!(third.result().unwrap_err().kind(), ErrorKind::TimedOut);
                third.release().unwrap();
            }
            // In any order.
            second.release().unwrap();
            taken.release().unwrap();
        }
        assert!(reader.try_take().unwrap().is_none());
    });
}

#[test]
fn where_there_is_no_such_memory_the_error_says_so() {
    let name = "where_there_is_no_such_memory_the_error_says_so";
    went_well(in_child(name, || {
        if !ec_test_support::refuse(&[libc::SYS_memfd_create], libc::EPERM) {
            return skipped("no calls can be refused here");
        }
        let error = Queue::create(SMALL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("memfd_create"), "{error}");
    }));
}

/// The kernel puts credentials before the descriptors, and makes a pidfd for each message.
#[test]
fn what_the_socket_tells_beside_takes_no_descriptor_s_room() {
    went_well(in_child("what_the_socket_tells_beside_takes_no_descriptor_s_room", || {
        const SO_PASSPIDFD: i32 = 76;
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let attach = || {
            let mut queue = Queue::create(SMALL).unwrap();
            let (mine, theirs) = UnixStream::pair().unwrap();
            for option in [libc::SO_PASSCRED, SO_PASSPIDFD] {
                let value = 1i32;
                // SAFETY: a live int, with its length. (SO_PASSPIDFD is Linux 6.5's.)
                unsafe {
                    let (fd, len) = (theirs.as_fd().as_raw_fd(), size_of::<i32>() as libc::socklen_t);
                    libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast(), len)
                };
            }
            queue.admit(mine, ec_channel::shm::Role::Poster).unwrap();
            Poster::attach(theirs).unwrap().post(&record(1)).unwrap();
        };
        let before = descriptors();
        attach();
        // (They are closed by another thread.)
        while descriptors() > before {
            std::thread::yield_now();
        }
    }));
}

#[test]
fn members_may_go_to_other_threads() {
    fn may<T: Send + Sync>() {}
    may::<(Queue, Poster, Reader, ec_channel::shm::Taken)>();
}

#[test]
fn an_event_is_posted_as_it_is() {
    limit(20, || {
        let (_queue, mut poster, mut reader) = of_two(SMALL);
        let channel = EventChannel::new().unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        channel.post(Request::recv(near, Vec::with_capacity(20)).token(5)).unwrap();
        far.write_all(b"some bytes").unwrap();
        let event = channel.get_event().unwrap();
        poster.post(&Record::from(&event)).unwrap();
        let taken = reader.take().unwrap();
        assert_eq!((taken.kind(), taken.token()), (EventKind::Recv as u32, 5));
        assert_eq!((taken.result().unwrap(), taken.bytes()), (10, &b"some bytes"[..]));
    });
}

#[test]
fn what_is_not_released_comes_again_first_and_marked() {
    limit(20, || {
        let shape = Shape { readers: 2, ..SMALL };
        let (mut queue, mut posters, mut readers) = full(shape);
        let mut other = readers.pop().unwrap();
        let mut one = readers.pop().unwrap();
        // (Through all laps that matter.)
        for round in 0..20 {
            (0..4).for_each(|n| posters[0].post(&record(n)).unwrap());
            let (zero, first, second) = (one.take().unwrap(), one.take().unwrap(), one.take().unwrap());
            assert_eq!((zero.token(), first.token(), second.token()), (0, 1, 2));
            first.release().unwrap();
            drop(second);
            let again = other.take().unwrap();
            assert!(again.token() == 2 && again.redelivered() && again.poster() == 0);
            again.release().unwrap();
            if round % 2 == 0 {
                // As if the process had gone.
                drop(zero);
                drop(one);
                until_gone(&mut queue, 1);
                one = reader(&mut queue);
            } else {
                drop(zero);
            }
            let again = other.take().unwrap();
            assert!(again.token() == 0 && again.redelivered());
            again.release().unwrap();
            let last = other.take().unwrap();
            assert!(last.token() == 3 && !last.redelivered());
            last.release().unwrap();
            assert!(one.try_take().unwrap().is_none());
        }
    });
}

#[test]
fn a_full_queue_refuses_or_waits_and_drops_nothing() {
    limit(20, || {
        let (_queue, mut poster, mut reader) = of_two(SMALL);
        (0..4).for_each(|n| poster.post(&record(n)).unwrap());
        assert_eq!(poster.try_post(&record(9)).unwrap_err().kind(), ErrorKind::WouldBlock);
        let soon = Duration::from_millis(10);
        assert_eq!(poster.post_timeout(&record(9), soon).unwrap_err().kind(), ErrorKind::TimedOut);
        let long = Record { bytes: &[0; 21], ..record(9) };
        assert_eq!(poster.post(&long).unwrap_err().kind(), ErrorKind::InvalidInput);
        let taken = reader.take().unwrap();
        // Taken is not released.
        assert_eq!(poster.try_post(&record(9)).unwrap_err().kind(), ErrorKind::WouldBlock);
        taken.release().unwrap();
        poster.try_post(&record(4)).unwrap();
        std::thread::scope(|s| {
            s.spawn(|| (5..2000).for_each(|n| poster.post(&record(n)).unwrap()));
            for n in 1..2000 {
                assert_eq!(released(reader.take().unwrap()), n);
            }
        });
        assert!(reader.try_take().unwrap().is_none());
    });
}

#[test]
fn who_waits_is_woken_and_each_record_comes_to_one() {
    limit(60, || {
        let shape = Shape { posters: 3, readers: 3, ..SMALL };
        let (_queue, posters, readers) = full(shape);
        let each = 3000u64;
        let taken: Vec<Vec<(usize, u64)>> = std::thread::scope(|s| {
            for mut poster in posters {
                s.spawn(move || {
                    (0..each).for_each(|n| poster.post_timeout(&record(n), LONG).unwrap());
                    poster.post(&record(u64::MAX)).unwrap();
                    // It has to be there until all has been taken: its place is not to be had again.
                    poster
                });
            }
            let readers: Vec<_> = readers
                .into_iter()
                .map(|mut reader| {
                    s.spawn(move || {
                        let mut mine = Vec::new();
                        loop {
                            let taken = reader.take().unwrap();
                            let (lane, token) = (taken.poster(), released(taken));
                            // Each poster's last one ends one reader.
                            if token == u64::MAX {
                                return mine;
                            }
                            mine.push((lane, token));
                        }
                    })
                })
                .collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        for lane in 0..3 {
            let of_lane = |mine: &Vec<(usize, u64)>| -> Vec<u64> {
                mine.iter().filter(|(of, _)| *of == lane).map(|(_, token)| *token).collect()
            };
            assert!(taken.iter().all(|mine| of_lane(mine).is_sorted()));
            let mut all: Vec<_> = taken.iter().flat_map(of_lane).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..each));
        }
    });
}

/// Who is called for a record, and does not take it, calls another one.
#[test]
fn a_call_is_handed_on_by_who_leaves() {
    limit(20, || {
        let (_queue, mut posters, mut readers) = full(Shape { readers: 2, ..SMALL });
        let (mut last, mut first) = (readers.pop().unwrap(), readers.pop().unwrap());
        assert!(first.try_take().unwrap().is_none());
        std::thread::scope(|s| {
            let waits = s.spawn(move || last.take().map(released).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            // The one with the lower number is called; it goes.
            posters[0].post(&record(1)).unwrap();
            drop(first);
            assert_eq!(waits.join().unwrap(), 1);
        });
    });
}

#[test]
fn a_time_limit_ends_a_wait_and_nothing_is_lost_by_that() {
    limit(20, || {
        let (_queue, mut poster, mut reader) = of_two(SMALL);
        let begun = Instant::now();
        assert!(reader.take_timeout(Duration::from_millis(10)).unwrap().is_none());
        assert!(begun.elapsed() >= Duration::from_millis(10));
        std::thread::scope(|s| {
            s.spawn(move || (0..300).for_each(|n| poster.post(&record(n)).unwrap()));
            let mut next = 0;
            while next < 300 {
                if let Some(taken) = reader.take_timeout(Duration::from_micros(next % 3)).unwrap() {
                    assert_eq!(released(taken), next);
                    next += 1;
                }
            }
        });
    });
}

fn pipe() -> (File, File) {
    let (end, other) = std::io::pipe().unwrap();
    (File::from(std::os::fd::OwnedFd::from(end)), File::from(std::os::fd::OwnedFd::from(other)))
}

#[test]
fn a_descriptor_comes_with_its_record_again_if_need_be_and_is_closed_with_it() {
    limit(20, || {
        let (mut queue, posters, mut readers) = full(Shape { readers: 2, ..SMALL });
        let (mut other, mut one) = (readers.pop().unwrap(), readers.pop().unwrap());
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| tend(&mut queue, &over));
            let _over = common::AtEnd(|| over.store(true, Ordering::SeqCst));
            let mut ends = Vec::new();
            for mut poster in posters {
                for n in 0..3 {
                    let (reads, writes) = pipe();
                    poster.post(&Record { descriptor: Some(writes.as_fd()), ..record(n) }).unwrap();
                    ends.push(reads);
                }
                poster.post(&record(3)).unwrap();
                // It is gone before anybody takes.
            }
            for (n, end) in ends.iter_mut().enumerate() {
                let mut taken = one.take().unwrap();
                assert_eq!(taken.token(), n as u64);
                assert!(taken.take_descriptor().unwrap().is_some());
                assert_eq!(taken.take_descriptor().unwrap_err().kind(), ErrorKind::NotFound);
                drop(taken);
                let mut taken = other.take().unwrap();
                assert!(taken.redelivered() && taken.token() == n as u64);
                let mut writes = File::from(taken.take_descriptor().unwrap().unwrap());
                writes.write_all(b"through the queue").unwrap();
                drop(writes);
                taken.release().unwrap();
                // To its end: nobody has it open any more.
                let mut text = String::new();
                end.read_to_string(&mut text).unwrap();
                assert_eq!(text, "through the queue");
            }
            let mut last = one.take().unwrap();
            assert!(last.token() == 3 && last.take_descriptor().unwrap().is_none());
        });
    });
}

#[test]
fn a_channel_waits_for_readers_and_posters_and_for_the_owner() {
    limit(60, || {
        each_driver(|channel| {
            let (mut queue, mut poster, mut reader) = of_two(SMALL);
            let (to_read, to_post) = (reader.descriptor().unwrap(), poster.descriptor().unwrap());
            let ready = |source| Request::readiness(source, Interest::READABLE);
            // Three parties on one thread.
            channel.post(ready(queue.descriptor()).token(0)).unwrap();
            channel.post(Request::notification().token(1)).unwrap();
            channel.post(Request::notification().token(2)).unwrap();
            let (_, sent) = pipe();
            let (mut next, mut came, mut owner) = (0, 0, 0);
            while came < 100 {
                match channel.get_event().unwrap().token() {
                    0 => {
                        owner += 1;
                        queue.tend().unwrap();
                        channel.post(ready(queue.descriptor()).token(0)).unwrap();
                    }
                    1 => {
                        while next < 100 {
                            let descriptor = (next % 10 == 0).then_some(sent.as_fd());
                            match poster.try_post(&Record { descriptor, ..record(next) }) {
                                Ok(()) => next += 1,
                                Err(e) => {
                                    assert_eq!(e.kind(), ErrorKind::WouldBlock);
                                    break;
                                }
                            }
                        }
                        if next < 100 {
                            channel.post(ready(to_post.clone()).token(1)).unwrap();
                        }
                    }
                    _ => {
                        while let Some(mut taken) = reader.try_take().unwrap() {
                            assert_eq!(taken.take_descriptor().unwrap().is_some(), came % 10 == 0);
                            assert_eq!(released(taken), came);
                            came += 1;
                        }
                        channel.post(ready(to_read.clone()).token(2)).unwrap();
                    }
                }
            }
            assert!(owner > 0);
        });
        assert!(!drivers().is_empty());
    });
}
