//! The shared memory itself: a memfd that nobody can shrink, mapped. All of `unsafe` that has to do with it is here.
//!
//! Other processes write to it whenever they like, whatever they like. So there is no reference into it but to atomics, and what is
//! read is copied, a word at a time.

#![allow(unsafe_code)]

use super::lane::Memory;
use super::shape::{Layout, NUMBERS_OF_A_RECORD};
use super::word::Numbers;
use crate::sync::{AtomicU64, Ordering};
use crate::sys::{self, sigpipe};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

const SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;

pub(crate) struct Region {
    start: NonNull<AtomicU64>,
    pub(crate) layout: Layout,
}

// SAFETY: it is memory, mapped until this is dropped, that is used by atomics alone.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

/// What a slot has beside its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) kind: u32,
    pub(crate) token: u64,
    pub(crate) result: i32,
    pub(crate) has_descriptor: bool,
}

/// New memory, all zero, of that size for good.
pub(crate) fn create(layout: Layout) -> io::Result<(OwnedFd, Region)> {
    let make = |flags| {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | flags;
        // SAFETY: the name is a string of C's.
        unsafe { libc::memfd_create(c"ec-shm".as_ptr(), flags) }
    };
    let refused = |what: &str, error: io::Error| {
        io::Error::new(error.kind(), format!("a queue in shared memory needs a memfd, and {what}: {error}"))
    };
    // From Linux 6.3 on; such a kernel may insist on it.
    let mut fd = make(libc::MFD_NOEXEC_SEAL);
    if fd < 0 && sys::errno() == libc::EINVAL {
        fd = make(0);
    }
    if fd < 0 {
        return Err(refused("memfd_create(2) makes none", io::Error::last_os_error()));
    }
    // SAFETY: the descriptor is new and ours.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // All of it at once: a page that is missing when it is touched would be the end of whoever touches it. (A limit to the sizes of files is
    // one for this, too, and raises a signal.)
    let sized = sigpipe::held_back(libc::SIGXFSZ, libc::EFBIG, || allocate(fd.as_fd(), layout.size));
    if sized != Some(0) {
        let errno = sized.map_or(libc::EAGAIN, |n| -n);
        return Err(refused("there is no room for it", io::Error::from_raw_os_error(errno)));
    }
    // SAFETY: no pointer is passed.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, SEALS) } != 0 {
        return Err(refused("it cannot be sealed", io::Error::last_os_error()));
    }
    let region = Region::map(fd.as_fd(), layout)?;
    Ok((fd, region))
}

/// 0, or minus an errno. In pieces: a signal has what was done of one undone.
fn allocate(fd: BorrowedFd<'_>, size: usize) -> Option<i32> {
    const PIECE: usize = 1 << 20;
    let mut pieces = (0..size).step_by(PIECE).map(|at| {
        let (at, long) = (at as libc::off_t, PIECE.min(size - at) as libc::off_t);
        // SAFETY: no pointer is passed.
        sys::now(|| unsafe { libc::fallocate(fd.as_raw_fd(), 0, at, long) as isize })
    });
    pieces.find(|done| *done != Some(0)).unwrap_or(Some(0))
}

impl Region {
    /// Memory that another process has made. It is mapped if it can neither shrink nor grow, and is as large as it should be.
    pub(crate) fn map(fd: BorrowedFd<'_>, layout: Layout) -> io::Result<Self> {
        let wrong = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        // SAFETY: no pointer is passed. (Of what is no memfd this is an error, -1.)
        let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
        if seals < 0 || seals & SEALS != SEALS {
            return wrong("the memory of the queue is no memfd that is sealed against shrinking");
        }
        if !is_plain(fd)? {
            return wrong("the memory of the queue is of a kind that may be missing when it is used");
        }
        if std::fs::File::from(fd.try_clone_to_owned()?).metadata()?.len() != layout.size as u64 {
            return wrong("the memory of the queue has not the size that its shape has");
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping, wherever the kernel likes.
        let start = unsafe { libc::mmap(null, layout.size, access, libc::MAP_SHARED, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).expect("no mapping begins at null");
        Ok(Region { start, layout })
    }

    fn atomic(&self, at: usize) -> &AtomicU64 {
        assert!(at < self.layout.size && at.is_multiple_of(size_of::<u64>()));
        // SAFETY: that word lies inside the mapping (whose size is a multiple of a word's), which cannot shrink and lives as long as
        // `self`. The mapping begins at a page, so it is aligned. In this process it is used by atomics alone; what other processes
        // do to it is for an atomic as another thread's store.
        unsafe { AtomicU64::from_ptr(self.start.as_ptr().byte_add(at).cast()) }
    }

    fn record(&self, lane: usize, slot: usize) -> impl Iterator<Item = &AtomicU64> {
        let at = self.layout.record_at(lane, slot);
        let words = NUMBERS_OF_A_RECORD + self.layout.shape.bytes.div_ceil(size_of::<u64>());
        (0..words).map(move |nth| self.atomic(at + nth * size_of::<u64>()))
    }

    /// A bit for each lane: a record with a descriptor was released there, and the owner could not be told which.
    pub(crate) fn unsaid(&self) -> &AtomicU64 {
        self.atomic(Layout::UNSAID_AT)
    }

    /// Not 0: the owner is gone, says somebody. (It is up to each to look.)
    pub(crate) fn ended(&self) -> &AtomicU64 {
        self.atomic(Layout::ENDED_AT)
    }

    /// Into a slot that is the caller's; not more bytes than the shape says.
    pub(crate) fn write(&self, lane: usize, slot: usize, numbered: Numbered, bytes: &[u8]) {
        let Numbered { kind, token, result, has_descriptor } = numbered;
        let numbers = [
            token,
            u64::from(kind) << 32 | u64::from(result as u32),
            (bytes.len() as u64) << 1 | u64::from(has_descriptor),
        ];
        let bytes = bytes.chunks(size_of::<u64>()).map(|some| {
            let mut word = [0; size_of::<u64>()];
            word[..some.len()].copy_from_slice(some);
            u64::from_ne_bytes(word)
        });
        for (word, value) in self.record(lane, slot).zip(numbers.into_iter().chain(bytes)) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// A copy of what is in a slot that is the caller's. `None`: it cannot be so long.
    pub(crate) fn read(&self, lane: usize, slot: usize) -> Option<(Numbered, Vec<u8>)> {
        let mut words = self.record(lane, slot).map(|word| word.load(Ordering::Relaxed));
        let [token, kind, length] = [words.next()?, words.next()?, words.next()?];
        let has_descriptor = length & 1 != 0;
        let length = usize::try_from(length >> 1).ok().filter(|n| *n <= self.layout.shape.bytes)?;
        let mut bytes = Vec::with_capacity(length.next_multiple_of(size_of::<u64>()));
        for word in words.take(length.div_ceil(size_of::<u64>())) {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.truncate(length);
        let numbered =
            Numbered { kind: (kind >> 32) as u32, token, result: kind as u32 as i32, has_descriptor };
        Some((numbered, bytes))
    }
}

impl Memory for Region {
    fn lanes(&self) -> usize {
        self.layout.shape.posters
    }

    fn numbers(&self) -> Numbers {
        self.layout.numbers()
    }

    fn word(&self, lane: usize, slot: usize) -> &AtomicU64 {
        self.atomic(self.layout.word_at(lane, slot))
    }

    fn returns(&self, lane: usize) -> &AtomicU64 {
        self.atomic(self.layout.returns_at(lane))
    }

    fn sleepers(&self) -> &AtomicU64 {
        self.atomic(0)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.layout.size) };
    }
}

/// Pages of a memfd are there when they are touched, but for those of one in huge pages: without a free one the process is killed.
fn is_plain(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut about = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: room for the answer.
    if unsafe { libc::fstatfs(fd.as_raw_fd(), about.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has filled it.
    let about = unsafe { about.assume_init() };
    // (The types differ from one libc to the other.)
    #[allow(clippy::unnecessary_cast)]
    let is_plain = about.f_type as i64 == libc::TMPFS_MAGIC as i64;
    Ok(is_plain)
}

#[cfg(test)]
impl Region {
    /// As somebody who means ill.
    pub(crate) fn set(&self, at: usize, value: u64) {
        self.atomic(at).store(value, Ordering::Relaxed);
    }
}
