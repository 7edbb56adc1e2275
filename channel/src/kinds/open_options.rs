//! How a file is to be opened.

/// How [`Request::open`](crate::Request::open) is to open a file: as [`std::fs::OpenOptions`], with the same names and the same rules. (That
/// one does not say what it has been told.) The descriptor is closed in programs that the process executes (`O_CLOEXEC`).
///
/// ```
/// use ec_channel::OpenOptions;
/// let log = OpenOptions::new().append(true).create(true).mode(0o600).clone();
/// # drop(log);
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    mode: u32,
    custom_flags: i32,
}

impl OpenOptions {
    /// Nothing is asked for so far. If a file is made its mode is `0o666`, less what the process's umask takes away.
    #[allow(clippy::new_without_default, reason = "as std's")]
    pub fn new() -> Self {
        OpenOptions {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            custom_flags: 0,
        }
    }

    /// The file can be read.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// The file can be written.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// The file can be written, always at its end.
    pub fn append(&mut self, append: bool) -> &mut Self {
        self.append = append;
        self
    }

    /// What is in the file goes. It has to be one that can be written.
    pub fn truncate(&mut self, truncate: bool) -> &mut Self {
        self.truncate = truncate;
        self
    }

    /// A file that is not there is made.
    pub fn create(&mut self, create: bool) -> &mut Self {
        self.create = create;
        self
    }

    /// The file is made, and if there is one already that is an error (`EEXIST`). [`create`](Self::create) and [`truncate`](Self::truncate)
    /// are of no account then.
    pub fn create_new(&mut self, create_new: bool) -> &mut Self {
        self.create_new = create_new;
        self
    }

    /// The rights of a file that is made, less what the process's umask takes away.
    pub fn mode(&mut self, mode: u32) -> &mut Self {
        self.mode = mode;
        self
    }

    /// Other flags of open(2) (`O_NOFOLLOW`, say), in place of those of an earlier call. What they say of reading and writing does not count.
    pub fn custom_flags(&mut self, flags: i32) -> &mut Self {
        self.custom_flags = flags;
        self
    }

    /// The flags and the mode for open(2), or why there are none: `EINVAL`.
    pub(super) fn flags(&self) -> Result<(i32, libc::mode_t), i32> {
        let writes = self.write || self.append;
        let access = match (self.read, writes) {
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (true, true) => libc::O_RDWR,
            (false, false) => return Err(libc::EINVAL),
        };
        let makes = match (self.create, self.truncate, self.create_new) {
            (_, _, true) => libc::O_CREAT | libc::O_EXCL,
            (create, truncate, false) => {
                (if create { libc::O_CREAT } else { 0 }) | (if truncate { libc::O_TRUNC } else { 0 })
            }
        };
        if makes != 0 && !writes || self.append && self.truncate && !self.create_new {
            return Err(libc::EINVAL);
        }
        let append = if self.append { libc::O_APPEND } else { 0 };
        let custom = self.custom_flags & !libc::O_ACCMODE;
        Ok((libc::O_CLOEXEC | access | append | makes | custom, self.mode as libc::mode_t))
    }
}
