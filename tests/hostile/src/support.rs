//! What all checks are made of: tasks on a runtime with forced migration, and hops.

use event_channel::Runtime;
use event_channel::net::UdpSocket;
use event_channel::sync::channel as channels;
use event_channel::task::{self, JoinHandle, Task};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

pub use crate::check::skip;

/// The cores of the runtime that the checks share.
pub const CORES: usize = 4;

/// So many tasks wait in blocking calls for one another: more than there are cores, so the pool has to grow.
pub const BLOCKING: usize = 3 * CORES;

/// For checks of memory, before the first task: the runtime gets no more threads, each of which malloc gives an arena.
pub fn with_a_fixed_number_of_threads() {
    FIXED.store(true, Ordering::Relaxed);
}

static FIXED: AtomicBool = AtomicBool::new(false);

/// The runtime of the checks: at each suspension, whichever it is, a task goes to another worker.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let most = if FIXED.load(Ordering::Relaxed) { CORES } else { 1000 };
        Runtime::builder().cores(CORES).max_threads(most).force_migration().build().expect("a runtime")
    })
}

/// Starts a task as a user does.
pub fn spawn<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    runtime().spawn(f)
}

/// Runs `f` in `n` tasks at once, each with its number, and waits for all. Panics if one of them does.
pub fn tasks(n: usize, f: impl Fn(usize) + Send + Sync + 'static) {
    let f = Arc::new(f);
    let all: Vec<_> = (0..n)
        .map(|i| {
            let f = f.clone();
            spawn(move || f(i))
        })
        .collect();
    let failed = all.into_iter().filter_map(|task| task.join().err()).count();
    assert_eq!(failed, 0, "of {n} tasks so many failed");
}

/// `n` where tasks are cheap; where each is an OS thread, not more than a machine can bear.
pub fn many(n: usize) -> usize {
    if task::migrates() { n } else { n.min(200) }
}

/// The kernel's number of the thread that the caller runs on.
pub fn thread_number() -> i32 {
    // SAFETY: without arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Is the caller a task (and not a plain thread)?
fn is_task() -> bool {
    // Plain threads have theirs from the upper half of the numbers.
    task::current().id().as_u64() < 1 << 63
}

/// Suspends, in one of several ways. A task that migrates is on another thread afterwards; a dedicated one (and a
/// plain thread) is still on its own.
pub fn hop() {
    // `migrates` is about the process; a plain thread stays where it is.
    let moves = task::migrates() && is_task();
    hop_and(moves);
}

/// As `hop` in a task that stays on its thread, whatever others do.
pub fn hop_staying() {
    hop_and(false);
}

/// That many hops.
pub fn hops(n: usize) {
    (0..n).for_each(|_| hop());
}

fn hop_and(moves: bool) {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let before = thread_number();
    let way = NEXT.fetch_add(1, Ordering::Relaxed) % 16;
    match way {
        3 | 9 => task::sleep(Duration::from_millis(1)),
        5 => task::park_timeout(Duration::from_millis(1)),
        7 => unparked(moves),
        11 => read_in_vain(),
        13 => read_from_another(moves),
        // (Not of a notification: such a call lets others run first, at times, and would move twice.)
        15 => {
            let (_sender, receiver) = channels::bounded::<()>(1);
            assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
        }
        _ => task::yield_now(),
    }
    let after = thread_number();
    if moves {
        assert_ne!(after, before, "the task has not moved (way {way})");
    } else {
        assert_eq!(after, before, "a task with a thread of its own has left it (way {way})");
    }
}

/// Parked until a plain thread unparks it.
fn unparked(moves: bool) {
    static BELL: OnceLock<Mutex<Sender<(Duration, Task)>>> = OnceLock::new();
    let bell = BELL.get_or_init(|| helper(|task: Task| task.unpark()));
    answered_later_and_later(moves, |pause| {
        bell.lock().unwrap().send((pause, task::current())).unwrap();
        task::park();
    });
}

/// A wait that a plain thread ends; repeated, if the task should move, until it has. The end may come before the task
/// is suspended, and does again and again where the waker is always run at once (one free CPU): so the thread is asked
/// to pause before it.
fn answered_later_and_later(moves: bool, wait: impl Fn(Duration)) {
    let before = thread_number();
    let mut pause = Duration::ZERO;
    loop {
        wait(pause);
        if !moves || thread_number() != before {
            return;
        }
        pause = (pause * 2).clamp(Duration::from_micros(10), Duration::from_millis(100));
    }
}

/// Not more sockets than these at a time.
const SOCKETS: usize = 64;

struct Socket(UdpSocket);

impl Socket {
    fn new() -> Option<Socket> {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= SOCKETS {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Socket(UdpSocket::bind("127.0.0.1:0").expect("a socket")))
    }
}

static OPEN: AtomicUsize = AtomicUsize::new(0);

impl Drop for Socket {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A read that nothing answers, until its time is over.
fn read_in_vain() {
    let Some(socket) = Socket::new() else { return task::yield_now() };
    socket.0.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(socket.0.recv_from(&mut [0; 8]).is_err());
}

/// A read that a plain thread answers.
fn read_from_another(moves: bool) {
    static ANSWER: OnceLock<Mutex<Sender<(Duration, SocketAddr)>>> = OnceLock::new();
    let Some(socket) = Socket::new() else { return task::yield_now() };
    let answer = ANSWER.get_or_init(|| {
        let from = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        helper(move |to: SocketAddr| assert_eq!(from.send_to(b"hello", to).expect("loopback"), 5))
    });
    let to = socket.0.local_addr().unwrap();
    answered_later_and_later(moves, |pause| {
        let mut buffer = [0; 8];
        answer.lock().unwrap().send((pause, to)).unwrap();
        assert_eq!(socket.0.recv_from(&mut buffer).unwrap().0, 5);
        assert_eq!(&buffer[..5], b"hello");
    });
}

/// A plain thread that does `f` with all that it is sent, each after its pause. A send does not suspend.
fn helper<T: Send + 'static>(f: impl Fn(T) + Send + 'static) -> Mutex<Sender<(Duration, T)>> {
    let (send, receive) = channel::<(Duration, T)>();
    thread::spawn(move || {
        for (pause, what) in receive {
            thread::sleep(pause);
            f(what);
        }
    });
    Mutex::new(send)
}

/// Returns when `condition` holds; the check's time limit catches the case that it never does.
pub fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        if is_task() {
            task::sleep(Duration::from_millis(1))
        } else {
            thread::sleep(Duration::from_millis(1))
        }
    }
}

/// Bytes resident in this process.
pub fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("statm") * 4096
}
