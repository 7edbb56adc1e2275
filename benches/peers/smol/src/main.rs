//! smol.

mod rt {
    use async_channel::{Receiver, Sender};
    use common::Buf;
    use smol::Async;
    use smol::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
    use std::future::Future;
    use std::net;
    use std::os::unix::fs::FileExt;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    pub use smol::{future::yield_now, spawn};
    pub type Listener = Async<net::TcpListener>;
    pub type Stream = Async<net::TcpStream>;
    pub const SHARDED: bool = false;
    pub type BoxFut = Pin<Box<dyn Future<Output = u64> + Send>>;
    pub type Tx = Sender<u64>;
    pub type Rx = Receiver<u64>;
    pub type Udp = Arc<Async<net::UdpSocket>>;

    pub fn run<F, T>(workers: usize, f: F) -> Vec<u64>
    where
        F: Fn(usize, usize) -> T,
        T: Future<Output = u64> + Send + 'static,
    {
        // SAFETY: nobody reads the environment meanwhile: smol's threads start with the first `spawn`.
        unsafe { std::env::set_var("SMOL_THREADS", workers.to_string()) };
        vec![smol::block_on(spawn(f(0, 1)))]
    }
    pub async fn join<T>(h: smol::Task<T>) -> T {
        h.await
    }
    pub fn detach<T>(h: smol::Task<T>) {
        h.detach();
    }
    pub async fn sleep(d: Duration) {
        smol::Timer::after(d).await;
    }
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
        Async::new(l).unwrap()
    }
    pub async fn accept(l: &Listener) -> Stream {
        let s = l.accept().await.unwrap().0;
        s.get_ref().set_nodelay(true).unwrap();
        s
    }
    pub async fn read(s: &mut Stream, b: &mut Buf) {
        b.filled = s.read(&mut b.bytes).await.unwrap_or(0);
    }
    pub async fn write(s: &mut Stream, b: &mut Buf) -> bool {
        s.write_all(b.data()).await.is_ok()
    }
    pub fn udp(s: net::UdpSocket, n: usize) -> Vec<Udp> {
        let shared = Arc::new(Async::new(s).unwrap());
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
    pub async fn blocking(hand: bool, f: impl FnOnce() + Send + 'static) {
        if hand {
            smol::unblock(f).await;
        } else {
            f();
        }
    }
    /// By hand: `unblock` around pread; else `smol::fs`.
    pub enum File {
        Fs(smol::fs::File),
        Std(Arc<std::fs::File>),
    }
    pub async fn open(path: &str, hand: bool) -> File {
        match hand {
            true => File::Std(Arc::new(std::fs::File::open(path).unwrap())),
            false => File::Fs(smol::fs::File::open(path).await.unwrap()),
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
                smol::unblock(move || {
                    f.read_exact_at(&mut b, offset).unwrap();
                    b
                })
                .await
            }
        }
    }
}

#[path = "../../../common/src/async/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
