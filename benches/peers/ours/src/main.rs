//! This project. `lean=1`: tasks that share their worker's thread-locals; `dedicated=1`: tasks with a thread each; `monitor=0`: blocked threads keep their cores;
//! `driver=io_uring|epoll`: the channel's driver; `api=std|parking_lot|park`: in its tasks, others' primitives, or others of its own.

mod primitives;

mod rt {
    use common::{args, na};
    use event_channel::channel::Driver;
    use event_channel::sync::channel;
    use event_channel::task::{self, Builder, JoinHandle};
    use event_channel::{Runtime, net};
    use std::os::unix::fs::FileExt;
    use std::sync::{Arc, OnceLock};

    pub use event_channel::net::{TcpListener as Listener, TcpStream as Stream};
    pub use event_channel::task::{sleep, yield_now};
    pub use std::fs::File;
    pub type Udp = Arc<net::UdpSocket>;
    pub type Tx = channel::Sender<u64>;
    pub type Rx = channel::Receiver<u64>;

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Own,
        Lean,
        Dedicated,
    }

    fn kind() -> Kind {
        static KIND: OnceLock<Kind> = OnceLock::new();
        *KIND.get_or_init(|| match (args().flag("lean"), args().flag("dedicated")) {
            (true, _) => Kind::Lean,
            (_, true) => Kind::Dedicated,
            _ => Kind::Own,
        })
    }

    fn runtime(workers: usize) -> Runtime {
        if let (Kind::Own, Some(why)) = (kind(), task::why_not()) {
            na(&format!("tasks are threads here: {why}"));
        }
        let mut builder = Runtime::builder().cores(workers);
        if args().num("monitor", 1) == 0 {
            builder = builder.without_monitor();
        }
        let name = args().str("driver", "");
        if !name.is_empty() {
            let driver = Driver::ALL.into_iter().find(|driver| driver.name() == name);
            builder = builder.driver(driver.unwrap_or_else(|| na(&format!("there is no driver {name}"))));
        }
        let depth = common::depth();
        if depth > 128 << 10 {
            builder = builder.stack_size(depth + (64 << 10));
        }
        builder.build().unwrap_or_else(|error| na(&format!("no runtime: {error}")))
    }

    pub fn run(workers: usize, f: impl FnOnce() -> u64 + Send + 'static) -> u64 {
        runtime(workers).run(|| join(spawn(f)))
    }
    pub fn most() -> usize {
        if kind() == Kind::Dedicated { 10_000 } else { usize::MAX }
    }
    pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let spawned = match kind() {
            Kind::Own => return task::spawn(f),
            Kind::Dedicated => Builder::new().dedicated().stack_size((64 << 10) + common::depth()).spawn(f),
            // SAFETY: the workloads hold nothing of a thread-local, and nothing that is not `Send`, across a call that
            // suspends.
            Kind::Lean => unsafe { Builder::new().spawn_lean(f) },
        };
        spawned.expect("failed to spawn task")
    }
    pub fn join<T>(h: JoinHandle<T>) -> T {
        h.join().unwrap()
    }
    pub fn chan() -> (Tx, Rx) {
        channel::bounded(1)
    }
    pub fn send(t: &Tx, v: u64) {
        t.send(v).unwrap();
    }
    pub fn recv(r: &Rx) -> u64 {
        r.recv().unwrap()
    }
    pub fn listener(l: std::net::TcpListener) -> Listener {
        Listener::from(l)
    }
    pub fn accept(l: &Listener) -> Stream {
        let s = l.accept().unwrap().0;
        s.set_nodelay(true).unwrap();
        s
    }
    pub fn another(s: &Stream) -> Stream {
        s.try_clone().unwrap()
    }
    pub fn udp(s: std::net::UdpSocket, n: usize) -> Vec<Udp> {
        let shared = Arc::new(net::UdpSocket::from(s));
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
