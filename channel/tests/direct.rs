//! The driver that carries out one request at a time, in the order of posting: each kind by itself, and what holds up what.

mod common;

use common::{fresh_socket, none_for, pair, room, until_asleep};
use ec_channel::{Driver, Event, EventChannel, Interest, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(1000);

fn channel() -> EventChannel {
    EventChannel::builder().driver(Driver::Direct).build().unwrap()
}

/// Posts a request and gets its event.
fn alone(channel: &EventChannel, request: Request) -> Event {
    let id = channel.post(request).unwrap();
    let event = channel.get_event().unwrap();
    assert_eq!(event.id(), id);
    event
}

#[test]
fn each_kind_by_itself() {
    limit(30, || {
        let channel = channel();
        let (near, mut far) = pair();
        let mut kinds = Vec::new();
        let mut done = |event: Event| {
            kinds.push(event.kind());
            event
        };
        assert_eq!(done(alone(&channel, Request::send(near.clone(), b"abc".to_vec()))).result().unwrap(), 3);
        far.read_exact(&mut [0; 3]).unwrap();
        far.write_all(b"xyz").unwrap();
        let ready = Request::readiness(near.clone(), Interest::READABLE | Interest::WRITABLE);
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(done(alone(&channel, ready)).ready(), both);
        assert_eq!(done(alone(&channel, Request::recv(near.clone(), room(8)))).buffer(), b"xyz");

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let socket = std::os::fd::OwnedFd::from(fresh_socket());
        assert_eq!(done(alone(&channel, Request::connect(socket, to))).result().unwrap(), 0);
        let mut accepted = done(alone(&channel, Request::accept(listener)));
        assert!(accepted.take_accepted().is_some() && accepted.address().is_some());

        let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (from, to) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        done(alone(&channel, Request::send_to(one, b"datagram".to_vec(), to))).result().unwrap();
        let got = done(alone(&channel, Request::recv_from(other, room(4))));
        assert_eq!((got.buffer(), got.address(), got.is_truncated()), (&b"data"[..], Some(from), true));

        done(alone(&channel, Request::timer(Duration::from_millis(1)))).result().unwrap();
        done(alone(&channel, Request::notification()));
        assert_eq!(kinds.len(), 9, "{kinds:?}");

        let closed = std::fs::File::open("/dev/null").unwrap();
        let error = alone(&channel, Request::recv(closed, room(1))).result().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        let late = alone(&channel, Request::recv(near.clone(), room(1)).within(SOON));
        assert!(late.is_timed_out());
        drop(far);
        assert_eq!(alone(&channel, Request::recv(near.clone(), room(1))).result().unwrap(), 0);
        let error = alone(&channel, Request::send(near, b"x".to_vec())).result().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn one_that_waits_holds_up_those_behind_it() {
    limit(30, || {
        let channel = channel();
        let (near, mut far) = pair();
        let waits = channel.post(Request::recv(near.clone(), room(8))).unwrap();
        let behind = channel.post(Request::send(near.clone(), b"x".to_vec())).unwrap();
        none_for(&channel, SOON);
        far.set_nonblocking(true).unwrap();
        assert_eq!(
            far.read(&mut [0; 1]).unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "it is not carried out yet"
        );
        // Timers and notifications are not held up, and hold up nothing.
        channel.post(Request::notification().token(1)).unwrap();
        channel.post(Request::timer(Duration::ZERO).token(2)).unwrap();
        let mut tokens = [channel.get_event().unwrap().token(), channel.get_event().unwrap().token()];
        tokens.sort_unstable();
        assert_eq!(tokens, [1, 2]);
        far.write_all(b"y").unwrap();
        let order: Vec<_> = (0..2).map(|_| channel.get_event().unwrap().id()).collect();
        assert_eq!(order, [waits, behind]);
        assert_eq!(far.read(&mut [0; 1]).unwrap(), 1);
    });
}

#[test]
fn a_cancel_is_found_before_a_request_begins_and_while_it_waits() {
    limit(30, || {
        let channel = channel();
        let (near, far) = pair();
        let waits = channel.post(Request::recv(near.clone(), room(8))).unwrap();
        let behind = channel.post(Request::send(near.clone(), b"x".to_vec())).unwrap();
        assert!(channel.cancel(behind));
        let event = channel.get_event().unwrap();
        assert!(event.id() == behind && event.is_cancelled());
        std::thread::scope(|s| {
            let getter = s.spawn(|| channel.get_event().unwrap());
            until_asleep(&channel);
            assert!(channel.cancel(waits));
            let event = getter.join().unwrap();
            assert!(event.id() == waits && event.is_cancelled());
        });
        far.set_nonblocking(true).unwrap();
        assert_eq!((&far).read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock, "nothing was sent");
    });
}

#[test]
fn posts_and_a_shutdown_reach_who_sleeps() {
    limit(30, || {
        let channel = channel();
        let (near, mut far) = pair();
        std::thread::scope(|s| {
            let getter = s.spawn(|| channel.get_event().unwrap());
            until_asleep(&channel);
            channel.post(Request::send(near.clone(), b"x".to_vec())).unwrap();
            assert_eq!(getter.join().unwrap().result().unwrap(), 1);
            far.read_exact(&mut [0; 1]).unwrap();
            channel.post(Request::recv(near.clone(), room(1))).unwrap();
            channel.post(Request::timer(LONG)).unwrap();
            let getter = s.spawn(|| {
                let cancelled = (0..2).all(|_| channel.get_event().unwrap().is_cancelled());
                (cancelled, channel.get_event().is_err())
            });
            until_asleep(&channel);
            channel.shutdown();
            assert_eq!(getter.join().unwrap(), (true, true));
        });
    });
}

#[test]
fn a_rival_costs_a_receive_nothing_but_time() {
    limit(30, || {
        let channel = channel();
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Arc::new(near);
        channel.post(Request::recv(near.clone(), room(8))).unwrap();
        none_for(&channel, SOON);
        // A rival takes what is there.
        let (began, mut rival) = (Instant::now(), 0);
        while began.elapsed() < SOON {
            far.write_all(b"x").unwrap();
            near.set_nonblocking(true).unwrap();
            rival += usize::from((&*near).read(&mut [0; 1]).is_ok());
            near.set_nonblocking(false).unwrap();
        }
        assert!(rival > 0);
        far.write_all(b"y").unwrap();
        assert_eq!(channel.get_event().unwrap().buffer(), b"y");
    });
}

#[test]
fn it_is_not_for_a_pool() {
    let channel = channel();
    // SAFETY: nothing is driven if this fails.
    let error = unsafe { channel.serve() }.err().unwrap();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("direct"), "{error}");
}

/// Each kind, since each says by itself what its results mean.
#[test]
fn a_time_limit_that_ends_behind_another_request_is_no_cancel() {
    limit(60, || {
        let channel = channel();
        let path = std::env::temp_dir().join(format!("ec-direct-never-{}", std::process::id()));
        let bytes = || vec![0; 9];
        let of = || std::fs::File::open("/dev/null").unwrap();
        let kinds: Vec<Request> = vec![
            Request::mkdir(&path, 0o700),
            Request::rmdir(&path),
            Request::unlink(&path),
            Request::rename(&path, &path),
            Request::link(&path, &path),
            Request::symlink(&path, &path),
            Request::read_link(&path, bytes()),
            Request::get_xattr(&path, "user.x", bytes()),
            Request::set_xattr(&path, "user.x", bytes()),
            Request::list_xattr(&path, bytes()),
            Request::remove_xattr(&path, "user.x"),
            Request::open(&path, ec_channel::OpenOptions::new().write(true).create(true)),
            Request::stat(&path),
            Request::stat_of(of()),
            Request::read_at(of(), bytes(), 0),
            Request::write_at(of(), bytes(), 0),
            Request::read(of(), bytes()),
            Request::fsync(of()),
            Request::truncate(of(), 0),
            Request::allocate(of(), ec_channel::Allocation::Reserve, 0, 1),
            Request::advise(of(), 0, 0, ec_channel::Advice::Normal),
            Request::close(of()),
            Request::splice(of(), of(), 1),
            Request::pump(of(), of()),
        ];
        let (near, _far) = pair();
        let first = channel.post(Request::recv(near, room(1))).unwrap();
        let count = kinds.len();
        for request in kinds {
            channel.post(request.within(Duration::from_millis(1))).unwrap();
        }
        for _ in 0..count {
            let event = channel.get_event().unwrap();
            assert!(event.is_timed_out() && !event.is_cancelled(), "{event:?}");
        }
        assert!(!path.exists());
        channel.cancel(first);
        assert!(channel.get_event().unwrap().is_cancelled());
    });
}
