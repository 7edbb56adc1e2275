//! What a poster and a reader have in common: a place in the queue, its bell, the bells of all, and the line to the owner.
//!
//! Bells and lines are pairs of sockets, not eventfds: any process that has an eventfd can make a write to it wait (the flag that says
//! whether it waits belongs to the file, and the counter can be filled), and so hold up whoever rings. A message to a socket is sent with
//! a flag of that call. A bell that is too full to be rung has been rung.

use super::lane::{self, Corrupt, Memory};
use super::memory::Region;
use super::process::Process;
use super::shape::{Layout, Shape};
use super::wire::{self, Line, Watch};
use super::word::{GENERATIONS, MOST_MEMBERS, Member};
use crate::closing::Outside;
use crate::events::source::Source;
use crate::fork;
use crate::getting::shared::forked_error;
use crate::lock::{Mutex, has_room, make_room};
use crate::sync::Ordering;
use crate::sys;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What the owner gives a new member, with descriptors: the memory, the member's end of the line, the end of its bell that hears, the
/// ends of all bells that ring, in the members' order, and the owner's process, if that can be told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) member: Member,
    pub(crate) shape: Shape,
}

const TICKET: usize = size_of::<[u64; 8]>();
/// Of the protocol in this version: members of another one are refused.
const MAGIC: u64 = 0x6563_7368_6d00_0002;

impl Ticket {
    pub(crate) fn pack(&self) -> [u8; TICKET] {
        let Shape { posters, readers, slots, bytes } = self.shape;
        let Member { index, generation } = self.member;
        let numbers = [index, usize::from(generation), posters, readers, slots, bytes, 0].map(|n| n as u64);
        let mut packed = [0; TICKET];
        for (eight, n) in packed.chunks_mut(8).zip([MAGIC].into_iter().chain(numbers)) {
            eight.copy_from_slice(&n.to_ne_bytes());
        }
        packed
    }

    fn unpack(packed: &[u8; TICKET]) -> Option<Self> {
        let mut numbers = packed.chunks(8).map(|eight| u64::from_ne_bytes(eight.try_into().expect("eight")));
        if numbers.next()? != MAGIC {
            return None;
        }
        let mut numbers = numbers.map(|n| usize::try_from(n).ok());
        let mut next = || numbers.next()?;
        let (index, generation) = (next()?, u16::try_from(next()?).ok()?);
        let shape = Shape { posters: next()?, readers: next()?, slots: next()?, bytes: next()? };
        let member = Member { index, generation };
        (generation < GENERATIONS).then_some(Ticket { member, shape })
    }
}

/// What goes over the line: what, in which lane, which record. With a descriptor, if it is [`Note::Keep`], [`Note::Here`] or [`Note::Me`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The poster's next record, of this number, goes with the descriptor.
    Keep,
    /// The reader has taken it.
    Want,
    /// The reader has released it.
    Done,
    /// There it is.
    Here,
    /// It is not there.
    Lost,
    /// This is the member's process. (First of all, once, if that can be told.)
    Me,
}

/// What the owner has said: the descriptor of a record, or that there is none.
pub(crate) struct Said {
    pub(crate) lane: usize,
    pub(crate) number: u64,
    pub(crate) descriptor: Option<Outside>,
}

pub(crate) const NOTE: usize = size_of::<[u64; 3]>();

impl Note {
    const ALL: [Note; 6] = [Note::Keep, Note::Want, Note::Done, Note::Here, Note::Lost, Note::Me];

    pub(crate) fn pack(self, lane: usize, number: u64) -> [u8; NOTE] {
        let mut packed = [0; NOTE];
        for (eight, n) in packed.chunks_mut(8).zip([self as u64, lane as u64, number]) {
            eight.copy_from_slice(&n.to_ne_bytes());
        }
        packed
    }

    pub(crate) fn unpack(packed: &[u8]) -> Option<(Self, usize, u64)> {
        let packed: &[u8; NOTE] = packed.try_into().ok()?;
        let mut numbers = packed.chunks(8).map(|eight| u64::from_ne_bytes(eight.try_into().expect("eight")));
        let note = *Self::ALL.get(usize::try_from(numbers.next()?).ok()?)?;
        Some((note, usize::try_from(numbers.next()?).ok()?, numbers.next()?))
    }
}

pub(crate) fn corrupt(_: Corrupt) -> io::Error {
    let what =
        "the memory of the queue is not as its members leave it: one of the processes has written to it";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

pub(crate) fn owner_is_gone() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the owner of the queue in shared memory is gone")
}

pub(crate) fn refuse_child() -> io::Result<()> {
    if fork::is_child() { Err(forked_error()) } else { Ok(()) }
}

/// A place in the queue, until this is dropped. (A record that was taken holds on to it.)
pub(crate) struct Attached {
    pub(crate) region: Region,
    pub(crate) me: Member,
    line: Line,
    /// `None`: of the owner's end the line alone tells.
    owner: Option<Process>,
    bell: Outside,
    bells: Vec<Outside>,
    /// What was given out as a [descriptor](Self::descriptor), and may be there still.
    watches: Mutex<Vec<Weak<Watch>>>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        if fork::is_child() {
            return;
        }
        // Before others close them: see `Watch`.
        for watch in std::mem::take(&mut *self.watches.lock()).iter().filter_map(Weak::upgrade) {
            watch.remove(self.bell.as_fd());
            watch.remove(self.line.as_fd());
        }
    }
}

impl Attached {
    /// Waits until the owner has given a place.
    pub(crate) fn new(stream: BorrowedFd<'_>, reads: bool) -> io::Result<Self> {
        refuse_child()?;
        fork::watch()?;
        let mut packed = [0; TICKET];
        let got = wire::receive_waiting(stream, &mut packed)?;
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if got.length == 0 {
            let what = "the owner of the queue in shared memory has given no place";
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, what));
        }
        if got.is_cut {
            return wrong(
                "the descriptors of the queue have not come: there are too many, or no numbers left for them",
            );
        }
        let ticket = Some(got.length).filter(|n| *n == TICKET).and_then(|_| Ticket::unpack(&packed));
        let Some(Ticket { member, shape }) = ticket else {
            return wrong("what has come is no place in a queue of this version");
        };
        let layout = Layout::new(shape)?;
        if !layout.is_of(member, reads) {
            return wrong("the owner of the queue has given a place of the other sort (poster, reader)");
        }
        let mut descriptors = got.descriptors.into_iter();
        let all = (descriptors.next(), descriptors.next(), descriptors.next());
        let many = [layout.members(), layout.members() + 1].contains(&descriptors.len());
        let ((Some(memory), Some(line), Some(bell)), true) = (all, many) else {
            return wrong("the descriptors of the queue are not as many as they should be");
        };
        let bells: Vec<_> = descriptors.by_ref().take(layout.members()).collect();
        if ![&line, &bell].into_iter().chain(&bells).all(|fd| wire::is_one_of_a_pair(fd.as_fd())) {
            return wrong("the bells of the queue are not what they should be");
        }
        let owner = match descriptors.next().map(Process::of) {
            Some(None) => return wrong("the process of the queue's owner is none"),
            owner => owner.flatten(),
        };
        let region = Region::map(memory.as_fd(), layout)?;
        let watches = Mutex::new(Vec::new());
        let attached = Attached { region, me: member, line: Line::new(line), owner, bell, bells, watches };
        // (If the owner cannot be told it has the line.)
        if let Ok(me) = Process::own() {
            let _ = attached.tell_owner(Note::Me, 0, 0, Some(me.as_fd()));
        }
        Ok(attached)
    }

    pub(crate) fn ring(&self, index: usize) {
        // (It is too full, so it has been rung; or it is broken, as the sleeper sees.)
        let _ = wire::send(self.bells[index].as_fd(), &[0], &[]);
    }

    /// One of these members (bits) who sleep is woken.
    pub(crate) fn call_one(&self, of: u64) {
        if let Some(index) = lane::call_one(&self.region, of & self.everybody()) {
            self.ring(index);
        }
    }

    fn everybody(&self) -> u64 {
        u64::MAX >> (MOST_MEMBERS - self.region.layout.members())
    }

    pub(crate) fn tell_owner(
        &self,
        note: Note,
        lane: usize,
        number: u64,
        with: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        match wire::send(self.line.as_fd(), &note.pack(lane, number), with.as_slice()) {
            Err(e) if matches!(e.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET)) => {
                Err(self.owner_has_gone())
            }
            told => told,
        }
    }

    /// What the owner has said, if anything. An error: it is gone.
    pub(crate) fn hear(&self) -> io::Result<Option<Said>> {
        let mut packed = [0; NOTE];
        let mut received = wire::receive(self.line.as_fd(), &mut packed);
        if matches!(received, Ok(None)) {
            if !self.owner.as_ref().is_some_and(Process::has_ended) {
                return Ok(None);
            }
            // (What it has said before.)
            received = wire::receive(self.line.as_fd(), &mut packed);
        }
        let got = match received {
            Ok(Some(got)) if got.length > 0 => got,
            _ => return Err(self.owner_has_gone()),
        };
        let (_, lane, number) = Note::unpack(&packed[..got.length]).ok_or_else(|| corrupt(Corrupt))?;
        Ok(Some(Said { lane, number, descriptor: got.descriptors.into_iter().next() }))
    }

    /// An error: it is gone. (What it may have said is of no use to the caller.)
    pub(crate) fn owner_is_there(&self) -> io::Result<()> {
        let mut both = [asked(self.line.as_fd()), self.asked_of_owner()];
        // (If there is no telling the line says it.)
        if sys::poll(&mut both, Some(Duration::ZERO)).is_ok_and(|ready| ready == 0) {
            return Ok(());
        }
        for _ in 0..64 {
            if self.hear()?.is_none() {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn fall_asleep(&self) {
        lane::fall_asleep(&self.region, self.me.index);
    }

    /// Whoever posts next hears of it.
    fn owner_has_gone(&self) -> io::Error {
        self.region.ended().store(1, Ordering::Relaxed);
        owner_is_gone()
    }

    /// Somebody says that the owner is gone. An error: so it is.
    pub(crate) fn has_not_ended(&self) -> io::Result<()> {
        if self.region.ended().load(Ordering::Relaxed) == 0 { Ok(()) } else { self.owner_is_there() }
    }

    fn asked_of_owner(&self) -> libc::pollfd {
        let nobody = libc::pollfd { fd: -1, events: 0, revents: 0 };
        self.owner.as_ref().map_or(nobody, |owner| asked(owner.as_fd()))
    }

    /// Not asleep any more. True: somebody has called.
    pub(crate) fn rise(&self) -> io::Result<bool> {
        let was_called = lane::wake_up(&self.region, self.me.index);
        // (If it has rung more than once that is heard the next time.)
        match wire::receive(self.bell.as_fd(), &mut [0]) {
            Ok(Some(got)) if got.length == 0 => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "somebody has closed a bell of the queue"))
            }
            heard => heard.map(|_| was_called),
        }
    }

    /// Until the bell rings, the owner says something or is gone, or it is time. (Or a signal comes.) True: it is the owner.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<bool> {
        let mut all = [asked(self.bell.as_fd()), asked(self.line.as_fd()), self.asked_of_owner()];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        sys::poll(&mut all, left)?;
        Ok(all[1].revents != 0 || all[2].revents != 0)
    }

    /// A descriptor that is readable when [`wait`](Self::wait) would return.
    pub(crate) fn descriptor(&self) -> io::Result<Source> {
        let watch = Watch::new()?;
        watch.add(self.bell.as_fd(), 0)?;
        watch.add(self.line.as_fd(), 1)?;
        if let Some(owner) = &self.owner {
            watch.add(owner.as_fd(), 2)?;
        }
        let watch = Arc::new(watch);
        let weak = Arc::downgrade(&watch);
        let gone = loop {
            make_room(&self.watches, |watches| watches, 1);
            let mut watches = self.watches.lock();
            if let Some(place) = watches.iter().position(|other| other.strong_count() == 0) {
                break Some(std::mem::replace(&mut watches[place], weak));
            }
            if has_room(&*watches, 1) {
                watches.push(weak);
                break None;
            }
        };
        drop(gone);
        Ok(Source::from(watch))
    }

    pub(crate) fn lanes(&self) -> usize {
        self.region.lanes()
    }
}

fn asked(fd: BorrowedFd<'_>) -> libc::pollfd {
    libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }
}

/// For those who mean ill.
#[cfg(test)]
impl Attached {
    pub(crate) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    pub(crate) fn bell_of(&self, index: usize) -> BorrowedFd<'_> {
        self.bells[index].as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_line_comes_as_it_was_or_not_at_all() {
        let member = Member { index: 5, generation: GENERATIONS - 1 };
        let ticket = Ticket { member, shape: Shape { posters: 1, readers: 2, slots: 4, bytes: 9 } };
        let packed = ticket.pack();
        assert_eq!(Ticket::unpack(&packed), Some(ticket));
        let mut bad = packed;
        bad[0] ^= 1;
        assert_eq!(Ticket::unpack(&bad), None);
        bad = packed;
        bad[16..24].copy_from_slice(&u64::from(GENERATIONS).to_ne_bytes());
        assert_eq!(Ticket::unpack(&bad), None);
        for note in Note::ALL {
            let packed = note.pack(3, u64::MAX);
            assert_eq!(Note::unpack(&packed), Some((note, 3, u64::MAX)));
            assert_eq!(Note::unpack(&packed[1..]), None);
        }
        assert_eq!(Note::unpack(&[5; NOTE]), None);
    }
}
