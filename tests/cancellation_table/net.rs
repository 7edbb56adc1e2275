//! Of the network.

use super::*;

fn listener() -> TcpListener {
    TcpListener::bind(HERE).unwrap()
}

/// With bytes to read.
fn stream() -> TcpStream {
    let (mut near, mut far) = pair();
    near.write_all(b"some bytes").unwrap();
    far.write_all(b"some bytes").unwrap();
    std::mem::forget(near);
    far
}

/// One that sends to itself, and has.
fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(HERE).unwrap();
    socket.connect(socket.local_addr().unwrap()).unwrap();
    socket.send(b"some bytes").unwrap();
    socket
}

pub const CALLS: &[Row] = &[
    (&["net::TcpStream::connect"], || {
        let listener = listener();
        call(move || TcpStream::connect(listener.local_addr()?).map(drop))
    }),
    (&["net::TcpStream::connect_timeout"], || {
        let listener = listener();
        call(move || TcpStream::connect_timeout(&listener.local_addr()?, LONG).map(drop))
    }),
    (&["std::io::Read::read"], || {
        let mut stream = stream();
        call(move || stream.read(&mut [0; 4]).map(drop))
    }),
    (&["std::io::Read::read_vectored"], || {
        let mut stream = stream();
        call(move || stream.read_vectored(&mut [IoSliceMut::new(&mut [0; 4])]).map(drop))
    }),
    (&["std::io::Write::write"], || {
        let mut stream = stream();
        call(move || stream.write(b"x").map(drop))
    }),
    (&["std::io::Write::write_vectored"], || {
        let mut stream = stream();
        call(move || stream.write_vectored(&[IoSlice::new(b"x")]).map(drop))
    }),
    (&["net::TcpStream::peek"], || {
        let stream = stream();
        call(move || stream.peek(&mut [0; 4]).map(drop))
    }),
    (&["net::TcpListener::accept"], || {
        let listener = listener();
        std::mem::forget(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        call(move || listener.accept().map(drop))
    }),
    (&["std::iter::Iterator::next"], || {
        let listener = listener();
        std::mem::forget(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        call(move || match listener.incoming().next() {
            // (What its end means.)
            None => Err(event_channel::Cancelled.into()),
            Some(accepted) => accepted.map(drop),
        })
    }),
    (&["net::UdpSocket::recv"], || {
        let socket = socket();
        call(move || socket.recv(&mut [0; 16]).map(drop))
    }),
    (&["net::UdpSocket::recv_from"], || {
        let socket = socket();
        call(move || socket.recv_from(&mut [0; 16]).map(drop))
    }),
    (&["net::UdpSocket::peek"], || {
        let socket = socket();
        call(move || socket.peek(&mut [0; 16]).map(drop))
    }),
    (&["net::UdpSocket::peek_from"], || {
        let socket = socket();
        call(move || socket.peek_from(&mut [0; 16]).map(drop))
    }),
    (&["net::UdpSocket::send"], || {
        let socket = socket();
        call(move || socket.send(b"x").map(drop))
    }),
    (&["net::UdpSocket::send_to"], || {
        let socket = UdpSocket::bind(HERE).unwrap();
        call(move || socket.send_to(b"x", socket.local_addr()?).map(drop))
    }),
    (&["net::lookup_host"], || call(|| lookup_host("localhost").map(drop))),
    (&["net::TcpListener::bind", "net::UdpSocket::bind", "net::UdpSocket::connect"], || {
        call(|| {
            let (listener, socket) = (TcpListener::bind(HERE)?, UdpSocket::bind(HERE)?);
            socket.connect(listener.local_addr()?)
        })
    }),
    (
        &[
            "net::TcpStream::peer_addr",
            "net::TcpStream::local_addr",
            "net::TcpStream::shutdown",
            "net::TcpStream::try_clone",
            "net::TcpStream::set_read_timeout",
            "net::TcpStream::set_write_timeout",
            "net::TcpStream::read_timeout",
            "net::TcpStream::write_timeout",
            "net::TcpStream::set_nodelay",
            "net::TcpStream::nodelay",
            "net::TcpStream::set_ttl",
            "net::TcpStream::ttl",
            "net::TcpStream::take_error",
            "net::TcpStream::set_nonblocking",
            "std::io::Write::flush",
        ],
        || {
            let mut stream = stream();
            call(move || {
                let _ = (stream.peer_addr()?, stream.local_addr()?, stream.try_clone()?);
                stream.set_read_timeout(Some(LONG))?;
                stream.set_write_timeout(Some(LONG))?;
                stream.set_nodelay(true)?;
                stream.set_ttl(64)?;
                let _ = (stream.read_timeout()?, stream.write_timeout()?, stream.nodelay()?, stream.ttl()?);
                stream.set_nonblocking(true)?;
                // What never waits is no point.
                assert_eq!(stream.write(b"x")?, 1);
                stream.take_error()?;
                stream.flush()?;
                stream.shutdown(Shutdown::Both)
            })
        },
    ),
    (
        &[
            "net::TcpListener::local_addr",
            "net::TcpListener::try_clone",
            "net::TcpListener::incoming",
            "net::TcpListener::set_ttl",
            "net::TcpListener::ttl",
            "net::TcpListener::set_only_v6",
            "net::TcpListener::only_v6",
            "net::TcpListener::take_error",
            "net::TcpListener::set_nonblocking",
        ],
        || {
            let listener = listener();
            call(move || {
                let _ = (listener.local_addr()?, listener.try_clone()?, listener.incoming());
                listener.set_ttl(64)?;
                let _ = (listener.ttl()?, listener.take_error()?);
                // (It is a v4 one: what the kernel says of that is all the same.)
                #[allow(deprecated)]
                let _ = (listener.set_only_v6(true), listener.only_v6());
                listener.set_nonblocking(true)
            })
        },
    ),
    (
        &[
            "net::UdpSocket::local_addr",
            "net::UdpSocket::peer_addr",
            "net::UdpSocket::try_clone",
            "net::UdpSocket::set_read_timeout",
            "net::UdpSocket::set_write_timeout",
            "net::UdpSocket::read_timeout",
            "net::UdpSocket::write_timeout",
            "net::UdpSocket::set_broadcast",
            "net::UdpSocket::broadcast",
            "net::UdpSocket::set_ttl",
            "net::UdpSocket::ttl",
            "net::UdpSocket::take_error",
            "net::UdpSocket::set_nonblocking",
            "net::UdpSocket::set_multicast_loop_v4",
            "net::UdpSocket::multicast_loop_v4",
            "net::UdpSocket::set_multicast_ttl_v4",
            "net::UdpSocket::multicast_ttl_v4",
            "net::UdpSocket::set_multicast_loop_v6",
            "net::UdpSocket::multicast_loop_v6",
            "net::UdpSocket::join_multicast_v4",
            "net::UdpSocket::join_multicast_v6",
            "net::UdpSocket::leave_multicast_v4",
            "net::UdpSocket::leave_multicast_v6",
        ],
        || {
            let socket = socket();
            call(move || {
                let _ = (socket.local_addr()?, socket.peer_addr()?, socket.try_clone()?);
                socket.set_read_timeout(Some(LONG))?;
                socket.set_write_timeout(Some(LONG))?;
                socket.set_broadcast(true)?;
                socket.set_ttl(64)?;
                let _ = (socket.read_timeout()?, socket.write_timeout()?, socket.broadcast()?, socket.ttl()?);
                socket.take_error()?;
                // (What the kernel and the machine's network say to these is all the same.)
                let (group, group6) = (Ipv4Addr::new(224, 0, 0, 123), Ipv6Addr::LOCALHOST);
                let _ = (socket.set_multicast_loop_v4(true), socket.multicast_loop_v4());
                let _ = (socket.set_multicast_ttl_v4(1), socket.multicast_ttl_v4());
                let _ = (socket.set_multicast_loop_v6(true), socket.multicast_loop_v6());
                let _ = socket.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
                let _ = socket.leave_multicast_v4(&group, &Ipv4Addr::LOCALHOST);
                let _ = (socket.join_multicast_v6(&group6, 0), socket.leave_multicast_v6(&group6, 0));
                socket.set_nonblocking(true)
            })
        },
    ),
];
