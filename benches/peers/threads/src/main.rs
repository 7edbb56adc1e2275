//! One OS thread for each task: what the kernel does by itself.

mod primitives;

mod rt {
    use std::os::unix::fs::FileExt;
    use std::sync::{Arc, mpsc};
    use std::{net, thread};

    pub use std::fs::File;
    pub use std::net::{TcpListener as Listener, TcpStream as Stream};
    pub use std::thread::{sleep, yield_now};
    pub type Tx = mpsc::SyncSender<u64>;
    pub type Rx = mpsc::Receiver<u64>;
    pub type Udp = Arc<net::UdpSocket>;

    /// One worker means one CPU: all threads inherit the mask.
    pub fn run(workers: usize, f: impl FnOnce() -> u64) -> u64 {
        if workers == 1 {
            common::pin(0);
        }
        f()
    }
    /// Below the usual limit of processes.
    pub fn most() -> usize {
        10_000
    }
    pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
        let stack = (64 << 10) + common::depth();
        thread::Builder::new().stack_size(stack).spawn(f).unwrap()
    }
    pub fn join<T>(h: thread::JoinHandle<T>) -> T {
        h.join().unwrap()
    }
    pub fn chan() -> (Tx, Rx) {
        mpsc::sync_channel(1)
    }
    pub fn send(t: &Tx, v: u64) {
        t.send(v).unwrap();
    }
    pub fn recv(r: &Rx) -> u64 {
        r.recv().unwrap()
    }
    pub fn listener(l: net::TcpListener) -> Listener {
        l
    }
    pub fn accept(l: &Listener) -> Stream {
        let s = l.accept().unwrap().0;
        s.set_nodelay(true).unwrap();
        s
    }
    pub fn another(s: &Stream) -> Stream {
        s.try_clone().unwrap()
    }
    pub fn udp(s: net::UdpSocket, n: usize) -> Vec<Udp> {
        let shared = Arc::new(s);
        vec![shared; n]
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

#[path = "../../../common/src/sync/waiting/of_threads.rs"]
mod of_threads;
#[path = "../../../common/src/sync/waiting/mod.rs"]
mod waiting;

fn main() {
    if !primitives::run() {
        workloads::main();
    }
}
