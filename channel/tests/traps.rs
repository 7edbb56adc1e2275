//! Traps of the operating system that once caught a driver: reused descriptor numbers, rivals, exited threads, forks.

mod common;

use common::{drivers, each_driver, serve};
use ec_channel::{Event, EventChannel, EventKind, Interest, Request, Source};
use ec_test_support::alone;
use ec_unkind as _;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// A request on a descriptor whose wait is given up, and the descriptor closed; the open file lives on in a duplicate, so the
/// kernel still knows of the wait if nobody has taken it back. Returns the duplicate, the peer, and the descriptor's number,
/// held by another file.
fn given_up(channel: &EventChannel) -> (UnixStream, UnixStream, OwnedFd) {
    let null = std::fs::File::open("/dev/null").unwrap();
    let (a, b) = UnixStream::pair().unwrap();
    let (duplicate, number) = (a.try_clone().unwrap(), a.as_raw_fd());
    channel.post(Request::recv(a, Vec::with_capacity(8)).within(Duration::from_millis(5))).unwrap();
    assert!(channel.get_event().unwrap().is_timed_out());
    // SAFETY: a new descriptor, the lowest that is free from `number` on.
    let held = unsafe { OwnedFd::from_raw_fd(libc::fcntl(null.as_raw_fd(), libc::F_DUPFD_CLOEXEC, number)) };
    assert_eq!(held.as_raw_fd(), number, "nobody else opens files meanwhile");
    (duplicate, b, held)
}

/// `it`, under the number that `held` has kept.
fn at_number(it: OwnedFd, held: OwnedFd) -> OwnedFd {
    // SAFETY: both are ours; the number stays `held`'s.
    assert_eq!(unsafe { libc::dup2(it.as_raw_fd(), held.as_raw_fd()) }, held.as_raw_fd());
    held
}

#[test]
fn a_wait_that_was_given_up_says_nothing_about_the_number_s_next_owner() {
    alone(30, || {
        each_driver(|channel| {
            let (_duplicate, mut peer, held) = given_up(&channel);
            let (x, _y) = UnixStream::pair().unwrap();
            let x = at_number(x.into(), held);
            channel.post(Request::readiness(x, Interest::READABLE)).unwrap();
            assert!(channel.get_event_timeout(SOON).unwrap().is_none());
            peer.write_all(b"for the duplicate").unwrap();
            assert!(channel.get_event_timeout(SOON * 3).unwrap().is_none(), "there is nothing to read");
        })
    });
}

#[test]
fn a_connect_is_not_done_because_another_file_hung_up() {
    alone(30, || {
        each_driver(|channel| {
            let (_duplicate, peer, held) = given_up(&channel);
            let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let listener = socket();
            listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
            listener.listen(0).unwrap();
            let to = listener.local_addr().unwrap();
            // with its queue full, a further connect stays under way
            let _full: Vec<_> = (0..3)
                .map(|_| {
                    let one = socket();
                    one.set_nonblocking(true).unwrap();
                    let _ = one.connect(&to);
                    one
                })
                .collect();
            let ours = at_number(socket().into(), held);
            channel.post(Request::connect(ours, to.as_socket().unwrap())).unwrap();
            assert!(channel.get_event_timeout(SOON * 3).unwrap().is_none());
            drop(peer);
            assert!(channel.get_event_timeout(SOON * 3).unwrap().is_none(), "it is still under way");
        })
    });
}

/// Plain threads take the connections that the port was told of; the port goes on all the same.
#[test]
fn an_accept_that_finds_nothing_does_not_hold_up_the_port() {
    alone(60, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            let to = listener.local_addr().unwrap();
            for _ in 0..2 {
                let listener = listener.clone();
                // they end with the process: nothing wakes a blocking accept
                std::thread::spawn(move || {
                    loop {
                        let _ = listener.accept();
                    }
                });
            }
            let ticks = Arc::new(AtomicU64::new(0));
            let again = |channel: &EventChannel, event: Event| drop(channel.post(event.again()));
            channel.post(Request::accept(listener.clone()).on_complete(again)).unwrap();
            let counted = ticks.clone();
            let tick = Request::timer(Duration::from_millis(1)).on_complete(move |channel, event| {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(channel.post(event.again()));
            });
            channel.post(tick).unwrap();
            std::thread::scope(|s| {
                s.spawn(|| while channel.get_event().is_ok() {});
                for _ in 0..1_000 {
                    drop(TcpStream::connect(to));
                    // For ever, if the port stands still.
                    let before = ticks.load(Ordering::SeqCst);
                    while ticks.load(Ordering::SeqCst) == before {
                        std::thread::sleep(Duration::from_micros(50));
                    }
                }
                channel.shutdown();
            });
        })
    });
}

/// The getter cannot sleep in one port, because another has requests too; the kernel gives the request of the exited thread back,
/// and it must reach the kernel again before anybody sleeps.
#[test]
fn a_request_of_an_exited_thread_is_seen_when_several_ports_are_watched() {
    alone(30, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).ports(2).build().unwrap();
            let serving = serve(&channel);
            for _ in 0..2 {
                channel.post(Request::timer(Duration::from_secs(1_000))).unwrap();
            }
            drop(serving);
            let (a, mut b) = UnixStream::pair().unwrap();
            std::thread::scope(|s| {
                s.spawn(|| {
                    channel.post(Request::recv(a, Vec::with_capacity(8)).token(3)).unwrap();
                    assert!(channel.get_event_timeout(SOON).unwrap().is_none());
                });
            });
            for _ in 0..2 {
                assert!(channel.get_event_timeout(SOON).unwrap().is_none());
            }
            std::thread::scope(|s| {
                s.spawn(|| {
                    std::thread::sleep(SOON);
                    b.write_all(b"x").unwrap();
                });
                assert_eq!(channel.get_event().unwrap().token(), 3);
            });
        }
    });
}

/// Runs a child in this thread's memory, as `vfork` does: the thread stands still in the kernel until the child, which waits for
/// `line`, has ended.
fn stand_still(line: &OwnedFd) {
    extern "C" fn child(line: *mut libc::c_void) -> libc::c_int {
        let mut byte = 0u8;
        // SAFETY: takes no pointer. It ends with its parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: a byte on the child's stack.
        unsafe { libc::read(line as libc::c_int, (&raw mut byte).cast(), 1) };
        0
    }
    let mut stack = vec![0u128; 4096];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack outlives the child, which only makes a system call.
    unsafe {
        let top = stack.as_mut_ptr().add(stack.len()).cast();
        let pid = libc::clone(child, top, flags, line.as_raw_fd() as *mut libc::c_void);
        assert!(pid > 0);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
    }
}

/// What wakes a sleeper must not be the work of the thread that slept there before.
#[test]
fn a_sleeper_is_woken_though_the_one_before_stands_still() {
    alone(30, || {
        each_driver(|channel| {
            let (line, mut end) = std::io::pipe().unwrap();
            let line = OwnedFd::from(line);
            std::thread::scope(|s| {
                let (slept, has_slept) = std::sync::mpsc::channel();
                let theirs = &channel;
                s.spawn(move || {
                    assert!(theirs.get_event_timeout(SOON).unwrap().is_none());
                    slept.send(()).unwrap();
                    stand_still(&line);
                });
                has_slept.recv().unwrap();
                std::thread::sleep(SOON);
                let woken = s.spawn(|| channel.get_event().unwrap().token());
                while !channel.is_asleep(0) {
                    std::thread::yield_now();
                }
                channel.post(Request::timer(Duration::ZERO).token(7)).unwrap();
                assert_eq!(woken.join().unwrap(), 7);
                end.write_all(b"x").unwrap();
            });
        })
    });
}

#[test]
fn for_ever_is_not_now() {
    alone(30, || {
        each_driver(|channel| {
            let spans = [
                Duration::from_millis(u64::MAX),
                Duration::from_nanos(u64::MAX),
                Duration::from_secs(1 << 55),
            ];
            let mut peers = Vec::new();
            for span in spans {
                channel.post(Request::timer(span)).unwrap();
                let (a, b) = UnixStream::pair().unwrap();
                peers.push(b);
                channel.post(Request::recv(a, Vec::with_capacity(8)).within(span)).unwrap();
                assert!(channel.get_event_timeout(SOON).unwrap().is_none(), "{span:?} is over");
            }
        })
    });
}

#[test]
fn a_panic_as_a_handler_is_dropped_is_not_the_getter_s() {
    alone(30, || {
        each_driver(|channel| {
            struct Bomb(u32);
            impl Drop for Bomb {
                fn drop(&mut self) {
                    if self.0 > 0 && !std::thread::panicking() {
                        std::panic::panic_any(Bomb(self.0 - 1));
                    }
                }
            }
            let captured = Bomb(3);
            channel
                .post(Request::notification().on_complete(move |_, _| {
                    let _kept = &captured;
                }))
                .unwrap();
            channel.post(Request::notification().on_complete(|_, _| std::panic::panic_any(Bomb(3)))).unwrap();
            // behind them; and its limit is no delay
            let last =
                Request::notification().within(Duration::from_secs(1_000)).on_complete(|channel, _| {
                    channel.post(Request::notification().token(1)).unwrap();
                });
            channel.post(last).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
        })
    });
}

#[test]
fn an_event_behind_handlers_is_found_without_waiting() {
    alone(30, || {
        each_driver(|channel| {
            for _ in 0..3 {
                channel.post(Request::notification().on_complete(|_, _| ())).unwrap();
            }
            // the handlers' events are complete, but in the port
            channel.get_event_timeout(Duration::ZERO).unwrap();
            channel.post(Request::notification().token(1)).unwrap();
            assert_eq!(
                channel.try_get_event().unwrap().expect("it is there").kind(),
                EventKind::Notification
            );
        })
    });
}

/// Who finds the mode that another one has set for a moment would call connect(2) with the mode that is put back meanwhile.
#[test]
fn two_that_connect_one_socket_do_not_block() {
    alone(60, || {
        each_driver(|channel| {
            let other = EventChannel::builder().driver(channel.driver().kind()).build().unwrap();
            // Nobody accepts, and its queue is full: a connect to it stays under way.
            let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let listener = socket();
            listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            listener.listen(0).unwrap();
            let to = listener.local_addr().unwrap().as_socket().unwrap();
            let _full: Vec<_> = (0..3)
                .map(|_| {
                    let full = socket();
                    full.set_nonblocking(true).unwrap();
                    let _ = full.connect(&to.into());
                    full
                })
                .collect();
            let both = Barrier::new(2);
            for _ in 0..500 {
                let one = Source::from(OwnedFd::from(socket()));
                std::thread::scope(|s| {
                    for channel in [&channel, &other] {
                        let (one, both) = (one.clone(), &both);
                        s.spawn(move || {
                            both.wait();
                            let id = channel.post(Request::connect(one, to)).unwrap();
                            // One that blocks stays here.
                            channel.try_get_event().unwrap();
                            channel.cancel(id);
                            while channel.metrics().in_flight > 0 {
                                channel.get_event_timeout(SOON).unwrap();
                            }
                        });
                    }
                });
            }
        })
    });
}
