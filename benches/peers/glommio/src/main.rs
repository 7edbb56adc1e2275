//! glommio: a thread per core, io_uring.

mod rt {
    use async_channel::{Receiver, Sender};
    use common::Buf;
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    use glommio::{LocalExecutorBuilder, Placement, Task};
    use std::future::Future;
    use std::net;
    use std::os::fd::{FromRawFd, IntoRawFd};
    use std::pin::Pin;
    use std::sync::Arc;

    pub use common::yield_self as yield_now;
    pub use glommio::io::BufferedFile as File;
    pub use glommio::net::{TcpListener as Listener, TcpStream as Stream, UdpSocket as Udp};
    pub use glommio::{spawn_local as spawn, timer::sleep};
    pub const SHARDED: bool = true;
    pub type BoxFut = Pin<Box<dyn Future<Output = u64>>>;
    pub type Tx = Sender<u64>;
    pub type Rx = Receiver<u64>;

    pub fn run<F, T>(workers: usize, f: F) -> Vec<u64>
    where
        F: Fn(usize, usize) -> T + Send + Sync + 'static,
        T: Future<Output = u64> + 'static,
    {
        let f = Arc::new(f);
        let start = |shard| {
            let f = f.clone();
            LocalExecutorBuilder::new(Placement::Unbound).spawn(move || f(shard, workers)).unwrap()
        };
        let threads: Vec<_> = (0..workers).map(start).collect();
        threads.into_iter().map(|h| h.join().unwrap()).collect()
    }
    pub async fn join<T>(h: Task<T>) -> T {
        h.await
    }
    pub fn detach<T: 'static>(h: Task<T>) {
        h.detach();
    }
    /// Its own local channel cannot cross threads and its shared one needs both ends at once.
    pub fn chan() -> (Tx, Rx) {
        async_channel::bounded(1)
    }
    pub async fn send(t: &Tx, v: u64) {
        t.send(v).await.unwrap();
    }
    pub async fn recv(r: &mut Rx) -> u64 {
        r.recv().await.unwrap()
    }
    pub fn listener(l: net::TcpListener) -> Listener {
        // SAFETY: the descriptor is open and given away.
        unsafe { Listener::from_raw_fd(l.into_raw_fd()) }
    }
    pub async fn accept(l: &Listener) -> Stream {
        let s = l.accept().await.unwrap();
        s.set_nodelay(true).unwrap();
        s
    }
    pub async fn read(s: &mut Stream, b: &mut Buf) {
        b.filled = s.read(&mut b.bytes).await.unwrap_or(0);
    }
    pub async fn write(s: &mut Stream, b: &mut Buf) -> bool {
        s.write_all(b.data()).await.is_ok()
    }
    pub fn udp(s: net::UdpSocket, _: usize) -> Vec<Udp> {
        // SAFETY: the descriptor is open and given away.
        vec![unsafe { Udp::from_raw_fd(s.into_raw_fd()) }]
    }
    pub async fn recv_from(s: &Udp, b: &mut Buf) -> net::SocketAddr {
        let (n, from) = s.recv_from(&mut b.bytes).await.unwrap();
        b.filled = n;
        from
    }
    pub async fn send_to(s: &Udp, b: &mut Buf, to: net::SocketAddr) {
        s.send_to(b.data(), to).await.unwrap();
    }
    pub async fn blocking(hand: bool, f: impl FnOnce() + Send + 'static) {
        if hand {
            glommio::executor().spawn_blocking(f).await;
        } else {
            f();
        }
    }
    pub async fn open(path: &str, _: bool) -> File {
        File::open(path).await.unwrap()
    }
    pub async fn read_at(f: &mut File, offset: u64, mut b: Vec<u8>) -> Vec<u8> {
        let r = f.read_at(offset, 4096).await.unwrap();
        b.clear();
        b.extend_from_slice(&r);
        b
    }
}

#[path = "../../../common/src/async/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
