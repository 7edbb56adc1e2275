//! Descriptors whose close lasts, and more notes than can be read at once.

use super::*;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

/// Its last close would last as long as the peer, which is the second one, does not read.
fn lingering() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    while near.write(&[0; 65536]).is_ok() {}
    near.set_nonblocking(false).unwrap();
    socket2::SockRef::from(&near).set_linger(Some(Duration::from_secs(3600))).unwrap();
    (near.into(), far)
}

/// Whatever it is that closes it last does not wait for that.
fn closes(what: &str, last: impl FnOnce(OwnedFd)) {
    eprintln!("{what}");
    let (near, _far) = lingering();
    last(near);
}

#[test]
fn a_close_that_lasts_holds_up_nobody() {
    limit(30, || {
        closes("the owner, which is told that the record is done with", |fd| {
            let (mut queue, mut poster, mut reader) = of_two();
            poster.post(&Record { descriptor: Some(fd.as_fd()), ..record(1) }).unwrap();
            drop(fd);
            assert!(reader.try_take().unwrap().is_none());
            queue.tend().unwrap();
            let taken = reader.take().unwrap();
            queue.tend().unwrap();
            taken.release().unwrap();
            queue.tend().unwrap();
        });
        closes("a reader, which has not taken it out", |fd| {
            let (mut queue, mut poster, mut reader) = of_two();
            poster.post(&Record { descriptor: Some(fd.as_fd()), ..record(1) }).unwrap();
            drop(fd);
            assert!(reader.try_take().unwrap().is_none());
            queue.tend().unwrap();
            let taken = reader.take().unwrap();
            drop((queue, poster));
            drop(taken);
        });
        closes("the owner, which has not read what it came with", |fd| {
            let (queue, mut poster, _reader) = of_two();
            poster.post(&Record { descriptor: Some(fd.as_fd()), ..record(1) }).unwrap();
            drop(fd);
            drop(queue);
        });
        closes("the owner, of what is no note, and more than one", |fd| {
            let (mut queue, poster, _reader) = of_two();
            wire::send(poster.seat.line(), b"nonsense", &[poster.seat.line(), fd.as_fd()]).unwrap();
            drop(fd);
            assert_eq!(queue.tend().unwrap(), 1);
        });
        closes("a reader, which hears a bell", |fd| {
            let (_queue, poster, mut reader) = of_two();
            assert!(reader.try_take().unwrap().is_none());
            wire::send(poster.seat.bell_of(1), &[0], &[fd.as_fd()]).unwrap();
            drop(fd);
            assert!(reader.try_take().unwrap().is_none());
        });
        closes("a member, which hears more from the owner than it should", |fd| {
            let (queue, _poster, mut reader) = of_two();
            let line = queue.places[1].line.as_ref().unwrap();
            let many = [fd.as_fd(); wire::MOST_DESCRIPTORS];
            wire::send(line.as_fd(), &Note::Here.pack(0, 0), &many).unwrap();
            drop(fd);
            assert!(reader.try_take().unwrap().is_none());
        });
    });
}

/// How many notes have room in the poster's line.
fn fill(poster: &Poster) -> usize {
    let note = Note::Keep.pack(0, 7);
    std::iter::repeat_with(|| wire::send(poster.seat.line(), &note, &[]))
        .take_while(io::Result::is_ok)
        .count()
}

/// However much the members have to say.
#[test]
fn what_is_done_at_a_time_is_bounded() {
    limit(20, || {
        let (mut queue, poster, reader) = of_two();
        let room = fill(&poster);
        assert!(room > 100, "the test means more than is read at a time");
        wire::send(reader.seat.line(), &Note::Want.pack(0, 7), &[]).unwrap();
        assert_eq!(queue.tend().unwrap(), 0);
        let read = fill(&poster);
        assert!((1..=40).contains(&read), "{read} of {room}");
        // The answer comes in the end, if the poster goes on like this for ever.
        while reader.seat.hear().unwrap().is_none() {
            fill(&poster);
            queue.wait(None).unwrap();
        }
        // Who does not wait for an answer is none that does what it should.
        for _ in 0..2 {
            wire::send(reader.seat.line(), &Note::Want.pack(0, 7), &[]).unwrap();
        }
        assert_eq!(queue.tend().unwrap(), 1);
        assert_eq!((queue.members(Role::Poster), queue.members(Role::Reader)), (1, 0));
    });
}

/// It asks when the poster's notes that the owner reads at a time are just read, and no more come.
#[test]
fn an_answer_comes_whatever_was_read_before() {
    limit(20, || {
        for before in 0..40 {
            let (mut queue, poster, reader) = of_two();
            for _ in 0..before {
                wire::send(poster.seat.line(), &Note::Keep.pack(0, 7), &[]).unwrap();
            }
            wire::send(reader.seat.line(), &Note::Want.pack(0, 7), &[]).unwrap();
            while reader.seat.hear().unwrap().is_none() {
                queue.wait(None).unwrap();
            }
        }
    });
}
