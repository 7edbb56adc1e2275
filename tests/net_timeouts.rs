//! Read and write timeouts in tasks, and `time::timeout` around socket calls.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::time::{Duration, Instant, sleep, timeout};
use event_channel::{Cancelled, task};
use net_common::{each_run, each_runtime, pair, until_waiting};
use std::io::{ErrorKind, Read, Write};

const SHORT: Duration = Duration::from_millis(30);

#[test]
fn a_read_timeout_gives_what_std_gives_again_and_again() {
    limit(30, || {
        each_run(|| {
            let (near, mut far) = pair();
            far.set_read_timeout(Some(SHORT)).unwrap();
            for _ in 0..2 {
                let start = Instant::now();
                let error = far.read(&mut [0]).unwrap_err();
                assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::WouldBlock, Some(libc::EAGAIN)));
                assert!(start.elapsed() >= SHORT);
            }
            (&near).write_all(b"x").unwrap();
            assert_eq!(far.read(&mut [0]).unwrap(), 1);
        });
    });
}

#[test]
fn a_timeout_set_through_one_handle_holds_for_all_and_for_what_std_set() {
    limit(30, || {
        each_run(|| {
            let (near, far) = pair();
            let mut clone = far.try_clone().unwrap();
            far.set_read_timeout(Some(SHORT)).unwrap();
            assert_eq!(clone.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);

            let std = std::net::TcpStream::from(near);
            std.set_read_timeout(Some(SHORT)).unwrap();
            let mut near = TcpStream::from(std);
            assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn a_write_timeout_reports_what_has_gone_and_then_fails() {
    limit(30, || {
        each_run(|| {
            let (mut near, _far) = pair();
            near.set_write_timeout(Some(SHORT)).unwrap();
            let big = vec![0; 64 << 20];
            let n = near.write(&big).unwrap();
            assert!(n > 0 && n < big.len());
            // The far side's buffer may still grow, and then some more goes; but not for ever.
            let error = loop {
                match near.write(&big) {
                    Ok(n) => assert!(n > 0 && n < big.len()),
                    Err(error) => break error,
                }
            };
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        });
    });
}

#[test]
fn a_deadline_ends_each_kind_of_wait() {
    limit(60, || {
        let check = || {
            let timed_out = |error: std::io::Error| assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            timed_out(timeout(SHORT, || listener.accept()).unwrap_err());
            timed_out(timeout(SHORT, || listener.incoming().next()).unwrap().unwrap_err());
            let (mut near, mut far) = pair();
            timed_out(timeout(SHORT, || far.read(&mut [0])).unwrap_err());
            timed_out(timeout(SHORT, || far.read_exact(&mut [0; 3])).unwrap_err());
            timed_out(timeout(SHORT, || far.peek(&mut [0])).unwrap_err());
            let mut buf = [0];
            let bufs = &mut [std::io::IoSliceMut::new(&mut buf)];
            timed_out(timeout(SHORT, || far.read_vectored(bufs)).unwrap_err());
            let big = vec![0; 64 << 20];
            timed_out(timeout(SHORT, || near.write_all(&big)).unwrap_err());
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            timed_out(timeout(SHORT, || socket.recv(&mut [0])).unwrap_err());
            timed_out(timeout(SHORT, || socket.recv_from(&mut [0])).unwrap_err());
            timed_out(timeout(SHORT, || socket.peek_from(&mut [0])).unwrap_err());
        };
        // Plain threads poll first; tasks give the operation a deadline.
        check();
        each_run(check);
    });
}

#[test]
fn the_shorter_of_read_timeout_and_deadline_comes_first() {
    limit(30, || {
        let check = || {
            let (_near, mut far) = pair();
            far.set_read_timeout(Some(SHORT)).unwrap();
            let far = &mut far;
            let long = Duration::from_secs(60);
            let kind = timeout(long, || far.read(&mut [0])).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::WouldBlock);
            far.set_read_timeout(Some(long)).unwrap();
            let kind = timeout(SHORT, || far.read(&mut [0])).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::TimedOut);
        };
        check();
        each_run(check);
    });
}

#[test]
fn a_deadline_is_delivered_once_even_after_it_has_passed() {
    limit(30, || {
        let check = || {
            let (mut near, mut far) = pair();
            timeout(Duration::from_millis(5), || {
                sleep(SHORT);
                near.write_all(b"x").unwrap_err();
                near.write_all(b"xy").unwrap();
                assert_eq!(far.read(&mut [0; 8]).unwrap(), 2);
            });
        };
        check();
        each_run(check);
    });
}

#[test]
fn a_deadline_that_was_not_delivered_dies_with_its_scope() {
    limit(30, || {
        let check = || {
            let (mut near, mut far) = pair();
            timeout(Duration::from_millis(5), || sleep(SHORT));
            near.write_all(b"x").unwrap();
            assert_eq!(far.read(&mut [0; 8]).unwrap(), 1);
            // Also when the scope is left by a panic.
            let panicked = std::panic::catch_unwind(|| timeout(Duration::ZERO, || panic!("on purpose")));
            assert!(panicked.is_err());
            near.write_all(b"x").unwrap();
        };
        check();
        each_run(check);
    });
}

#[test]
fn nested_deadlines_are_each_delivered_once() {
    limit(60, || {
        let check = || {
            let (_near, mut far) = pair();
            let far = &mut far;
            let mut kinds = Vec::new();
            // The outer one comes first, while the inner one waits.
            let hour = Duration::from_secs(3_600);
            let error = timeout(SHORT, || timeout(hour, || far.read(&mut [0]))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            let start = Instant::now();
            // Then the inner one.
            timeout(SHORT, || {
                timeout(10 * SHORT, || {
                    for _ in 0..2 {
                        kinds.push((far.read(&mut [0]).unwrap_err().kind(), start.elapsed()));
                    }
                });
                // Both are used up: only its own timeout ends this one.
                far.set_read_timeout(Some(SHORT)).unwrap();
                let mut last = || far.read(&mut [0]).unwrap_err().kind();
                // As std's, a plain thread's is interrupted if the process was stopped and goes on.
                let kind = std::iter::repeat_with(&mut last).find(|kind| *kind != ErrorKind::Interrupted);
                kinds.push((kind.unwrap(), start.elapsed()));
            });
            let spans: Vec<_> = kinds.iter().map(|kind| kind.1).collect();
            assert!(spans[0] >= SHORT, "{spans:?}");
            assert!(spans[1] >= 10 * SHORT && spans[2] >= 11 * SHORT, "{spans:?}");
            let kinds: Vec<_> = kinds.into_iter().map(|kind| kind.0).collect();
            assert_eq!(kinds, [ErrorKind::TimedOut, ErrorKind::TimedOut, ErrorKind::WouldBlock]);
        };
        check();
        each_run(check);
    });
}

#[test]
fn expired_together_the_inner_deadline_is_delivered_inside_and_the_outer_one_outside() {
    limit(30, || {
        each_run(|| {
            let (mut near, _far) = pair();
            timeout(Duration::ZERO, || {
                timeout(Duration::ZERO, || {
                    assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::TimedOut);
                });
                assert_eq!(near.write(b"x").unwrap_err().kind(), ErrorKind::TimedOut);
                near.write_all(b"x").unwrap();
            });
        });
    });
}

#[test]
fn a_deadline_belongs_to_its_task_alone() {
    limit(30, || {
        each_run(|| {
            let (near, far) = pair();
            timeout(Duration::ZERO, || {
                let other = task::spawn(move || (&far).read(&mut [0]).unwrap());
                sleep(Duration::from_millis(5));
                let own = (&near).write(b"x").unwrap_err();
                assert_eq!(own.kind(), ErrorKind::TimedOut);
                (&near).write_all(b"x").unwrap();
                assert_eq!(other.join().unwrap(), 1);
            });
        });
    });
}

#[test]
fn a_cancel_inside_a_timeout_is_a_cancel() {
    limit(30, || {
        each_runtime(|runtime| {
            let (_near, mut far) = pair();
            let waiting = runtime.spawn(move || {
                let error = timeout(Duration::from_secs(60), || far.read(&mut [0])).unwrap_err();
                assert!(Cancelled::is(&error), "{error}");
            });
            until_waiting(runtime, "recv: descriptor");
            waiting.cancel();
            waiting.join().unwrap();
        });
    });
}

#[test]
fn a_timeout_too_long_to_count_is_none() {
    limit(30, || {
        each_run(|| {
            let (near, mut far) = pair();
            far.set_read_timeout(Some(Duration::MAX)).unwrap();
            let other = task::spawn(move || {
                sleep(SHORT);
                (&near).write_all(b"x").unwrap();
                near
            });
            assert_eq!(far.read(&mut [0]).unwrap(), 1);
            drop(other.join().unwrap());
        });
    });
}
