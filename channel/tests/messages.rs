//! Messages with descriptors and credentials: nothing that comes with one is left open, whatever becomes of its event, and whatever the peer
//! sends.

mod common;

use common::messages::{Pipe, send_with};
use common::{Random, drivers, each_driver, none_for, room};
use ec_channel::{Ancillary, BufferPool, Credentials, Driver, Event, EventChannel, Request, Source};
use ec_test_support::{in_child, limit, went_well};
use ec_unkind as _;
use socket2::{Domain, SockAddr, SockRef, Type};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(5);

fn all_drivers() -> Vec<Driver> {
    drivers().into_iter().chain([Driver::Direct]).collect()
}

fn streams() -> (Arc<UnixStream>, Arc<UnixStream>) {
    let (near, far) = UnixStream::pair().unwrap();
    (Arc::new(near), Arc::new(far))
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `case` on a channel of each driver, alone in a process: as many descriptors are open after it as before.
fn leaves_nothing(name: &str, case: impl Fn(EventChannel)) {
    went_well(in_child(name, || {
        ec_unkind::no_other_runtime();
        let make = |driver| EventChannel::builder().driver(driver).build().unwrap();
        for driver in all_drivers() {
            // (What is made once, and stays.)
            case(make(driver));
            let before = descriptors();
            case(make(driver));
            // (What there is no room for is closed by a thread that is there for that, also what came before.)
            while descriptors() > before {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }));
}

fn with<T>(channel: &EventChannel, socket: &Arc<T>, bytes: usize, descriptors: usize) -> Event
where
    T: AsFd + Send + Sync + 'static,
{
    channel.post(Request::recv_msg(socket.clone(), room(bytes), descriptors)).unwrap();
    channel.get_event().unwrap()
}

#[test]
fn what_nobody_takes_is_closed() {
    leaves_nothing("what_nobody_takes_is_closed", |channel| {
        let (near, far) = streams();
        let pipe = Pipe::new();
        let (one, two) = (pipe.writer(), pipe.writer());
        let send = || send_with(&far, b"x", &[&one, &two]);
        // It goes with its event, also if some were taken out.
        send();
        let mut event = with(&channel, &near, 1, 2);
        assert_eq!(event.take_descriptors().len(), 2);
        assert!(event.take_descriptors().is_empty());
        send();
        let event = with(&channel, &near, 1, 2);
        // It is received into again.
        channel.post(event.again()).unwrap();
        send();
        drop(channel.get_event().unwrap());
        // It is cancelled, and has come, or has not.
        for early in [true, false] {
            let id = channel.post(Request::recv_msg(near.clone(), room(1), 2)).unwrap();
            if early {
                none_for(&channel, SOON);
            }
            send();
            channel.cancel(id);
            if channel.get_event().unwrap().is_cancelled() {
                drop(with(&channel, &near, 1, 2));
            }
        }
        // Nobody fetches it, and the channel goes.
        send();
        channel.post(Request::recv_msg(near.clone(), room(1), 2)).unwrap();
        channel.post(Request::timer(Duration::ZERO)).unwrap();
        drop(channel.get_event().unwrap());
        channel.post(Request::recv_msg(near.clone(), room(1), 2)).unwrap();
        none_for_but_receives(&channel);
        send();
        channel.shutdown();
        drop(channel);
    });
}

/// (What comes meanwhile is one of the receives.)
fn none_for_but_receives(channel: &EventChannel) {
    while let Some(event) = channel.get_event_timeout(SOON).unwrap() {
        assert!(event.result().is_ok());
    }
}

/// With more descriptors than there is room for, in one part or in several, time and again.
#[test]
fn a_hostile_peer_costs_no_descriptor() {
    leaves_nothing("a_hostile_peer_costs_no_descriptor", |channel| {
        let (near, far) = streams();
        let pipe = Pipe::new();
        let one = Source::from(pipe.writer());
        let raw = pipe.writer();
        let mut random = Random(0xbad);
        let few: [&OwnedFd; 60] = [&raw; 60];
        for round in 0..100 {
            let count = 1 + random.below(60) as usize;
            let wanted = random.below(80) as usize;
            if round % 2 == 0 {
                send_with(&far, b"x", &few[..count]);
            } else {
                let ancillary = (0..count).fold(Ancillary::new(), |all, _| all.descriptor(one.clone()));
                channel.post(Request::send_msg(far.clone(), vec![1], ancillary)).unwrap();
                channel.get_event().unwrap().result().unwrap();
            }
            let mut event = with(&channel, &near, 1, wanted);
            assert_eq!(event.result().unwrap(), 1);
            let came = event.take_descriptors().len();
            assert_eq!(came, count.min(wanted), "round {round}");
            assert_eq!(event.is_ancillary_truncated(), count > wanted, "of {count}, and wanted {wanted}");
        }
        // As many as go, and one that sends nothing else.
        let all = (0..253).fold(Ancillary::new(), |all, _| all.descriptor(one.clone()));
        for wanted in [0, 1, 252, 253, 254] {
            channel.post(Request::send_msg(far.clone(), vec![1], all.clone())).unwrap();
            channel.get_event().unwrap().result().unwrap();
            let mut event = with(&channel, &near, 1, wanted);
            assert_eq!(event.take_descriptors().len(), wanted.min(253));
            assert_eq!(event.is_ancillary_truncated(), wanted < 253);
        }
    });
}

/// One that there is no room for may be slow to close: a socket that lingers over what its peer does not read.
#[test]
fn what_there_is_no_room_for_holds_up_nobody_as_it_is_closed() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = streams();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let lingers = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (peer, _) = listener.accept().unwrap();
            lingers.set_nonblocking(true).unwrap();
            while (&lingers).write(&[0; 65536]).is_ok() {}
            lingers.set_nonblocking(false).unwrap();
            SockRef::from(&lingers).set_linger(Some(Duration::from_secs(60))).unwrap();
            send_with(&far, b"x", &[&Pipe::new().writer(), &OwnedFd::from(lingers)]);
            let mut event = with(&channel, &near, 1, 1);
            assert!(event.take_descriptors().len() == 1 && event.is_ancillary_truncated());
            channel.post(Request::timer(SOON)).unwrap();
            channel.get_event().unwrap().result().unwrap();
            drop(peer);
        });
    });
}

/// The kernel hands over as many as there may be.
#[test]
fn what_the_process_may_not_have_is_told() {
    went_well(in_child("what_the_process_may_not_have_is_told", || {
        each_driver(|channel| {
            let (near, far) = streams();
            let raw = Pipe::new().writer();
            send_with(&far, b"x", &[&raw; 10]);
            let hogs: Vec<OwnedFd> = std::iter::from_fn(|| raw.try_clone().ok()).take(200).collect();
            let limit =
                libc::rlimit { rlim_cur: hogs[hogs.len() - 1].as_raw_fd() as u64 + 4, rlim_max: 1024 };
            // SAFETY: a live limit.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
            let mut event = with(&channel, &near, 1, 10);
            let came = event.take_descriptors();
            assert!(came.len() < 10 && event.is_ancillary_truncated(), "{came:?}");
            let limit = libc::rlimit { rlim_cur: 1024, ..limit };
            // SAFETY: as above.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        })
    }));
}

#[test]
fn credentials_come_where_they_are_asked_for() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = streams();
            let own = Credentials::own();
            let send = |ancillary| {
                channel.post(Request::send_msg(far.clone(), vec![1], ancillary)).unwrap();
                let sent = channel.get_event().unwrap();
                sent.failure().map_or(0, |failure| failure.errno())
            };
            assert_eq!(send(Ancillary::new()), 0);
            assert_eq!(with(&channel, &near, 1, 0).credentials(), None);
            SockRef::from(&*near).set_passcred(true).unwrap();
            let pipe = Source::from(Pipe::new().writer());
            let two = || Ancillary::new().descriptor(pipe.clone()).descriptor(pipe.clone());
            for ancillary in
                [Ancillary::new(), Ancillary::new().credentials(own), two(), two().credentials(own)]
            {
                let count = format!("{ancillary:?}").matches("fd ").count();
                assert_eq!(send(ancillary), 0);
                let mut event = with(&channel, &near, 1, 2);
                assert_eq!((event.credentials(), event.take_descriptors().len()), (Some(own), count));
                assert!(!event.is_ancillary_truncated());
            }
            // There is no such process; and who may not say so anyway is told that.
            let nobody = send(Ancillary::new().credentials(Credentials { pid: i32::MAX, ..own }));
            assert!(matches!(nobody, libc::EPERM | libc::ESRCH), "{nobody}");
        })
    });
}

/// What else a socket may be asked to tell. (By their numbers, where a C library may not have their names.)
const OPTIONS: [i32; 9] = [
    libc::SO_PASSCRED,
    libc::SO_TIMESTAMP,
    libc::SO_TIMESTAMPNS,
    libc::SO_TIMESTAMPING,
    libc::SO_PASSSEC,
    libc::SO_RXQ_OVFL,
    SO_PASSPIDFD,
    SO_RCVPRIORITY,
    SO_INQ,
];
const SO_PASSPIDFD: i32 = 76;
const SO_RCVPRIORITY: i32 = 82;
const SO_INQ: i32 = 84;
/// Of `SO_TIMESTAMPING`: when it has come, as the kernel's clock says.
const BY_SOFTWARE: i32 = (1 << 3) | (1 << 4);

/// (What this kernel does not know, or this socket, does not come.)
fn ask_for(socket: &impl AsFd, option: i32) {
    let value = if option == libc::SO_TIMESTAMPING { BY_SOFTWARE } else { 1 };
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: a live int, with its length.
    unsafe {
        let fd = socket.as_fd().as_raw_fd();
        libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const value).cast(), len)
    };
}

/// The kernel puts a time, credentials and a label before the descriptors.
#[test]
fn what_else_comes_along_takes_no_descriptor_s_room() {
    let each = OPTIONS.map(|option| vec![option]);
    let all: Vec<Vec<i32>> = each.into_iter().chain([vec![], OPTIONS.to_vec()]).collect();
    leaves_nothing("what_else_comes_along_takes_no_descriptor_s_room", |channel| {
        for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
            for options in &all {
                let (near, far) = socket2::Socket::pair(Domain::UNIX, kind, None).unwrap();
                let (near, far) = (Arc::new(near), Arc::new(far));
                options.iter().for_each(|option| ask_for(&near, *option));
                let one = Source::from(Pipe::new().writer());
                // So many are sent, and so many are asked for.
                for (sent, asked) in [(0, 0), (0, 3), (1, 1), (3, 3), (253, 253), (4, 3), (1, 0), (253, 1)] {
                    let ancillary = (0..sent).fold(Ancillary::new(), |all, _| all.descriptor(one.clone()));
                    channel.post(Request::send_msg(far.clone(), vec![1], ancillary)).unwrap();
                    channel.get_event().unwrap().result().unwrap();
                    let mut event = with(&channel, &near, 1, asked);
                    let what = format!("{kind:?} {options:?} {sent} sent, {asked} asked for: {event:?}");
                    assert_eq!(event.result().unwrap(), 1, "{what}");
                    assert_eq!(event.take_descriptors().len(), sent.min(asked), "{what}");
                    assert_eq!(event.is_ancillary_truncated(), sent > asked, "{what}");
                    let credentials = options.contains(&libc::SO_PASSCRED).then(Credentials::own);
                    assert!(credentials.is_none() || event.credentials() == credentials, "{what}");
                }
            }
        }
    });
}

/// Of a datagram: where it was sent to, how far it may go, how it is to be treated, and when it has come.
#[test]
fn what_is_told_of_a_datagram_is_no_loss() {
    limit(30, || {
        each_driver(|channel| {
            let near = Arc::new(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
            let far = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            for option in [libc::IP_PKTINFO, libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_RECVORIGDSTADDR] {
                let (value, len) = (1i32, size_of::<i32>() as libc::socklen_t);
                let fd = near.as_raw_fd();
                // SAFETY: a live int, with its length.
                let set =
                    unsafe { libc::setsockopt(fd, libc::SOL_IP, option, (&raw const value).cast(), len) };
                assert_eq!(set, 0);
            }
            OPTIONS.iter().for_each(|option| ask_for(&near, *option));
            far.send_to(b"it", near.local_addr().unwrap()).unwrap();
            let mut event = with(&channel, &near, 2, 0);
            assert!(event.buffer() == b"it" && !event.is_ancillary_truncated());
            assert!(event.take_descriptors().is_empty() && event.credentials().is_none());
        })
    });
}

#[test]
fn a_message_goes_to_an_address_of_any_family_and_says_where_it_is_from() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = (UnixDatagram::unbound().unwrap(), UnixDatagram::unbound().unwrap());
            // A name of the kernel's choice each.
            let name = |socket: &UnixDatagram| {
                let nothing = SockAddr::unix("").unwrap();
                SockRef::from(socket).bind(&nothing).unwrap();
                SockRef::from(socket).local_addr().unwrap()
            };
            let (to, from) = (name(&near), name(&far));
            channel.post(Request::send_msg_to(far, b"hello".to_vec(), Ancillary::new(), to)).unwrap();
            channel.get_event().unwrap().result().unwrap();
            let event = with(&channel, &Arc::new(near), 3, 0);
            assert_eq!((event.buffer(), event.is_truncated()), (&b"hel"[..], true));
            assert_eq!((event.sender(), event.address()), (Some(from), None));
        })
    });
}

/// The bytes before a descriptor's and behind them are received apart.
#[test]
fn a_stream_is_received_in_order_with_each_descriptor_at_its_byte() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = streams();
            let pipe = Pipe::new();
            let mut due = Vec::new();
            for n in 0..20_u8 {
                match n % 3 {
                    0 => (&*far).write_all(&[n]).unwrap(),
                    _ => send_with(&far, &[n], &[&pipe.writer()]),
                }
                due.push((n, usize::from(n % 3 != 0)));
            }
            let mut came = Vec::new();
            while came.len() < 20 {
                let mut event = with(&channel, &near, 64, 4);
                let mut descriptors = event.take_descriptors();
                let bytes = event.buffer().to_vec();
                // Those of a message are told at its first byte: one message's at a time.
                assert!(descriptors.len() <= 1);
                for (at, byte) in bytes.iter().enumerate() {
                    let last_of_it = at + 1 == bytes.len();
                    came.push((*byte, if last_of_it { descriptors.drain(..).count() } else { 0 }));
                }
            }
            assert_eq!(came, due);
        })
    });
}

#[test]
fn messages_of_a_pair_keep_their_bounds() {
    limit(30, || {
        each_driver(|channel| {
            let (near, far) = socket2::Socket::pair(Domain::UNIX, Type::SEQPACKET, None).unwrap();
            let (near, far) = (Arc::new(near), Arc::new(far));
            let fd = Pipe::new().writer();
            send_with(&far, b"first", &[&fd]);
            send_with(&far, b"second one", &[]);
            let mut event = with(&channel, &near, 8, 1);
            assert_eq!((event.buffer(), event.is_truncated()), (&b"first"[..], false));
            assert_eq!(event.take_descriptors().len(), 1);
            let event = with(&channel, &near, 8, 1);
            assert_eq!((event.buffer(), event.is_truncated()), (&b"second o"[..], true));
        })
    });
}

/// By calls that know it. Those of `recv` and `read` do not.
#[test]
fn a_datagram_that_was_cut_says_so_and_one_that_fits_does_not() {
    limit(30, || {
        for driver in all_drivers() {
            eprintln!("on {driver}");
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let (near, far) = UnixDatagram::pair().unwrap();
            let (near, pool) = (Arc::new(near), BufferPool::new(1, 8));
            type Make<'a> = &'a dyn Fn() -> Request;
            let kinds: [(Make, bool); 6] = [
                (&|| Request::recv_from(near.clone(), room(8)), true),
                (&|| Request::recv_msg(near.clone(), room(8), 0), true),
                (&|| Request::recv_vectored(near.clone(), vec![room(3), room(5)]), true),
                (&|| Request::recv_pooled(near.clone(), &pool), true),
                (&|| Request::recv(near.clone(), room(8)), false),
                (&|| Request::read(near.clone(), room(8)), false),
            ];
            for (make, says_so) in kinds {
                // (It may be there before, or come later. Posted again, nothing is left of the one before.)
                let mut again = None;
                for (len, waits) in [(9, false), (8, false), (9, true), (8, true)] {
                    let send = || assert_eq!(far.send(&[1; 9][..len]).unwrap(), len);
                    if !waits {
                        send();
                    }
                    channel.post(again.take().unwrap_or_else(make)).unwrap();
                    if waits {
                        none_for(&channel, SOON);
                        send();
                    }
                    let event = channel.get_event().unwrap();
                    let cut = (event.kind(), event.result().unwrap(), event.is_truncated());
                    assert_eq!(cut, (event.kind(), 8, says_so && len > 8), "{len} bytes");
                    again = Some(event.again());
                }
            }
        }
    });
}
