//! The worker that serves a single conversation wakes another one as its partner, where the answers come soon.

mod common;

use common::{go, operate, pool, until};
use ec_channel::raw::Recv;
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// In a task: sends back what comes until the other side hangs up.
fn echo(mut stream: UnixStream) {
    let mut byte = [0];
    let fd = stream.as_raw_fd();
    while operate(Recv { fd, buf: byte.as_mut_ptr(), len: 1, flags: 0 }, None) == 1 {
        stream.write_all(&byte).unwrap();
    }
}

/// On a plain thread: sends a message and gets it back.
fn ask(stream: &mut UnixStream) {
    let mut byte = [7];
    stream.write_all(&byte).unwrap();
    stream.read_exact(&mut byte).unwrap();
}

/// Sleeps for about so long, not for the 50 µs more that threads are allowed to be late by.
fn think(span: Duration) {
    nix::sys::prctl::set_timerslack(1).unwrap();
    thread::sleep(span);
}

#[test]
fn where_the_next_message_comes_soon_another_worker_is_woken_as_a_partner() {
    limit(60, || {
        let pool = pool(2);
        let (mut near, far) = UnixStream::pair().unwrap();
        let end = AtomicBool::new(false);
        let task = go(&pool, move || echo(far));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(Ordering::Relaxed) {
                    ask(&mut near);
                    think(Duration::from_micros(30));
                }
                drop(near);
            });
            until("a worker was woken as a partner", || pool.metrics().company > 0);
            end.store(true, Ordering::Relaxed);
        });
        task.join().unwrap();
    });
}

#[test]
fn where_it_comes_late_the_others_go_on_sleeping() {
    const MESSAGES: u64 = 100;
    limit(60, || {
        let pool = pool(2);
        let (mut near, far) = UnixStream::pair().unwrap();
        let task = go(&pool, move || echo(far));
        for _ in 0..MESSAGES {
            ask(&mut near);
            think(Duration::from_millis(10));
        }
        drop(near);
        task.join().unwrap();
        let partners = pool.metrics().company;
        // (A worker that is kept from its CPU may get one sooner than it was sent.)
        assert!(partners < MESSAGES / 2, "{partners} workers woken for {MESSAGES} messages");
    });
}
