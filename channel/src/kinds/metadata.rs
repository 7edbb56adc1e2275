//! What there is to know of a file, for those who ask.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

/// What there is to know of a file: as [`std::fs::Metadata`], with what [`MetadataExt`](std::os::unix::fs::MetadataExt) adds. See
/// [`Event::metadata`](crate::Event::metadata).
#[derive(Clone, Debug)]
pub struct Metadata {
    mode: u32,
    len: u64,
    inode: u64,
    links: u64,
    uid: u32,
    gid: u32,
    device: u64,
    represents: u64,
    block_size: u64,
    blocks: u64,
    accessed: Time,
    modified: Time,
    changed: Time,
    created: Option<Time>,
}

/// Seconds since 1970, and nanoseconds.
type Time = (i64, u32);

fn system_time((seconds, nanoseconds): Time) -> io::Result<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = match seconds {
        0.. => SystemTime::UNIX_EPOCH.checked_add(whole),
        _ => SystemTime::UNIX_EPOCH.checked_sub(whole),
    };
    let time = start.and_then(|start| start.checked_add(Duration::from_nanos(nanoseconds.into())));
    time.ok_or_else(|| io::Error::from_raw_os_error(libc::EOVERFLOW))
}

impl Metadata {
    pub(super) fn new(found: &libc::statx) -> Self {
        let time = |at: &libc::statx_timestamp| (at.tv_sec, at.tv_nsec);
        let has_created = found.stx_mask & libc::STATX_BTIME != 0;
        Metadata {
            mode: found.stx_mode.into(),
            len: found.stx_size,
            inode: found.stx_ino,
            links: found.stx_nlink.into(),
            uid: found.stx_uid,
            gid: found.stx_gid,
            device: libc::makedev(found.stx_dev_major, found.stx_dev_minor),
            represents: libc::makedev(found.stx_rdev_major, found.stx_rdev_minor),
            block_size: found.stx_blksize.into(),
            blocks: found.stx_blocks,
            accessed: time(&found.stx_atime),
            modified: time(&found.stx_mtime),
            changed: time(&found.stx_ctime),
            created: has_created.then(|| time(&found.stx_btime)),
        }
    }

    fn is(&self, of: u32) -> bool {
        self.mode & libc::S_IFMT == of
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.is(libc::S_IFREG)
    }

    /// A folder.
    pub fn is_dir(&self) -> bool {
        self.is(libc::S_IFDIR)
    }

    /// A symbolic link (which only [`lstat`](crate::Request::lstat) finds).
    pub fn is_symlink(&self) -> bool {
        self.is(libc::S_IFLNK)
    }

    /// A FIFO, or a pipe.
    pub fn is_fifo(&self) -> bool {
        self.is(libc::S_IFIFO)
    }

    /// A socket.
    pub fn is_socket(&self) -> bool {
        self.is(libc::S_IFSOCK)
    }

    /// A block device.
    pub fn is_block_device(&self) -> bool {
        self.is(libc::S_IFBLK)
    }

    /// A character device: a terminal, `/dev/null`.
    pub fn is_char_device(&self) -> bool {
        self.is(libc::S_IFCHR)
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "as std's")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Who may do what with it.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode)
    }

    /// When it was written last.
    ///
    /// # Errors
    /// `EOVERFLOW`: no [`SystemTime`] says so.
    pub fn modified(&self) -> io::Result<SystemTime> {
        system_time(self.modified)
    }

    /// When it was read last, as far as the file system keeps that.
    ///
    /// # Errors
    /// As [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        system_time(self.accessed)
    }

    /// When it, or what there is to know of it, was changed last.
    ///
    /// # Errors
    /// As [`modified`](Self::modified).
    pub fn changed(&self) -> io::Result<SystemTime> {
        system_time(self.changed)
    }

    /// When it was made.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported): the file system does not keep that. Else as [`modified`](Self::modified).
    pub fn created(&self) -> io::Result<SystemTime> {
        self.created.map_or_else(|| Err(io::ErrorKind::Unsupported.into()), system_time)
    }

    /// What kind of file it is, and who may do what with it, in one number: `st_mode`.
    pub fn mode(&self) -> u32 {
        self.mode
    }

    /// The number of the device that it lies on.
    pub fn dev(&self) -> u64 {
        self.device
    }

    /// Its number there.
    pub fn ino(&self) -> u64 {
        self.inode
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.links
    }

    /// The number of its user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The number of its group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The number of the device that it is, if it is one.
    pub fn rdev(&self) -> u64 {
        self.represents
    }

    /// How many bytes are best read or written at a time.
    pub fn blksize(&self) -> u64 {
        self.block_size
    }

    /// How many blocks of 512 bytes it takes.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }
}
