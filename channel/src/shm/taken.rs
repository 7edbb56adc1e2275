//! What was taken.

use super::lane::{self, Held};
use super::member::{Attached, Note, corrupt, refuse_child};
use super::memory::Numbered;
use crate::closing::Outside;
use crate::events::event;
use crate::fork;
use crate::sync::Ordering;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A record that was taken, with a copy of its bytes. It is this reader's until it is [released](Self::release).
///
/// Dropped without that, it is given back: it comes again, to whoever takes next, marked [`redelivered`](Self::redelivered). So it does if
/// the reader's process ends, however it does. (As long as it lives the reader's place is not given up.)
///
/// ```
/// use ec_channel::shm::{Reader, Taken};
/// fn work(taken: &Taken) -> std::io::Result<()> {
///     println!("{} bytes of {}: {:?}", taken.bytes().len(), taken.token(), taken.result());
///     Ok(())
/// }
/// fn serve(mut reader: Reader) -> std::io::Result<()> {
///     loop {
///         let taken = reader.take()?;
///         if taken.redelivered() {
///             println!("somebody may have done this already");
///         }
///         work(&taken)?; // if it fails, or panics, the record comes again
///         taken.release()?;
///     }
/// }
/// # let _ = serve;
/// ```
pub struct Taken {
    seat: Arc<Attached>,
    pub(super) held: Held,
    numbered: Numbered,
    bytes: Vec<u8>,
    descriptor: Option<Outside>,
    is_over: bool,
}

impl Taken {
    /// Copies what lies there. `None`: that is no record; its slot is free then.
    pub(super) fn copy(seat: &Arc<Attached>, held: Held) -> Option<Self> {
        let slot = seat.region.layout.numbers().slot(held.number);
        let Some((numbered, bytes)) = seat.region.read(held.lane, slot) else {
            if lane::release(&seat.region, held, seat.me).is_ok() {
                seat.call_one(1 << held.lane);
            }
            return None;
        };
        Some(Taken { seat: seat.clone(), held, numbered, bytes, descriptor: None, is_over: false })
    }

    /// What it is: [`Record::kind`](super::Record::kind). [`EventKind::from_number`](crate::EventKind::from_number) says which event's.
    pub fn kind(&self) -> u32 {
        self.numbered.kind
    }

    /// The poster's number.
    pub fn token(&self) -> u64 {
        self.numbered.token
    }

    /// As [an event's](crate::Event::result): the number of bytes transferred, or the operation's error.
    pub fn result(&self) -> io::Result<usize> {
        event::told(self.numbered.result)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether somebody had taken it before who did not release it. So what is to be done about it may have been done.
    pub fn redelivered(&self) -> bool {
        self.held.again
    }

    /// The number of the poster's place. Records of one place come in the order in which they were posted, but for those that come again.
    pub fn poster(&self) -> usize {
        self.held.lane
    }

    pub(super) fn has_descriptor(&self) -> bool {
        self.numbered.has_descriptor
    }

    pub(super) fn set_descriptor(&mut self, descriptor: Option<Outside>) {
        self.descriptor = descriptor;
    }

    /// The descriptor that came with it, once. (If the record comes again it comes with it again.) It is the caller's to close, which may
    /// last if it is a socket that lingers, say; one that is not taken out is closed elsewhere.
    ///
    /// # Errors
    /// `NotFound`: one was posted with it, but is lost: this process or the owner of the queue had no number left for it, the owner could
    /// not send it for two seconds (its user has too many in flight: `ETOOMANYREFS`), or is gone. Or it has been given already.
    pub fn take_descriptor(&mut self) -> io::Result<Option<OwnedFd>> {
        if !self.has_descriptor() {
            return Ok(None);
        }
        let lost = "the descriptor of the record has not come, or was taken out before";
        self.descriptor
            .take()
            .map(|fd| Some(fd.into_owned()))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, lost))
    }

    /// It is done with: it does not come again, and there is room for another one.
    ///
    /// # Errors
    /// `InvalidData`: another process has written to the memory what it should not; whether it comes again cannot be told. In a forked
    /// child.
    pub fn release(mut self) -> io::Result<()> {
        refuse_child()?;
        self.is_over = true;
        let Held { lane, number, .. } = self.held;
        lane::release(&self.seat.region, self.held, self.seat.me).map_err(corrupt)?;
        self.seat.call_one(1 << lane);
        if self.has_descriptor() {
            // If there is no room in the line the owner has something to read, and looks behind that. (Or it has just read it: so the
            // second time. If it is gone there is nothing to be closed.)
            let tell = || self.seat.tell_owner(Note::Done, lane, number, None);
            if tell().is_err() {
                self.seat.region.unsaid().fetch_or(1 << lane, Ordering::AcqRel);
                let _ = tell();
            }
        }
        Ok(())
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.is_over || fork::is_child() {
            return;
        }
        // (If it cannot be given back the memory is not as it should be; the next call says so.)
        let _ = lane::give_back(&self.seat.region, self.held, self.seat.me);
        self.seat.call_one(self.seat.region.layout.readers());
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken")
            .field("kind", &self.kind())
            .field("token", &self.token())
            .field("result", &self.result())
            .field("bytes", &self.bytes.len())
            .field("redelivered", &self.redelivered())
            .finish_non_exhaustive()
    }
}
