//! Those who mean ill, one trick at a time. (At random: `channel/tests/shm_hostile.rs`.)

use super::lane::{self, Memory};
use super::member::{Note, Ticket};
use super::memory::{self, Region};
use super::shape::Layout;
use super::wire;
use super::word::{Member, State, Word};
use super::{Poster, Queue, Reader, Record, Role, Shape};
use crate::sync::Ordering;
use ec_test_support::limit;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

mod outside;

const SHAPE: Shape = Shape { posters: 1, readers: 1, slots: 4, bytes: 16 };

fn of_two() -> (Queue, Poster, Reader) {
    let mut queue = Queue::create(SHAPE).unwrap();
    let (mine, theirs) = UnixStream::pair().unwrap();
    queue.admit(&mine, Role::Poster).unwrap();
    queue.admit(&mine, Role::Reader).unwrap();
    let (poster, reader) = (Poster::attach(&theirs).unwrap(), Reader::attach(&theirs).unwrap());
    (queue, poster, reader)
}

fn record(token: u64) -> Record<'static> {
    Record { token, ..Record::default() }
}

fn new_file(flags: libc::c_uint, size: u64) -> io::Result<OwnedFd> {
    // SAFETY: a string of C's; the descriptor is new and ours.
    #[allow(unsafe_code)]
    let fd = unsafe {
        match libc::memfd_create(c"test".as_ptr(), flags | libc::MFD_CLOEXEC) {
            fd if fd < 0 => return Err(io::Error::last_os_error()),
            fd => OwnedFd::from_raw_fd(fd),
        }
    };
    File::from(fd.try_clone()?).set_len(size)?;
    Ok(fd)
}

fn seal(fd: &OwnedFd, seals: i32) {
    // SAFETY: no pointer is passed.
    #[allow(unsafe_code)]
    let sealed = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    assert_eq!(sealed, 0);
}

const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

/// What comes of a reader that is given this.
fn attached(ticket: &[u8], descriptors: &[BorrowedFd<'_>]) -> ErrorKind {
    let (mine, theirs) = UnixStream::pair().unwrap();
    wire::send(mine.as_fd(), ticket, descriptors).unwrap();
    Reader::attach(theirs).unwrap_err().kind()
}

#[test]
fn an_owner_that_means_ill_gives_nothing_that_is_used() {
    limit(20, || {
        let layout = Layout::new(SHAPE).unwrap();
        let member = Member { index: 1, generation: 0 };
        let ticket = Ticket { member, shape: SHAPE }.pack();
        let (memory, _region) = memory::create(layout).unwrap();
        let (end, _other) = wire::pair().unwrap();
        let with = |memory: &dyn AsFd| {
            attached(&ticket, &[memory.as_fd(), end.as_fd(), end.as_fd(), end.as_fd(), end.as_fd()])
        };
        let (mine, theirs) = UnixStream::pair().unwrap();
        let all = [memory.as_fd(), end.as_fd(), end.as_fd(), end.as_fd(), end.as_fd()];
        wire::send(mine.as_fd(), &ticket, &all).unwrap();
        Reader::attach(theirs).expect("the test itself is right");

        let size = layout.size as u64;
        let open = new_file(libc::MFD_ALLOW_SEALING, size).unwrap();
        assert_eq!(with(&open), ErrorKind::InvalidData, "not sealed");
        seal(&open, libc::F_SEAL_SHRINK | libc::F_SEAL_GROW);
        assert_eq!(with(&open), ErrorKind::InvalidData, "seals may be added");
        for wrong in [0, size - 64, size + 64] {
            let other = new_file(libc::MFD_ALLOW_SEALING, wrong).unwrap();
            seal(&other, SEALS);
            assert_eq!(with(&other), ErrorKind::InvalidData, "of {wrong} bytes");
        }
        let fixed = new_file(libc::MFD_ALLOW_SEALING, size).unwrap();
        seal(&fixed, SEALS | libc::F_SEAL_WRITE);
        assert_eq!(with(&fixed), ErrorKind::PermissionDenied, "not to be written to");
        let large = new_file(libc::MFD_ALLOW_SEALING | libc::MFD_HUGETLB, 0);
        match large.and_then(|fd| File::from(fd.try_clone()?).set_len(1 << 30).map(|()| fd)) {
            Ok(fd) => {
                seal(&fd, SEALS);
                assert_eq!(with(&fd), ErrorKind::InvalidData, "of pages that may not be there");
            }
            Err(e) => ec_test_support::skipped(&format!("no memory of huge pages: {e}")),
        }
        assert_eq!(with(&end), ErrorKind::InvalidData, "no memory");

        let pipe = io::pipe().unwrap();
        let (stream, _far) = UnixStream::pair().unwrap();
        for wrong in [pipe.1.as_fd(), stream.as_fd(), memory.as_fd()] {
            for at in 1..all.len() {
                let mut descriptors = all;
                descriptors[at] = wrong;
                assert_eq!(attached(&ticket, &descriptors), ErrorKind::InvalidData, "no bell");
            }
        }
        for many in 0..all.len() {
            assert_eq!(attached(&ticket, &all[..many]), ErrorKind::InvalidData, "too few");
        }
        let more = vec![end.as_fd(); 200];
        assert_eq!(attached(&ticket, &more), ErrorKind::InvalidData, "too many");
        assert_eq!(attached(&ticket[1..], &all), ErrorKind::InvalidData);
        assert_eq!(attached(b"x", &all), ErrorKind::InvalidData);
        let of = |index, shape| Ticket { member: Member { index, generation: 0 }, shape }.pack();
        assert_eq!(attached(&of(0, SHAPE), &all), ErrorKind::InvalidData, "a poster's place");
        assert_eq!(attached(&of(2, SHAPE), &all), ErrorKind::InvalidData, "no place");
        let huge = Shape { slots: 1 << 40, bytes: usize::MAX, ..SHAPE };
        assert_eq!(attached(&of(1, huge), &all), ErrorKind::InvalidInput);
        let (mine, theirs) = UnixStream::pair().unwrap();
        drop(mine);
        assert_eq!(Reader::attach(theirs).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_word_or_a_length_that_cannot_be_is_an_error_and_the_rest_goes_on() {
    limit(20, || {
        let mut queue = Queue::create(Shape { posters: 2, ..SHAPE }).unwrap();
        let (mine, theirs) = UnixStream::pair().unwrap();
        for role in [Role::Poster, Role::Poster, Role::Reader] {
            queue.admit(&mine, role).unwrap();
        }
        let [mut bad, mut good] = [(); 2].map(|()| Poster::attach(&theirs).unwrap());
        let mut reader = Reader::attach(&theirs).unwrap();
        let kind = |error: io::Error| error.kind();
        // (Mapped once more, as another process does.)
        let region = Region::map(queue.memory.as_fd(), queue.region.layout).unwrap();
        let word = |slot| region.word(0, slot);

        bad.post(&record(1)).unwrap();
        good.post(&record(2)).unwrap();
        // Its length.
        let length = region.layout.record_at(0, 0) / 8 + 2;
        region.set(length * 8, u64::MAX);
        let mut errors = 0;
        let mut tokens = Vec::new();
        for _ in 0..3 {
            match reader.try_take() {
                Ok(Some(taken)) => {
                    tokens.push(taken.token());
                    taken.release().unwrap();
                }
                Ok(None) => {}
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::InvalidData);
                    errors += 1;
                }
            }
        }
        assert_eq!((errors, &tokens[..]), (1, &[2][..]), "what is no record is passed over");

        // A state that there is not.
        let before = word(1).swap(3, Ordering::Relaxed);
        assert_eq!(bad.try_post(&record(3)).map_err(kind), Err(ErrorKind::InvalidData));
        good.post(&record(4)).unwrap();
        let got = [reader.try_take(), reader.try_take(), reader.try_take()].map(|got| match got {
            Ok(taken) => taken.map(|taken| taken.token()),
            Err(e) => Some(u64::MAX).filter(|_| e.kind() == ErrorKind::InvalidData),
        });
        assert!(got.contains(&Some(u64::MAX)) && got.contains(&Some(4)), "{got:?}");
        word(1).store(before, Ordering::Relaxed);
        bad.post(&record(5)).unwrap();

        // Somebody releases what is taken by me.
        let taken =
            std::iter::repeat_with(|| reader.take().unwrap()).find(|taken| taken.token() == 5).unwrap();
        let lap = Word::unpack(word(1).load(Ordering::Relaxed)).unwrap().lap;
        word(1).store(Word::free(lap + 1).pack(), Ordering::Relaxed);
        assert_eq!(taken.release().map_err(kind), Err(ErrorKind::InvalidData));

        // Whoever comes now finds no end.
        word(2).store(Word { lap: 77, state: State::Free }.pack(), Ordering::Relaxed);
        drop(bad);
        while queue.members(Role::Poster) > 1 {
            queue.wait(None).unwrap();
        }
        queue.admit(&mine, Role::Poster).unwrap();
        assert_eq!(Poster::attach(&theirs).map(drop).map_err(kind), Err(ErrorKind::InvalidData));
    });
}

#[test]
fn what_is_no_note_sends_its_member_away() {
    limit(20, || {
        let (end, _) = wire::pair().unwrap();
        let far = Note::Keep.pack(1 << 40, 1);
        let (keep, want, here) = (Note::Keep.pack(0, 1), Note::Want.pack(0, 1), Note::Here.pack(0, 1));
        let bad: [(Role, &[u8]); 7] = [
            (Role::Reader, b"nonsense"),
            (Role::Reader, &[0; 100]),
            (Role::Reader, &keep),
            (Role::Poster, &want),
            (Role::Reader, &here),
            (Role::Poster, &far),
            (Role::Reader, b""),
        ];
        for (role, note) in bad {
            let (mut queue, poster, reader) = of_two();
            let line = if role == Role::Poster { poster.seat.line() } else { reader.seat.line() };
            wire::send(line, note, &[end.as_fd(); 3]).unwrap();
            assert_eq!(queue.wait(None).unwrap(), 1, "{role:?}, {note:?}");
            assert_eq!(queue.members(role), 0);
        }
    });
}

#[test]
fn descriptors_are_kept_for_no_more_records_than_there_can_be() {
    limit(20, || {
        let (mut queue, mut poster, mut reader) = of_two();
        let (end, _other) = wire::pair().unwrap();
        let keep = |poster: &Poster, number| {
            wire::send(poster.seat.line(), &Note::Keep.pack(0, number), &[end.as_fd()])
        };
        // The same one again takes no more room.
        let first = lane::Tail::find(&queue.region, 0).unwrap().next();
        for _ in 0..50 {
            keep(&poster, first).unwrap();
        }
        assert_eq!(queue.tend().unwrap(), 0);
        // One that was not posted is nobody's.
        wire::send(reader.seat.line(), &Note::Want.pack(0, first), &[]).unwrap();
        assert_eq!(queue.tend().unwrap(), 0);
        poster.post(&Record { descriptor: Some(end.as_fd()), ..record(1) }).unwrap();
        let mut taken = reader.take().unwrap();
        assert!(taken.take_descriptor().is_err(), "the answer to what was asked before: it is not there");
        taken.release().unwrap();
        // What lies in the same slot takes the place of what lay there.
        let mut pipes = Vec::new();
        for n in 2..100 {
            let (reads, writes) = io::pipe().unwrap();
            wire::send(poster.seat.line(), &Note::Keep.pack(0, first + n), &[writes.as_fd()]).unwrap();
            pipes.push(reads);
            assert_eq!(queue.tend().unwrap(), 0);
        }
        let kept = pipes.split_off(pipes.len() - SHAPE.slots);
        for mut pipe in pipes {
            assert_eq!(pipe.read(&mut [0]).unwrap(), 0, "it is closed");
        }
        for pipe in kept {
            assert_eq!(crate::sys::ready_now(pipe.as_raw_fd(), libc::POLLIN), Ok(0), "it is kept");
        }
    });
}

#[test]
fn a_descriptor_that_comes_late_is_waited_for() {
    limit(20, || {
        let (mut queue, mut poster, mut reader) = of_two();
        let (end, _other) = wire::pair().unwrap();
        for n in 0..20 {
            poster.post(&Record { descriptor: Some(end.as_fd()), ..record(n) }).unwrap();
            assert!(
                reader.take_timeout(Duration::from_millis(1)).unwrap().is_none(),
                "nobody tends the queue"
            );
            assert!(reader.take_timeout(Duration::ZERO).unwrap().is_none());
            queue.tend().unwrap();
            let mut taken = reader.take().unwrap();
            assert!(taken.token() == n && taken.take_descriptor().unwrap().is_some());
            taken.release().unwrap();
        }
        // The owner goes meanwhile: the record comes, without.
        poster.post(&Record { descriptor: Some(end.as_fd()), ..record(20) }).unwrap();
        assert!(reader.try_take().unwrap().is_none());
        drop(queue);
        let mut taken = reader.take().unwrap();
        assert_eq!(taken.take_descriptor().unwrap_err().kind(), ErrorKind::NotFound);
    });
}

/// The owner hears who asks before it hears who has sent it.
#[test]
fn a_descriptor_is_there_for_whoever_has_its_record() {
    limit(20, || {
        let (mut queue, mut poster, mut reader) = of_two();
        let (end, _other) = wire::pair().unwrap();
        wire::send(reader.seat.line(), &Note::Done.pack(0, 0), &[]).unwrap();
        poster.post(&Record { descriptor: Some(end.as_fd()), ..record(1) }).unwrap();
        assert!(reader.try_take().unwrap().is_none(), "nobody tends the queue");
        queue.tend().unwrap();
        assert!(reader.take().unwrap().take_descriptor().unwrap().is_some());
    });
}

/// A member that shuts a bell down: who waits for that sees it.
#[test]
fn a_bell_that_somebody_has_closed_is_an_error_and_no_long_sleep() {
    limit(20, || {
        let (_queue, poster, mut reader) = of_two();
        assert!(reader.try_take().unwrap().is_none());
        let bell = poster.seat.bell_of(1);
        let bell = socket2::SockRef::from(&bell);
        bell.shutdown(std::net::Shutdown::Both).unwrap();
        assert_eq!(reader.take().map(drop).map_err(|e| e.kind()), Err(ErrorKind::InvalidData));
    });
}
