//! may: stackful coroutines.

mod primitives;

mod rt {
    use may::sync::mpsc;
    use may::{config, coroutine};
    use std::net;
    use std::os::fd::{FromRawFd, IntoRawFd};
    use std::os::unix::fs::FileExt;

    pub use may::coroutine::{sleep, yield_now};
    pub use may::net::{TcpListener as Listener, TcpStream as Stream, UdpSocket as Udp};
    pub use std::fs::File;
    pub type Tx = mpsc::Sender<u64>;
    pub type Rx = mpsc::Receiver<u64>;

    pub fn run(workers: usize, f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        // Its default, in words: 32 KiB. For deep stacks as much more as they need.
        let words = 0x1000 + common::depth() / 8;
        config().set_workers(workers).set_stack_size(words);
        join(spawn(f))
    }
    /// Two mappings for each stack, and some for the rest of the process.
    pub fn most() -> usize {
        common::most_mappings() / 2 - 1000
    }
    pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> coroutine::JoinHandle<T> {
        // SAFETY: the workloads keep no thread-local across a suspension and fit into their stacks.
        unsafe { coroutine::spawn(f) }
    }
    pub fn join<T>(h: coroutine::JoinHandle<T>) -> T {
        h.join().unwrap()
    }
    /// It has no bounded channel; one message in flight makes the unbounded one equal.
    pub fn chan() -> (Tx, Rx) {
        mpsc::channel()
    }
    pub fn send(t: &Tx, v: u64) {
        t.send(v).unwrap();
    }
    pub fn recv(r: &Rx) -> u64 {
        r.recv().unwrap()
    }
    pub fn listener(l: net::TcpListener) -> Listener {
        // SAFETY: the descriptor is open and given away.
        unsafe { Listener::from_raw_fd(l.into_raw_fd()) }
    }
    pub fn accept(l: &Listener) -> Stream {
        let s = l.accept().unwrap().0;
        s.set_nodelay(true).unwrap();
        s
    }
    pub fn another(s: &Stream) -> Stream {
        s.try_clone().unwrap()
    }
    /// One of its sockets has one waiter: so a descriptor for each task.
    pub fn udp(s: net::UdpSocket, n: usize) -> Vec<Udp> {
        // SAFETY: the descriptor is open and given away.
        let first = unsafe { Udp::from_raw_fd(s.into_raw_fd()) };
        let mut all: Vec<_> = (1..n).map(|_| first.try_clone().unwrap()).collect();
        all.push(first);
        all
    }
    pub fn blocking(_: bool, f: impl FnOnce()) {
        f();
    }
    pub fn open(path: &str, _: bool) -> File {
        File::open(path).unwrap()
    }
    pub fn read_at(f: &File, offset: u64, buf: &mut [u8]) {
        f.read_exact_at(buf, offset).unwrap();
    }
}

#[path = "../../../common/src/sync/mod.rs"]
mod workloads;

#[path = "../../../common/src/sync/waiting/mod.rs"]
mod waiting;

fn main() {
    if !primitives::run() {
        workloads::main();
    }
}
