//! What is posted.

use crate::events::event::Event;
use std::os::fd::BorrowedFd;

/// A record, as it is [posted](super::Poster::post): it is copied.
///
/// ```
/// use ec_channel::shm::Record;
/// let record = Record { token: 7, bytes: b"hello", ..Record::default() };
/// assert_eq!((record.kind, record.result), (0, 0));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// What it is. Of an event it is the number of its [kind](Event::kind), as it is in this version of the crate
    /// ([`EventKind::from_number`](crate::EventKind::from_number) leads back); a program's own begin at 256, say.
    pub kind: u32,
    /// The program's number.
    pub token: u64,
    /// The number of bytes transferred, or minus the number of the error.
    pub result: i32,
    /// Not more than the [shape](super::Shape::bytes) of the queue says.
    pub bytes: &'a [u8],
    /// Whoever takes the record gets a descriptor of the same file.
    pub descriptor: Option<BorrowedFd<'a>>,
}

/// An event that is complete: its kind, token, result and [buffer](Event::buffer). Bytes that are elsewhere are not in the record: those of
/// [several buffers](Event::buffers), of the channel's own (`recv_pooled`), of pages (`read_direct`). One who wants them posted fills
/// [`bytes`](Record::bytes) himself; so it is with a descriptor that is the result.
///
/// ```
/// use ec_channel::{EventChannel, EventKind, Request, shm::Record};
/// let channel = EventChannel::new()?;
/// channel.post(Request::notification().token(7))?;
/// let event = channel.get_event()?;
/// let record = Record::from(&event);
/// assert_eq!((EventKind::from_number(record.kind), record.token), (Some(EventKind::Notification), 7));
/// # Ok::<(), std::io::Error>(())
/// ```
impl<'a> From<&'a Event> for Record<'a> {
    fn from(event: &'a Event) -> Self {
        Record {
            kind: event.kind() as u32,
            token: event.token(),
            result: event.0.result(),
            bytes: event.buffer(),
            descriptor: None,
        }
    }
}
