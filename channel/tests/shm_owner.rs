//! The owner of a queue in shared memory: places given and given back, who connects, what is left when it goes.

mod common;

use common::shm::{all, full, poster, record, released, tend, until_gone};
use ec_channel::shm::{Poster, Queue, Reader, Role, Shape};
use ec_test_support::{alone, in_child, limit, skipped, went_well};
use ec_unkind as _;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const SMALL: Shape = Shape { posters: 1, readers: 1, slots: 4, bytes: 20 };
const LONG: Duration = Duration::from_secs(600);

#[test]
fn without_its_owner_a_queue_ends_when_it_is_empty() {
    limit(20, || {
        let (queue, mut posters, mut readers) = full(Shape { readers: 2, ..SMALL });
        let (mut other, mut reader, poster) = (readers.remove(1), readers.remove(0), &mut posters[0]);
        poster.post(&record(1)).unwrap();
        let taken = reader.take().unwrap();
        std::thread::scope(|s| {
            let waits = s.spawn(move || other.take().map(released).unwrap_err().kind());
            std::thread::sleep(Duration::from_millis(20));
            drop(queue);
            assert_eq!(waits.join().unwrap(), ErrorKind::ConnectionAborted);
        });
        drop(taken);
        // (It was given back.)
        assert_eq!(released(reader.take().unwrap()), 1);
        assert_eq!(reader.take().unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(reader.take_timeout(Duration::ZERO).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(reader.take_timeout(LONG).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        // (There would be room.)
        let late = poster.post_timeout(&record(4), Duration::ZERO).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(poster.try_post(&record(4)).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(poster.post(&record(4)).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    });
}

/// Others have the socket, too: one changes its mode, and takes what has come; one shuts it down.
#[test]
fn whatever_others_do_to_a_listener_holds_up_nobody() {
    alone(20, || {
        let path = std::env::temp_dir().join(format!("ec-shm-mode-{}", std::process::id()));
        let _gone = common::AtEnd(|| _ = std::fs::remove_file(&path));
        let (mut queue, mut posters, mut readers) = full(Shape { readers: 2, ..SMALL });
        drop(readers.pop());
        until_gone(&mut queue, 1);
        let listener = UnixListener::bind(&path).unwrap();
        let elsewhere = listener.try_clone().unwrap();
        queue.listen(listener, Role::Reader).unwrap();
        elsewhere.set_nonblocking(false).unwrap();
        let stream = UnixStream::connect(&path).unwrap();
        queue.wait(None).unwrap();
        let another = Reader::attach(stream).unwrap();
        assert!(!ec_channel::nonblocking(elsewhere.as_fd()).unwrap(), "it is as others have set it");
        assert!(queue.trouble().is_none());
        socket2::SockRef::from(&elsewhere).shutdown(std::net::Shutdown::Both).unwrap();
        while queue.trouble().is_none() {
            queue.wait(None).unwrap();
        }
        // The rest goes on, and the owner does not spin.
        drop(another);
        until_gone(&mut queue, 1);
        let begun = Instant::now();
        assert_eq!(queue.wait(Some(Duration::from_millis(20))).unwrap(), 0);
        assert!(begun.elapsed() >= Duration::from_millis(20));
        posters[0].post(&record(1)).unwrap();
        assert_eq!(all(&mut readers[0]), [1]);
    });
}

/// As long as the process has no descriptor left whoever connects waits, all others are served, and the owner neither ends nor spins.
#[test]
fn a_want_of_descriptors_passes() {
    let name = "a_want_of_descriptors_passes";
    went_well(in_child(name, || {
        let path = std::env::temp_dir().join(format!("ec-shm-want-{}", std::process::id()));
        let _gone = common::AtEnd(|| _ = std::fs::remove_file(&path));
        let (mut queue, mut posters, mut readers) = full(Shape { readers: 2, ..SMALL });
        drop(readers.pop());
        until_gone(&mut queue, 1);
        queue.listen(UnixListener::bind(&path).unwrap(), Role::Reader).unwrap();
        let next = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 1024 };
        // SAFETY: a live limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
        next.connect(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
        let begun = Instant::now();
        for round in 0..20 {
            assert_eq!(queue.wait(None).unwrap(), 0);
            let trouble = queue.trouble().expect("nobody can be accepted");
            assert_eq!(trouble.raw_os_error(), Some(libc::EMFILE));
            posters[0].post(&record(round)).unwrap();
            assert_eq!(all(&mut readers[0]), [round]);
        }
        assert!(begun.elapsed() >= Duration::from_millis(100), "it waits a moment each time");
        let some = libc::rlimit { rlim_cur: 1024, ..none };
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &some) }, 0);
        while queue.members(Role::Reader) < 2 {
            queue.wait(None).unwrap();
        }
        Reader::attach(&next).unwrap();
        assert!(queue.trouble().is_none());
    }));
}

#[test]
fn where_a_process_has_no_descriptor_there_is_the_line() {
    let name = "where_a_process_has_no_descriptor_there_is_the_line";
    went_well(in_child(name, || {
        if !ec_test_support::refuse(&[libc::SYS_pidfd_open], libc::EPERM) {
            return skipped("no calls can be refused here");
        }
        let (mut queue, mut posters, mut readers) = full(SMALL);
        posters[0].post(&record(1)).unwrap();
        assert_eq!(all(&mut readers[0]), [1]);
        drop(readers);
        until_gone(&mut queue, 1);
        drop(queue);
        assert_eq!(posters[0].post(&record(2)).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    }));
}

#[test]
fn a_limit_to_the_sizes_of_files_is_an_error() {
    let name = "a_limit_to_the_sizes_of_files_is_an_error";
    went_well(in_child(name, || {
        let few = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
        // SAFETY: a live limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &few) }, 0);
        let error = Queue::create(Shape::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FileTooLarge, "{error}");
    }));
}

#[test]
fn places_are_given_while_there_are_some_and_again() {
    limit(20, || {
        let mut queue = Queue::create(SMALL).unwrap();
        assert_eq!((queue.members(Role::Poster), queue.members(Role::Reader)), (0, 0));
        let mut one = poster(&mut queue);
        one.post(&record(1)).unwrap();
        let (mine, theirs) = UnixStream::pair().unwrap();
        assert_eq!(queue.admit(&mine, Role::Poster).unwrap_err().kind(), ErrorKind::QuotaExceeded);
        drop(one);
        until_gone(&mut queue, 1);
        // What was posted stays, and a new poster goes on behind it.
        queue.admit(&mine, Role::Poster).unwrap();
        queue.admit(&mine, Role::Reader).unwrap();
        let mut one = Poster::attach(&theirs).unwrap();
        one.post(&record(2)).unwrap();
        let mut reader = Reader::attach(&theirs).unwrap();
        assert_eq!((queue.members(Role::Poster), queue.members(Role::Reader)), (1, 1));
        assert_eq!(all(&mut reader), [1, 2]);
        // Nobody has come to take it: it is given up with the stream.
        drop(reader);
        until_gone(&mut queue, 1);
        queue.admit(&mine, Role::Reader).unwrap();
        drop((mine, theirs));
        until_gone(&mut queue, 1);
        assert_eq!(queue.members(Role::Reader), 0);
    });
}

#[test]
fn a_queue_listens() {
    alone(20, || {
        let path = std::env::temp_dir().join(format!("ec-shm-{}", std::process::id()));
        let _gone = common::AtEnd(|| _ = std::fs::remove_file(&path));
        let mut queue = Queue::create(SMALL).unwrap();
        queue.listen(UnixListener::bind(&path).unwrap(), Role::Reader).unwrap();
        let mut poster = poster(&mut queue);
        poster.post(&record(3)).unwrap();
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| tend(&mut queue, &over));
            let _over = common::AtEnd(|| over.store(true, Ordering::SeqCst));
            let mut reader = Reader::attach(UnixStream::connect(&path).unwrap()).unwrap();
            assert_eq!(all(&mut reader), [3]);
            let refused = Reader::attach(UnixStream::connect(&path).unwrap()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        });
    });
}
