//! A stream of connections: each once, no more than there is credit for, and none is lost or left open.

mod common;

use common::{Random, all_drivers, each_driver, fleeting_socket, none_for, serve};
use ec_channel::{Completions, Driver, Event, EventChannel, EventId, EventKind, Request, Wait};
use ec_test_support::{Watch, answer_calls, limit, skipped};
use ec_unkind as _;
use std::collections::BTreeSet;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(1);

fn listening() -> (Arc<TcpListener>, SocketAddr) {
    let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// So many who connect. (Their ports are free as soon as they are closed.)
fn clients(at: SocketAddr, count: usize) -> Vec<TcpStream> {
    let client = |_| {
        let socket = fleeting_socket();
        socket.connect(&at.into()).unwrap();
        TcpStream::from(socket)
    };
    (0..count).map(client).collect()
}

fn names(clients: &[TcpStream]) -> BTreeSet<SocketAddr> {
    clients.iter().map(|client| client.local_addr().unwrap()).collect()
}

/// Those that are with the listener still.
fn left_with(listener: &TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    listener.set_nonblocking(true).unwrap();
    let left = std::iter::from_fn(|| listener.accept().ok()).collect();
    listener.set_nonblocking(false).unwrap();
    left
}

/// The peer of an item, and its connection, which is the same one's.
fn connection(item: &mut Event) -> (TcpStream, SocketAddr) {
    let stream = TcpStream::from(item.take_accepted().unwrap());
    assert!(item.take_accepted().is_none() && !item.is_last() && item.result().is_ok());
    let from = item.address().unwrap();
    assert_eq!((stream.peer_addr().unwrap(), item.kind()), (from, EventKind::Accept));
    (stream, from)
}

fn until_last(channel: &EventChannel, id: EventId) -> Event {
    loop {
        let event = channel.get_event().unwrap();
        assert_eq!(event.id(), id);
        if event.is_last() {
            return event;
        }
    }
}

#[test]
fn each_connection_comes_once_and_then_the_end() {
    limit(60, || {
        each_driver(|channel| {
            let (listener, at) = listening();
            let id = channel.post(Request::accept_many(listener.clone()).token(8)).unwrap();
            let mut seen = BTreeSet::new();
            for count in [1, 0, 7, 100, 1, 30] {
                let clients = std::thread::spawn(move || clients(at, count));
                let mut due = BTreeSet::new();
                for _ in 0..count {
                    let mut item = channel.get_event().unwrap();
                    assert_eq!((item.id(), item.token()), (id, 8));
                    assert!(due.insert(connection(&mut item).1));
                }
                assert_eq!(due, names(&clients.join().unwrap()));
                seen.append(&mut due);
            }
            none_for(&channel, 5 * TICK);
            assert!(channel.cancel(id));
            let last = until_last(&channel, id);
            assert!(last.is_cancelled() && last.address().is_none());
            // Another one goes on where this one has ended.
            let client = clients(at, 1);
            let id = channel.post(last.again()).unwrap();
            let from = connection(&mut channel.get_event().unwrap()).1;
            assert_eq!(from, client[0].local_addr().unwrap());
            channel.cancel(id);
            until_last(&channel, id);
        })
    });
}

#[test]
fn beyond_its_credit_it_takes_no_connection() {
    limit(60, || {
        each_driver(|channel| {
            for (asked, most) in [(None, 64), (Some(5), 5), (Some(0), 1)] {
                let (listener, at) = listening();
                let stream = Request::accept_many(listener.clone());
                let stream = match asked {
                    Some(credit) => stream.credit(credit),
                    None => stream,
                };
                let before = channel.metrics().items;
                let id = channel.post(stream).unwrap();
                let clients = clients(at, most + 9);
                until_came(&channel, before, most as u64);
                let (serving, mut out) = (serve(&channel), Completions::new());
                for _ in 0..5 {
                    serving.drive(0, Wait::For(TICK), &mut out).unwrap();
                }
                drop(serving);
                assert_eq!(channel.metrics().items - before, most as u64);
                let left = left_with(&listener);
                assert_eq!(left.len(), 9, "of those for whom there is no room");
                // Those that were taken are there, and one that is fetched lets another one come.
                let mut taken: BTreeSet<_> = left.iter().map(|(_, from)| *from).collect();
                for _ in 0..most {
                    taken.insert(connection(&mut channel.get_event().unwrap()).1);
                }
                assert_eq!(taken, names(&clients));
                let another = self::clients(at, 1);
                let from = connection(&mut channel.get_event().unwrap()).1;
                assert_eq!(from, another[0].local_addr().unwrap());
                channel.cancel(id);
                until_last(&channel, id);
            }
        })
    });
}

/// As many as there is credit for: nobody polls before each.
#[test]
fn those_that_have_come_are_taken_in_one_pass_where_the_driver_has_to_poll() {
    limit(30, || {
        each_driver(|channel| {
            if channel.driver().kind() == Driver::IoUring {
                return;
            }
            let (listener, at) = listening();
            let _clients = clients(at, 100);
            let id = channel.post(Request::accept_many(listener.clone())).unwrap();
            channel.get_event().unwrap();
            assert_eq!(channel.metrics().ready, 63);
            drop(channel.get_event().unwrap());
            channel.cancel(id);
            until_last(&channel, id);
        })
    });
}

#[test]
fn a_listener_that_is_shut_down_ends_it() {
    limit(30, || {
        each_driver(|channel| {
            let (listener, at) = listening();
            let id = channel.post(Request::accept_many(listener.clone())).unwrap();
            let _client = clients(at, 1);
            connection(&mut channel.get_event().unwrap());
            none_for(&channel, TICK);
            socket2::SockRef::from(&*listener).shutdown(Shutdown::Both).unwrap();
            let last = channel.get_event().unwrap();
            assert!(last.is_last() && last.id() == id);
            let failure = last.failure().unwrap();
            assert_eq!(failure.to_string(), "accept on its listener: Invalid argument (os error 22)");
        })
    });
}

/// Drives the channel as a pool does until so many items have come since there were `before`: nobody has fetched them.
fn until_came(channel: &EventChannel, before: u64, count: u64) {
    let (serving, mut out) = (serve(channel), Completions::new());
    while channel.metrics().items - before < count {
        serving.drive(0, Wait::For(TICK), &mut out).unwrap();
    }
}

#[test]
fn connections_that_nobody_takes_are_closed() {
    fn closed(clients: Vec<TcpStream>) {
        for mut client in clients {
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
        }
    }
    limit(30, || {
        each_driver(|channel| {
            let (listener, at) = listening();
            // With their items.
            let five = clients(at, 5);
            let id = channel.post(Request::accept_many(listener.clone())).unwrap();
            (0..5).for_each(|_| drop(channel.get_event().unwrap()));
            closed(five);
            // Nobody has fetched them, and the stream is given up.
            let five = clients(at, 5);
            until_came(&channel, 5, 5);
            channel.cancel(id);
            until_last(&channel, id);
            closed(five);
            // They go with the channel.
            let five = clients(at, 5);
            channel.post(Request::accept_many(listener.clone())).unwrap();
            until_came(&channel, 10, 5);
            drop(channel);
            closed(five);
        })
    });
}

/// Cancelled as clients connect: each is in an item, or with the listener.
#[test]
fn no_connection_is_lost_to_a_cancel() {
    limit(60, || {
        each_driver(|channel| {
            let mut random = Random(0xacc);
            let (listener, at) = listening();
            for round in 0..100 {
                let stream = Request::accept_many(listener.clone()).credit(1 + random.below(5) as u32);
                let limited = round % 4 == 3;
                let stream = if limited { stream.within(TICK / 2) } else { stream };
                let id = channel.post(stream).unwrap();
                let connects = std::thread::spawn(move || clients(at, 6));
                let mut seen = BTreeSet::new();
                let cancel_at = random.below(6);
                loop {
                    if !limited && seen.len() as u64 == cancel_at {
                        channel.cancel(id);
                    }
                    let mut event = channel.get_event().unwrap();
                    if event.is_last() {
                        assert!(event.is_cancelled() || event.is_timed_out());
                        break;
                    }
                    seen.insert(connection(&mut event).1);
                }
                let clients = connects.join().unwrap();
                seen.extend(left_with(&listener).into_iter().map(|(_, from)| from));
                assert_eq!(seen, names(&clients), "round {round}");
                none_for(&channel, Duration::ZERO);
            }
        })
    });
}

#[test]
fn a_handler_has_one_connection_at_a_time() {
    limit(30, || {
        each_driver(|channel| {
            let (listener, at) = listening();
            let (inside, seen) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
            let notes = seen.clone();
            let stream = Request::accept_many(listener.clone()).on_complete(move |channel, mut event| {
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                if event.is_last() {
                    channel.shutdown();
                } else {
                    notes.lock().unwrap().push(connection(&mut event).1);
                }
                inside.fetch_sub(1, Ordering::SeqCst);
            });
            let id = channel.post(stream).unwrap();
            let clients = clients(at, 10);
            while seen.lock().unwrap().len() < 10 {
                let _ = channel.get_event_timeout(TICK);
            }
            channel.cancel(id);
            assert!(channel.get_event().is_err());
            assert_eq!(seen.lock().unwrap().iter().copied().collect::<BTreeSet<_>>(), names(&clients));
        })
    });
}

/// Errors that are a connection's, or pass: accept(2).
const PASSING: [i32; 18] = [
    libc::ECONNABORTED,
    libc::ECONNRESET,
    libc::ECONNREFUSED,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    libc::ENONET,
    libc::EPROTO,
    libc::ENOPROTOOPT,
    libc::EOPNOTSUPP,
    libc::EPROTONOSUPPORT,
    libc::ESOCKTNOSUPPORT,
    libc::ETIMEDOUT,
    libc::ENOSR,
    libc::EPERM,
    libc::ENOBUFS,
    libc::ENOMEM,
];

/// Runs `case` with a channel of each driver that makes the call itself, on a thread whose accepts end as `answer` says.
fn with_answers(case: impl Fn(&EventChannel) + Sync, answer: impl Fn() -> i32) {
    for driver in all_drivers().into_iter().filter(|driver| *driver != Driver::IoUring) {
        eprintln!("on {driver}");
        let channel = EventChannel::builder().driver(driver).build().unwrap();
        let case = |watch: &Watch| watch.note(|| case(&channel));
        if let Err(error) = answer_calls(&[libc::SYS_accept4], case, &answer) {
            return skipped(&format!("calls cannot be answered here: {error}"));
        }
    }
}

/// One by one, all behind each other, and many times the same one.
#[test]
fn an_error_that_passes_does_not_end_it() {
    limit(60, || {
        let errors = Mutex::new(Vec::new());
        let all =
            PASSING.map(|errno| vec![errno]).into_iter().chain([PASSING.into(), vec![libc::EPROTO; 100]]);
        let rounds: Vec<Vec<i32>> = all.collect();
        let case = |channel: &EventChannel| {
            let (listener, at) = listening();
            let id = channel.post(Request::accept_many(listener.clone())).unwrap();
            for round in &rounds {
                *errors.lock().unwrap() = round.clone();
                let client = clients(at, 1);
                let mut item = channel.get_event().unwrap();
                assert!(!item.is_last(), "{:?}, with {:?} left", item.failure(), errors.lock().unwrap());
                assert_eq!(connection(&mut item).1, client[0].local_addr().unwrap());
                assert!(errors.lock().unwrap().is_empty());
            }
            channel.cancel(id);
            until_last(channel, id);
        };
        with_answers(case, || errors.lock().unwrap().pop().unwrap_or(0));
    });
}

/// Sixteen calls, and then a rest: of 1 ms, 2 ms and so on, up to 50.
#[test]
fn an_error_that_stays_makes_nobody_spin() {
    limit(60, || {
        for errno in [libc::ECONNABORTED, libc::EPROTO, libc::EPERM, libc::ENOMEM] {
            let calls = AtomicUsize::new(0);
            let case = |channel: &EventChannel| {
                let began = Instant::now();
                calls.store(0, Ordering::SeqCst);
                let (listener, at) = listening();
                let _clients = clients(at, 1);
                let id = channel.post(Request::accept_many(listener)).unwrap();
                none_for(channel, 50 * TICK);
                // It can be given up all the same.
                channel.cancel(id);
                assert!(channel.get_event().unwrap().is_cancelled());
                let rests = 6 + began.elapsed().as_millis() as usize / 50;
                let calls = calls.load(Ordering::SeqCst);
                assert!((2..=16 * (rests + 2)).contains(&calls), "{calls} calls in vain, with errno {errno}");
            };
            let answer = || {
                calls.fetch_add(1, Ordering::SeqCst);
                errno
            };
            with_answers(case, answer);
        }
    });
}

/// What accept(2) says of a socket that is none to accept from is what it says of some connections.
#[test]
fn a_socket_that_does_not_listen_ends_it() {
    limit(30, || {
        for driver in all_drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            channel.post(Request::accept_many(datagrams)).unwrap();
            let last = channel.get_event().unwrap();
            let errno = last.failure().map(|failure| failure.errno());
            assert!(last.is_last() && errno == Some(libc::EOPNOTSUPP), "{driver}: {last:?}");
        }
    });
}
