//! The kinds of events, each in one place.
//!
//! The file of a kind has how it is made ([`Request::recv`], say), what it holds, how each driver carries it out, what its results
//! mean, and what an event of it gives. A new kind is a file, and a line of the list below.

mod accept_many;
mod addressed;
pub(crate) mod ancillary;
mod cursor;
mod ends;
pub(crate) mod failure;
mod memory;
pub(crate) mod metadata;
mod named;
mod on_file;
mod on_socket;
mod on_the_way;
pub(crate) mod open_options;
mod parts;
pub(crate) mod pooled;
mod positioned;
mod refused;
pub(crate) mod sort;

use crate::events::event::Event;
use crate::events::request::Request;
use std::fmt;

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

            /// As it is called in an error: `recv_from`, say.
            pub fn name(self) -> &'static str {
                match self {
                    $(EventKind::$Name => stringify!($file),)*
                }
            }
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
    /// Bytes received into several buffers.
    recv_vectored: RecvVectored,
    /// Bytes sent from several buffers.
    send_vectored: SendVectored,
    /// A message received, with what goes with it.
    recv_msg: RecvMsg,
    /// A message sent, with what goes with it.
    send_msg: SendMsg,
    /// Bytes received into a buffer that is taken when there are some.
    recv_pooled: RecvPooled,
    /// Bytes sent from where they are.
    send_zero_copy: SendZeroCopy,
    /// A connection shut down.
    shutdown: Shutdown,
    /// A descriptor ready.
    readiness: Readiness,
    /// A point in time.
    timer: Timer,
    /// A time of the system's clock.
    wall_clock: WallClock,
    /// Something that happens to a file, or in a directory.
    watch: Watch,
    /// A process that ends.
    child_exit: ChildExit,
    /// A signal that comes to the process.
    signal: Signal,
    /// Something that the application says to itself.
    notification: Notification,
    /// Bytes read, as read(2) reads them.
    read: Read,
    /// Bytes written, as write(2) writes them.
    write: Write,
    /// Bytes read from a position in a file.
    read_at: ReadAt,
    /// Bytes written at a position in a file.
    write_at: WriteAt,
    /// Bytes read from a position in a file into several buffers.
    read_at_vectored: ReadAtVectored,
    /// Bytes written at a position in a file from several buffers.
    write_at_vectored: WriteAtVectored,
    /// A file's content brought to the disk.
    fsync: Fsync,
    /// A file's data brought to the disk.
    fdatasync: Fdatasync,
    /// Room on the disk for a part of a file.
    allocate: Allocate,
    /// A file's length set.
    truncate: Truncate,
    /// The kernel told how a file will be used.
    advise: Advise,
    /// A descriptor closed.
    close: Close,
    /// Bytes read into pages, past the page cache.
    read_direct: ReadDirect,
    /// Bytes written from pages, past the page cache.
    write_direct: WriteDirect,
    /// A closure run by a helper thread.
    work: Work,
    /// A file opened.
    open: Open,
    /// What there is to know of a file.
    stat: Stat,
    /// A file renamed.
    rename: Rename,
    /// A second name for a file.
    link: Link,
    /// A symbolic link made.
    symlink: Symlink,
    /// A name of a file taken away.
    unlink: Unlink,
    /// A folder made.
    mkdir: Mkdir,
    /// A folder removed.
    rmdir: Rmdir,
    /// What a symbolic link says.
    read_link: ReadLink,
    /// An extended attribute read.
    get_xattr: GetXattr,
    /// The names of extended attributes.
    list_xattr: ListXattr,
    /// An extended attribute set.
    set_xattr: SetXattr,
    /// An extended attribute removed.
    remove_xattr: RemoveXattr,
    /// Bytes that went through a pipe.
    splice: Splice,
    /// Bytes of a pipe in another one as well.
    tee: Tee,
    /// Everything that came from a descriptor gone to another one.
    pump: Pump,
    /// A word in memory changed.
    word: Word,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
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
