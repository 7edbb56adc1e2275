//! Queues in shared memory between processes: a counter passed back and forth, members that are killed wherever they are, one that means ill.

mod common;

use common::shm::{all, of_two, poster, reader, record, released, until_gone};
use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape};
use ec_test_support::{alone, this_test_again};
use ec_unkind as _;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::Duration;

const SMALL: Shape = Shape { posters: 1, readers: 1, slots: 4, bytes: 16 };

/// The test program again, for the other process of this test; its end of the stream is its standard input. `None`: this is that process.
fn another_process(name: &str) -> Option<(Child, UnixStream)> {
    let mut again = this_test_again(name)?;
    let (mine, theirs) = UnixStream::pair().unwrap();
    let child = again.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).spawn().unwrap();
    Some((child, mine))
}

fn ends_well(mut child: Child) {
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}

/// A million; in a debug build 50,000. `EC_SHM_ROUNDS` says how many.
fn rounds() -> u64 {
    let wanted = std::env::var("EC_SHM_ROUNDS").ok().map(|n| n.parse().expect("a number"));
    wanted.unwrap_or(if cfg!(debug_assertions) { 50_000 } else { 1_000_000 })
}

#[test]
fn a_counter_goes_back_and_forth_between_two_processes() {
    let name = "a_counter_goes_back_and_forth_between_two_processes";
    alone(300, || {
        let Some((child, stream)) = another_process(name) else {
            let stdin = std::io::stdin();
            let mut comes = Reader::attach(stdin.as_fd()).unwrap();
            let mut goes = Poster::attach(stdin.as_fd()).unwrap();
            for _ in 0..rounds() {
                let taken = comes.take().unwrap();
                let token = taken.token() + 1;
                goes.post(&record(token)).unwrap();
                taken.release().unwrap();
            }
            return;
        };
        let (mut there, mut back) = (Queue::create(SMALL).unwrap(), Queue::create(SMALL).unwrap());
        let (mut goes, mut comes) = (poster(&mut there), reader(&mut back));
        there.admit(&stream, Role::Reader).unwrap();
        back.admit(&stream, Role::Poster).unwrap();
        drop(stream);
        let mut counter = 0;
        for _ in 0..rounds() {
            goes.post(&record(counter)).unwrap();
            let taken = comes.take().unwrap();
            assert!(taken.token() == counter + 1 && !taken.redelivered());
            counter += 2;
            taken.release().unwrap();
        }
        ends_well(child);
        until_gone(&mut there, 1);
    });
}

#[test]
fn what_a_process_had_taken_that_is_killed_comes_again() {
    let name = "what_a_process_had_taken_that_is_killed_comes_again";
    alone(60, || {
        let Some((mut child, mut stream)) = another_process(name) else {
            let stdin = std::io::stdin();
            let mut reader = Reader::attach(stdin.as_fd()).unwrap();
            let first = reader.take().unwrap();
            assert_eq!(first.token(), 0);
            let second = reader.take().unwrap();
            first.release().unwrap();
            // It has children of its own, which live on, with all that it has.
            let mut stream = UnixStream::from(stdin.as_fd().try_clone_to_owned().unwrap());
            for forks in [fork, fork_unseen] {
                stream.write_all(&waiting(forks).to_ne_bytes()).unwrap();
            }
            // SAFETY: waits to be killed.
            unsafe { libc::pause() };
            drop(second);
            return;
        };
        let (mut queue, mut posters, mut readers) = common::shm::full(SMALL_FOR_TWO);
        drop(readers.remove(0));
        until_gone(&mut queue, 1);
        (0..4).for_each(|n| posters[0].post(&record(n)).unwrap());
        queue.admit(&stream, Role::Reader).unwrap();
        let _ended = [(); 2].map(|()| {
            let mut pid = [0; 4];
            stream.read_exact(&mut pid).unwrap();
            Grandchild(i32::from_ne_bytes(pid))
        });
        assert_eq!(queue.tend().unwrap(), 0);
        child.kill().unwrap();
        child.wait().unwrap();
        // (Its children live.)
        until_gone(&mut queue, 1);
        let again = readers[0].take().unwrap();
        assert!(again.token() == 1 && again.redelivered());
        again.release().unwrap();
        assert_eq!(all(&mut readers[0]), [2, 3]);
    });
}

/// One that waits to be killed.
fn waiting(fork: fn() -> i32) -> i32 {
    match fork() {
        0 => loop {
            // SAFETY: no pointer is passed.
            unsafe { libc::pause() };
        },
        child => {
            assert!(child > 0);
            child
        }
    }
}

fn fork() -> i32 {
    // SAFETY: the child makes system calls.
    unsafe { libc::fork() }
}

/// No handler runs in the child: as if it had been forked by another thread, just when a descriptor was there and nobody had noted it yet.
fn fork_unseen() -> i32 {
    let nothing = 0 as libc::c_long;
    // SAFETY: as fork(2): without flags, nor a stack, there is no pointer.
    unsafe {
        libc::syscall(libc::SYS_clone, libc::c_long::from(libc::SIGCHLD), nothing, nothing, nothing, nothing)
            as i32
    }
}

struct Grandchild(i32);

impl Drop for Grandchild {
    fn drop(&mut self) {
        // SAFETY: it waits for that. (It is waited for, if it is this process's own.)
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// Children that have copies of all that there is: who goes is heard by the others.
#[test]
fn who_leaves_is_noticed_whoever_has_copies_of_the_line() {
    alone(60, || {
        let (mut queue, posts, takes) = of_two(SMALL);
        let _copies = Grandchild(waiting(fork_unseen));
        drop(posts);
        until_gone(&mut queue, 1);
        drop(takes);
        until_gone(&mut queue, 1);
        let (mut posts, mut takes) = (poster(&mut queue), reader(&mut queue));
        let _more = Grandchild(waiting(fork_unseen));
        drop(queue);
        assert_eq!(takes.take().map(drop).map_err(|e| e.kind()), Err(ErrorKind::ConnectionAborted));
        assert_eq!(posts.post(&record(1)).map_err(|e| e.kind()), Err(ErrorKind::ConnectionAborted));
    });
}

#[test]
fn an_owner_that_is_killed_is_noticed_whoever_has_copies_of_the_lines() {
    let name = "an_owner_that_is_killed_is_noticed_whoever_has_copies_of_the_lines";
    alone(60, || {
        let Some((mut child, mut stream)) = another_process(name) else {
            let stdin = std::io::stdin();
            let mut queue = Queue::create(Shape { posters: 2, ..SMALL }).unwrap();
            for role in [Role::Poster, Role::Poster, Role::Reader] {
                queue.admit(stdin.as_fd(), role).unwrap();
            }
            let mut stream = UnixStream::from(stdin.as_fd().try_clone_to_owned().unwrap());
            // (Its members have come.)
            stream.read_exact(&mut [0]).unwrap();
            let copies = waiting(fork_unseen);
            stream.write_all(&copies.to_ne_bytes()).unwrap();
            waiting(|| 0);
            return;
        };
        let mut poster = Poster::attach(&stream).unwrap();
        let _idle = Poster::attach(&stream).unwrap();
        let mut reader = Reader::attach(&stream).unwrap();
        stream.write_all(&[0]).unwrap();
        let mut pid = [0; 4];
        stream.read_exact(&mut pid).unwrap();
        let _copies = Grandchild(i32::from_ne_bytes(pid));
        poster.post(&record(1)).unwrap();
        assert_eq!(all(&mut reader), [1]);
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody has noticed.
        poster.post(&record(2)).unwrap();
        assert_eq!(reader.take().map(released).unwrap(), 2);
        assert_eq!(reader.take().map(drop).map_err(|e| e.kind()), Err(ErrorKind::ConnectionAborted));
        // One has.
        assert_eq!(poster.try_post(&record(3)).map_err(|e| e.kind()), Err(ErrorKind::ConnectionAborted));
    });
}

const SMALL_FOR_TWO: Shape = Shape { readers: 2, ..SMALL };

#[test]
fn one_that_ends_without_a_word_gives_its_place_back() {
    alone(60, || {
        let name = "one_that_ends_without_a_word_gives_its_place_back";
        let Some((child, stream)) = another_process(name) else {
            let stdin = std::io::stdin();
            let mut poster = Poster::attach(stdin.as_fd()).unwrap();
            poster.post(&Record { bytes: b"once", ..record(1) }).unwrap();
            // SAFETY: ends the process, with no destructor.
            unsafe { libc::_exit(0) };
        };
        let mut queue = Queue::create(SMALL).unwrap();
        queue.admit(&stream, Role::Poster).unwrap();
        until_gone(&mut queue, 1);
        ends_well(child);
        let mut poster = poster(&mut queue);
        poster.post(&record(2)).unwrap();
        let mut reader = reader(&mut queue);
        let taken = reader.take().unwrap();
        assert_eq!(taken.bytes(), b"once");
        assert_eq!(released(taken), 1);
        assert_eq!(all(&mut reader), [2]);
    });
}

/// All of it is refused, and nothing of the parent's is touched.
#[test]
fn a_forked_child_is_refused() {
    alone(60, || {
        let (mut queue, mut poster, mut reader) = of_two(SMALL);
        (0..3).for_each(|n| poster.post(&record(n)).unwrap());
        let (taken, other) = (reader.take().unwrap(), reader.take().unwrap());
        // SAFETY: the child makes calls that are refused, and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let (stream, _far) = UnixStream::pair().unwrap();
            let refused = poster.try_post(&record(9)).is_err()
                && reader.try_take().is_err()
                && reader.take().is_err()
                && queue.tend().is_err()
                && queue.wait(None).is_err()
                && queue.admit(&stream, Role::Reader).is_err()
                && Queue::create(SMALL).is_err()
                && Reader::attach(&stream).is_err()
                && reader.descriptor().is_err()
                && taken.release().is_err();
            drop((other, reader, poster, queue));
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!refused)) };
        }
        let mut status = 0;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "11: a fault; 256: not refused");
        assert_eq!(queue.tend().unwrap(), 0);
        assert_eq!((released(taken), released(other)), (0, 1));
        assert_eq!(reader.take_timeout(Duration::ZERO).unwrap().map(released), Some(2));
        assert_eq!(all(&mut reader), []);
        assert_eq!(
            poster.post_timeout(&record(4), Duration::ZERO).map_err(|e| e.kind()),
            Ok::<(), ErrorKind>(())
        );
    });
}
