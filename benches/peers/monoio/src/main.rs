//! monoio: a thread per core, io_uring.

mod rt {
    use async_channel::{Receiver, Sender};
    use common::Buf;
    use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
    use monoio::{IoUringDriver, RuntimeBuilder, task::JoinHandle};
    use std::future::Future;
    use std::net;
    use std::pin::Pin;

    pub use monoio::net::{TcpListener as Listener, TcpStream as Stream, udp::UdpSocket as Udp};
    pub use monoio::{fs::File, spawn, time::sleep};
    pub const SHARDED: bool = true;
    pub type BoxFut = Pin<Box<dyn Future<Output = u64>>>;
    pub type Tx = Sender<u64>;
    pub type Rx = Receiver<u64>;

    pub fn run<F, T>(workers: usize, f: F) -> Vec<u64>
    where
        F: Fn(usize, usize) -> T + Sync,
        T: Future<Output = u64> + 'static,
    {
        let one = |shard| {
            let pool = Box::new(monoio::blocking::DefaultThreadPool::new(8));
            let builder = RuntimeBuilder::<IoUringDriver>::new().attach_thread_pool(pool);
            builder.enable_timer().build().unwrap().block_on(f(shard, workers))
        };
        std::thread::scope(|s| {
            let threads: Vec<_> = (0..workers).map(|i| s.spawn(move || one(i))).collect();
            threads.into_iter().map(|h| h.join().unwrap()).collect()
        })
    }
    /// A self-wake goes to the front of its queue and so hands nothing over; a spawned task goes to the back.
    pub async fn yield_now() {
        spawn(async {}).await;
    }
    pub async fn join<T>(h: JoinHandle<T>) -> T {
        h.await
    }
    pub fn detach<T>(_: JoinHandle<T>) {}
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
        Listener::from_std(l).unwrap()
    }
    pub async fn accept(l: &Listener) -> Stream {
        let s = l.accept().await.unwrap().0;
        s.set_nodelay(true).unwrap();
        s
    }
    pub async fn read(s: &mut Stream, b: &mut Buf) {
        let (r, bytes) = s.read(b.take()).await;
        b.done(bytes, r);
    }
    pub async fn write(s: &mut Stream, b: &mut Buf) -> bool {
        let (r, bytes) = s.write_all(b.take()).await;
        b.bytes = bytes;
        r.is_ok()
    }
    pub fn udp(s: net::UdpSocket, _: usize) -> Vec<Udp> {
        vec![Udp::from_std(s).unwrap()]
    }
    pub async fn recv_from(s: &Udp, b: &mut Buf) -> net::SocketAddr {
        let (r, bytes) = s.recv_from(b.take()).await;
        let (n, from) = r.unwrap();
        (b.bytes, b.filled) = (bytes, n);
        from
    }
    pub async fn send_to(s: &Udp, b: &mut Buf, to: net::SocketAddr) {
        let (r, bytes) = s.send_to(b.take(), to).await;
        r.unwrap();
        b.bytes = bytes;
    }
    pub async fn blocking(hand: bool, f: impl FnOnce() + Send + 'static) {
        if hand {
            let _ = monoio::spawn_blocking(f).await;
        } else {
            f();
        }
    }
    pub async fn open(path: &str, _: bool) -> File {
        File::open(path).await.unwrap()
    }
    pub async fn read_at(f: &mut File, offset: u64, b: Vec<u8>) -> Vec<u8> {
        let (r, b) = f.read_at(b, offset).await;
        r.unwrap();
        b
    }
}

#[path = "../../../common/src/async/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
