//! What the ancestors' own tests go through, anew: Qpid's EventChannel (each kind of request by itself, then connections through a pool of
//! threads) and kevent's promises (a waiter that goes loses nothing; one event wakes one waiter).

mod common;

use common::{Random, each_driver, none_for, room};
use ec_channel::{Event, EventChannel, EventKind, Request, Source};
use ec_test_support::{alone, limit, skipped};
use ec_unkind as _;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Two ends of a connection by TCP.
fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept().unwrap().0)
}

/// Posts one request, and gets its event.
fn carry_out(channel: &EventChannel, request: Request) -> Event {
    let id = channel.post(request.token(7)).unwrap();
    let event = channel.get_event().unwrap();
    assert_eq!((event.id(), event.token()), (id, 7));
    event
}

fn errno(event: &Event) -> Option<i32> {
    event.result().unwrap_err().raw_os_error()
}

#[test]
fn what_is_read_comes_back_in_the_buffer_of_its_request() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = connection();
            far.write_all(b"hello, and more").unwrap();
            let mut event = carry_out(&channel, Request::recv(near, room(5)));
            assert_eq!((event.kind(), event.result().unwrap()), (EventKind::Recv, 5));
            assert_eq!(event.take_buffer(), b"hello");
        })
    });
}

/// The peer has closed: in good order, or not. And what cannot be read from at all.
#[test]
fn a_failed_read_comes_back_and_says_why() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = connection();
            drop(far);
            let event = carry_out(&channel, Request::recv(near, room(5)));
            assert_eq!((event.result().unwrap(), event.buffer()), (0, &b""[..]));
            let (near, far) = connection();
            socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
            let id = channel.post(Request::recv(near, vec![1; 5])).unwrap();
            none_for(&channel, Duration::from_millis(2));
            drop(far);
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), errno(&event), event.buffer()), (id, Some(libc::ECONNRESET), &b""[..]));
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            assert_eq!(errno(&carry_out(&channel, Request::recv(listener, room(5)))), Some(libc::ENOTCONN));
        })
    });
}

#[test]
fn what_is_written_reaches_the_peer_and_its_buffer_comes_back() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = connection();
            let mut event = carry_out(&channel, Request::send(near, b"hello".to_vec()));
            assert_eq!((event.kind(), event.result().unwrap()), (EventKind::Send, 5));
            assert_eq!(event.take_buffer(), b"hello");
            let mut heard = [0; 5];
            far.read_exact(&mut heard).unwrap();
            assert_eq!(&heard, b"hello");
        })
    });
}

#[test]
fn a_failed_write_comes_back_with_what_was_to_be_written() {
    limit(30, || {
        each_driver(|channel| {
            let (near, _far) = connection();
            near.shutdown(std::net::Shutdown::Write).unwrap();
            let mut event = carry_out(&channel, Request::send(near, b"hello".to_vec()));
            assert_eq!(errno(&event), Some(libc::EPIPE));
            assert_eq!(event.take_buffer(), b"hello");
        })
    });
}

#[test]
fn one_descriptor_is_read_and_written_at_the_same_time() {
    limit(30, || {
        each_driver(|channel| {
            let (near, mut far) = connection();
            let near = Source::from(near);
            let read = channel.post(Request::recv(near.clone(), room(16))).unwrap();
            let mut write = channel.post(Request::send(near, b"request".to_vec())).unwrap();
            for n in 1..=3 {
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.result().unwrap()), (write, 7), "nothing has come to be read");
                far.read_exact(&mut [0; 7]).unwrap();
                if n < 3 {
                    write = channel.post(event.again()).unwrap();
                }
            }
            far.write_all(b"answer").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.buffer()), (read, &b"answer"[..]));
        })
    });
}

#[test]
fn each_that_connects_is_accepted_once() {
    limit(30, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            for n in 0..3_u8 {
                channel.post(Request::accept(listener.clone()).token(u64::from(n))).unwrap();
            }
            none_for(&channel, Duration::from_millis(2));
            let dial = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let clients = [dial(), dial(), dial()];
            let mut tokens = Vec::new();
            for _ in 0..3 {
                let mut event = channel.get_event().unwrap();
                let mut accepted = TcpStream::from(event.take_accepted().unwrap());
                let from = event.address().unwrap();
                accepted.write_all(&[event.token() as u8]).unwrap();
                let mut client = clients.iter().find(|client| client.local_addr().unwrap() == from).unwrap();
                let mut told = [0];
                client.read_exact(&mut told).unwrap();
                tokens.push(u64::from(told[0]));
            }
            tokens.sort_unstable();
            assert_eq!(tokens, [0, 1, 2]);
            none_for(&channel, Duration::from_millis(2));
        })
    });
}

/// One of the connections that a pool of threads serves.
struct Served {
    socket: Source,
    /// The number of the next message.
    next: AtomicUsize,
}

/// Each connection sends ten numbered messages, and waits for the answer to each. Whichever thread gets an event goes on with that
/// connection. Every event is counted.
#[test]
fn five_connections_of_ten_messages_through_a_pool_of_threads() {
    const CONNECTIONS: usize = 5;
    const MESSAGES: usize = 10;
    limit(60, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let counts: [AtomicUsize; EventKind::ALL.len()] = std::array::from_fn(|_| AtomicUsize::new(0));
            let ends = AtomicUsize::new(0);
            let serve = || {
                let mut mine = 0;
                while let Ok(mut event) = channel.get_event() {
                    mine += 1;
                    if event.kind() == EventKind::Accept && event.is_cancelled() {
                        // By the shutdown: nobody connects any more.
                        continue;
                    }
                    counts[event.kind() as usize].fetch_add(1, SeqCst);
                    let n = event.result().unwrap();
                    match event.kind() {
                        EventKind::Accept => {
                            let socket = Source::from(event.take_accepted().unwrap());
                            let served =
                                Arc::new(Served { socket: socket.clone(), next: AtomicUsize::new(0) });
                            channel.post(Request::recv(socket, room(8)).context(Box::new(served))).unwrap();
                            channel.post(event.again()).unwrap();
                        }
                        EventKind::Recv if n == 0 => {
                            let served = event.take_context().unwrap().downcast::<Arc<Served>>().unwrap();
                            assert_eq!(served.next.load(SeqCst), MESSAGES);
                            if ends.fetch_add(1, SeqCst) + 1 == CONNECTIONS {
                                channel.shutdown();
                            }
                        }
                        EventKind::Recv => {
                            let context = event.take_context().unwrap();
                            let served = context.downcast_ref::<Arc<Served>>().unwrap();
                            let number = served.next.fetch_add(1, SeqCst);
                            assert_eq!(event.buffer(), (number as u64).to_be_bytes());
                            let answer = Request::send(served.socket.clone(), event.take_buffer());
                            channel.post(answer.context(context)).unwrap();
                        }
                        _ => {
                            assert_eq!(n, 8);
                            let context = event.take_context().unwrap();
                            let socket = context.downcast_ref::<Arc<Served>>().unwrap().socket.clone();
                            channel.post(Request::recv(socket, room(8)).context(context)).unwrap();
                        }
                    }
                }
                mine
            };
            channel.post(Request::accept(listener.clone())).unwrap();
            let got: usize = thread::scope(|s| {
                let pool: Vec<_> = (0..4).map(|_| s.spawn(serve)).collect();
                for _ in 0..CONNECTIONS {
                    s.spawn(|| {
                        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                        for number in 0..MESSAGES as u64 {
                            client.write_all(&number.to_be_bytes()).unwrap();
                            let mut answer = [0; 8];
                            client.read_exact(&mut answer).unwrap();
                            assert_eq!(u64::from_be_bytes(answer), number);
                        }
                    });
                }
                pool.into_iter().map(|getter| getter.join().unwrap()).sum()
            });
            let count = |kind: EventKind| counts[kind as usize].load(SeqCst);
            assert_eq!(count(EventKind::Accept), CONNECTIONS);
            assert_eq!(count(EventKind::Recv), CONNECTIONS * (MESSAGES + 1));
            assert_eq!(count(EventKind::Send), CONNECTIONS * MESSAGES);
            assert_eq!(got, CONNECTIONS * (2 * MESSAGES + 2) + 1, "and the last accept");
        })
    });
}

/// A waiter's time is over at the very moment at which its event comes: either it returns the event, or the next one finds it. (Of a
/// task that is cancelled: `tests/get_event.rs`.)
#[test]
fn a_waiter_that_goes_as_its_event_comes_has_it_or_leaves_it() {
    alone(60, || {
        each_driver(|channel| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let near = Source::from(near);
            let (mut random, mut had, mut left) = (Random(7), 0, 0);
            for round in 0..400 {
                channel.post(Request::recv(near.clone(), room(1)).token(round)).unwrap();
                let (waits, after) = (random.below(150), random.below(150));
                let first = thread::scope(|s| {
                    let waiter = s.spawn(|| channel.get_event_timeout(Duration::from_micros(waits)).unwrap());
                    thread::sleep(Duration::from_micros(after));
                    far.write_all(&[round as u8]).unwrap();
                    waiter.join().unwrap()
                });
                had += usize::from(first.is_some());
                left += usize::from(first.is_none());
                let event = first.unwrap_or_else(|| channel.get_event().unwrap());
                assert_eq!((event.token(), event.buffer()), (round, &[round as u8][..]));
                assert!(channel.try_get_event().unwrap().is_none());
            }
            eprintln!("{had} times the waiter had the event, {left} times it was left");
        })
    });
}

/// The system call that a thread of this process is in. `None`: it runs, or the system does not say.
fn system_call(thread: i32) -> Option<libc::c_long> {
    let said = fs::read_to_string(format!("/proc/self/task/{thread}/syscall")).ok()?;
    said.split_whitespace().next()?.parse().ok()
}

/// How often a thread has gone to sleep.
fn sleeps(thread: i32) -> Option<u64> {
    let said = fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
    said.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?.trim().parse().ok()
}

/// Waits until all of these threads sleep at the same time: one in the kernel's poller, and the others by themselves, in `futex`. Gives how
/// often each has gone to sleep.
fn until_one_polls(threads: &BTreeSet<i32>) -> HashMap<i32, u64> {
    let all =
        || threads.iter().map(|thread| Some((*thread, sleeps(*thread)?))).collect::<Option<HashMap<_, _>>>();
    loop {
        let before = all();
        let calls: Vec<_> = threads.iter().map(|thread| system_call(*thread)).collect();
        let polling = calls.iter().filter(|call| call.is_some_and(|call| call != libc::SYS_futex)).count();
        // (Who had been woken meanwhile, and slept again, or had woken another one, would show.)
        match before {
            Some(before)
                if calls.iter().all(Option::is_some) && polling == 1 && all().as_ref() == Some(&before) =>
            {
                return before;
            }
            _ => thread::yield_now(),
        }
    }
}

/// Shuts a channel down, also if its test fails: the getters are to end.
struct ShutDown<'a>(&'a EventChannel);

impl Drop for ShutDown<'_> {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// 64 wait, one event comes. One returns with it; of the others at most one is woken, to wait in the kernel if nobody does any more.
/// All others sleep on. (The one that has returned comes back when the next event has come: somebody else waits in the kernel meanwhile.)
#[test]
fn one_event_for_sixty_four_who_wait_disturbs_no_more_than_two() {
    const WAITERS: usize = 64;
    const EVENTS: usize = 10;
    alone(120, || {
        let me = std::process::id() as i32;
        if sleeps(me).is_none() || fs::read(format!("/proc/self/task/{me}/syscall")).is_err() {
            return skipped("this system does not say in /proc what its threads wait for");
        }
        each_driver(|channel| {
            let (near, mut far) = UnixStream::pair().unwrap();
            channel.post(Request::recv(near, room(1)).token(1)).unwrap();
            let (told, heard) = mpsc::channel();
            thread::scope(|s| {
                let _end = ShutDown(&channel);
                let waiter = || {
                    let (channel, told) = (&channel, told.clone());
                    let (go_on, wait) = mpsc::channel::<()>();
                    s.spawn(move || {
                        // SAFETY: it takes nothing.
                        let me = unsafe { libc::gettid() };
                        told.send(me).unwrap();
                        while channel.get_event().is_ok() {
                            told.send(me).unwrap();
                            // (Or the test has failed.)
                            let _ = wait.recv();
                        }
                    });
                    (heard.recv().unwrap(), go_on)
                };
                let waiters: HashMap<i32, mpsc::Sender<()>> = (0..WAITERS).map(|_| waiter()).collect();
                let mut waiting: BTreeSet<i32> = waiters.keys().copied().collect();
                for event in 1..=EVENTS {
                    let asleep = until_one_polls(&waiting);
                    let wakeups = channel.metrics().wakeups;
                    match event {
                        1 => far.write_all(b"x").unwrap(),
                        2..6 => drop(channel.post(Request::notification()).unwrap()),
                        _ => drop(channel.post(Request::timer(Duration::from_millis(1))).unwrap()),
                    }
                    let returned = heard.recv().unwrap();
                    assert!(waiting.remove(&returned));
                    let asleep_again = until_one_polls(&waiting);
                    assert!(heard.try_recv().is_err(), "one returns");
                    let wakeups = channel.metrics().wakeups - wakeups;
                    assert!(wakeups <= 2, "{wakeups} were called, for one event");
                    let woken = waiting.iter().filter(|one| asleep[one] != asleep_again[one]).count();
                    assert!(woken <= 1, "{woken} others have woken, for one event");
                    waiters[&returned].send(()).unwrap();
                    waiting.insert(returned);
                }
            });
        })
    });
}
