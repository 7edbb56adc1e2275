//! The kinds of events, each in one place.
//!
//! The file of a kind has how it is made ([`Request::recv`], say), what it holds, how each driver carries it out, what its results
//! mean, and what an event of it gives. A new kind is a file, and a line of the list below.

mod addressed;

use crate::events::event::Event;
use crate::events::request::Request;

/// The list: of each kind its file, its name, and what that says.
macro_rules! kinds {
    ($($(#[$doc:meta])* $file:ident: $Name:ident,)*) => {
        $(pub(crate) mod $file;)*

        /// What a request asks for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum EventKind {
            $($(#[$doc])* $Name,)*
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &[EventKind] = &[$(EventKind::$Name,)*];
        }
    };
}

kinds! {
    /// A connection accepted.
    accept: Accept,
    /// A connection made.
    connect: Connect,
    /// Bytes received.
    recv: Recv,
    /// Bytes sent.
    send: Send,
    /// A datagram received, with its sender.
    recv_from: RecvFrom,
    /// A datagram sent to an address.
    send_to: SendTo,
    /// A descriptor ready.
    readiness: Readiness,
    /// A point in time.
    timer: Timer,
    /// Something that the application says to itself.
    notification: Notification,
}

impl Event {
    /// What was asked for.
    pub fn kind(&self) -> EventKind {
        EventKind::ALL[usize::from(self.0.kind())]
    }
}

impl Request {
    /// What the request asks for.
    pub fn kind(&self) -> EventKind {
        EventKind::ALL[usize::from(self.0.kind())]
    }
}

/// A buffer that `result` bytes were received into; an error has left it empty.
///
/// # Safety
/// So many bytes of its capacity are initialised.
#[allow(unsafe_code)]
unsafe fn received(buffer: &mut Vec<u8>, result: i32) {
    let n = usize::try_from(result).unwrap_or(0).min(buffer.capacity());
    // SAFETY: by contract.
    unsafe { buffer.set_len(n) };
}
