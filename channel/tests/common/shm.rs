//! Queues in shared memory, with members.

use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape, Taken};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A queue, with as many members as there may be, in this process.
pub fn full(shape: Shape) -> (Queue, Vec<Poster>, Vec<Reader>) {
    let mut queue = Queue::create(shape).unwrap();
    let posters = (0..shape.posters).map(|_| poster(&mut queue)).collect();
    let readers = (0..shape.readers).map(|_| reader(&mut queue)).collect();
    (queue, posters, readers)
}

/// With one poster and one reader.
pub fn of_two(shape: Shape) -> (Queue, Poster, Reader) {
    let (queue, mut posters, mut readers) = full(shape);
    (queue, posters.remove(0), readers.remove(0))
}

pub fn poster(queue: &mut Queue) -> Poster {
    let (mine, theirs) = UnixStream::pair().unwrap();
    queue.admit(mine, Role::Poster).unwrap();
    Poster::attach(theirs).unwrap()
}

pub fn reader(queue: &mut Queue) -> Reader {
    let (mine, theirs) = UnixStream::pair().unwrap();
    queue.admit(mine, Role::Reader).unwrap();
    Reader::attach(theirs).unwrap()
}

pub fn record(token: u64) -> Record<'static> {
    Record { token, ..Record::default() }
}

/// What is there now, released.
pub fn all(reader: &mut Reader) -> Vec<u64> {
    let take = || reader.try_take().unwrap().map(released);
    std::iter::from_fn(take).collect()
}

pub fn released(taken: Taken) -> u64 {
    let token = taken.token();
    taken.release().unwrap();
    token
}

/// Tends the queue until `over`.
pub fn tend(queue: &mut Queue, over: &AtomicBool) {
    while !over.load(Ordering::SeqCst) {
        queue.wait(Some(Duration::from_millis(20))).unwrap();
    }
}

/// Returns when so many members have gone.
pub fn until_gone(queue: &mut Queue, mut members: usize) {
    while members > 0 {
        members -= queue.wait(None).unwrap();
    }
}
