//! The name of a posted request: a number with a generation, never an address.
//!
//! ```text
//!  63              34 33      24 23                 0
//! +------------------+----------+--------------------+
//! |    generation    |   port   |        slot        |
//! +------------------+----------+--------------------+
//! ```
//! A slot is used again, with the next generation, as soon as its request has come back. A cancel that
//! comes late names a generation that has gone, and finds nothing. Otherwise it would hit whoever has the
//! slot by then (or, if the name were an address, the stack frame).

const SLOT_BITS: u32 = 24;
const PORT_BITS: u32 = 10;
const GENERATION_BITS: u32 = 64 - SLOT_BITS - PORT_BITS;

/// Most requests that one port may have in flight.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// Most ports of one channel. The last number is kept for requests that pass through no port.
pub(crate) const MAX_PORTS: usize = (1 << PORT_BITS) - 1;

/// The id of one posted event, unique in the process while the event is in flight.
///
/// It stays safe to use afterwards: [`cancel`](crate::EventChannel::cancel) with the id of an event
/// that has come back does nothing (a slot's generation repeats after 2^30 uses, the number of a notification after 2^50), and to another channel it says nothing.
///
/// Only [`post`](crate::EventChannel::post) makes ids. Numbers that somebody makes up would name others' requests, those of
/// suspended tasks among them:
///
/// ```compile_fail,E0599
/// // No such function: it would turn any number into an id.
/// let id = ec_channel::EventId::from_u64(1 << 34);
/// ```
/// ```
/// # use ec_channel::{EventChannel, Request};
/// let (channel, other) = (EventChannel::new()?, EventChannel::new()?);
/// let id = channel.post(Request::timer(std::time::Duration::from_secs(60)))?;
/// assert!(!other.cancel(id), "not one of its own");
/// assert!(channel.cancel(id));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId {
    op: OpId,
    /// Which channel's.
    channel: u32,
}

impl EventId {
    pub(crate) fn new(op: OpId, channel: u32) -> Self {
        Self { op, channel }
    }

    /// Of something that has not been posted.
    pub(crate) fn none(channel: u32) -> Self {
        Self { op: OpId(0), channel }
    }

    /// What the channel of this number calls the request; `None`: it is not one of its own.
    pub(crate) fn of(self, channel: u32) -> Option<OpId> {
        (self.channel == channel).then_some(self.op)
    }

    pub(crate) fn channel(self) -> u32 {
        self.channel
    }

    /// A number for logs and tables: another one for each event of a channel that is in flight.
    pub fn as_u64(self) -> u64 {
        self.op.0
    }
}

/// The id of one operation in flight: of a [`RawOp`](crate::raw::RawOp), or what lies beneath an event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(u64);

impl OpId {
    pub(crate) fn new(generation: u32, port: usize, slot: u32) -> Self {
        debug_assert!(port <= MAX_PORTS && (slot as usize) < MAX_SLOTS);
        Self(
            (u64::from(generation) << (SLOT_BITS + PORT_BITS))
                | ((port as u64) << SLOT_BITS)
                | u64::from(slot),
        )
    }

    /// An id for a request that is complete as it is posted: it has no slot, so nothing can cancel it. Another one for each of 2^54 serials:
    /// all bits are the serial's but for the port, which is none.
    #[inline]
    pub(crate) fn slotless(serial: u64) -> Self {
        let generation = ((serial >> SLOT_BITS) as u32) & ((1 << GENERATION_BITS) - 1);
        Self::new(generation, MAX_PORTS, (serial as u32) & (MAX_SLOTS as u32 - 1))
    }

    /// The id as one word, for those who must keep it in an atomic.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that [`as_u64`](Self::as_u64) gave.
    pub fn from_u64(word: u64) -> Self {
        Self(word)
    }

    pub(crate) fn port(self) -> usize {
        (self.0 >> SLOT_BITS) as usize & MAX_PORTS
    }

    pub(crate) fn slot(self) -> u32 {
        self.0 as u32 & (MAX_SLOTS as u32 - 1)
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> (SLOT_BITS + PORT_BITS)) as u32
    }

    /// The generation after `generation`; 0 is left out, it marks the drivers' own entries.
    pub(crate) fn next_generation(generation: u32) -> u32 {
        let next = (generation + 1) & ((1 << GENERATION_BITS) - 1);
        next.max(1)
    }
}

impl std::fmt::Debug for OpId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpId({}.{}.{})", self.port(), self.slot(), self.generation())
    }
}

impl std::fmt::Debug for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventId({}:{}.{}.{})", self.channel, self.op.port(), self.op.slot(), self.op.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn parts_survive_packing() {
        let id = OpId::new((1 << GENERATION_BITS) - 1, MAX_PORTS, (MAX_SLOTS - 1) as u32);
        assert_eq!((id.generation(), id.port(), id.slot()), ((1 << 30) - 1, 1023, (1 << 24) - 1));
        let id = OpId::from_u64(OpId::new(1, 2, 3).as_u64());
        assert_eq!((id.generation(), id.port(), id.slot()), (1, 2, 3));
    }

    #[test]
    fn generation_zero_is_never_given() {
        assert_eq!(OpId::next_generation((1 << 30) - 1), 1);
        assert_eq!(OpId::next_generation(1), 2);
    }

    #[test]
    fn each_request_without_a_slot_has_another_id() {
        let edges = [0, 1 << SLOT_BITS, 2 << SLOT_BITS, 3 << SLOT_BITS, (1 << 54) - 2];
        let serials = edges.into_iter().flat_map(|edge: u64| [edge.wrapping_sub(1), edge, edge + 1]);
        let serials: HashSet<u64> = serials.filter(|serial| *serial < 1 << 54).collect();
        let ids: HashSet<OpId> = serials.iter().map(|serial| OpId::slotless(*serial)).collect();
        assert_eq!(ids.len(), serials.len());
        for id in ids {
            // (No port has this number; and it is not the id of what was not posted.)
            assert_eq!((id.port(), OpId::from_u64(id.as_u64())), (MAX_PORTS, id));
            assert_ne!(EventId::new(id, 7), EventId::none(7));
        }
    }
}
