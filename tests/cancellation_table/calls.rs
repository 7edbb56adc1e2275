//! The calls of the table, made so that they come back by themselves. Those that are no points may be tried together; a point is tried alone.

use crate::net_common::pair;
use event_channel::channel::{Event, EventChannel, LocalChannel, Request};
use event_channel::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use event_channel::runtime::Handle;
use event_channel::sync::Notification;
use event_channel::task::{self, Builder, CancelToken, JoinHandle};
use event_channel::time::{self, Duration, Instant};
use event_channel::{Runtime, is_cancelled, is_deadline, is_read_timeout};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown};

pub type Call = Box<dyn FnMut() -> io::Result<()>>;

/// Long enough for a wait to begin.
const SHORT: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(3600);
const HERE: &str = "127.0.0.1:0";

fn call(f: impl FnMut() -> io::Result<()> + 'static) -> Call {
    Box::new(f)
}

/// For a call that cannot fail.
fn calls<T>(mut f: impl FnMut() -> T + 'static) -> Call {
    call(move || {
        f();
        Ok(())
    })
}

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

fn runtime() -> Runtime {
    Runtime::builder().cores(1).build().unwrap()
}

/// Of the runtime that the task is in; on a plain thread of another one, which is kept.
fn handle() -> Handle {
    Runtime::current().unwrap_or_else(|| {
        let runtime = Box::leak(Box::new(runtime()));
        runtime.run(|| Runtime::current().unwrap())
    })
}

fn timers() -> EventChannel {
    let channel = EventChannel::builder().ports(1).build().unwrap();
    channel.post(Request::timer(SHORT)).unwrap();
    channel
}

fn local_timers() -> LocalChannel {
    let channel = EventChannel::builder().single_threaded().build().unwrap();
    channel.post(Request::timer(SHORT)).unwrap();
    channel
}

/// A task that takes a while.
fn child() -> JoinHandle<()> {
    task::spawn(|| time::sleep(SHORT))
}

type Row = (&'static [&'static str], fn() -> Call);

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
    (&["channel::EventChannel::get_event"], || {
        let channel = timers();
        call(move || channel.get_event().map(drop))
    }),
    (&["channel::EventChannel::get_event_timeout"], || {
        let channel = timers();
        call(move || channel.get_event_timeout(LONG).map(drop))
    }),
    (&["channel::EventChannel::get_events"], || {
        let channel = timers();
        call(move || channel.get_events(&mut Vec::<Event>::new(), 1, None).map(drop))
    }),
    (&["channel::LocalChannel::get_event"], || {
        let channel = local_timers();
        call(move || channel.get_event().map(drop))
    }),
    (&["channel::LocalChannel::get_event_timeout"], || {
        let channel = local_timers();
        call(move || channel.get_event_timeout(LONG).map(drop))
    }),
    (&["task::check"], || call(task::check)),
    (&["time::sleep_cancellable"], || call(|| time::sleep_cancellable(SHORT))),
    (&["time::sleep_until_cancellable"], || call(|| time::sleep_until_cancellable(Instant::now() + SHORT))),
    (&["task::park_cancellable"], || {
        task::current().unpark();
        call(task::park_cancellable)
    }),
    (&["task::park_timeout_cancellable"], || call(|| task::park_timeout_cancellable(SHORT))),
    (&["task::JoinHandle::join_cancellable"], || {
        let mut child = child();
        call(move || child.join_cancellable().map(|ended| ended.unwrap()))
    }),
    (&["sync::Notification::wait_cancellable"], || {
        let notification = Notification::new();
        notification.post();
        call(move || notification.wait_cancellable())
    }),
    (&["sync::Notification::wait_timeout_cancellable"], || {
        call(|| Notification::new().wait_timeout_cancellable(SHORT).map(drop))
    }),
    (&["time::sleep", "time::sleep_until"], || {
        calls(|| {
            time::sleep(SHORT);
            time::sleep_until(Instant::now() + SHORT);
        })
    }),
    (&["task::park", "task::park_timeout"], || {
        calls(|| {
            let me = task::current();
            let unparks = task::spawn(move || {
                time::sleep(SHORT);
                me.unpark();
            });
            task::park();
            unparks.join().unwrap();
            task::park_timeout(SHORT);
        })
    }),
    (&["task::JoinHandle::join"], || calls(|| child().join().unwrap())),
    (&["sync::Notification::wait", "sync::Notification::wait_timeout"], || {
        calls(|| {
            static POSTED: Notification = Notification::new();
            let posts = task::spawn(|| {
                time::sleep(SHORT);
                POSTED.post();
            });
            POSTED.wait();
            posts.join().unwrap();
            assert!(!Notification::new().wait_timeout(SHORT));
        })
    }),
    (&["task::yield_now"], || calls(task::yield_now)),
    (&["net::TcpListener::bind", "net::UdpSocket::bind", "net::UdpSocket::connect"], || {
        call(|| {
            let (listener, socket) = (TcpListener::bind(HERE)?, UdpSocket::bind(HERE)?);
            socket.connect(listener.local_addr()?)
        })
    }),
    (&["run", "runtime::Runtime::run", "runtime::Handle::run"], || {
        let (runtime, handle) = (runtime(), handle());
        calls(move || {
            event_channel::run(|| time::sleep(SHORT));
            runtime.run(|| time::sleep(SHORT));
            handle.run(|| time::sleep(SHORT));
        })
    }),
    (&["shutdown", "runtime::Runtime::shutdown", "runtime::Handle::shutdown"], || {
        calls(|| {
            let (first, second, third) = (runtime(), runtime(), runtime());
            first.run(|| event_channel::shutdown(LONG)).unwrap();
            drop(second.spawn(|| time::sleep(SHORT)));
            second.shutdown(LONG).unwrap();
            third.run(|| Runtime::current().unwrap()).shutdown(LONG).unwrap();
        })
    }),
    (
        &["time::timeout", "task::shield", "task::blocking", "task::on_thread", "task::CancelToken::enter"],
        || {
            calls(|| {
                time::timeout(LONG, || ());
                task::shield(|| ());
                task::blocking(|| ());
                task::on_thread(|| ());
                CancelToken::new().enter(|| ());
            })
        },
    ),
    (
        &[
            "task::spawn",
            "task::Builder::new",
            "task::Builder::name",
            "task::Builder::stack_size",
            "task::Builder::dedicated",
            "task::Builder::cancel_token",
            "task::Builder::spawn",
            "task::Builder::spawn_lean",
            "task::JoinHandle::cancel",
            "task::JoinHandle::is_finished",
            "task::JoinHandle::task",
            "task::Task::id",
            "task::Task::name",
            "task::Task::unpark",
        ],
        || {
            call(|| {
                let task = task::spawn(|| ());
                task.cancel();
                task.is_finished();
                let _ = (task.task().id(), task.task().name().map(str::len));
                task.task().unpark();
                let builder = Builder::new().name("named".into()).stack_size(64 << 10);
                drop(builder.cancel_token(&CancelToken::new()).spawn(|| ())?);
                drop(Builder::new().dedicated().spawn(|| ())?);
                // SAFETY: it does nothing.
                drop(unsafe { Builder::new().spawn_lean(|| ()) }?);
                Ok(())
            })
        },
    ),
    (
        &[
            "task::CancelToken::new",
            "task::CancelToken::child_token",
            "task::CancelToken::cancel",
            "task::CancelToken::is_cancelled",
            "task::current",
            "task::is_cancelled",
            "task::migrates",
            "task::why_not",
            "is_cancelled",
            "is_deadline",
            "is_read_timeout",
        ],
        || {
            calls(|| {
                let token = CancelToken::new();
                token.child_token().cancel();
                assert!(!token.is_cancelled());
                let _ = (task::current(), task::is_cancelled(), task::migrates(), task::why_not());
                let error = io::ErrorKind::Other.into();
                assert!(!is_cancelled(&error) && !is_deadline(&error) && !is_read_timeout(&error));
            })
        },
    ),
    (
        &[
            "sync::Notification::new",
            "sync::Notification::try_wait",
            "sync::Notification::post",
            "sync::Notification::post_all",
        ],
        || {
            calls(|| {
                let notification = Notification::new();
                notification.post();
                notification.post_all();
                assert!(notification.try_wait());
            })
        },
    ),
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
    (
        &[
            "runtime::Runtime::new",
            "runtime::Runtime::builder",
            "runtime::Runtime::current",
            "runtime::Runtime::spawn",
            "runtime::Runtime::spawn_with",
            "runtime::Runtime::channel",
            "runtime::Runtime::metrics",
            "runtime::Runtime::dump",
            "runtime::Handle::spawn",
            "runtime::Handle::spawn_with",
            "runtime::Handle::channel",
            "runtime::Handle::metrics",
            "runtime::Handle::dump",
            "dump",
            "metrics",
            "runtime::Builder::cores",
            "runtime::Builder::max_threads",
            "runtime::Builder::keep_alive",
            "runtime::Builder::on_event",
            "runtime::Builder::stack_size",
            "runtime::Builder::driver",
            "runtime::Builder::on_internal_error",
            "runtime::Builder::build",
        ],
        || {
            let handle = handle();
            call(move || {
                let builder =
                    Runtime::builder().cores(1).max_threads(10).keep_alive(SHORT).stack_size(64 << 10);
                let builder = builder.on_event(|_| ()).on_internal_error(|_| ());
                let built = builder.driver(handle.channel().driver().kind()).build()?;
                for runtime in [built, Runtime::new()?] {
                    drop(runtime.spawn(|| ()));
                    drop(runtime.spawn_with(Builder::new(), || ())?);
                    let _ =
                        (runtime.channel().ports(), runtime.metrics(), runtime.dump(), Runtime::current());
                }
                drop(handle.spawn(|| ()));
                drop(handle.spawn_with(Builder::new(), || ())?);
                let _ = (handle.metrics(), handle.dump(), event_channel::dump(), event_channel::metrics());
                Ok(())
            })
        },
    ),
    (
        &["channel::EventChannel::try_get_event", "channel::EventChannel::post", "channel::EventChannel"],
        || {
            let channel = timers();
            call(move || {
                let id = channel.post(Request::timer(LONG))?;
                channel.cancel(id);
                let _ = (channel.try_get_event()?, channel.metrics(), channel.in_flight());
                channel.shutdown();
                Ok(())
            })
        },
    ),
];
