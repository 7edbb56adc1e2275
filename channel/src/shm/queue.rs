//! The owner of a queue: it has made the memory, and gives places in it. (What it does for those who have one: `tending.rs`.)

use super::kept::Kept;
use super::lane;
use super::listener::Listener;
use super::member::{Ticket, refuse_child};
use super::memory::{self, Region};
use super::process::Process;
use super::shape::{Layout, Shape};
use super::tending::{A_MOMENT, AGAIN, MOST_NOTES, PROCESS, Wanted};
use super::wire::{self, Alarm, Line, Watch};
use super::word::{GENERATIONS, Member};
use crate::closing::Outside;
use crate::events::source::Source;
use crate::fork;
use crate::sync::Ordering;
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
pub(super) struct Bell {
    pub(super) hears: Outside,
    pub(super) rings: Outside,
}

/// The place of a member.
#[derive(Default)]
pub(super) struct Place {
    pub(super) generation: u16,
    /// `None`: it is free.
    pub(super) line: Option<Line>,
    /// `None`: of the member's end the line alone tells.
    pub(super) process: Option<Process>,
    /// A reader waits for a descriptor.
    pub(super) wanted: Option<Wanted>,
}

/// A queue in shared memory: who has this owns it. It gives places to posters and readers, which may be in other processes.
///
/// It has to be tended, for by nothing else it is noticed that somebody has died: by a thread that [waits](Self::wait) in a loop, or by
/// whoever waits for its [`descriptor`](Self::descriptor) and then calls [`tend`](Self::tend). That thread is not to block in a
/// [`Poster`](super::Poster) or [`Reader`](super::Reader) of the same queue meanwhile.
///
/// When it is dropped, or its process ends, the queue has ended. What is there can be taken still, then readers have an error. Posters have it
/// from their next post on. If the process was killed, they have it when they find no room, or when any other member has noticed: as
/// who waits does at once. What was posted before that can be taken as well, but does not come again if its taker dies.
///
/// ```
/// use ec_channel::shm::{Queue, Reader, Role, Shape};
/// use std::os::unix::net::{UnixListener, UnixStream};
/// let path = std::env::temp_dir().join(format!("queue-{}", std::process::id()));
/// let mut queue = Queue::create(Shape { readers: 2, ..Shape::default() })?;
/// queue.listen(UnixListener::bind(&path)?, Role::Reader)?;
/// // A thread for its own, which gives places to whoever comes, and notices who goes.
/// std::thread::spawn(move || {
///     let error = loop {
///         match queue.wait(None) {
///             Ok(0) => {}
///             Ok(gone) => println!("{gone} have gone"),
///             Err(error) => break error,
///         }
///         if let Some(error) = queue.trouble() {
///             println!("somebody has to wait: {error}");
///         }
///     };
///     println!("the queue has ended: {error}");
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
    process: Option<OwnedFd>,
    pub(super) bells: Vec<Bell>,
    pub(super) places: Vec<Place>,
    pub(super) kept: Kept,
    pub(super) listeners: Vec<Listener>,
    pub(super) watch: Arc<Watch>,
    /// When to go on with what could not be done.
    pub(super) again: Alarm,
    pub(super) trouble: Option<io::Error>,
    /// Members who have gone, since somebody was told.
    pub(super) gone: usize,
}

impl Queue {
    /// Makes the memory, of this shape. The memory is there from then on, all of it. Two descriptors for each member of the shape stay
    /// open, two for each that is there, and four for the queue.
    ///
    /// # Errors
    /// `InvalidInput`: the shape is none; the error says what is wrong. There is no memory of this sort (memfd_create(2) is missing or
    /// forbidden), or not so much of it; a limit to the sizes of files (`RLIMIT_FSIZE`) is smaller. There are no descriptors. In a forked
    /// child.
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
        let (watch, again) = (Watch::new()?, Alarm::new()?);
        watch.add(again.as_fd(), AGAIN)?;
        Ok(Queue {
            // (If it cannot be told members have the line.)
            process: Process::own().ok(),
            bells: bells.collect::<io::Result<_>>()?,
            places: (0..layout.members()).map(|_| Place::default()).collect(),
            kept: Kept::new(layout.shape.posters),
            listeners: Vec::new(),
            watch: Arc::new(watch),
            again,
            trouble: None,
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
    /// `QuotaExceeded`: there is no place for this role. `WouldBlock`: nobody reads at the other end. Errors of socketpair(2), sendmsg(2)
    /// and epoll_ctl(2). In a forked child.
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
        let mine = Line::new(mine);
        self.watch.add(mine.as_fd(), index as u64)?;
        let generation = (self.places[index].generation + 1) % GENERATIONS;
        let ticket = Ticket { member: Member { index, generation }, shape: self.region.layout.shape };
        let mut descriptors = vec![self.memory.as_fd(), theirs.as_fd(), self.bells[index].hears.as_fd()];
        descriptors.extend(self.bells.iter().map(|bell| bell.rings.as_fd()));
        descriptors.extend(self.process.iter().map(|process| process.as_fd()));
        let sent = wire::send(stream.as_fd(), &ticket.pack(), &descriptors);
        if sent.is_err() {
            // (A child of this process may have a copy of it.)
            self.watch.remove(mine.as_fd());
        }
        sent?;
        self.places[index] = Place { generation, line: Some(mine), ..Place::default() };
        Ok(())
    }

    /// Whoever connects to this socket is given a place of this role, if there is one (else the connection is closed). Who that may be is up
    /// to the permissions of the socket's file. Nobody is heard but when the queue is tended. Others may have the socket, too, and accept
    /// from it; its mode may be any, and stays as it is. (Just when another one is faster a call may last 5 ms longer.)
    ///
    /// # Errors
    /// Errors of epoll_ctl(2). In a forked child.
    pub fn listen(&mut self, listener: UnixListener, role: Role) -> io::Result<()> {
        refuse_child()?;
        self.watch.add(listener.as_fd(), (self.places.len() + self.listeners.len()) as u64)?;
        self.listeners.push(Listener::new(listener, role));
        Ok(())
    }

    /// How many have a place of this role. (Who is gone has it until that is noticed.)
    pub fn members(&self, role: Role) -> usize {
        let (posters, readers) = self.places.split_at(self.region.layout.shape.posters);
        let places = if role == Role::Poster { posters } else { readers };
        places.iter().filter(|place| place.line.is_some()).count()
    }

    /// Waits until there is something to do, but not longer than the limit, and does it as [`tend`](Self::tend). (May be early.)
    ///
    /// # Errors
    /// In a forked child. poll(2) or epoll_wait(2) is refused, as by a filter of system calls. Whatever passes is none: see
    /// [`trouble`](Self::trouble). So a loop that ends with an error ends for good reason.
    pub fn wait(&mut self, limit: Option<Duration>) -> io::Result<usize> {
        refuse_child()?;
        let fd = self.watch.as_fd().as_raw_fd();
        match sys::poll(&mut [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }], limit) {
            Err(e) if wire::is_passing(&e) => {
                std::thread::sleep(A_MOMENT.min(limit.unwrap_or(A_MOMENT)));
                self.trouble = Some(e);
            }
            done => _ = done?,
        }
        self.tend()
    }

    /// Does what there is to do, without blocking, and gives how many members have gone since the last time. What a reader had taken that
    /// has died, or has gone, comes again, and its place is free. What there is to do for one member is bounded: what is left is done the
    /// next time, and [`descriptor`](Self::descriptor) stays readable.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn tend(&mut self) -> io::Result<usize> {
        refuse_child()?;
        for number in self.watch.ready()? {
            let place = (number & !PROCESS) as usize;
            match number {
                AGAIN => self.go_on(),
                _ if number & PROCESS != 0 => self.see_process(place),
                _ if place < self.places.len() => _ = self.hear(place, MOST_NOTES),
                _ => self.accept(place - self.places.len()),
            }
        }
        for index in 0..self.places.len() {
            self.answer(index);
        }
        self.close_what_is_done();
        Ok(std::mem::take(&mut self.gone))
    }

    /// The last thing that went wrong since this was asked, if anything has: a connection could not be accepted or given a place, or a
    /// descriptor not be handed on, since the process or the system is short of descriptors or memory (`EMFILE`, `ENFILE`, `ENOMEM`,
    /// `ETOOMANYREFS` and the like). Whom it concerns waits, and it is tried again a moment later; all others are served. A listener that
    /// somebody else has shut down is listened to no more, which is said here, too.
    ///
    /// ```
    /// # use ec_channel::shm::{Queue, Shape};
    /// # let mut queue = Queue::create(Shape::default())?;
    /// # let limit = Some(std::time::Duration::ZERO);
    /// let gone = queue.wait(limit)?;
    /// if let Some(error) = queue.trouble() {
    ///     eprintln!("somebody has to wait: {error}");
    /// }
    /// # assert_eq!(gone, 0);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn trouble(&mut self) -> Option<io::Error> {
        self.trouble.take()
    }

    /// A descriptor that is readable when there is something to do: for a [`Request::readiness`](crate::Request::readiness), say.
    pub fn descriptor(&self) -> Source {
        Source::from(self.watch.clone())
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // (In a child it is the parent's.)
        if fork::is_child() {
            return;
        }
        self.region.ended().store(1, Ordering::Release);
        // Before others close them: see `Watch`.
        let lines = self.places.iter().filter_map(|place| Some(place.line.as_ref()?.as_fd()));
        let sockets = self.listeners.iter().filter_map(Listener::watched);
        lines.chain(sockets).for_each(|fd| self.watch.remove(fd));
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
