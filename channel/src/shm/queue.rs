//! The owner of a queue: it has made the memory, gives places in it, and notices who is gone.

use super::kept::Kept;
use super::lane;
use super::member::{NOTE, Note, Ticket, refuse_child};
use super::memory::{self, Region};
use super::shape::{Layout, Shape};
use super::wire::{self, Watch};
use super::word::{GENERATIONS, Member};
use crate::events::source::Source;
use crate::fork::{self, Owned};
use crate::sys;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

/// What somebody is to do in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// To post, by a [`Poster`](super::Poster).
    Poster,
    /// To take, by a [`Reader`](super::Reader).
    Reader,
}

/// A bell: the end that hears goes to the member of that number, the one that rings to all.
struct Bell {
    hears: OwnedFd,
    rings: OwnedFd,
}

/// The place of a member.
#[derive(Default)]
struct Place {
    generation: u16,
    /// `None`: it is free.
    line: Option<Owned>,
}

/// A queue in shared memory: who has this owns it. It gives places to posters and readers, which may be in other processes.
///
/// It has to be tended, for by nothing else it is noticed that somebody has died: by a thread that [waits](Self::wait) in a loop, or by
/// whoever waits for its [`descriptor`](Self::descriptor) and then calls [`tend`](Self::tend). That thread is not to block in a
/// [`Poster`](super::Poster) or [`Reader`](super::Reader) of the same queue meanwhile.
///
/// When it is dropped, or its process ends, the queue has ended: what is there can be taken still, then members have an error.
///
/// ```
/// use ec_channel::shm::{Queue, Reader, Role, Shape};
/// use std::os::unix::net::{UnixListener, UnixStream};
/// let path = std::env::temp_dir().join(format!("queue-{}", std::process::id()));
/// let mut queue = Queue::create(Shape { readers: 2, ..Shape::default() })?;
/// queue.listen(UnixListener::bind(&path)?, Role::Reader)?;
/// // A thread for its own, which gives places to whoever comes, and notices who goes.
/// std::thread::spawn(move || {
///     while let Ok(gone) = queue.wait(None) {
///         if gone > 0 {
///             println!("{gone} have gone");
///         }
///     }
/// });
/// // In another process:
/// let mut reader = Reader::attach(UnixStream::connect(&path)?)?;
/// assert!(reader.try_take()?.is_none());
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Queue {
    pub(super) region: Region,
    pub(super) memory: OwnedFd,
    bells: Vec<Bell>,
    places: Vec<Place>,
    kept: Kept,
    listeners: Vec<(UnixListener, Role)>,
    watch: Arc<Watch>,
    /// Members who have gone, since somebody was told.
    gone: usize,
}

/// What comes from one member at a time, so that each has its turn.
const MOST_NOTES: usize = 64;
/// More do not fit into a line.
const A_WHOLE_LINE: usize = 4096;

impl Queue {
    /// Makes the memory, of this shape. Two descriptors for each member of the shape stay open, and one for each that is there.
    ///
    /// # Errors
    /// `InvalidInput`: the shape is none; the error says what is wrong. There is no memory of this sort (memfd_create(2) is missing or
    /// forbidden), there are no descriptors. In a forked child.
    pub fn create(shape: Shape) -> io::Result<Self> {
        refuse_child()?;
        let layout = Layout::new(shape)?;
        fork::watch()?;
        let (memory, region) = memory::create(layout)?;
        lane::clear(&region);
        let bells = (0..layout.members()).map(|_| {
            let (hears, rings) = wire::pair()?;
            Ok(Bell { hears, rings })
        });
        Ok(Queue {
            bells: bells.collect::<io::Result<_>>()?,
            places: (0..layout.members()).map(|_| Place::default()).collect(),
            kept: Kept::new(layout.shape.posters),
            listeners: Vec::new(),
            watch: Arc::new(Watch::new()?),
            region,
            memory,
            gone: 0,
        })
    }

    /// Gives a place to whoever is at the other end of this Unix stream socket: there [`Poster::attach`](super::Poster::attach) or
    /// [`Reader::attach`](super::Reader::attach) takes it. Does not block. Several places may go over one stream, one after the other.
    ///
    /// Whoever has a place can write to the memory as it likes: it can lose and forge what others post. What it cannot do is to harm those
    /// others' memory.
    ///
    /// # Errors
    /// `QuotaExceeded`: there is no place for this role. `WouldBlock`: nobody reads at the other end. Errors of sendmsg(2) and
    /// epoll_ctl(2). In a forked child.
    pub fn admit(&mut self, stream: impl AsFd, role: Role) -> io::Result<()> {
        refuse_child()?;
        let posters = self.region.layout.shape.posters;
        let mut of_role = match role {
            Role::Poster => 0..posters,
            Role::Reader => posters..self.places.len(),
        };
        let Some(index) = of_role.find(|index| self.places[*index].line.is_none()) else {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                "the queue in shared memory has no place left",
            ));
        };
        let (mine, theirs) = wire::pair()?;
        self.watch.add(mine.as_fd(), index as u64)?;
        let mine = Owned::new(mine);
        let generation = (self.places[index].generation + 1) % GENERATIONS;
        let ticket = Ticket { member: Member { index, generation }, shape: self.region.layout.shape };
        let mut descriptors = vec![self.memory.as_fd(), theirs.as_fd(), self.bells[index].hears.as_fd()];
        descriptors.extend(self.bells.iter().map(|bell| bell.rings.as_fd()));
        wire::send(stream.as_fd(), &ticket.pack(), &descriptors)?;
        self.places[index] = Place { generation, line: Some(mine) };
        Ok(())
    }

    /// Whoever connects to this socket is given a place of this role, if there is one (else the connection is closed). Who that may be is up
    /// to the permissions of the socket's file. Nobody is heard but when the queue is tended.
    ///
    /// # Errors
    /// Errors of fcntl(2) and epoll_ctl(2). In a forked child.
    pub fn listen(&mut self, listener: UnixListener, role: Role) -> io::Result<()> {
        refuse_child()?;
        listener.set_nonblocking(true)?;
        self.watch.add(listener.as_fd(), (self.places.len() + self.listeners.len()) as u64)?;
        self.listeners.push((listener, role));
        Ok(())
    }

    /// How many have a place of this role. (Who is gone has it until that is noticed.)
    pub fn members(&self, role: Role) -> usize {
        let (posters, readers) = self.places.split_at(self.region.layout.shape.posters);
        let places = if role == Role::Poster { posters } else { readers };
        places.iter().filter(|place| place.line.is_some()).count()
    }

    /// Waits until there is something to do, but not longer than the limit, and does it as [`tend`](Self::tend). (May be early.)
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        refuse_child()?;
        let fd = self.watch.as_fd().as_raw_fd();
        sys::poll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], limit)?;
        self.tend()
    }

    /// Does what there is to do, without blocking, and gives how many members have gone since the last time. What a reader had taken that has died, or has
    /// gone, comes again, and its place is free.
    ///
    /// # Errors
    /// A connection cannot be accepted, or given a place (there is no descriptor left, say): all else is done. In a forked child.
    pub fn tend(&mut self) -> io::Result<usize> {
        refuse_child()?;
        let mut accepted = Ok(());
        for number in self.watch.ready()? {
            match number as usize {
                index if index < self.places.len() => self.hear(index, MOST_NOTES),
                listener => accepted = self.accept(listener - self.places.len()).and(accepted),
            }
        }
        accepted.map(|()| std::mem::take(&mut self.gone))
    }

    fn accept(&mut self, listener: usize) -> io::Result<()> {
        for _ in 0..MOST_NOTES {
            let (listener, role) = &self.listeners[listener];
            let role = *role;
            match listener.accept() {
                Ok((stream, _)) => match self.admit(stream, role) {
                    // (It is closed; or the other end has gone again.)
                    Err(e)
                        if !matches!(e.kind(), io::ErrorKind::QuotaExceeded | io::ErrorKind::BrokenPipe) =>
                    {
                        return Err(e);
                    }
                    _ => {}
                },
                Err(e) => match e.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => return Err(e),
                },
            }
        }
        Ok(())
    }

    /// What a member has to say.
    fn hear(&mut self, index: usize, most: usize) {
        for _ in 0..most {
            let Some(line) = &self.places[index].line else { return };
            let mut packed = [0; NOTE + 1];
            let honest = match wire::receive(line.as_fd(), &mut packed, 1) {
                Ok(None) => return,
                Ok(Some(got)) => match Note::unpack(&packed[..got.length]) {
                    Some((note, lane, number)) if lane < self.region.layout.shape.posters => {
                        self.take_note(index, note, lane, number, got.descriptors.into_iter().next())
                    }
                    // (Or it is the end.)
                    _ => false,
                },
                Err(_) => false,
            };
            if !honest {
                return self.let_go(index);
            }
        }
    }

    /// False: no member says that which does what it should.
    fn take_note(
        &mut self,
        index: usize,
        note: Note,
        lane: usize,
        number: u64,
        descriptor: Option<OwnedFd>,
    ) -> bool {
        let number = self.region.layout.numbers().after(number, 0);
        let is_poster = index < self.region.layout.shape.posters;
        match note {
            Note::Keep if lane == index => {
                // It may have waited for room in its line.
                if let Some(index) = lane::call_one(&self.region, 1 << index) {
                    self.ring(index);
                }
                self.kept.keep(&self.region, lane, number, descriptor)
            }
            Note::Want if !is_poster => {
                // The poster has sent it before the reader could ask.
                self.hear(lane, A_WHOLE_LINE);
                self.answer(index, lane, number)
            }
            Note::Done if !is_poster => {
                self.kept.done(&self.region, lane, number);
                true
            }
            _ => false,
        }
    }

    fn answer(&self, index: usize, lane: usize, number: u64) -> bool {
        let Place { generation, line: Some(line) } = &self.places[index] else { return true };
        let by = Member { index, generation: *generation };
        let is_theirs = lane::is_taken(&self.region, lane, number, by);
        let kept = self.kept.find(lane, number).filter(|_| is_theirs);
        let note = if kept.is_some() { Note::Here } else { Note::Lost };
        // (One who asks waits for the answer: there is room for it.)
        wire::send(line.as_fd(), &note.pack(lane, number), kept.as_slice()).is_ok()
    }

    /// A member is gone, or is sent away.
    fn let_go(&mut self, index: usize) {
        let Some(line) = self.places[index].line.take() else { return };
        self.watch.remove(line.as_fd());
        drop(line);
        self.gone += 1;
        lane::recover(&self.region, index);
        self.kept.member_is_gone(&self.region, index);
        // It may have died between a change and the ring for that.
        lane::wake_all(&self.region);
        let there = (0..self.places.len()).filter(|index| self.places[*index].line.is_some());
        there.for_each(|index| self.ring(index));
    }

    fn ring(&self, index: usize) {
        // (It is too full, so it has been rung; or it is broken, as the sleeper sees.)
        let _ = wire::send(self.bells[index].rings.as_fd(), &[0], &[]);
    }

    /// A descriptor that is readable when there is something to do: for a [`Request::readiness`](crate::Request::readiness), say.
    pub fn descriptor(&self) -> Source {
        Source::from(self.watch.clone())
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("shape", &self.region.layout.shape)
            .field("posters", &self.members(Role::Poster))
            .field("readers", &self.members(Role::Reader))
            .finish_non_exhaustive()
    }
}
