//! The name of a posted request: a number with a generation, never an address.
//!
//! ```text
//!  63              34 33      24 23                 0
//! +------------------+----------+--------------------+
//! |    generation    |   port   |        slot        |
//! +------------------+----------+--------------------+
//! ```
//! A slot is used again as soon as its request has come back, with the next generation. A cancel
//! that comes late names a generation that has gone and finds nothing, instead of hitting whoever
//! has the slot (or, were it an address, the stack frame) by then.

const SLOT_BITS: u32 = 24;
const PORT_BITS: u32 = 10;
const GENERATION_BITS: u32 = 64 - SLOT_BITS - PORT_BITS;

/// Most requests that one port may have in flight.
pub(crate) const MAX_SLOTS: usize = 1 << SLOT_BITS;
/// Most ports of one channel. The last number is kept for requests that pass through no port.
pub(crate) const MAX_PORTS: usize = (1 << PORT_BITS) - 1;

/// The id of one posted request, unique while the request is in flight.
///
/// It stays safe to use afterwards: [`cancel`](crate::EventChannel::cancel) with the id of a request
/// that has come back does nothing. (A slot's generation repeats after 2^30 uses.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(u64);

impl EventId {
    pub(crate) fn new(generation: u32, port: usize, slot: u32) -> Self {
        debug_assert!(port <= MAX_PORTS && (slot as usize) < MAX_SLOTS);
        Self(
            (u64::from(generation) << (SLOT_BITS + PORT_BITS))
                | ((port as u64) << SLOT_BITS)
                | u64::from(slot),
        )
    }

    /// An id for a request that is complete as it is posted: it has no slot, so nothing can cancel it.
    pub(crate) fn slotless(serial: u64) -> Self {
        let generation = ((serial >> SLOT_BITS) as u32) & ((1 << GENERATION_BITS) - 1);
        Self::new(generation.max(1), MAX_PORTS, (serial as u32) & (MAX_SLOTS as u32 - 1))
    }

    /// The id as one word, for those who must keep it in an atomic.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The id that [`as_u64`](Self::as_u64) gave. A number made up names, at worst, some other request.
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

impl std::fmt::Debug for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EventId({}.{}.{})", self.port(), self.slot(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_packing() {
        let id = EventId::new((1 << GENERATION_BITS) - 1, MAX_PORTS, (MAX_SLOTS - 1) as u32);
        assert_eq!((id.generation(), id.port(), id.slot()), ((1 << 30) - 1, 1023, (1 << 24) - 1));
        let id = EventId::from_u64(EventId::new(1, 2, 3).as_u64());
        assert_eq!((id.generation(), id.port(), id.slot()), (1, 2, 3));
    }

    #[test]
    fn generation_zero_is_never_given() {
        assert_eq!(EventId::next_generation((1 << 30) - 1), 1);
        assert_eq!(EventId::next_generation(1), 2);
        assert!(EventId::slotless(0).generation() != 0);
    }
}
