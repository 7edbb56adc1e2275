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

/// The list: of each kind its file, its name, what that says, and the constructors of [`Request`] that make it.
macro_rules! kinds {
    ($($(#[$doc:meta])* $file:ident: $Name:ident = $first:ident $(, $more:ident)*;)*) => {
        $(pub(crate) mod $file;)*

        /// What a request asks for.
        ///
        /// How each driver carries out each kind is in [`native_where`](crate::native_where).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum EventKind {
            $(
                $(#[$doc])*
                #[doc = concat!(
                    "Made by [`", stringify!($first), "`](Request::", stringify!($first), ")"
                    $(, ", [`", stringify!($more), "`](Request::", stringify!($more), ")")*, "."
                )]
                $Name,
            )*
        }

        impl EventKind {
            /// All of them.
            pub const ALL: &[EventKind] = &[$(EventKind::$Name,)*];

            /// As it is called in an error, and printed by `{}`: `recv_from`, say.
            pub fn name(self) -> &'static str {
                match self {
                    $(EventKind::$Name => stringify!($file),)*
                }
            }
        }
    };
}

impl EventKind {
    /// The kind of this number, which is that of a [record](crate::shm::Record::kind) made of an event (`EventKind::Recv as u32`). `None`:
    /// there is none in this version of the crate.
    ///
    /// ```
    /// # use ec_channel::EventKind;
    /// assert_eq!(EventKind::from_number(EventKind::RecvFrom as u32), Some(EventKind::RecvFrom));
    /// assert_eq!(EventKind::RecvFrom.to_string(), "recv_from");
    /// assert_eq!(EventKind::from_number(256), None);
    /// ```
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

kinds! {
    /// A connection accepted.
    accept: Accept = accept, accept_many;
    /// A connection made.
    connect: Connect = connect, connect_to;
    /// Bytes received.
    recv: Recv = recv;
    /// Bytes sent.
    send: Send = send;
    /// A datagram received, with its sender.
    recv_from: RecvFrom = recv_from;
    /// A datagram sent to an address.
    send_to: SendTo = send_to;
    /// Bytes received into several buffers.
    recv_vectored: RecvVectored = recv_vectored;
    /// Bytes sent from several buffers.
    send_vectored: SendVectored = send_vectored;
    /// A message received, with what goes with it.
    recv_msg: RecvMsg = recv_msg;
    /// A message sent, with what goes with it.
    send_msg: SendMsg = send_msg, send_msg_to;
    /// Bytes received into a buffer that is taken when there are some.
    recv_pooled: RecvPooled = recv_pooled;
    /// Bytes sent from where they are.
    send_zero_copy: SendZeroCopy = send_zero_copy;
    /// A connection shut down.
    shutdown: Shutdown = shutdown;
    /// A descriptor ready.
    readiness: Readiness = readiness, readiness_stream;
    /// A point in time.
    timer: Timer = timer, timer_at, interval, interval_at;
    /// A time of the system's clock.
    wall_clock: WallClock = wall_clock;
    /// Something that happens to a file, or in a directory.
    watch: Watch = watch;
    /// A process that ends.
    child_exit: ChildExit = child_exit, process_exit, pidfd_exit;
    /// A signal that comes to the process.
    signal: Signal = signal, signals;
    /// Something that the application says to itself.
    notification: Notification = notification, signal_posts;
    /// Bytes read, as read(2) reads them.
    read: Read = read;
    /// Bytes written, as write(2) writes them.
    write: Write = write;
    /// Bytes read from a position in a file.
    read_at: ReadAt = read_at;
    /// Bytes written at a position in a file.
    write_at: WriteAt = write_at;
    /// Bytes read from a position in a file into several buffers.
    read_at_vectored: ReadAtVectored = read_at_vectored;
    /// Bytes written at a position in a file from several buffers.
    write_at_vectored: WriteAtVectored = write_at_vectored;
    /// A file's content brought to the disk.
    fsync: Fsync = fsync;
    /// A file's data brought to the disk.
    fdatasync: Fdatasync = fdatasync;
    /// Room on the disk for a part of a file.
    allocate: Allocate = allocate;
    /// A file's length set.
    truncate: Truncate = truncate;
    /// The kernel told how a file will be used.
    advise: Advise = advise;
    /// A descriptor closed.
    close: Close = close;
    /// Bytes read into pages, past the page cache.
    read_direct: ReadDirect = read_direct;
    /// Bytes written from pages, past the page cache.
    write_direct: WriteDirect = write_direct;
    /// A closure run by a helper thread.
    work: Work = work;
    /// A file opened.
    open: Open = open;
    /// What there is to know of a file.
    stat: Stat = stat, lstat, stat_of;
    /// A file renamed.
    rename: Rename = rename;
    /// A second name for a file.
    link: Link = link;
    /// A symbolic link made.
    symlink: Symlink = symlink;
    /// A name of a file taken away.
    unlink: Unlink = unlink;
    /// A folder made.
    mkdir: Mkdir = mkdir;
    /// A folder removed.
    rmdir: Rmdir = rmdir;
    /// What a symbolic link says.
    read_link: ReadLink = read_link;
    /// An extended attribute read.
    get_xattr: GetXattr = get_xattr;
    /// The names of extended attributes.
    list_xattr: ListXattr = list_xattr;
    /// An extended attribute set.
    set_xattr: SetXattr = set_xattr;
    /// An extended attribute removed.
    remove_xattr: RemoveXattr = remove_xattr;
    /// Bytes that went through a pipe.
    splice: Splice = splice, splice_at;
    /// Bytes of a pipe in another one as well.
    tee: Tee = tee;
    /// Everything that came from a descriptor gone to another one.
    pump: Pump = pump;
    /// A word in memory changed.
    word: Word = word;
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
