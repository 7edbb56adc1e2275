//! What the tests of the wrappers share: every kind of runtime in turn, and ways to know that a task waits.
#![allow(dead_code)] // each test program uses a part

use ec_test_support::this_test_again;
use event_channel::Runtime;
use event_channel::channel::Driver;
use event_channel::net::{TcpListener, TcpStream};
use event_channel::runtime::Builder;
use event_channel::task::CancelToken;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Runs `test` with each driver, on one core and on four.
pub fn each_runtime(test: impl Fn(&Runtime)) {
    each_runtime_of(&[1, 4], test);
}

/// True in a child process that is this test, `name`, alone, with one driver. Else runs it in one for each of these, all at the same time,
/// and waits for them.
pub fn in_a_process_for_each(drivers: impl IntoIterator<Item = Driver>, name: &str) -> bool {
    let started = drivers.into_iter().map_while(|driver| {
        let mut again = this_test_again(name)?;
        Some((driver, again.env("EVENT_CHANNEL_DRIVER", driver.to_string()).spawn().unwrap()))
    });
    let started: Vec<_> = started.collect();
    let is_child = started.is_empty();
    for (driver, mut again) in started {
        let status = again.wait().unwrap();
        assert!(status.success(), "{driver}: {status}");
    }
    is_child
}

/// As [`each_runtime`], all at the same time: for tests that take long by themselves.
pub fn each_runtime_at_once(test: impl Fn(&Runtime) + Sync) {
    std::thread::scope(|scope| {
        for driver in Driver::ALL {
            for cores in [1, 4] {
                let test = &test;
                scope.spawn(move || {
                    if let Some(runtime) = build(driver, Runtime::builder().cores(cores)) {
                        test(&runtime);
                    }
                });
            }
        }
    });
}

/// The runtime that `builder` makes with `driver`. `None`: this machine does not allow that driver, which is said.
pub fn build(driver: Driver, builder: Builder) -> Option<Runtime> {
    if driver == Driver::Poll && ec_test_support::without_poll() {
        return None;
    }
    match builder.driver(driver).build() {
        Ok(runtime) => Some(runtime),
        Err(error) if driver == Driver::IoUring => {
            println!("left out: {driver:?}: {error}");
            None
        }
        Err(error) => panic!("{driver:?}: {error}"),
    }
}

/// Runs `test` with each driver and each number of cores. A driver that this machine does not allow is
/// left out, with a word about it.
pub fn each_runtime_of(cores: &[usize], test: impl Fn(&Runtime)) {
    let mut ran = 0;
    for driver in Driver::ALL {
        for &cores in cores {
            let Some(runtime) = build(driver, Runtime::builder().cores(cores)) else { continue };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&runtime))) {
                println!("this was {driver:?} with {cores} cores; its tasks:\n{}", runtime.dump());
                // What the failed test left waiting would only hold up the report.
                std::mem::forget(runtime);
                resume_unwind(panic);
            }
            ran += 1;
        }
    }
    assert!(ran >= cores.len(), "no driver ran");
}

/// Runs `test` as the main task of each runtime.
pub fn each_run(test: impl Fn() + Send + Sync) {
    each_runtime(|runtime| runtime.run(&test));
}

/// Returns when a task of `runtime` waits for something whose line in the dump holds `what`.
pub fn until_waiting(runtime: &Runtime, what: &str) {
    eventually(|| runtime.dump().to_string().contains(what));
}

/// So many tasks of `runtime` wait for what holds `what` in the dump.
pub fn waiting(runtime: &Runtime, what: &str) -> usize {
    let dump = runtime.dump();
    dump.tasks.iter().filter(|task| format!("{task:?}").contains(what)).count()
}

/// Returns when `condition` holds; the test's time limit catches the case that it never does.
pub fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many are in the group of `token`.
pub fn members(token: &CancelToken) -> usize {
    let text = format!("{token:?}");
    let (_, rest) = text.split_once("members: ").unwrap();
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Two connected streams.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    (near, far)
}

/// An address that refuses connections, as long as what comes with it is kept: bound, so that nobody else gets the port,
/// and not listening.
pub fn nobody() -> (SocketAddr, socket2::Socket) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    (socket.local_addr().unwrap().as_socket().unwrap(), socket)
}

/// Bytes that tell where they are, so that one lost or doubled shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A stream of numbers without a seed from outside: the same on each run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Two tasks, of which the first blocks its thread until the second has run: on one core that takes a hand-over.
pub fn one_waits_for_the_other(runtime: &Runtime) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let waits = runtime.spawn(move || receiver.recv().unwrap());
    let sends = runtime.spawn(move || sender.send(7).unwrap());
    assert_eq!(waits.join().unwrap(), 7);
    sends.join().unwrap();
}
