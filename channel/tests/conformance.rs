//! What every driver promises: the same suite on each.

mod common;

use common::{each_driver, fresh_socket, none_for, room, until_asleep};
use ec_channel::{Event, EventKind, Interest, Request, Source};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn a_receive_completes_with_the_bytes() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let id = channel.post(Request::recv(a, room(64)).token(9)).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"some bytes").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.kind(), event.token()), (id, EventKind::Recv, 9));
            assert_eq!((event.result().unwrap(), event.buffer()), (10, &b"some bytes"[..]));
        })
    });
}

#[test]
fn a_receive_of_data_that_is_there_completes_at_once() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            b.write_all(b"early").unwrap();
            channel.post(Request::recv(a, room(3))).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"ear");
        })
    });
}

#[test]
fn the_end_of_a_stream_is_a_receive_of_nothing() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            drop(b);
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn data_followed_by_the_end_gives_both_in_turn() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(64))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"last words").unwrap();
            drop(b);
            let event = channel.get_event().unwrap();
            assert_eq!(event.buffer(), b"last words");
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 0);
        })
    });
}

#[test]
fn a_send_waits_for_room() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Arc::new(a);
            a.set_nonblocking(true).unwrap();
            while (&*a).write(&[1; 4096]).is_ok() {}
            a.set_nonblocking(false).unwrap();
            channel.post(Request::send(a.clone(), vec![2; 100])).unwrap();
            none_for(&channel, SOON);
            let mut sink = vec![0; 1 << 20];
            b.set_nonblocking(true).unwrap();
            while b.read(&mut sink).is_ok() {}
            let event = channel.get_event().unwrap();
            assert_eq!((event.kind(), event.result().unwrap()), (EventKind::Send, 100));
        })
    });
}

#[test]
fn a_send_to_a_closed_peer_is_an_error_not_a_signal() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = UnixStream::pair().unwrap();
            drop(b);
            channel.post(Request::send(a, vec![0; 10])).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        })
    });
}

#[test]
fn accept_and_connect_meet() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = listener.local_addr().unwrap();
            channel.post(Request::accept(listener)).unwrap();
            none_for(&channel, SOON);
            let socket = Arc::new(std::os::fd::OwnedFd::from(fresh_socket()));
            channel.post(Request::connect(socket.clone(), to)).unwrap();
            let mut peer = None;
            for _ in 0..2 {
                let mut event = channel.get_event().unwrap();
                event.result().unwrap();
                if event.kind() == EventKind::Accept {
                    assert!(matches!(event.address(), Some(SocketAddr::V4(_))));
                    peer = event.take_accepted().map(TcpStream::from);
                }
            }
            let mut ours = TcpStream::from(socket.try_clone().unwrap());
            ours.write_all(b"x").unwrap();
            assert_eq!(peer.expect("accepted").read(&mut [0; 4]).unwrap(), 1);
            assert!(!is_nonblocking(&ours), "the descriptor keeps its mode");
        })
    });
}

fn is_nonblocking(fd: &impl std::os::fd::AsRawFd) -> bool {
    // SAFETY: no pointer is passed.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) & libc::O_NONBLOCK != 0 }
}

#[test]
fn a_refused_connect_says_so() {
    limit(30, || {
        each_driver(|channel| {
            // Bound, so that nobody else gets the port, and not listening.
            let nobody = fresh_socket();
            nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            let to = nobody.local_addr().unwrap().as_socket().unwrap();
            channel.post(Request::connect(std::os::fd::OwnedFd::from(fresh_socket()), to)).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        })
    });
}

#[test]
fn an_accepted_connection_that_nobody_takes_is_closed() {
    limit(30, || {
        each_driver(|channel| {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            channel.post(Request::accept(listener.clone())).unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            drop(channel.get_event().unwrap());
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        })
    });
}

#[test]
fn datagrams_carry_their_addresses_and_say_when_cut_off() {
    limit(30, || {
        each_driver(|channel| {
            let (a, b) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let (at, from) = (a.local_addr().unwrap(), b.local_addr().unwrap());
            channel.post(Request::recv_from(a, room(4))).unwrap();
            channel.post(Request::send_to(b, b"datagram".to_vec(), at)).unwrap();
            for _ in 0..2 {
                let event = channel.get_event().unwrap();
                if event.kind() == EventKind::RecvFrom {
                    assert_eq!((event.buffer(), event.address()), (&b"data"[..], Some(from)));
                    assert!(event.is_truncated());
                } else {
                    assert_eq!(event.result().unwrap(), 8);
                }
            }
        })
    });
}

#[test]
fn readiness_is_level_triggered_and_once() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            channel.post(Request::readiness(a.clone(), Interest::READABLE)).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"z").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.ready(), Interest::READABLE);
            none_for(&channel, SOON);
            channel.post(event.again()).unwrap();
            assert_eq!(
                channel.get_event().unwrap().ready(),
                Interest::READABLE,
                "still readable, so told again"
            );
        })
    });
}

#[test]
fn a_pipe_can_be_watched_for_both_ends() {
    limit(30, || {
        each_driver(|channel| {
            let (r, w) = std::io::pipe().unwrap();
            let (r, w) = (std::os::fd::OwnedFd::from(r), std::os::fd::OwnedFd::from(w));
            channel.post(Request::readiness(w, Interest::WRITABLE).token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            // the write end went with its event, so the read end hangs up
            channel.post(Request::readiness(r, Interest::READABLE).token(2)).unwrap();
            assert_eq!(channel.get_event().unwrap().ready(), Interest::READABLE);
        })
    });
}

#[test]
fn what_cannot_be_polled_is_always_ready() {
    limit(30, || {
        each_driver(|channel| {
            let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
            channel.post(Request::readiness(file, Interest::READABLE)).unwrap();
            assert_eq!(channel.get_event().unwrap().ready(), Interest::READABLE);
        })
    });
}

#[test]
fn a_descriptor_of_no_use_is_not_ready() {
    limit(30, || {
        each_driver(|channel| {
            let path = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/").unwrap();
            channel.post(Request::readiness(path, Interest::READABLE)).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        })
    });
}

#[test]
fn a_reader_and_a_writer_wait_on_one_descriptor() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            channel.post(Request::recv(a.clone(), room(8)).token(1)).unwrap();
            channel.post(Request::readiness(a, Interest::WRITABLE).token(2)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 2);
            b.write_all(b"!").unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
        })
    });
}

#[test]
fn a_socket_in_non_blocking_mode_is_waited_for_all_the_same() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            a.set_nonblocking(true).unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            none_for(&channel, SOON);
            b.write_all(b"yes").unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"yes");
        })
    });
}

#[test]
fn timers_come_in_order_and_never_early() {
    limit(30, || {
        each_driver(|channel| {
            let start = Instant::now();
            for ms in [30, 10, 20] {
                channel.post(Request::timer_at(start + Duration::from_millis(ms)).token(ms)).unwrap();
            }
            for ms in [10, 20, 30] {
                assert_eq!(channel.get_event().unwrap().token(), ms);
                assert!(start.elapsed() >= Duration::from_millis(ms), "early");
            }
        })
    });
}

/// However late the channel is looked at.
#[test]
fn timers_that_are_due_together_come_in_the_order_of_their_deadlines() {
    limit(30, || {
        each_driver(|channel| {
            let past = Instant::now() - SOON;
            for n in [3, 0, 4, 1, 2] {
                let at = past + Duration::from_micros(n);
                channel.post(Request::timer_at(at).token(n)).unwrap();
            }
            let tokens: Vec<_> = (0..5).map(|_| channel.get_event().unwrap().token()).collect();
            assert_eq!(tokens, [0, 1, 2, 3, 4]);
        })
    });
}

#[test]
fn a_timer_for_a_time_gone_by_is_immediate() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::timer_at(Instant::now() - SOON)).unwrap();
            channel.post(Request::timer(Duration::ZERO)).unwrap();
            assert!(channel.get_event().unwrap().result().is_ok());
            assert!(channel.get_event().unwrap().result().is_ok());
        })
    });
}

#[test]
fn the_longest_timer_neither_overflows_nor_fires() {
    limit(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::timer(Duration::MAX)).unwrap();
            none_for(&channel, SOON);
            assert!(channel.cancel(id));
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}

#[test]
fn a_cancelled_request_comes_back_as_cancelled() {
    limit(30, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let ((a, _b), (c, _d)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
            let requests = [
                Request::recv(a, room(8)),
                Request::accept(listener),
                Request::readiness(c, Interest::READABLE),
                Request::timer(Duration::from_secs(100)),
            ];
            for request in requests {
                let kind = request.kind();
                let id = channel.post(request).unwrap();
                none_for(&channel, SOON);
                assert!(channel.cancel(id));
                let event = channel.get_event().unwrap();
                assert_eq!((event.id(), event.kind(), event.is_cancelled()), (id, kind, true));
                assert!(!channel.cancel(id), "it has come back");
            }
        })
    });
}

#[test]
fn a_cancel_right_behind_the_post_is_seen() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            let id = channel.post(Request::recv(a, room(8))).unwrap();
            assert!(channel.cancel(id) && channel.cancel(id));
            assert!(channel.get_event().unwrap().is_cancelled());
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn a_request_over_its_limit_comes_back_as_timed_out() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8)).within(SOON)).unwrap();
            let event = channel.get_event().unwrap();
            assert!(event.is_timed_out());
            assert_eq!(event.result().unwrap_err().kind(), io::ErrorKind::TimedOut);
            b.write_all(b"late").unwrap();
            channel.post(event.again()).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"late", "what came late is still there");
        })
    });
}

/// Fails without generations: the late cancel then hits the second request, which has the first one's slot.
#[test]
fn a_late_cancel_does_not_hit_the_next_request() {
    limit(30, || {
        each_driver(|channel| {
            let first = channel.post(Request::timer(Duration::ZERO)).unwrap();
            channel.get_event().unwrap();
            let (a, mut b) = UnixStream::pair().unwrap();
            let second = channel.post(Request::recv(a, room(8))).unwrap();
            assert_ne!(first, second);
            assert!(!channel.cancel(first));
            none_for(&channel, SOON);
            b.write_all(b"safe").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.buffer()), (second, &b"safe"[..]));
        })
    });
}

#[test]
fn a_notification_is_complete_as_it_is_posted() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::notification().token(3).context(Box::new("mine"))).unwrap();
            let mut event = channel.try_get_event().unwrap().expect("it is there");
            assert_eq!(event.token(), 3);
            assert_eq!(*event.take_context().unwrap().downcast::<&str>().unwrap(), "mine");
        })
    });
}

#[test]
fn a_notification_wakes_one_of_many_and_all_when_asked() {
    limit(30, || {
        each_driver(|channel| {
            let (told, heard) = mpsc::channel();
            let over = AtomicU64::new(0);
            std::thread::scope(|s| {
                for _ in 0..4 {
                    let (channel, over, told) = (&channel, &over, told.clone());
                    s.spawn(move || {
                        while let Ok(event) = channel.get_event() {
                            told.send(event.token()).unwrap();
                            // until the round is over, so that what is for all comes to each once
                            while over.load(Ordering::SeqCst) < event.token() {
                                std::thread::yield_now();
                            }
                        }
                    });
                }
                channel.post(Request::notification()).unwrap();
                assert_eq!(heard.recv().unwrap(), 0);
                assert!(heard.recv_timeout(SOON).is_err(), "it was for one");
                // It comes to those who wait at this moment: again until those are all four.
                for round in 1.. {
                    let before = channel.metrics().posted;
                    channel.post(Request::notification().token(round).wake_all()).unwrap();
                    let reached = channel.metrics().posted - before;
                    assert!(reached <= 4, "{reached} events for four who wait");
                    (0..reached).for_each(|_| assert_eq!(heard.recv().unwrap(), round));
                    assert!(heard.try_recv().is_err());
                    over.store(round, Ordering::SeqCst);
                    if reached == 4 {
                        break;
                    }
                }
                channel.shutdown();
            });
        })
    });
}

#[test]
fn a_post_reaches_a_getter_that_sleeps_in_the_kernel() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let (told, heard) = mpsc::channel();
                let theirs = &channel;
                s.spawn(move || (0..2).for_each(|_| told.send(theirs.get_event().unwrap().token()).unwrap()));
                until_asleep(&channel);
                channel.post(Request::timer(Duration::from_millis(1)).token(1)).unwrap();
                assert_eq!(heard.recv().unwrap(), 1);
                until_asleep(&channel);
                channel.post(Request::notification().token(2)).unwrap();
                assert_eq!(heard.recv().unwrap(), 2);
            });
        })
    });
}

#[test]
fn the_lead_passes_on_when_the_leader_leaves_with_its_event() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let getters: Vec<_> =
                    (0..3).map(|_| s.spawn(|| channel.get_event().unwrap().token())).collect();
                std::thread::sleep(SOON);
                for token in [1, 2, 4] {
                    channel.post(Request::timer(SOON * token as u32).token(token)).unwrap();
                }
                assert_eq!(getters.into_iter().map(|g| g.join().unwrap()).sum::<u64>(), 7);
            });
        })
    });
}

#[test]
fn each_notification_finds_a_waiter_and_wakes_no_more_than_two() {
    limit(60, || {
        each_driver(|channel| {
            let rounds = 2_000;
            let (told, heard) = std::sync::mpsc::channel();
            std::thread::scope(|s| {
                for _ in 0..4 {
                    let (channel, told) = (&channel, told.clone());
                    s.spawn(move || {
                        while channel.get_event().is_ok() {
                            told.send(()).unwrap();
                        }
                    });
                }
                for _ in 0..rounds {
                    channel.post(Request::notification()).unwrap();
                    heard.recv().unwrap();
                }
                // one to take the event, and one to lead where the leader took it
                let wakeups = channel.metrics().wakeups;
                assert!(wakeups <= 2 * rounds, "{wakeups} for {rounds} events");
                channel.shutdown();
            });
        })
    });
}

#[test]
fn a_batch_takes_what_is_there() {
    limit(30, || {
        each_driver(|channel| {
            for token in 0..10 {
                channel.post(Request::notification().token(token)).unwrap();
            }
            let mut out = Vec::new();
            assert_eq!(channel.get_events(&mut out, 4, None).unwrap(), 4);
            assert_eq!(channel.get_events(&mut out, 100, Some(SOON)).unwrap(), 6);
            assert_eq!(out.iter().map(Event::token).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
            assert_eq!(channel.get_events(&mut out, 100, Some(SOON)).unwrap(), 0);
        })
    });
}

#[test]
fn a_handler_gets_the_event_in_the_getter_s_stead_and_may_post_it_again() {
    limit(30, || {
        each_driver(|channel| {
            let calls = Arc::new(AtomicUsize::new(0));
            let seen = calls.clone();
            let request = Request::timer(Duration::from_millis(1)).on_complete(move |channel, event| {
                if seen.fetch_add(1, Ordering::SeqCst) < 4 {
                    channel.post(event.again()).unwrap();
                } else {
                    channel.post(Request::notification().token(77)).unwrap();
                }
            });
            channel.post(request).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 77);
            assert_eq!(calls.load(Ordering::SeqCst), 5);
        })
    });
}

#[test]
fn a_panic_in_a_handler_costs_nobody_else() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::notification().on_complete(|_, _| panic!("as the test wants"))).unwrap();
            channel.post(Request::timer(SOON).token(5)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 5);
        })
    });
}

#[test]
fn a_bad_descriptor_is_an_error_in_the_event() {
    limit(30, || {
        each_driver(|channel| {
            let file = std::fs::File::open("/dev/null").unwrap();
            channel.post(Request::recv(file, room(8))).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        })
    });
}

#[test]
fn after_shutdown_what_is_in_flight_comes_back_and_then_an_error() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            channel.post(Request::timer(Duration::from_secs(100))).unwrap();
            channel.post(Request::notification().token(1)).unwrap();
            channel.shutdown();
            let mut cancelled = 0;
            for _ in 0..3 {
                cancelled += usize::from(channel.get_event().unwrap().is_cancelled());
            }
            assert_eq!(cancelled, 2);
            assert!(channel.get_event().unwrap_err().to_string().contains("shut down"));
            let refused =
                channel.post(Request::send(UnixStream::pair().unwrap().0, b"keep".to_vec())).unwrap_err();
            assert!(refused.to_string().contains("shut down"));
            assert_eq!(refused.into_request().into_buffer(), b"keep", "nothing is lost");
        })
    });
}

#[test]
fn shutdown_wakes_everyone_who_waits() {
    limit(30, || {
        each_driver(|channel| {
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            std::thread::scope(|s| {
                let getters: Vec<_> = (0..5)
                    .map(|_| {
                        s.spawn(|| {
                            let mut events = 0;
                            while channel.get_event().is_ok() {
                                events += 1;
                            }
                            events
                        })
                    })
                    .collect();
                std::thread::sleep(SOON);
                channel.shutdown();
                assert_eq!(getters.into_iter().map(|g| g.join().unwrap()).sum::<usize>(), 1);
            });
        })
    });
}

/// A request belongs to the thread that submitted it; when that exits, the kernel cancels it, and the channel submits it again.
#[test]
fn a_request_outlives_the_thread_that_submitted_it() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
            channel.post(Request::recv(a, room(8))).unwrap();
            channel.post(Request::accept(listener.clone())).unwrap();
            std::thread::scope(|s| {
                s.spawn(|| none_for(&channel, SOON));
            });
            b.write_all(b"there").unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"there");
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            assert!(channel.get_event().unwrap().take_accepted().is_some());
            channel.post(Request::notification().token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            std::thread::scope(|s| {
                // the waker's own poll request went with that thread, too; its end is heard once, a new one must listen
                let (told, heard) = mpsc::channel();
                let theirs = &channel;
                s.spawn(move || (0..4).for_each(|_| told.send(theirs.get_event().unwrap().token()).unwrap()));
                for token in 0..4 {
                    until_asleep(&channel);
                    channel.post(Request::timer(Duration::ZERO).token(token)).unwrap();
                    assert_eq!(heard.recv().unwrap(), token);
                }
            });
        })
    });
}

#[test]
fn dropping_the_channel_frees_what_is_in_flight() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            channel.post(Request::recv(a, room(8))).unwrap();
            none_for(&channel, SOON);
            drop(channel);
            assert_eq!(
                b.write(b"x").unwrap_err().kind(),
                io::ErrorKind::BrokenPipe,
                "the descriptor went with the request"
            );
        })
    });
}

#[test]
fn more_requests_than_any_queue_holds_all_come_back() {
    limit(60, || {
        each_driver(|channel| {
            let n = 5_000;
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            for token in 0..n {
                channel.post(Request::recv(a.clone(), room(1)).token(token)).unwrap();
            }
            none_for(&channel, SOON);
            b.write_all(&vec![7; n as usize]).unwrap();
            let mut seen = vec![false; n as usize];
            for _ in 0..n {
                let event = channel.get_event().unwrap();
                assert_eq!(event.buffer(), [7]);
                assert!(!std::mem::replace(&mut seen[event.token() as usize], true), "twice");
            }
            assert_eq!(channel.metrics().in_flight, 0);
        })
    });
}

#[test]
fn many_posted_at_once_come_back_each_and_wake_who_sleeps() {
    limit(30, || {
        each_driver(|channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let requests = || {
                let source = Source::from(a.try_clone().unwrap());
                let receive = Request::recv(source, room(1)).token(0);
                let timers = (1..20).map(|n| Request::timer(Duration::from_micros(n)).token(n));
                std::iter::once(receive)
                    .chain(timers)
                    .chain((20..40).map(|n| Request::notification().token(n)))
            };
            std::thread::scope(|s| {
                let getter = s.spawn(|| {
                    let mut got = Vec::new();
                    while got.len() < 40 {
                        channel.get_events(&mut got, 7, None).unwrap();
                    }
                    got
                });
                until_asleep(&channel);
                let ids = channel.post_all(requests()).unwrap();
                b.write_all(b"x").unwrap();
                let mut got = getter.join().unwrap();
                got.sort_by_key(Event::token);
                assert!(got.iter().map(Event::token).eq(0..40), "{got:?}");
                assert!(got.iter().map(Event::id).eq(ids), "ids are in the order of the requests");
            });
            channel.shutdown();
            let error = channel.post_all(requests()).unwrap_err();
            assert!(error.ids().is_empty() && error.to_string().contains("shut down"), "{error}");
            assert_eq!(error.into_first().into_request().kind(), EventKind::Recv);
        })
    });
}

#[test]
fn what_panics_amid_many_posts_costs_none_of_those_before() {
    limit(30, || {
        each_driver(|channel| {
            std::thread::scope(|s| {
                let getter = s.spawn(|| channel.get_event().unwrap().token());
                until_asleep(&channel);
                let requests =
                    (0..3).map(|n| if n == 1 { panic!("on purpose") } else { Request::notification() });
                let posted =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| channel.post_all(requests)));
                assert!(posted.is_err());
                assert_eq!(getter.join().unwrap(), 0);
            });
            none_for(&channel, Duration::ZERO);
        })
    });
}

/// In the error of each kind: the operation, what its descriptor is to it, the errno.
#[test]
fn an_error_says_what_it_is_about() {
    limit(30, || {
        each_driver(|channel| {
            // Open for writing only, and no socket.
            let file = || Source::from(std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap());
            let to = "127.0.0.1:9".parse().unwrap();
            let failing = [
                (Request::accept(file()), "accept on its listener"),
                (Request::connect(file(), to), "connect on its socket"),
                (Request::recv(file(), room(1)), "recv on its socket"),
                (Request::send(file(), vec![0]), "send on its socket"),
                (Request::recv_from(file(), room(1)), "recv_from on its socket"),
                (Request::send_to(file(), vec![0], to), "send_to on its socket"),
            ];
            for (request, words) in failing {
                let kind = request.kind();
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                let failure = event.failure().unwrap();
                assert_eq!((failure.kind(), failure.errno()), (kind, libc::ENOTSOCK));
                assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
                assert!(failure.to_string().starts_with(&format!("{words}: ")), "{failure}");
            }
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::readiness(a, Interest::READABLE).within(SOON)).unwrap();
            let failure = channel.get_event().unwrap().failure().unwrap();
            assert_eq!(
                failure.to_string(),
                "readiness on its descriptor: the request's time limit came first"
            );
            let id = channel.post(Request::timer(Duration::from_secs(100))).unwrap();
            channel.cancel(id);
            let failure = channel.get_event().unwrap().failure().unwrap();
            assert_eq!(failure.to_string(), "timer: the request was cancelled");
            channel.post(Request::notification()).unwrap();
            assert_eq!(channel.get_event().unwrap().failure(), None);
        })
    });
}
