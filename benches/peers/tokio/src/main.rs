//! tokio, multi-threaded; with `flavor=current` its runtime of one thread.

mod rt {
    use common::{Buf, args, na};
    use std::future::Future;
    use std::net;
    use std::os::unix::fs::FileExt;
    use std::pin::Pin;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    use tokio::runtime::Builder;
    use tokio::sync::mpsc;
    use tokio::{net::UdpSocket, task};

    pub use tokio::net::{TcpListener as Listener, TcpStream as Stream};
    pub use tokio::{spawn, task::yield_now, time::sleep};
    pub const SHARDED: bool = false;
    pub type BoxFut = Pin<Box<dyn Future<Output = u64> + Send>>;
    pub type Tx = mpsc::Sender<u64>;
    pub type Rx = mpsc::Receiver<u64>;
    pub type Udp = Arc<UdpSocket>;

    fn is_current() -> bool {
        args().str("flavor", "") == "current"
    }

    pub fn run<F, T>(workers: usize, f: F) -> Vec<u64>
    where
        F: Fn(usize, usize) -> T,
        T: Future<Output = u64> + Send + 'static,
    {
        let rt = match (is_current(), workers) {
            (true, 1) => Builder::new_current_thread().enable_all().build(),
            (true, _) => na("its runtime of one thread has one worker"),
            (false, _) => Builder::new_multi_thread().worker_threads(workers).enable_all().build(),
        };
        let main = f(0, 1);
        vec![rt.unwrap().block_on(async { spawn(main).await.unwrap() })]
    }
    pub async fn join<T>(h: task::JoinHandle<T>) -> T {
        h.await.unwrap()
    }
    pub fn detach<T>(_: task::JoinHandle<T>) {}
    pub fn chan() -> (Tx, Rx) {
        mpsc::channel(1)
    }
    pub async fn send(t: &Tx, v: u64) {
        t.send(v).await.unwrap();
    }
    pub async fn recv(r: &mut Rx) -> u64 {
        r.recv().await.unwrap()
    }
    pub fn listener(l: net::TcpListener) -> Listener {
        l.set_nonblocking(true).unwrap();
        Listener::from_std(l).unwrap()
    }
    pub async fn accept(l: &Listener) -> Stream {
        let s = l.accept().await.unwrap().0;
        s.set_nodelay(true).unwrap();
        s
    }
    pub async fn read(s: &mut Stream, b: &mut Buf) {
        b.filled = s.read(&mut b.bytes).await.unwrap_or(0);
    }
    pub async fn write(s: &mut Stream, b: &mut Buf) -> bool {
        s.write_all(b.data()).await.is_ok()
    }
    pub fn udp(s: net::UdpSocket, n: usize) -> Vec<Udp> {
        s.set_nonblocking(true).unwrap();
        let shared = Arc::new(UdpSocket::from_std(s).unwrap());
        vec![shared; n]
    }
    pub async fn recv_from(s: &Udp, b: &mut Buf) -> net::SocketAddr {
        let (n, from) = s.recv_from(&mut b.bytes).await.unwrap();
        b.filled = n;
        from
    }
    pub async fn send_to(s: &Udp, b: &mut Buf, to: net::SocketAddr) {
        s.send_to(b.data(), to).await.unwrap();
    }
    /// Its runtime of one thread has no `block_in_place`.
    pub async fn blocking(hand: bool, f: impl FnOnce() + Send + 'static) {
        match (hand, is_current()) {
            (false, _) => f(),
            (true, false) => task::block_in_place(f),
            (true, true) => task::spawn_blocking(f).await.unwrap(),
        }
    }
    /// By hand: `spawn_blocking` around pread; else `tokio::fs`.
    pub enum File {
        Fs(tokio::fs::File),
        Std(Arc<std::fs::File>),
    }
    pub async fn open(path: &str, hand: bool) -> File {
        match hand {
            true => File::Std(Arc::new(std::fs::File::open(path).unwrap())),
            false => File::Fs(tokio::fs::File::open(path).await.unwrap()),
        }
    }
    pub async fn read_at(f: &mut File, offset: u64, mut b: Vec<u8>) -> Vec<u8> {
        b.resize(4096, 0);
        match f {
            File::Fs(f) => {
                f.seek(std::io::SeekFrom::Start(offset)).await.unwrap();
                f.read_exact(&mut b).await.unwrap();
                b
            }
            File::Std(f) => {
                let f = f.clone();
                let read = move || {
                    f.read_exact_at(&mut b, offset).unwrap();
                    b
                };
                task::spawn_blocking(read).await.unwrap()
            }
        }
    }
}

#[path = "../../../common/src/async/mod.rs"]
mod workloads;

mod cancels;
mod waiting;

fn main() {
    match common::args().workload.as_str() {
        "cancels" => cancels::run(),
        _ if waiting::main() => (),
        _ => workloads::main(),
    }
}
