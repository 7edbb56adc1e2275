//! `future::Async`: our streams for anybody's executor; and `future::Blocking`: anybody's streams for code that blocks.

#[path = "../../net_common/mod.rs"]
mod net_common;

use ec_test_support::{block_on, limit};
use ec_unkind as _;
use event_channel::future::{Async, Blocking, wait, wait_cancellable};
use event_channel::net::TcpStream;
use event_channel::sync::Notification;
use event_channel::{Cancelled, Runtime, task, time};
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use net_common::{each_runtime, each_runtime_of, eventually, pair, pattern, until_waiting};
use std::future::poll_fn;
use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Runs `test` as a task of each runtime, and on a plain thread beside it.
fn everywhere(test: impl Fn(&Runtime) + Sync) {
    limit(60, || {
        each_runtime_of(&[1, 2, 8], |runtime| {
            test(runtime);
            runtime.run(|| test(runtime));
        });
    });
}

async fn read(stream: &mut (impl AsyncRead + Unpin), buffer: &mut [u8]) -> io::Result<usize> {
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, buffer)).await
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let mut chunk = [0; 3000];
    loop {
        match read(stream, &mut chunk).await.unwrap() {
            0 => return all,
            some => all.extend(&chunk[..some]),
        }
    }
}

async fn write_all(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let wrote = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await.unwrap();
        bytes = &bytes[wrote..];
    }
    poll_fn(|context| Pin::new(&mut *stream).poll_close(context)).await.unwrap();
}

/// Much more than the buffers of both sockets hold, so that both sides wait time and again.
const MUCH: usize = 1 << 20;

#[test]
fn bytes_arrive_whole_in_any_executor() {
    everywhere(|runtime| {
        let (near, far) = pair();
        socket2::SockRef::from(&near).set_send_buffer_size(16 * 1024).unwrap();
        socket2::SockRef::from(&far).set_recv_buffer_size(16 * 1024).unwrap();
        let (mut near, mut far) = (Async::new(near).unwrap(), Async::new(far).unwrap());
        let sends = runtime.spawn(move || wait(write_all(&mut near, &pattern(MUCH))));
        let got = block_on(read_to_end(&mut far));
        assert!(got == pattern(MUCH), "{} bytes", got.len());
        sends.join().unwrap();
    });
}

/// What blocks on one side, and is awaited on the other.
#[test]
fn both_faces_of_streams_fit_together() {
    everywhere(|runtime| {
        let (near, mut far) = pair();
        let mut near = Blocking::new(Async::new(near).unwrap());
        let echoes = runtime.spawn(move || {
            let mut bytes = vec![0; 100_000];
            far.read_exact(&mut bytes).unwrap();
            far.write_all(&bytes).unwrap();
        });
        near.write_all(&pattern(100_000)).unwrap();
        near.flush().unwrap();
        near.close().unwrap();
        let mut bytes = Vec::new();
        near.read_to_end(&mut bytes).unwrap();
        assert!(bytes == pattern(100_000));
        echoes.join().unwrap();
    });
}

#[test]
fn one_that_waits_is_cancelled_and_loses_nothing() {
    limit(60, || {
        each_runtime(|runtime| {
            let (mut near, far) = pair();
            let mut far = Blocking::new(Async::new(far).unwrap());
            let late = Arc::new(Notification::new());
            let was_late = late.clone();
            let reads = runtime.spawn(move || {
                let mut byte = [0];
                let error = far.read(&mut byte).unwrap_err();
                assert!(Cancelled::is(&error), "{error}");
                let late = time::timeout(Duration::from_millis(2), || far.read(&mut byte));
                assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut);
                was_late.post();
                far.read_exact(&mut byte).unwrap();
                byte[0]
            });
            until_waiting(runtime, "future");
            reads.cancel();
            late.wait();
            near.write_all(&[7]).unwrap();
            assert_eq!(reads.join().unwrap(), 7);
        });
    });
}

#[derive(Default)]
struct Counts(AtomicUsize);

impl Wake for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn poll_read(stream: &mut Async<TcpStream>, counts: &Arc<Counts>) -> Poll<io::Result<usize>> {
    let waker = Waker::from(counts.clone());
    Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut [0; 8])
}

/// However often it is polled there is one request for readiness, and one waker.
#[test]
fn the_waker_of_the_last_poll_is_woken_once() {
    everywhere(|runtime| {
        let (mut near, far) = pair();
        let mut far = runtime.run(|| Async::new(far).unwrap());
        let before = runtime.metrics().events_posted;
        let (first, second) = (Arc::<Counts>::default(), Arc::<Counts>::default());
        for _ in 0..10 {
            assert!(poll_read(&mut far, &first).is_pending());
        }
        assert!(poll_read(&mut far, &second).is_pending());
        assert_eq!(Arc::strong_count(&first), 1, "it is not waited for any more");
        assert_eq!(runtime.metrics().events_posted, before + 1);
        near.write_all(b"hello").unwrap();
        eventually(|| second.0.load(Ordering::SeqCst) == 1);
        let Poll::Ready(read) = poll_read(&mut far, &first) else { panic!("it was woken") };
        assert_eq!(read.unwrap(), 5);
        assert!(poll_read(&mut far, &first).is_pending());
        drop(near);
        eventually(|| first.0.load(Ordering::SeqCst) == 1);
        assert!(matches!(poll_read(&mut far, &first), Poll::Ready(Ok(0))));
        assert_eq!(second.0.load(Ordering::SeqCst), 1);
    });
}

/// The request that waits holds the stream, and is cancelled.
#[test]
fn a_stream_that_is_dropped_while_it_waits_is_closed() {
    everywhere(|runtime| {
        let (mut near, far) = pair();
        let mut far = Async::new(far).unwrap();
        let counts = Arc::<Counts>::default();
        assert!(poll_read(&mut far, &counts).is_pending());
        drop(far);
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
        eventually(|| Arc::strong_count(&counts) == 1);
        // And a future that is given up takes its wait with it.
        let (mut near, far) = pair();
        let mut far = Async::new(far).unwrap();
        let reads = runtime.spawn(move || {
            let result = wait_cancellable(async move { read(&mut far, &mut [0; 8]).await });
            result.unwrap_err()
        });
        until_waiting(runtime, "future");
        reads.cancel();
        assert!(Cancelled::is(&reads.join().unwrap()));
        assert_eq!(near.read(&mut [0; 8]).unwrap(), 0);
    });
}

#[test]
fn a_stream_whose_runtime_has_ended_fails() {
    limit(60, || {
        each_runtime(|_| {
            let runtime = Runtime::builder().cores(1).build().unwrap();
            let (_near, far) = pair();
            let mut far = runtime.run(|| Async::new(far).unwrap());
            let counts = Arc::<Counts>::default();
            assert!(poll_read(&mut far, &counts).is_pending());
            runtime.shutdown(Duration::from_secs(20)).unwrap();
            assert_eq!(counts.0.load(Ordering::SeqCst), 1, "who waits hears of it");
            assert!(matches!(poll_read(&mut far, &counts), Poll::Ready(Err(_))));
        });
    });
}

/// Lines of somebody else's stream, which has to wait between any two bytes.
#[test]
fn a_buffered_stream_gives_its_lines() {
    struct Slow(&'static [u8], bool);
    impl AsyncRead for Slow {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            let waker = context.waker().clone();
            this.1 = !this.1;
            if this.1 {
                drop(task::spawn(move || waker.wake()));
                return Poll::Pending;
            }
            let some = this.0.len().min(buf.len()).min(1);
            buf[..some].copy_from_slice(&this.0[..some]);
            this.0 = &this.0[some..];
            Poll::Ready(Ok(some))
        }
    }
    impl AsyncBufRead for Slow {
        fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            let this = self.get_mut();
            this.1 = !this.1 && !this.0.is_empty();
            if this.1 {
                let waker = context.waker().clone();
                drop(task::spawn(move || waker.wake()));
                return Poll::Pending;
            }
            // (What is there stays there.)
            this.1 = true;
            Poll::Ready(Ok(&this.0[..this.0.len().min(1)]))
        }

        fn consume(self: Pin<&mut Self>, amount: usize) {
            let this = self.get_mut();
            this.0 = &this.0[amount..];
            this.1 = false;
        }
    }
    everywhere(|_| {
        let lines: Vec<_> =
            Blocking::new(Slow(b"one\ntwo\nthree", false)).lines().map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two", "three"]);
        let mut text = String::new();
        Blocking::new(Slow(b"text", false)).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    });
}

/// One that waits before each success, as what shares a lock or a budget may.
#[test]
fn a_buffered_stream_need_not_be_ready_twice() {
    struct Yields(Vec<u8>, bool);
    impl Yields {
        fn waits(&mut self, context: &Context<'_>) -> bool {
            self.1 = !self.1;
            if self.1 {
                context.waker().wake_by_ref();
            }
            self.1
        }
    }
    impl AsyncRead for Yields {
        fn poll_read(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            let this = self.get_mut();
            if this.waits(context) {
                return Poll::Pending;
            }
            let some = this.0.len().min(buf.len());
            buf[..some].copy_from_slice(&this.0[..some]);
            this.0.drain(..some);
            Poll::Ready(Ok(some))
        }
    }
    impl AsyncBufRead for Yields {
        fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
            let this = self.get_mut();
            if this.waits(context) {
                return Poll::Pending;
            }
            if this.0 == b"broken" {
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
            Poll::Ready(Ok(&this.0))
        }

        fn consume(self: Pin<&mut Self>, amount: usize) {
            self.get_mut().0.drain(..amount);
        }
    }
    everywhere(|_| {
        let yields = |text: &[u8]| Blocking::new(Yields(text.into(), false));
        let mut stream = yields(b"one\ntwo\nthree");
        let mut line = String::new();
        assert_eq!((stream.read_line(&mut line).unwrap(), &line[..]), (4, "one\n"));
        // What is given is what the stream has, and stays there until it is consumed.
        for _ in 0..2 {
            let there = stream.fill_buf().unwrap();
            assert_eq!(there, b"two\nthree");
            let place = there.as_ptr();
            assert_eq!(place, stream.get_ref().0.as_ptr());
        }
        stream.consume(4);
        assert_eq!(stream.lines().map(Result::unwrap).collect::<Vec<_>>(), ["three"]);
        assert_eq!(yields(b"").fill_buf().unwrap(), b"");
        assert_eq!(yields(b"broken").fill_buf().unwrap_err().kind(), ErrorKind::InvalidData);
    });
}
