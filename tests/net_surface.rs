//! The whole public surface of std's socket types: one program, compiled against `std::net` and against
//! `event_channel::net`, must say the same on both, in a task as on a plain thread.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;

macro_rules! program {
    ($module:ident, $($net:ident)::+) => {
        #[allow(deprecated)]
        mod $module {
            use $($net)::+ as net;
            use $($net)::+::{
                AddrParseError, Incoming, IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, SocketAddrV4,
                SocketAddrV6, TcpListener, TcpStream, ToSocketAddrs, UdpSocket,
            };
            use std::fmt::Debug;
            use std::io::{self, IoSlice, IoSliceMut, Read, Write};
            use std::os::fd::{
                AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd,
            };
            use std::time::Duration;

            const SPAN: Option<Duration> = Some(Duration::from_millis(40));

            /// What the program has seen.
            #[derive(Default)]
            pub struct Seen(pub Vec<String>);

            impl Seen {
                fn note(&mut self, what: &str, value: impl Debug) {
                    self.0.push(format!("{what}: {value:?}"));
                }
            }

            fn same_everywhere<T: Send + Sync + Unpin + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}

            /// A call with a timeout on a plain thread fails with `Interrupted`, std's as well, if the process was stopped and
            /// goes on.
            fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
                loop {
                    match call() {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        result => return result,
                    }
                }
            }

            pub fn run() -> io::Result<Vec<String>> {
                same_everywhere::<TcpListener>();
                same_everywhere::<TcpStream>();
                same_everywhere::<UdpSocket>();
                let mut seen = Seen::default();
                names(&mut seen)?;
                listener(&mut seen)?;
                stream(&mut seen)?;
                udp(&mut seen)?;
                multicast(&mut seen)?;
                handles(&mut seen)?;
                Ok(seen.0)
            }

            fn each<A: ToSocketAddrs + ?Sized>(addr: &A) -> Result<Vec<SocketAddr>, io::ErrorKind> {
                addr.to_socket_addrs().map(Iterator::collect).map_err(|error| error.kind())
            }

            fn names(seen: &mut Seen) -> io::Result<()> {
                let (v4, v6) = (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
                let addrs = [SocketAddr::from((v4, 1)), SocketAddr::from((v6, 2))];
                seen.note("SocketAddr", each(&addrs[0]));
                seen.note("SocketAddrV4", each(&SocketAddrV4::new(v4, 3)));
                seen.note("SocketAddrV6", each(&SocketAddrV6::new(v6, 4, 5, 6)));
                seen.note("(IpAddr, u16)", each(&(IpAddr::V6(v6), 7)));
                seen.note("(Ipv4Addr, u16)", each(&(v4, 8)));
                seen.note("(Ipv6Addr, u16)", each(&(v6, 9)));
                seen.note("(&str, u16)", each(&("::1", 10)));
                seen.note("(String, u16)", each(&(String::from("127.0.0.1"), 11)));
                seen.note("str", each("127.0.0.1:12"));
                seen.note("String", each(&String::from("[::1]:13")));
                seen.note("&[SocketAddr]", each(&&addrs[..]));
                seen.note("&&T", each(&&&addrs[1]));
                seen.note("a name", each("localhost:14"));
                seen.note("a name and a port", each(&("localhost", 15)));
                seen.note("no port", each("127.0.0.1"));
                seen.note("a bad port", each("localhost:http"));
                seen.note("a host that is not", each("no.such.host.invalid:1").is_err());
                let bad: Result<IpAddr, AddrParseError> = "nonsense".parse();
                seen.note("AddrParseError", bad);
                Ok(())
            }

            fn listener(seen: &mut Seen) -> io::Result<()> {
                let taken = TcpListener::bind(("127.0.0.1", 0))?;
                let addr = taken.local_addr()?;
                seen.note("ip", addr.ip());
                seen.note("taken", TcpListener::bind(addr).map_err(|error| error.kind()).map(drop));
                let second = TcpListener::bind(&[addr, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))][..])?;
                seen.note("the second address", second.local_addr()?.ip());
                seen.note("no address", TcpListener::bind(&[][..]).map_err(|error| error.kind()).map(drop));

                taken.set_ttl(42)?;
                seen.note("ttl", taken.ttl()?);
                seen.note("only_v6", taken.only_v6().is_ok());
                seen.note("set_only_v6", taken.set_only_v6(true).is_ok());
                seen.note("error", taken.take_error()?.is_none());

                taken.set_nonblocking(true)?;
                seen.note("nothing to accept", taken.accept().map_err(|error| error.kind()).map(drop));
                taken.set_nonblocking(false)?;

                let clone = taken.try_clone()?;
                let (_one, _two) = (TcpStream::connect(addr)?, TcpStream::connect(addr)?);
                let (stream, peer): (TcpStream, SocketAddr) = clone.accept()?;
                seen.note("peer", stream.peer_addr()? == peer);
                let mut incoming: Incoming<'_> = taken.incoming();
                seen.note("incoming", incoming.next().map(|next| next.is_ok()));
                fn fused(_: &impl std::iter::FusedIterator) {}
                fused(&incoming);
                seen.note("debug", format!("{incoming:?}").contains("TcpListener"));
                Ok(())
            }

            fn stream(seen: &mut Seen) -> io::Result<()> {
                let listener = TcpListener::bind("localhost:0")?;
                let addr = listener.local_addr()?;
                let mut near = TcpStream::connect(addr)?;
                let (mut far, peer) = listener.accept()?;
                seen.note("local", near.local_addr()? == peer);
                seen.note("peer", near.peer_addr()? == addr);

                near.set_ttl(33)?;
                seen.note("ttl", near.ttl()?);
                near.set_nodelay(true)?;
                seen.note("nodelay", near.nodelay()?);
                seen.note("error", near.take_error()?.is_none());
                seen.note("timeouts", (near.read_timeout()?, near.write_timeout()?));
                near.set_read_timeout(SPAN)?;
                near.set_write_timeout(SPAN)?;
                seen.note("timeouts set", (near.read_timeout()?, near.write_timeout()?));
                seen.note("zero", near.set_read_timeout(Some(Duration::ZERO)).map_err(|error| error.kind()));
                seen.note("zero", near.set_write_timeout(Some(Duration::ZERO)).map_err(|error| error.kind()));
                let late = again(|| near.read(&mut [0]));
                seen.note("read timeout", late.map_err(|error| (error.kind(), error.raw_os_error())));
                seen.note("peek timeout", again(|| near.peek(&mut [0])).map_err(|error| error.kind()));
                near.set_read_timeout(None)?;
                near.set_write_timeout(None)?;

                seen.note("write", near.write(b"one two three four")?);
                near.flush()?;
                let mut buf = [0; 3];
                seen.note("peek", (far.peek(&mut buf)?, buf));
                seen.note("read", (far.read(&mut buf)?, buf));
                seen.note("read by reference", ((&far).read(&mut buf[..1])?, buf));
                let (mut a, mut b) = ([0; 4], [0; 6]);
                let n = far.read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)])?;
                seen.note("read_vectored", (n, a, b));
                let n = (&far).read_vectored(&mut [IoSliceMut::new(&mut a), IoSliceMut::new(&mut [])])?;
                seen.note("read_vectored by reference", (n, a));
                seen.note("read_vectored of nothing", far.read_vectored(&mut [])?);
                seen.note("write_vectored", far.write_vectored(&[IoSlice::new(b"fi"), IoSlice::new(b"ve")])?);
                seen.note("write_vectored", (&far).write_vectored(&[IoSlice::new(b""), IoSlice::new(b" six")])?);
                seen.note("write nothing", ((&far).write(b"")?, far.write_vectored(&[])?));
                (&far).flush()?;

                let mut clone = near.try_clone()?;
                far.shutdown(Shutdown::Write)?;
                let mut text = String::new();
                seen.note("read_to_string", (clone.read_to_string(&mut text)?, text));
                seen.note("the end", near.read(&mut buf)?);
                near.shutdown(Shutdown::Both)?;
                seen.note("shut down", near.write(b"x").map_err(|error| error.kind()));
                drop(near);
                seen.note("gone", clone.shutdown(Shutdown::Both).is_ok());

                let other = TcpStream::connect_timeout(&addr, Duration::from_secs(30))?;
                other.set_nonblocking(true)?;
                seen.note("nonblocking", (&other).read(&mut buf).map_err(|error| error.kind()));
                seen.note("nonblocking", other.peek(&mut buf).map_err(|error| error.kind()));
                drop(listener);
                seen.note("refused", TcpStream::connect(addr).map_err(|error| error.kind()).map(drop));
                let refused = TcpStream::connect_timeout(&addr, Duration::from_secs(30));
                seen.note("refused", refused.map_err(|error| error.kind()).map(drop));
                seen.note("no address", TcpStream::connect(&[][..]).map_err(|error| error.kind()).map(drop));
                Ok(())
            }

            fn udp(seen: &mut Seen) -> io::Result<()> {
                let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                let far = UdpSocket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                let (near_addr, far_addr) = (near.local_addr()?, far.local_addr()?);
                seen.note("not connected", near.peer_addr().map_err(|error| error.kind()));
                seen.note("not connected", near.send(b"x").map_err(|error| error.raw_os_error()));

                seen.note("send_to", near.send_to(b"hello", far_addr)?);
                let mut buf = [0; 8];
                let (n, from) = far.peek_from(&mut buf)?;
                seen.note("peek_from", (n, from == near_addr, buf));
                let (n, from) = far.recv_from(&mut buf[..3])?;
                seen.note("recv_from, cut off", (n, from == near_addr, buf));

                near.connect(far_addr)?;
                far.connect(("127.0.0.1", near_addr.port()))?;
                seen.note("connected", near.peer_addr()? == far_addr);
                seen.note("send", (near.send(b"again")?, near.send(b"")?));
                seen.note("peek", (far.peek(&mut buf)?, buf));
                seen.note("recv", (far.recv(&mut buf)?, buf));
                seen.note("empty", far.recv(&mut buf)?);
                seen.note("no address", near.send_to(b"x", &[][..]).map_err(|error| error.kind()));

                far.set_read_timeout(SPAN)?;
                far.set_write_timeout(SPAN)?;
                seen.note("timeouts", (far.read_timeout()?, far.write_timeout()?));
                seen.note("zero", far.set_read_timeout(Some(Duration::ZERO)).map_err(|error| error.kind()));
                seen.note("zero", far.set_write_timeout(Some(Duration::ZERO)).map_err(|error| error.kind()));
                seen.note("recv", again(|| far.recv(&mut buf)).map_err(|error| error.kind()));
                seen.note("peek", again(|| far.peek(&mut buf)).map_err(|error| error.kind()));
                seen.note("recv_from", again(|| far.recv_from(&mut buf)).map_err(|error| error.kind()));
                seen.note("peek_from", again(|| far.peek_from(&mut buf)).map_err(|error| error.kind()));
                far.set_read_timeout(None)?;

                let clone = far.try_clone()?;
                clone.set_nonblocking(true)?;
                seen.note("nonblocking", far.recv(&mut buf).map_err(|error| error.kind()));
                seen.note("nonblocking", far.recv_from(&mut buf).map_err(|error| error.kind()));
                clone.set_nonblocking(false)?;

                far.set_broadcast(true)?;
                far.set_ttl(17)?;
                seen.note("options", (far.broadcast()?, far.ttl()?, far.take_error()?.is_none()));
                Ok(())
            }

            fn multicast(seen: &mut Seen) -> io::Result<()> {
                let socket = UdpSocket::bind("127.0.0.1:0")?;
                let group = Ipv4Addr::new(239, 1, 2, 3);
                socket.set_multicast_loop_v4(false)?;
                socket.set_multicast_ttl_v4(5)?;
                seen.note("v4", (socket.multicast_loop_v4()?, socket.multicast_ttl_v4()?));
                seen.note("join", socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_ok());
                seen.note("leave", socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST).is_ok());
                let Ok(socket) = UdpSocket::bind("[::1]:0") else { return Ok(()) };
                let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
                socket.set_multicast_loop_v6(false)?;
                seen.note("v6", socket.multicast_loop_v6()?);
                seen.note("join", socket.join_multicast_v6(&group, 1).is_ok());
                seen.note("leave", socket.leave_multicast_v6(&group, 1).is_ok());
                Ok(())
            }

            fn through<T>(seen: &mut Seen, socket: T) -> T
            where
                T: AsFd + AsRawFd + IntoRawFd + FromRawFd + From<OwnedFd> + Into<OwnedFd> + Debug,
            {
                let text = format!("{socket:?}");
                let number: RawFd = socket.as_raw_fd();
                let borrowed: BorrowedFd<'_> = socket.as_fd();
                seen.note("the same descriptor", borrowed.as_raw_fd() == number);
                seen.note("debug shows it", text.contains(&format!("fd: {number}")));
                let raw = socket.into_raw_fd();
                // SAFETY: it has just been given away.
                let socket = unsafe { T::from_raw_fd(raw) };
                let owned: OwnedFd = socket.into();
                seen.note("and keeps it", owned.as_raw_fd() == number);
                T::from(owned)
            }

            fn handles(seen: &mut Seen) -> io::Result<()> {
                let listener = through(seen, TcpListener::bind("127.0.0.1:0")?);
                let stream = through(seen, TcpStream::connect(listener.local_addr()?)?);
                let socket = through(seen, net::UdpSocket::bind("127.0.0.1:0")?);
                let (port, peer) = (listener.local_addr()?.port(), stream.local_addr()?.port());
                let own = socket.local_addr()?.port();
                // A UDP port may have the number of a TCP one: each text only knows the names of its own.
                let plain = |text: String, fd: RawFd, names: &[(u16, &str)]| {
                    let text = text.replace(&format!("fd: {fd}"), "fd: N");
                    names.iter().fold(text, |text, (port, name)| text.replace(&format!(":{port}"), name))
                };
                seen.note("debug", plain(format!("{listener:?}"), listener.as_raw_fd(), &[(port, "PORT")]));
                seen.note("debug", plain(format!("{stream:?}"), stream.as_raw_fd(), &[(port, "PORT"), (peer, "PEER")]));
                seen.note("debug", plain(format!("{socket:?}"), socket.as_raw_fd(), &[(own, "OWN")]));
                Ok(())
            }
        }
    };
}

program!(with_std, std::net);
program!(with_ours, event_channel::net);

#[test]
fn on_a_plain_thread_the_program_sees_what_it_sees_with_std() {
    limit(60, || {
        assert_eq!(with_ours::run().unwrap(), with_std::run().unwrap());
    });
}

#[test]
fn in_a_task_the_program_sees_what_it_sees_with_std() {
    limit(120, || {
        let expected = with_std::run().unwrap();
        net_common::each_run(|| assert_eq!(with_ours::run().unwrap(), expected));
    });
}
