//! Ends of all sorts, for what goes from the one to the other.

use crate::common::{self, drivers};
use ec_channel::{Driver, EventChannel};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// What a pump has on the way at the most, and what a pipe holds.
pub const ROOM: u64 = 1 << 16;

/// With the one that has a request at a time.
pub fn each_driver_of_all(f: impl Fn(EventChannel)) {
    for driver in drivers().into_iter().chain([Driver::Direct]) {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().unwrap());
    }
}

pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Numbers, so that nothing can be missing or twice.
pub fn numbers(bytes: usize) -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(bytes).collect()
}

pub fn scratch() -> File {
    let folder = common::Scratch::quick();
    File::options().read(true).write(true).create_new(true).open(folder.join("file")).unwrap()
}

#[derive(Clone, Copy, Debug)]
pub enum Sort {
    Pipe,
    PipeInNonBlockingMode,
    Unix,
    UnixInNonBlockingMode,
    Tcp,
    TcpInNonBlockingMode,
    File,
}

pub const SORTS: [Sort; 7] = [
    Sort::Pipe,
    Sort::PipeInNonBlockingMode,
    Sort::Unix,
    Sort::UnixInNonBlockingMode,
    Sort::Tcp,
    Sort::TcpInNonBlockingMode,
    Sort::File,
];

pub fn nonblocking(it: impl Into<OwnedFd>) -> OwnedFd {
    let it = it.into();
    ec_channel::set_nonblocking(it.as_fd(), true).unwrap();
    it
}

impl Sort {
    /// Two ends: what is written to the second comes out of the first. (Not of a file.)
    pub fn ends(self) -> (OwnedFd, OwnedFd) {
        match self {
            Sort::Pipe | Sort::PipeInNonBlockingMode => {
                let (reader, writer) = std::io::pipe().unwrap();
                (reader.into(), writer.into())
            }
            Sort::Unix | Sort::UnixInNonBlockingMode => {
                let (near, far) = UnixStream::pair().unwrap();
                (near.into(), far.into())
            }
            Sort::Tcp | Sort::TcpInNonBlockingMode => {
                let (near, far) = tcp();
                (near.into(), far.into())
            }
            Sort::File => {
                let file = scratch();
                (file.try_clone().unwrap().into(), file.into())
            }
        }
    }

    pub fn of_pump(self, end: OwnedFd) -> OwnedFd {
        use Sort::{PipeInNonBlockingMode, TcpInNonBlockingMode, UnixInNonBlockingMode};
        match self {
            PipeInNonBlockingMode | UnixInNonBlockingMode | TcpInNonBlockingMode => nonblocking(end),
            _ => end,
        }
    }
}
