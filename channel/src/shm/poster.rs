//! Who posts.

use super::lane::Tail;
use super::member::{Attached, Note, corrupt, refuse_child};
use super::memory::Numbered;
use super::record::Record;
use crate::events::source::Source;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Posts records to the queue, in order. One thread at a time posts by it; another one has a poster of its own, or there is a lock around
/// this.
///
/// Dropped, it gives its place up. What it has posted stays.
///
/// ```
/// use ec_channel::shm::{Poster, Queue, Record, Role, Shape};
/// use std::io::ErrorKind;
/// let mut queue = Queue::create(Shape { slots: 2, ..Shape::default() })?;
/// let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
/// queue.admit(mine, Role::Poster)?;
/// let mut poster = Poster::attach(theirs)?;
/// for token in 0..2 {
///     poster.post(&Record { token, ..Record::default() })?;
/// }
/// // It is full, and nothing is dropped.
/// let refused = poster.try_post(&Record { token: 2, ..Record::default() });
/// assert_eq!(refused.unwrap_err().kind(), ErrorKind::WouldBlock);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Poster {
    pub(super) seat: Attached,
    tail: Tail,
    /// It is to be rung for when there is room.
    is_asleep: bool,
}

impl Poster {
    /// Takes the place that the owner of the queue gives over this stream ([`Queue::admit`](super::Queue::admit),
    /// [`Queue::listen`](super::Queue::listen)). Blocks until it has come (as any read from the stream: it has `set_read_timeout`). The
    /// stream is of no more use then.
    ///
    /// # Errors
    /// `ConnectionRefused`: there is none. `InvalidData`: what has come is no place for a poster, or the memory is not as it should be.
    /// Errors of recvmsg(2) and mmap(2). In a forked child.
    pub fn attach(stream: impl AsFd) -> io::Result<Self> {
        let seat = Attached::new(stream.as_fd(), false)?;
        let tail = Tail::find(&seat.region, seat.me.index).map_err(corrupt)?;
        Ok(Poster { seat, tail, is_asleep: false })
    }

    /// Posts a record. If [so many](super::Shape::slots) are there that are not released, blocks until one has been.
    ///
    /// That it is posted says that it lies in the memory. If the owner has been killed and no member has noticed yet there may be nobody to
    /// take it: see [`Queue`](super::Queue).
    ///
    /// # Errors
    /// Then it is not posted. `InvalidInput`: it has too many bytes. `ConnectionAborted`: the queue's owner is gone, as is known here or to another
    /// member; or it would wait, and finds that out.
    /// `InvalidData`: another process has written to the memory what it should not. With a descriptor: errors of sendmsg(2). In a forked
    /// child.
    pub fn post(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.post_until(record, None)
    }

    /// As [`post`](Self::post), but not for longer: the error is `TimedOut` then.
    pub fn post_timeout(&mut self, record: &Record<'_>, limit: Duration) -> io::Result<()> {
        self.post_until(record, Instant::now().checked_add(limit))
    }

    fn post_until(&mut self, record: &Record<'_>, deadline: Option<Instant>) -> io::Result<()> {
        // Whether the owner is there is seen while this waits.
        let mut is_owner = false;
        loop {
            match self.post_now(record, is_owner) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                posted => return posted,
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.seat.owner_is_there()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the queue in shared memory is full"));
            }
            is_owner = self.seat.wait(deadline)?;
        }
    }

    /// As [`post`](Self::post), but does not block: the error is `WouldBlock` if there is no room (or the owner of the queue has not yet
    /// looked at the descriptors of those before). From then on [`descriptor`](Self::descriptor) becomes readable when it may be tried
    /// again.
    pub fn try_post(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.post_now(record, true)
    }

    fn post_now(&mut self, record: &Record<'_>, asks_for_owner: bool) -> io::Result<()> {
        refuse_child()?;
        let most = self.seat.region.layout.shape.bytes;
        if record.bytes.len() > most {
            let what = format!("a record of this queue has at most {most} bytes, not {}", record.bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.rise()?;
        self.seat.has_not_ended()?;
        match self.put(record) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        self.seat.fall_asleep();
        self.is_asleep = true;
        let done = self.put(record);
        if asks_for_owner && done.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock) {
            self.seat.owner_is_there()?;
        }
        done
    }

    fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Attached { region, me, .. } = &self.seat;
        let number = self.tail.next();
        if !self.tail.has_room(region).map_err(corrupt)? {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "the queue in shared memory is full"));
        }
        if record.descriptor.is_some() {
            self.seat.tell_owner(Note::Keep, me.index, number, record.descriptor)?;
        }
        let Record { kind, token, result, bytes, descriptor } = *record;
        let numbered = Numbered { kind, token, result, has_descriptor: descriptor.is_some() };
        region.write(me.index, region.layout.numbers().slot(number), numbered, bytes);
        self.tail.publish(region).map_err(corrupt)?;
        self.seat.call_one(region.layout.readers());
        Ok(())
    }

    fn rise(&mut self) -> io::Result<()> {
        if self.is_asleep {
            self.is_asleep = false;
            self.seat.rise()?;
        }
        Ok(())
    }

    /// What is readable when it is of use to try again after `WouldBlock`, or if the owner is gone: for a
    /// [`Request::readiness`](crate::Request::readiness), say. Each call makes one.
    ///
    /// # Errors
    /// There is no descriptor to be had. In a forked child.
    pub fn descriptor(&self) -> io::Result<Source> {
        refuse_child()?;
        self.seat.descriptor()
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poster").field("place", &self.seat.me.index).finish_non_exhaustive()
    }
}
