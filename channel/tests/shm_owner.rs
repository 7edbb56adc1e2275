//! The owner of a queue in shared memory: places given and given back, who connects, what is left when it goes.

mod common;

use common::shm::{all, full, poster, record, released, tend, until_gone};
use ec_channel::shm::{Poster, Queue, Reader, Role, Shape};
use ec_test_support::{alone, limit};
use ec_unkind as _;
use std::io::ErrorKind;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
        (0..4).for_each(|n| poster.post(&record(n)).unwrap());
        let late = poster.post_timeout(&record(4), Duration::ZERO).unwrap_err();
        assert_eq!(late.kind(), ErrorKind::ConnectionAborted);
        assert_eq!(poster.post(&record(4)).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert_eq!(all_until_the_end(&mut reader), [0, 1, 2, 3]);
    });
}

fn all_until_the_end(reader: &mut Reader) -> Vec<u64> {
    std::iter::from_fn(|| reader.take().ok().map(released)).collect()
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
