//! A queue in shared memory: processes post records of what they have completed, others take them.
//!
//! One process [owns](Queue) the queue: it makes the memory, and gives places in it to posters and readers, over Unix sockets. [Posters](Poster)
//! put [records](Record) in, [readers](Reader) take them out; there may be several of each, in any process. Each record is taken by one
//! reader, at least once:
//!
//! * **In order.** Records of one poster are taken in the order in which they were posted.
//! * **In two steps.** A reader takes a record and [releases](Taken::release) it when it is done with it. What a reader had taken that dies,
//!   or that drops it, comes again, before what is behind it, and says that it does ([`Taken::redelivered`]).
//! * **Nothing is dropped.** A queue that is full makes its poster wait, or refuses the record.
//! * **Whoever dies** holds up nobody, wherever it is at that moment: killed in the middle of a post it has posted the record or has not.
//!   Its owner notices that (by the end of a socket, or of the process), and has what was taken come again. If the owner dies the queue
//!   ends. Children that members or the owner fork, and whatever they have inherited, change nothing about that.
//! * **Whoever means ill** and has a place can lose and forge records, and keep others waiting. It cannot do anything to others' memory, nor
//!   keep a call beyond its time limit, nor make one panic: what it can do to them is errors of `InvalidData`. A descriptor that it sends and
//!   whose close lasts (a socket that lingers) is closed by threads of this process that are there for that. (But one that comes when a
//!   process has no number left for it the system closes, within the call that receives.)
//! * **Who is rung for.** For a record one of the readers that wait is woken. If that one is stopped just then, or means ill and says that it
//!   waits again and again, the others may go on waiting beside that record, until one more is rung for: when something is posted, or
//!   somebody has gone. A reader that begins a call looks first. So one that takes with a [time limit](Reader::take_timeout), in a loop, is
//!   held up for as long as that, once.
//!
//! ```
//! use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape};
//! use std::os::unix::net::UnixStream;
//!
//! let mut queue = Queue::create(Shape::default())?;
//! let (mine, theirs) = UnixStream::pair()?; // or a connection to another process
//! queue.admit(&mine, Role::Poster)?;
//! queue.admit(&mine, Role::Reader)?;
//!
//! let mut poster = Poster::attach(&theirs)?;
//! let mut reader = Reader::attach(&theirs)?;
//! poster.post(&Record { token: 7, bytes: b"hello", ..Record::default() })?;
//!
//! let first = reader.take()?;
//! assert_eq!((first.token(), first.bytes(), first.redelivered()), (7, &b"hello"[..], false));
//! drop(first); // not released: as if the reader had died
//! let again = reader.take()?;
//! assert!(again.token() == 7 && again.redelivered());
//! again.release()?;
//! assert!(reader.try_take()?.is_none());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! **With a channel**: a reader has a [descriptor](Reader::descriptor) to wait for, and so have a poster and the owner. In a task `get_event`
//! suspends; so nothing blocks a thread.
//!
//! ```
//! # use ec_channel::shm::{Poster, Queue, Reader, Record, Role, Shape};
//! use ec_channel::{EventChannel, Interest, Request};
//! # let mut queue = Queue::create(Shape::default())?;
//! # let (mine, theirs) = std::os::unix::net::UnixStream::pair()?;
//! # queue.admit(&mine, Role::Poster)?;
//! # queue.admit(&mine, Role::Reader)?;
//! # let mut poster = Poster::attach(&theirs)?;
//! # let mut reader = Reader::attach(&theirs)?;
//! let channel = EventChannel::new()?;
//! let descriptor = reader.descriptor()?;
//! # assert!(reader.try_take()?.is_none());
//! # poster.post(&Record { token: 7, ..Record::default() })?;
//! let taken = loop {
//!     if let Some(taken) = reader.try_take()? {
//!         break taken;
//!     }
//!     channel.post(Request::readiness(descriptor.clone(), Interest::READABLE))?;
//!     channel.get_event()?; // this one, or another one of the channel's
//! };
//! # assert_eq!(taken.token(), 7);
//! taken.release()?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Needed: Linux from 5.11 on. (Where pidfd_open(2) is forbidden, or the owner has no number left when a member comes, it may be noticed
//! of one that is killed when its last forked child has ended, too.) In a forked child all of it is refused, as a channel is.
//!
//! # How it works
//!
//! Each poster has a lane of its own: slots, which it fills in turn. So no poster ever waits for another one, and their order is no
//! question. A slot has a word, which says whether it is free, full, or taken, and by whom (`channel/src/shm/word.rs`). Each step changes
//! one word (`channel/src/shm/lane.rs`, checked with loom by `channel/tests/shm_model.rs`): so there is no place to be killed in the middle of one.
//! What a step owes to others, a ring of a bell, is made good by the owner, who rings them all for each death.
//!
//! Who sleeps has said so in the memory, and is rung for by a message of one byte; who finds the queue neither full nor empty makes no
//! system call. A descriptor that goes with a record goes to the owner (SCM_RIGHTS), which keeps it until the record is released, and gives
//! it to each reader that takes the record: so it comes again as the record does, also if its poster has gone.
//!
//! Members hear from each other by the memory alone, and trust nothing there: it is a memfd that cannot be shrunk (sealed); its size is
//! checked before it is mapped; all access is atomic, or copies; indexes are made from what a process knows itself, lengths are checked,
//! loops have bounds.

mod kept;
mod lane;
mod listener;
mod member;
mod memory;
mod poster;
mod process;
mod queue;
mod reader;
mod record;
mod shape;
mod taken;
mod tending;
#[cfg(test)]
mod tests;
mod wire;
mod word;

pub use poster::Poster;
pub use queue::{Queue, Role};
pub use reader::Reader;
pub use record::Record;
pub use shape::Shape;
pub use taken::Taken;
