//! Descriptors of records where something is short: the room of a line, numbers in flight; and what else somebody has asked a socket for.

mod common;

use common::shm::{full, of_two, record, tend};
use ec_channel::shm::{Record, Role, Shape};
use ec_test_support::{alone, descriptors_of, in_child, skipped, went_well};
use ec_unkind as _;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

// (One at a time: all have the same user's descriptors in flight.)

/// More are released than the owner can be told of while it is busy.
#[test]
fn what_is_released_is_closed_also_if_the_owner_could_not_be_told() {
    alone(60, || {
        let shape = Shape { slots: 512, bytes: 0, ..Shape::default() };
        let (mut queue, mut poster, mut reader) = of_two(shape);
        let (mut end, writes) = std::io::pipe().unwrap();
        let mut held = Vec::new();
        for n in 0..400 {
            poster.post(&Record { descriptor: Some(writes.as_fd()), ..record(n) }).unwrap();
            assert!(reader.try_take().unwrap().is_none());
            queue.wait(None).unwrap();
            let mut taken = reader.take().unwrap();
            taken.take_descriptor().unwrap().unwrap();
            held.push(taken);
        }
        drop(writes);
        held.into_iter().for_each(|taken| taken.release().unwrap());
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| tend(&mut queue, &over));
            let _over = common::AtEnd(|| over.store(true, Ordering::SeqCst));
            assert_eq!(end.read(&mut [0]).unwrap(), 0, "nobody has it open any more");
        });
    });
}

/// A message with copies of this descriptor, so that as many are in flight.
fn send_copies(to: &Socket, of: BorrowedFd<'_>) -> std::io::Result<()> {
    const MANY: usize = 50;
    let numbers = [of.as_raw_fd(); MANY];
    let mut room = [0u64; 40];
    let mut part = libc::iovec { iov_base: room.as_ptr().cast_mut().cast(), iov_len: 1 };
    // SAFETY: all that the message points to lives as long as the call, and there is room for one header with so many numbers.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        (message.msg_iov, message.msg_iovlen) = (&mut part, 1);
        let length = size_of_val(&numbers) as u32;
        assert!(libc::CMSG_SPACE(length) as usize <= size_of_val(&room));
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(length) as _;
        let control = libc::CMSG_FIRSTHDR(&message);
        (*control).cmsg_level = libc::SOL_SOCKET;
        (*control).cmsg_type = libc::SCM_RIGHTS;
        (*control).cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_DATA(control).cast::<[i32; MANY]>().write_unaligned(numbers);
        libc::sendmsg(to.as_raw_fd(), &message, libc::MSG_DONTWAIT)
    };
    if sent < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Others of this user have too many in flight: who asks for one waits, and nobody is sent away.
#[test]
fn a_descriptor_that_cannot_be_sent_now_is_sent_later() {
    let name = "a_descriptor_that_cannot_be_sent_now_is_sent_later";
    alone(100, || {
        went_well(in_child(name, || {
            let (mut queue, mut poster, mut reader) = of_two(Shape::default());
            let null = File::open("/dev/null").unwrap();
            poster.post(&Record { descriptor: Some(null.as_fd()), ..record(1) }).unwrap();
            queue.wait(None).unwrap();
            let few = libc::rlimit { rlim_cur: 100, rlim_max: 100 };
            // SAFETY: no pointer is passed.
            let may_be_anybody = unsafe { libc::getuid() } == 0;
            // SAFETY: no pointer but to a live limit. (By the call itself, for this thread: it is what counts here.)
            unsafe {
                if may_be_anybody {
                    // One that nobody else is.
                    let id = 1_000_000 + libc::c_long::from(libc::getpid());
                    assert_eq!(libc::syscall(libc::SYS_setresuid, id, id, id), 0);
                }
                assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &few), 0);
            }
            let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
            let full = (0..100).find_map(|_| send_copies(&near, null.as_fd()).err());
            if full.is_none_or(|e| e.raw_os_error() != Some(libc::ETOOMANYREFS)) {
                return skipped("this user may have any number of descriptors in flight");
            }
            let begun = Instant::now();
            for _ in 0..3 {
                assert!(reader.try_take().unwrap().is_none());
                assert_eq!(queue.wait(None).unwrap(), 0);
                let trouble = queue.trouble();
                if trouble.is_none() && !may_be_anybody {
                    return skipped("others of this user have fewer descriptors in flight than a moment ago");
                }
                assert_eq!(trouble.and_then(|e| e.raw_os_error()), Some(libc::ETOOMANYREFS));
            }
            drop((near, far));
            let mut taken = loop {
                match reader.try_take().unwrap() {
                    Some(taken) => break taken,
                    None => assert_eq!(queue.wait(None).unwrap(), 0),
                }
            };
            // (After two seconds it counts as lost.)
            assert!(taken.take_descriptor().is_ok() || begun.elapsed() > Duration::from_secs(2));
            assert_eq!(queue.members(Role::Reader), 1);
        }))
    });
}

/// Somebody has the system tell who sends, by a descriptor each time.
#[test]
fn what_else_comes_with_a_message_is_closed() {
    const SO_PASSPIDFD: i32 = 76;
    let name = "what_else_comes_with_a_message_is_closed";
    alone(100, || {
        went_well(in_child(name, || {
            let (mut queue, mut posters, mut readers) = full(Shape::default());
            let (poster, reader) = (&mut posters[0], &mut readers[0]);
            queue.wait(None).unwrap();
            for socket in descriptors_of(&["socket:"]).into_iter().filter(|fd| *fd > 2) {
                let on = 1i32;
                // SAFETY: a live int.
                let set = unsafe {
                    libc::setsockopt(socket, libc::SOL_SOCKET, SO_PASSPIDFD, (&raw const on).cast(), 4)
                };
                if set != 0 {
                    return skipped("the system tells nobody by a descriptor who sends");
                }
            }
            let null = File::open("/dev/null").unwrap();
            let before = descriptors_of(&["pidfd"]);
            for n in 0..20 {
                poster.post(&Record { descriptor: Some(null.as_fd()), ..record(n) }).unwrap();
                assert!(reader.try_take().unwrap().is_none());
                queue.wait(None).unwrap();
                let mut taken = reader.take().unwrap();
                assert!(taken.take_descriptor().unwrap().is_some());
                taken.release().unwrap();
            }
            assert_eq!(descriptors_of(&["pidfd"]), before);
        }))
    });
}
