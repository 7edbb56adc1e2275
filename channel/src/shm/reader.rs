//! Who reads.

use super::lane::{Cursor, Look};
use super::member::{Attached, Note, corrupt, refuse_child};
use super::taken::Taken;
use crate::events::source::Source;
use crate::fork;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Takes records from the queue, of all posters in turn. One thread at a time takes by it; another one has a reader of its own, or there
/// is a lock around this. What was taken may be released by any thread.
///
/// Dropped, it gives its place up, when all that it has taken is gone, too.
pub struct Reader {
    pub(super) seat: Arc<Attached>,
    cursors: Vec<Cursor>,
    /// The lane that is looked into first.
    first: usize,
    /// It is to be rung for when something is posted.
    is_asleep: bool,
    /// A record whose descriptor is on its way.
    awaits: Option<Taken>,
}

impl Reader {
    /// Takes the place that the owner of the queue gives over this stream ([`Queue::admit`](super::Queue::admit),
    /// [`Queue::listen`](super::Queue::listen)). Blocks until it has come (as any read from the stream: it has `set_read_timeout`). The
    /// stream is of no more use then.
    ///
    /// # Errors
    /// `ConnectionRefused`: there is none. `InvalidData`: what has come is no place for a reader, or the memory is not as it should be.
    /// Errors of recvmsg(2) and mmap(2). In a forked child.
    pub fn attach(stream: impl AsFd) -> io::Result<Self> {
        let seat = Arc::new(Attached::new(stream.as_fd(), true)?);
        let cursors = (0..seat.lanes()).map(Cursor::new).collect();
        Ok(Reader { seat, cursors, first: 0, is_asleep: false, awaits: None })
    }

    /// Takes a record; blocks until one is there. (A reader that was rung for in its place and is stopped may keep it waiting beside one: see
    /// [the module](super).)
    ///
    /// # Errors
    /// `ConnectionAborted`: none is there, and the queue's owner is gone. `InvalidData`: another process has written to the memory, or done
    /// to a bell, what it should not; it may be tried again. In a forked child.
    pub fn take(&mut self) -> io::Result<Taken> {
        loop {
            if let Some(taken) = self.take_until(None)? {
                return Ok(taken);
            }
        }
    }

    /// As [`take`](Self::take), but not for longer: nothing then. A process that means ill can make it wait for as long, even though
    /// something was posted.
    ///
    /// ```
    /// # use ec_channel::shm::{Queue, Reader, Role, Shape};
    /// # let mut queue = Queue::create(Shape::default())?;
    /// # let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
    /// # queue.admit(mine, Role::Reader)?;
    /// # let mut reader = Reader::attach(theirs)?;
    /// use std::time::Duration;
    /// assert!(reader.take_timeout(Duration::from_millis(1))?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn take_timeout(&mut self, limit: Duration) -> io::Result<Option<Taken>> {
        self.take_until(Instant::now().checked_add(limit))
    }

    fn take_until(&mut self, deadline: Option<Instant>) -> io::Result<Option<Taken>> {
        // Whether the owner is there is seen while this waits.
        let mut is_owner = false;
        loop {
            if let Some(taken) = self.take_now(is_owner)? {
                return Ok(Some(taken));
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                // Whoever has been called takes what it was called for: nobody else has been.
                let was_called = self.rise()?;
                let found = if was_called { self.look()? } else { None };
                if was_called && found.is_none() {
                    self.seat.call_one(self.seat.region.layout.readers());
                }
                if found.is_none() && self.awaits.is_none() {
                    self.seat.owner_is_there()?;
                }
                return Ok(found);
            }
            is_owner = self.seat.wait(deadline)?;
        }
    }

    /// As [`take`](Self::take), but does not block: nothing, if nothing is there. (Or if its descriptor is on its way.) From then on
    /// [`descriptor`](Self::descriptor) becomes readable when this should be called again. Whoever has got nothing is expected to do so,
    /// or to drop the reader: of those who wait one is woken for a record.
    pub fn try_take(&mut self) -> io::Result<Option<Taken>> {
        self.take_now(true)
    }

    fn take_now(&mut self, asks_for_owner: bool) -> io::Result<Option<Taken>> {
        refuse_child()?;
        if self.awaits.is_some() {
            return self.look();
        }
        self.rise()?;
        if let Some(taken) = self.look()? {
            return Ok(Some(taken));
        }
        if self.awaits.is_some() {
            return Ok(None);
        }
        self.is_asleep = true;
        self.seat.fall_asleep();
        match self.look()? {
            None if self.awaits.is_none() && asks_for_owner => self.seat.owner_is_there().map(|()| None),
            // (It is rung for in vain once, perhaps.)
            found => Ok(found),
        }
    }

    /// Not asleep any more. True: somebody has called.
    fn rise(&mut self) -> io::Result<bool> {
        Ok(std::mem::take(&mut self.is_asleep) && self.seat.rise()?)
    }

    fn look(&mut self) -> io::Result<Option<Taken>> {
        if self.awaits.is_some() {
            return self.hear();
        }
        for _ in 0..self.cursors.len() {
            let lane = self.first;
            // (Also if there is an error: the others have their turn.)
            self.first = (lane + 1) % self.cursors.len();
            match self.cursors[lane].take(&self.seat.region, self.seat.me).map_err(corrupt)? {
                Look::Taken(held) => {
                    let taken = Taken::copy(&self.seat, held).ok_or_else(|| corrupt(super::lane::Corrupt))?;
                    if !taken.has_descriptor() {
                        return Ok(Some(taken));
                    }
                    return self.ask_for_descriptor(taken);
                }
                Look::Nothing => {}
                Look::Busy => self.seat.ring(self.seat.me.index),
            }
        }
        Ok(None)
    }

    fn ask_for_descriptor(&mut self, taken: Taken) -> io::Result<Option<Taken>> {
        match self.seat.tell_owner(Note::Want, taken.held.lane, taken.held.number, None) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                let what = "the owner of the queue in shared memory does not tend it; the record comes again";
                return Err(io::Error::other(what));
            }
            // (It is gone, as is heard at once.)
            _ => self.awaits = Some(taken),
        }
        self.hear()
    }

    /// The record whose descriptor was awaited: when that has come, or is lost.
    fn hear(&mut self) -> io::Result<Option<Taken>> {
        let awaited = self.awaits.as_ref().map(|taken| (taken.held.lane, taken.held.number));
        for _ in 0..64 {
            let descriptor = match self.seat.hear() {
                Ok(None) => return Ok(None),
                Ok(Some(said)) if awaited == Some((said.lane, said.number)) => said.descriptor,
                Ok(Some(_)) => continue,
                // It is gone: nothing comes any more.
                Err(_) => None,
            };
            let mut taken = self.awaits.take();
            if let Some(taken) = &mut taken {
                taken.set_descriptor(descriptor);
            }
            return Ok(taken);
        }
        Ok(None)
    }

    /// What is readable when [`try_take`](Self::try_take), which has found nothing, should be called again: for a
    /// [`Request::readiness`](crate::Request::readiness), say. Each call makes one.
    ///
    /// # Errors
    /// There is no descriptor to be had. In a forked child.
    pub fn descriptor(&self) -> io::Result<Source> {
        refuse_child()?;
        self.seat.descriptor()
    }
}

/// What it was called for somebody else is to take.
impl Drop for Reader {
    fn drop(&mut self) {
        if !fork::is_child() && self.rise().unwrap_or(true) {
            self.seat.call_one(self.seat.region.layout.readers());
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("place", &self.seat.me.index).finish_non_exhaustive()
    }
}
