//! Calls that wait for ever, for the tests of [`task::interruptible`].
#![allow(dead_code)] // each test program uses a part

use event_channel::net::UdpSocket;
use event_channel::time::Duration;
use event_channel::{Cancelled, task};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter};
use std::net::UdpSocket as StdSocket;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const SHORT: Duration = Duration::from_millis(5);

/// What a call of libc's came to, with its errno.
pub fn result(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

pub fn was_ended(result: io::Result<i32>) {
    assert_eq!(result.map_err(|error| error.raw_os_error()), Err(Some(libc::EINTR)));
}

/// Nothing interrupts the calling thread for some milliseconds.
pub fn nothing_interrupts() {
    // SAFETY: no descriptors.
    let waited = unsafe { libc::poll(ptr::null_mut(), 0, 8) };
    assert_eq!(result(waited).map_err(|error| error.to_string()), Ok(0));
}

/// What waits for ever, each by another system call.
pub enum Wait {
    Fifo(CString, PathBuf),
    Pipe(PipeReader, #[allow(dead_code, reason = "so that the pipe stays open")] PipeWriter),
    Flock(File, #[allow(dead_code, reason = "it has the lock")] File),
    Child(Child),
    Recv(StdSocket),
}

impl Wait {
    pub fn each() -> [Wait; 5] {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = |name| std::env::temp_dir().join(format!("ec-{name}-{}-{number}", std::process::id()));
        let fifo = place("fifo");
        let name = CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: a name that lives.
        result(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let (held, wanted) = (place("lock"), place("lock"));
        let held = File::create(held).unwrap();
        let wants = File::open(&wanted).unwrap();
        std::fs::remove_file(wanted).unwrap();
        // SAFETY: no pointer is passed.
        result(unsafe { libc::flock(held.as_raw_fd(), libc::LOCK_EX) }).unwrap();
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let socket = StdSocket::bind("127.0.0.1:0").unwrap();
        [
            Wait::Fifo(name, fifo),
            Wait::Pipe(reader, writer),
            Wait::Flock(wants, held),
            Wait::Child(child),
            Wait::Recv(socket),
        ]
    }

    /// Makes the call. The errno is what it has left.
    pub fn call(&self) -> i32 {
        let mut byte = 0u8;
        let to = (&raw mut byte).cast();
        // SAFETY: a name that lives, room for a byte; no other pointers.
        unsafe {
            match self {
                Wait::Fifo(name, _) => libc::open(name.as_ptr(), libc::O_RDONLY),
                Wait::Pipe(reader, _) => libc::read(reader.as_raw_fd(), to, 1) as i32,
                Wait::Flock(file, _) => libc::flock(file.as_raw_fd(), libc::LOCK_EX),
                Wait::Child(child) => libc::waitpid(child.id() as i32, ptr::null_mut(), 0),
                Wait::Recv(socket) => libc::recv(socket.as_raw_fd(), to, 1, 0) as i32,
            }
        }
    }

    /// (What errno was in the section it is after it.)
    pub fn call_in_section(&self) -> io::Result<i32> {
        let returned = task::interruptible(|| self.call());
        result(returned)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        match self {
            Wait::Fifo(_, path) => _ = std::fs::remove_file(path),
            Wait::Child(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            _ => {}
        }
    }
}

/// A cancellation point that fails because of a stop, or waits for a moment in vain.
pub fn point() -> Result<(), Option<bool>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    match socket.recv(&mut [0]).unwrap_err() {
        error if error.kind() == ErrorKind::WouldBlock => Ok(()),
        error if Cancelled::is(&error) => Err(Some(true)),
        error if error.kind() == ErrorKind::TimedOut => Err(None),
        error => panic!("{error}"),
    }
}

pub const CANCELLED: Result<(), Option<bool>> = Err(Some(true));
pub const TIMED_OUT: Result<(), Option<bool>> = Err(None);

pub fn pipe() -> Wait {
    let (reader, writer) = io::pipe().unwrap();
    Wait::Pipe(reader, writer)
}
