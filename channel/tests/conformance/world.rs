//! Descriptors for scenes: useful ones, and such as are of no use.

use crate::common::fresh_socket;
use ec_channel::Source;
use socket2::{Domain, SockRef, Socket, Type};
use std::fs::{File, OpenOptions};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// No socket.
pub fn null() -> Source {
    Source::from(OpenOptions::new().read(true).write(true).open("/dev/null").unwrap())
}

pub fn directory() -> Source {
    Source::from(File::open("/").unwrap())
}

/// It can be polled, and neither read nor written: a process.
pub fn process() -> Source {
    pidfd(std::process::id() as i32)
}

/// As well: an epoll instance.
pub fn epoll() -> Source {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the descriptor is new and this function's.
    Source::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A file that is read at its cursor alone, if it is opened to be written, too.
pub fn comm() -> Source {
    Source::from(OpenOptions::new().read(true).write(true).open("/proc/self/comm").unwrap())
}

/// The end of a pipe that is read from, and nobody has the other one.
pub fn pipe() -> Source {
    Source::from(OwnedFd::from(std::io::pipe().unwrap().0))
}

/// Open, and good for nothing.
pub fn path_only() -> Source {
    Source::from(OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap())
}

/// A number that no descriptor has. (None of these tests opens so many.)
pub fn not_open() -> Source {
    struct NotOpen;

    impl AsFd for NotOpen {
        fn as_fd(&self) -> BorrowedFd<'_> {
            // SAFETY: nothing is done with it but what this test is about: the kernel is to say that there is none.
            unsafe { BorrowedFd::borrow_raw(1000) }
        }
    }
    Source::from(Arc::new(NotOpen))
}

/// A stream socket that is not connected.
pub fn unconnected() -> Source {
    Source::from(OwnedFd::from(fresh_socket()))
}

pub fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Of TCP.
pub fn connected() -> (TcpStream, TcpStream) {
    let listener = listener();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

pub fn datagrams() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

pub fn at(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// A file of this content that nobody else has, and that has no name.
pub fn file(content: &[u8]) -> File {
    let file = scratch();
    file.write_all_at(content, 0).unwrap();
    file
}

/// A file of no length, to be read and written, that nobody else has, and that has no name.
pub fn scratch() -> File {
    let path = unused_path();
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

fn unused_path() -> std::path::PathBuf {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ec-conformance-{}-{made}", std::process::id()))
}

/// What lies behind `from` leaves the page cache, on a file system that has one.
pub fn forget_cached(file: &File, from: usize) {
    // SAFETY: no pointer is passed.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), from as i64, 0, libc::POSIX_FADV_DONTNEED) };
}

/// A pipe of which both ends are to be had: the one to read from first.
pub fn piped() -> (Arc<PipeReader>, Arc<PipeWriter>) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Arc::new(reader), Arc::new(writer))
}

/// What is in a pipe now.
pub fn in_pipe(it: &Arc<PipeReader>) -> Vec<u8> {
    let mut len = 0i32;
    // SAFETY: room for the number.
    assert_eq!(unsafe { libc::ioctl(it.as_raw_fd(), libc::FIONREAD, &mut len) }, 0);
    let mut all = vec![0; len as usize];
    (&**it).read_exact(&mut all).unwrap();
    all
}

/// Both ends, to be kept by whoever sends, causes and looks.
pub fn streams() -> (Arc<UnixStream>, Arc<UnixStream>) {
    let (near, far) = UnixStream::pair().unwrap();
    (Arc::new(near), Arc::new(far))
}

/// A pair in which messages keep their bounds, and an address is taken no notice of.
pub fn messages() -> (Arc<Socket>, Arc<Socket>) {
    let (near, far) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
    (Arc::new(near), Arc::new(far))
}

/// What is there to be read now.
pub fn rest_of(it: &impl AsFd) -> Vec<u8> {
    ec_channel::set_nonblocking(it.as_fd(), true).unwrap();
    let mut source = File::from(it.as_fd().try_clone_to_owned().unwrap());
    let (mut all, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = source.read(&mut some) {
        all.extend(&some[..n]);
    }
    ec_channel::set_nonblocking(it.as_fd(), false).unwrap();
    all
}

/// Both ends of a pipe: to be read from, and to be written to.
pub fn pipes() -> (Arc<OwnedFd>, Arc<OwnedFd>) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Arc::new(reader.into()), Arc::new(writer.into()))
}

pub fn write(it: &impl AsFd, bytes: &[u8]) {
    File::from(it.as_fd().try_clone_to_owned().unwrap()).write_all(bytes).unwrap();
}

/// Writes blocks of this byte to a pipe until no more goes in. Gives how many bytes that were.
pub fn fill_pipe(writer: &impl AsFd, byte: u8) -> usize {
    ec_channel::set_nonblocking(writer.as_fd(), true).unwrap();
    let mut sink = File::from(writer.as_fd().try_clone_to_owned().unwrap());
    let mut all = 0;
    while let Ok(n) = sink.write(&[byte; 4096]) {
        all += n;
    }
    ec_channel::set_nonblocking(writer.as_fd(), false).unwrap();
    all
}

fn named_fifo() -> std::path::PathBuf {
    let path = unused_path();
    let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
    // SAFETY: a string with its end.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    path
}

/// To be read from, and nobody ever had the other end. With its name.
pub fn lonely_fifo() -> (OwnedFd, std::path::PathBuf) {
    let path = named_fifo();
    // (Else it would be waited for.)
    let fifo = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    ec_channel::set_nonblocking(fifo.as_fd(), false).unwrap();
    (fifo.into(), path)
}

/// Watches nothing so far.
pub fn inotify(flags: i32) -> Arc<OwnedFd> {
    // SAFETY: no pointer is passed, and the descriptor is new.
    Arc::new(unsafe { OwnedFd::from_raw_fd(libc::inotify_init1(flags)) })
}

/// Both ends of a FIFO that has no name any more.
pub fn fifo() -> (OwnedFd, OwnedFd) {
    let path = named_fifo();
    // (Open for both it waits for nobody.)
    let both = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let ends = (File::open(&path).unwrap(), OpenOptions::new().write(true).open(&path).unwrap());
    std::fs::remove_file(path).unwrap();
    drop(both);
    (ends.0.into(), ends.1.into())
}

pub fn timerfd(flags: i32) -> Arc<OwnedFd> {
    // SAFETY: no pointer is passed, and the descriptor is new.
    Arc::new(unsafe { OwnedFd::from_raw_fd(libc::timerfd_create(libc::CLOCK_MONOTONIC, flags)) })
}

/// It is over at once.
pub fn set_timer(timer: &OwnedFd) {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 1 };
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let at = libc::itimerspec { it_interval: never, it_value: now };
    // SAFETY: a live time.
    assert_eq!(unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &at, std::ptr::null_mut()) }, 0);
}

pub fn eventfd(value: u32) -> OwnedFd {
    // SAFETY: no pointer is passed, and the descriptor is new.
    unsafe { OwnedFd::from_raw_fd(libc::eventfd(value, libc::EFD_CLOEXEC)) }
}

/// Open for writing only.
pub fn write_only() -> Source {
    OpenOptions::new().write(true).open("/dev/null").unwrap().into()
}

/// A file of ten digits.
pub fn ten() -> Source {
    file(b"0123456789").into()
}

/// Has the peer shut down, and nothing is left to be read?
pub fn has_ended(it: &impl AsFd) -> bool {
    let room = &mut [std::mem::MaybeUninit::uninit()];
    matches!(SockRef::from(it).recv_with_flags(room, libc::MSG_PEEK | libc::MSG_DONTWAIT), Ok(0))
}

/// Sends blocks of this byte until no more goes in. Gives how many bytes that were.
pub fn fill(it: &impl AsFd, byte: u8) -> usize {
    let socket = SockRef::from(it);
    // As little as the kernel allows.
    socket.set_send_buffer_size(1).unwrap();
    let mut all = 0;
    while let Ok(n) = socket.send_with_flags(&[byte; 512], libc::MSG_DONTWAIT) {
        all += n;
    }
    all
}

/// Its connection ends for the peer with a reset, and leaves nothing behind.
pub fn reset_when_closed(it: &impl AsRawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let (at, len) = ((&raw const linger).cast(), size_of::<libc::linger>() as libc::socklen_t);
    // SAFETY: a live linger, as long as said.
    let set = unsafe { libc::setsockopt(it.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, at, len) };
    assert_eq!(set, 0);
}

pub fn pidfd(pid: i32) -> Source {
    // SAFETY: no pointer is passed, and the descriptor is new and ours.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        Source::from(OwnedFd::from_raw_fd(fd as i32))
    }
}
