//! What the channel's tests share: each conformance test runs on every driver that works here.

// Not every test file uses all of it.
#![allow(dead_code)]

pub mod messages;
pub mod shm;
pub mod signals;
pub mod storm;

use ec_channel::{Completion, Completions, Driver, EventChannel, Request, Serving, Source, Wait};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// A new file to be read and written, and its name: where the build is, since a temporary folder may be one that has no disk. (There
/// all the same if this user may write nowhere else.)
pub fn new_file(name: &str, flags: i32) -> std::io::Result<(std::fs::File, std::path::PathBuf)> {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let make = |place: &std::path::Path| {
        let path = place.join(format!("ec-{name}-{}-{number}", std::process::id()));
        let mut how = std::fs::File::options();
        let file = how.read(true).write(true).create_new(true).custom_flags(flags).open(&path)?;
        Ok((file, path))
    };
    make(env!("CARGO_TARGET_TMPDIR").as_ref()).or_else(|_: std::io::Error| make(&std::env::temp_dir()))
}

/// Runs `f` on a fresh channel of each driver, one after the other. A driver that the machine refuses is skipped, with the reason.
pub fn each_driver(f: impl Fn(EventChannel)) {
    for driver in drivers() {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().expect("it was there a moment ago"));
    }
}

/// The drivers that work here. `EVENT_CHANNEL_DRIVER` narrows them down to one.
pub fn drivers() -> Vec<Driver> {
    let only =
        std::env::var("EVENT_CHANNEL_DRIVER").ok().map(|s| s.parse::<Driver>().expect("a driver's name"));
    Driver::ALL
        .into_iter()
        .filter(|d| only.is_none_or(|o| o == *d))
        .filter(|d| *d != Driver::Poll || only.is_some() || !ec_test_support::without_poll())
        .filter(|d| match EventChannel::builder().driver(*d).build() {
            Ok(_) => true,
            Err(e) => {
                ec_test_support::skipped(&format!("{d}: {e}"));
                false
            }
        })
        .collect()
}

/// Those with requests side by side, and the one that has one at a time: here there are no more.
pub fn all_drivers() -> Vec<Driver> {
    drivers().into_iter().chain([Driver::Direct]).collect()
}

/// A stream socket that is not connected yet.
pub fn fresh_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket")
}

/// A stream socket whose port is free as soon as it is closed: for those that connect time and again.
pub fn fleeting_socket() -> socket2::Socket {
    let socket = fresh_socket();
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    socket
}

/// As a pool does.
pub fn serve(channel: &EventChannel) -> Serving {
    // SAFETY: the tests drive the ports as long as somebody waits, and see to what comes of it.
    unsafe { channel.serve() }.unwrap()
}

/// Returns when somebody sleeps in the channel's first port.
pub fn until_asleep(channel: &EventChannel) {
    while !channel.is_asleep(0) {
        std::thread::yield_now();
    }
}

/// How many of this process's threads are in this system call, with this descriptor first if one is named.
pub fn threads_in(call: libc::c_long, first: Option<i32>) -> usize {
    let is_in = |it: &str| {
        let mut words = it.split(' ');
        let number = words.next().and_then(|word| word.parse().ok());
        let argument =
            words.next().and_then(|word| i64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
        number == Some(call) && first.is_none_or(|fd| argument == Some(fd.into()))
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let calls = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("syscall")).ok());
    calls.filter(|it| is_in(it)).count()
}

/// Nothing is to be done: a pool that drives the port for so long makes no more than a few passes.
pub fn is_left_alone(channel: &EventChannel, time: Duration) {
    let (serving, mut out, mut passes) = (serve(channel), Completions::new(), 0);
    channel.post(Request::timer(time).on_complete(|_, _| ())).unwrap();
    while out.is_empty() {
        serving.drive(0, Wait::Forever, &mut out).unwrap();
        passes += 1;
    }
    // (One that takes the timer in, one that finds it due, and as many more as they like to sleep twice.)
    assert!(passes <= 4, "{passes} passes in which nothing was to be done");
    out.drain().for_each(|it| match it {
        Completion::Call(timer) => timer.run(),
        Completion::Raw(_) => panic!("there is no such operation"),
    });
}

/// Waits until one of `events` (or an error) is there.
pub fn until_ready(it: &impl AsRawFd, events: i16) {
    let mut ask = libc::pollfd { fd: it.as_raw_fd(), events, revents: 0 };
    // SAFETY: a live pollfd.
    while unsafe { libc::poll(&mut ask, 1, -1) } < 1 {}
}

/// Waits until this child has ended. It is left to be reaped, if nobody has done that.
pub fn until_ended(pid: u32) {
    // SAFETY: all zero is a valid value; room for the answer.
    unsafe {
        let mut info = std::mem::zeroed();
        libc::waitid(libc::P_PID, pid, &mut info, libc::WEXITED | libc::WNOWAIT);
    }
}

/// A small generator of numbers, the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Nothing comes for so long.
pub fn none_for(channel: &EventChannel, time: Duration) {
    let got = channel.get_event_timeout(time).expect("the channel works");
    assert!(got.is_none(), "nothing was to come, but {got:?} did");
}

/// A buffer to receive into.
pub fn room(n: usize) -> Vec<u8> {
    Vec::with_capacity(n)
}

/// Two ends of a stream: one for requests, and its peer.
pub fn pair() -> (Source, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Source::from(near), far)
}

/// A directory of the test's own, deleted with this.
pub struct Scratch(std::path::PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self::made_in(&std::env::temp_dir()).unwrap()
    }

    /// In memory, where the system has a place for that: for those who make very many.
    pub fn quick() -> Self {
        Self::made_in("/dev/shm".as_ref()).unwrap_or_else(|_| Self::new())
    }

    fn made_in(place: &std::path::Path) -> std::io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let directory = place.join(format!("ec-test-{}-{number}", std::process::id()));
        std::fs::create_dir(&directory)?;
        Ok(Scratch(directory))
    }
}

impl std::ops::Deref for Scratch {
    type Target = std::path::Path;
    fn deref(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // (It may be what a test is about.)
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A new FIFO in this folder.
pub fn fifo_in(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("fifo");
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a string that ends.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

/// Ends those who wait, also if an assertion fails.
pub struct AtEnd<F: Fn()>(pub F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A terminal: what the program has of it, and the other end. Bytes go through it as they are.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut far, mut near) = (0, 0);
    let (name, size) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: room for two descriptors, which are this one's alone; all zero is a valid mode, and is filled.
    unsafe {
        assert_eq!(libc::openpty(&mut far, &mut near, name, std::ptr::null(), size), 0);
        let mut mode = std::mem::zeroed();
        assert_eq!(libc::tcgetattr(near, &mut mode), 0);
        libc::cfmakeraw(&mut mode);
        assert_eq!(libc::tcsetattr(near, libc::TCSANOW, &mode), 0);
        (OwnedFd::from_raw_fd(near), OwnedFd::from_raw_fd(far))
    }
}
