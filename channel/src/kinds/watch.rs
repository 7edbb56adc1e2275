//! What happens to a file, or in a directory.
//!
//! Each stream has an inotify descriptor of its own, so its queue in the kernel is its own, too, and goes with it. One read brings many
//! events. They become items one by one: what has been read and is no item yet stays with the stream, and nothing is read while it pauses.

#![allow(unsafe_code)]

use super::EventKind;
use super::named::Names;
use super::readiness::show_names;
use crate::events::body::Kept;
use crate::events::event::Event;
use crate::events::inside::Inside;
use crate::events::request::Request;
use crate::events::stream::{Flow, Found, GivenBack, Item, Origin};
use crate::operation::{Carry, Class, Line, Readiness, Verdict, is_interrupted};
use crate::sys;
use io_uring::{opcode, squeue, types};
use std::cell::{Cell, RefCell};
use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

/// One read takes so much. (The longest event has 272 bytes.)
const ROOM: usize = 4096;
/// Of an event, what comes before the name.
const HEAD: usize = size_of::<libc::inotify_event>();

/// What has been read and is no item yet.
struct Unread {
    room: Box<[u8]>,
    at: usize,
    end: usize,
}

/// Waits until something has happened.
struct Await {
    inotify: OwnedFd,
    unread: RefCell<Unread>,
    /// The kernel watches no longer: when all has been read nothing more comes.
    has_gone: Cell<bool>,
    /// The errno of a read.
    failed: Cell<i32>,
}

impl Await {
    /// Is there an event, or the end to be told of? What is there is read.
    fn is_due(&self) -> bool {
        let mut unread = self.unread.borrow_mut();
        loop {
            while let Some(next) = unread.next() {
                if next.mask & libc::IN_IGNORED == 0 {
                    return true;
                }
                self.has_gone.set(true);
                unread.at += next.len();
            }
            let (fd, room) = (self.inotify.as_raw_fd(), unread.room.as_mut_ptr());
            // SAFETY: so much room is there; the descriptor does not block.
            match sys::now(|| unsafe { libc::read(fd, room.cast(), ROOM) }) {
                Some(n @ 1..) => (unread.at, unread.end) = (0, n as usize),
                None | Some(0) => return self.has_gone.get(),
                Some(error) => {
                    self.failed.set(-error);
                    return true;
                }
            }
        }
    }

    /// The next of what has been read. `None`: there is no more.
    fn take(&self) -> Option<Change> {
        let mut unread = self.unread.borrow_mut();
        let next = unread.next()?;
        let change = Change { mask: next.mask, cookie: next.cookie, name: next.name.map(OsStr::to_owned) };
        let len = next.len();
        unread.at += len;
        if change.is_overflow() && !self.is_watched() {
            self.has_gone.set(true);
        }
        Some(change)
    }

    /// Does the kernel still watch? What says that it does not may be among what an overflow has lost. (Without /proc there is no telling.)
    fn is_watched(&self) -> bool {
        let shown = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.inotify.as_raw_fd()));
        shown.map_or(true, |shown| shown.contains("inotify wd:"))
    }
}

/// An event as the kernel writes it.
struct Raw<'a> {
    mask: u32,
    cookie: u32,
    name: Option<&'a OsStr>,
    /// The name's, with the zeros behind it.
    name_len: usize,
}

impl Raw<'_> {
    fn len(&self) -> usize {
        HEAD + self.name_len
    }
}

impl Unread {
    fn next(&self) -> Option<Raw<'_>> {
        let bytes = self.room.get(self.at..self.end)?;
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (mask, cookie, name_len) = (word(4)?, word(8)?, word(12)? as usize);
        let name = bytes.get(HEAD..HEAD + name_len)?;
        let name = name.split(|byte| *byte == 0).next().filter(|name| !name.is_empty());
        Some(Raw { mask, cookie, name: name.map(OsStr::from_bytes), name_len })
    }
}

static WATCH: Class = Class::new();

// SAFETY: it touches the descriptor and the room, which it has.
unsafe impl Carry for Await {
    fn waits_for(&self) -> Option<Readiness> {
        let line = Line::new(&WATCH, 0);
        Some(Readiness { fd: self.inotify.as_raw_fd(), interest: libc::POLLIN, line })
    }

    /// (What is there need not be waited for.)
    fn entry(&self) -> Option<squeue::Entry> {
        let poll = || opcode::PollAdd::new(types::Fd(self.inotify.as_raw_fd()), libc::POLLIN as u32).build();
        Some(if self.is_due() { opcode::Nop::new().build() } else { poll() })
    }

    unsafe fn attempt(&self, _revents: i16) -> Option<i32> {
        self.is_due().then_some(0)
    }

    unsafe fn last_attempt(&self) -> Option<i32> {
        self.is_due().then_some(0)
    }

    fn is_attempted_at_last(&self) -> bool {
        true
    }

    fn judge(&self, result: i32) -> Verdict {
        if is_interrupted(-result) { Verdict::Again } else { Verdict::Final }
    }

    fn judge_success(&self, _result: i32) -> Verdict {
        if self.is_due() { Verdict::Final } else { Verdict::Again }
    }
}

struct Watch {
    path: Names<1>,
    flow: Flow,
    operation: Await,
}

impl Kept for Watch {
    fn kind(&self) -> u8 {
        EventKind::Watch as u8
    }

    fn names(&self) -> Vec<&OsStr> {
        self.path.given()
    }

    fn flow(&mut self) -> Option<&mut Flow> {
        Some(&mut self.flow)
    }

    fn point(&mut self) -> *const dyn Carry {
        &raw const self.operation
    }

    fn item(&mut self, _result: i32, _now: Instant, origin: &Origin<'_>) -> Result<Inside, i32> {
        match self.operation.take() {
            Some(change) => Ok(origin.item(self.kind(), &self.flow, change)),
            None => Err(-self.operation.failed.get()),
        }
    }
}

/// What is to be told of a [watched](Request::watch) file or directory, and what was.
///
/// ```
/// # use ec_channel::WatchFor;
/// let comings_and_goings = WatchFor::CREATED | WatchFor::DELETED | WatchFor::MOVED;
/// assert!(comings_and_goings.contains(WatchFor::MOVED_FROM) && WatchFor::ALL.contains(comings_and_goings));
/// assert_eq!(format!("{comings_and_goings:?}"), "CREATED | DELETED | MOVED_FROM | MOVED_TO");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchFor(u32);

impl WatchFor {
    /// Something was made in the directory: a file, a directory, a link.
    pub const CREATED: WatchFor = WatchFor(libc::IN_CREATE);
    /// Something was deleted from the directory.
    pub const DELETED: WatchFor = WatchFor(libc::IN_DELETE);
    /// Something was moved away, under the name that it had. Its [cookie](Change::cookie) is that of where it went to.
    pub const MOVED_FROM: WatchFor = WatchFor(libc::IN_MOVED_FROM);
    /// Something was moved here, under the name that it has now.
    pub const MOVED_TO: WatchFor = WatchFor(libc::IN_MOVED_TO);
    /// Both.
    pub const MOVED: WatchFor = WatchFor(libc::IN_MOVE);
    /// A file was written to, or truncated.
    pub const MODIFIED: WatchFor = WatchFor(libc::IN_MODIFY);
    /// Times, rights, owner, number of links.
    pub const ATTRIBUTES: WatchFor = WatchFor(libc::IN_ATTRIB);
    /// It was opened.
    pub const OPENED: WatchFor = WatchFor(libc::IN_OPEN);
    /// It was read from.
    pub const READ: WatchFor = WatchFor(libc::IN_ACCESS);
    /// Somebody who might have written has closed it.
    pub const CLOSED_BY_WRITER: WatchFor = WatchFor(libc::IN_CLOSE_WRITE);
    /// Somebody else has.
    pub const CLOSED_BY_READER: WatchFor = WatchFor(libc::IN_CLOSE_NOWRITE);
    /// What is watched itself was deleted. It comes whether it was asked for or not, and nothing else of it comes after. (A file is not
    /// deleted before the last who has it open has closed it.)
    pub const SELF_DELETED: WatchFor = WatchFor(libc::IN_DELETE_SELF);
    /// What is watched itself was moved. It is watched where it is now.
    pub const SELF_MOVED: WatchFor = WatchFor(libc::IN_MOVE_SELF);
    /// All that there is.
    pub const ALL: WatchFor = WatchFor(libc::IN_ALL_EVENTS);

    /// Whether all of `other` is in it.
    pub fn contains(self, other: WatchFor) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::ops::BitOr for WatchFor {
    type Output = WatchFor;
    fn bitor(self, other: WatchFor) -> WatchFor {
        WatchFor(self.0 | other.0)
    }
}

impl std::ops::BitAnd for WatchFor {
    type Output = WatchFor;
    fn bitand(self, other: WatchFor) -> WatchFor {
        WatchFor(self.0 & other.0)
    }
}

/// Its names, with `|` between them; nothing at all is `NOTHING`.
impl fmt::Debug for WatchFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (Self::CREATED, "CREATED"),
            (Self::DELETED, "DELETED"),
            (Self::MOVED_FROM, "MOVED_FROM"),
            (Self::MOVED_TO, "MOVED_TO"),
            (Self::MODIFIED, "MODIFIED"),
            (Self::ATTRIBUTES, "ATTRIBUTES"),
            (Self::OPENED, "OPENED"),
            (Self::READ, "READ"),
            (Self::CLOSED_BY_WRITER, "CLOSED_BY_WRITER"),
            (Self::CLOSED_BY_READER, "CLOSED_BY_READER"),
            (Self::SELF_DELETED, "SELF_DELETED"),
            (Self::SELF_MOVED, "SELF_MOVED"),
        ];
        show_names(f, all.into_iter().filter(|(one, _)| self.contains(*one)).map(|(_, name)| name))
    }
}

impl Found for Change {}

/// Something that has happened to what is [watched](Request::watch).
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    mask: u32,
    cookie: u32,
    name: Option<OsString>,
}

impl Change {
    /// What has happened: one of what was asked for, as a rule. Nothing, if it [is an overflow](Self::is_overflow) or an
    /// [unmount](Self::is_unmounted).
    pub fn what(&self) -> WatchFor {
        WatchFor(self.mask & WatchFor::ALL.0)
    }

    /// Of what in the watched directory; `None`: of what is watched itself.
    pub fn name(&self) -> Option<&OsStr> {
        self.name.as_deref()
    }

    /// The same number for both halves of a move, which come one behind the other if both ends are watched by one stream. 0 for
    /// everything else.
    pub fn cookie(&self) -> u32 {
        self.cookie
    }

    /// Whether it has happened to a directory.
    pub fn is_directory(&self) -> bool {
        self.mask & libc::IN_ISDIR != 0
    }

    /// Whether so much had happened, and was not fetched, that the kernel has dropped what came next (`fs.inotify.max_queued_events`). What
    /// was told before is whole; what comes after it is told again.
    pub fn is_overflow(&self) -> bool {
        self.mask & libc::IN_Q_OVERFLOW != 0
    }

    /// Whether the file system has been unmounted. Nothing else comes after.
    pub fn is_unmounted(&self) -> bool {
        self.mask & libc::IN_UNMOUNT != 0
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Change");
        match (self.is_overflow(), self.is_unmounted()) {
            (true, _) => shown.field("what", &format_args!("OVERFLOW")),
            (_, true) => shown.field("what", &format_args!("UNMOUNTED")),
            _ => shown.field("what", &self.what()),
        };
        shown.field("name", &self.name).field("cookie", &self.cookie).finish()
    }
}

/// An error that says what it is about. Its source is the kernel's.
#[derive(Debug)]
struct Refused {
    words: String,
    error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

fn refused(error: io::Error, path: &Path) -> io::Error {
    let hint = match error.raw_os_error() {
        // (The kernel says the same of both.)
        Some(libc::EMFILE) if a_descriptor_is_left() => {
            " (fs.inotify.max_user_instances says how many inotify descriptors a user may have)"
        }
        Some(libc::EMFILE) => " (RLIMIT_NOFILE says how many descriptors the process may have)",
        Some(libc::ENOSPC) => " (fs.inotify.max_user_watches says how many watches a user may have)",
        _ => "",
    };
    let words = format!("{} cannot be watched: {error}{hint}", path.display());
    io::Error::new(error.kind(), Refused { words, error })
}

/// Could another descriptor be had?
fn a_descriptor_is_left() -> bool {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    if fd < 0 {
        return false;
    }
    // SAFETY: the descriptor is new and ours.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
    true
}

fn watch(path: &Path, what: WatchFor) -> io::Result<OwnedFd> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: no pointer is passed.
    let fd: RawFd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and ours.
    let inotify = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: a string with a zero at its end.
    match unsafe { libc::inotify_add_watch(fd, name.as_ptr(), what.0 | libc::IN_DELETE_SELF) } {
        0.. => Ok(inotify),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Request {
    /// A stream: what happens to a file, or in a directory (not in those below it), from now on. Each item has a [change](Event::change).
    /// It is the file that is watched, not its name: also after it was moved. When it is deleted, or its file system unmounted, the
    /// stream ends without an error, after the item that says so. Whoever lets go of a stream that has ended, or was cancelled, watches no
    /// longer; until then it can be posted [again](Event::again), and what has happened meanwhile comes.
    ///
    /// Nothing is lost in silence: while the stream pauses ([`credit`](Self::credit)) the kernel keeps what happens, and if that is too much
    /// an item [says so](Change::is_overflow). Two changes that are alike and follow each other are one.
    ///
    /// This call does what inotify_add_watch(2) does, and blocks as long as that takes to find the file. To drop the stream (as a rule with
    /// its last event) closes its descriptor, for which the kernel takes its time: some 10 ms.
    ///
    /// # Errors
    /// There is no such file ([`NotFound`](io::ErrorKind::NotFound)); it must not be read
    /// ([`PermissionDenied`](io::ErrorKind::PermissionDenied)); its name has a zero in it; the user has as many inotify descriptors or
    /// watches as the system allows, or the process as many descriptors. They say which; the kernel's error, with its number, is their
    /// [source](std::error::Error::source).
    ///
    /// ```
    /// # use ec_channel::{EventChannel, Request, WatchFor};
    /// # let directory = std::env::temp_dir().join(format!("ec-watch-example-{}", std::process::id()));
    /// # std::fs::create_dir_all(&directory)?;
    /// let channel = EventChannel::new()?;
    /// channel.post(Request::watch(&directory, WatchFor::CREATED | WatchFor::DELETED)?)?;
    /// std::fs::write(directory.join("news"), "")?;
    /// let item = channel.get_event()?;
    /// let change = item.change().unwrap();
    /// assert_eq!((change.what(), change.name().unwrap().to_str()), (WatchFor::CREATED, Some("news")));
    /// std::fs::remove_dir_all(&directory)?;
    /// while !channel.get_event()?.is_last() {}
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn watch(path: impl AsRef<Path>, what: WatchFor) -> io::Result<Self> {
        let path = path.as_ref();
        let inotify = watch(path, what).map_err(|error| refused(error, path))?;
        let unread = Unread { room: vec![0; ROOM].into_boxed_slice(), at: 0, end: 0 };
        let (has_gone, failed) = (Cell::new(false), Cell::new(0));
        let operation = Await { inotify, unread: RefCell::new(unread), has_gone, failed };
        let path = Names::new([path.as_os_str()]);
        Ok(Self::of(Watch { path, flow: Flow::new(GivenBack::Fetched), operation }))
    }
}

impl Event {
    /// Of an item of a [watch](Request::watch): what has happened. `None` for everything else.
    pub fn change(&self) -> Option<&Change> {
        Some(&self.0.of_kind::<Item<Change>>()?.found)
    }
}
