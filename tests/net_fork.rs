//! In a forked child of a process with a running runtime the wrappers work as on a plain thread.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use event_channel::sync::Notification;
use event_channel::{Runtime, task, time};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// What the child does; an exit code other than 0 says what failed.
fn child() -> Result<(), i32> {
    let step = |code: i32| move |_: std::io::Error| code;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(step(1))?;
    let mut near = TcpStream::connect(listener.local_addr().map_err(step(2))?).map_err(step(3))?;
    let (mut far, _) = listener.accept().map_err(step(4))?;
    near.write_all(b"from the child").map_err(step(5))?;
    let mut buf = [0; 14];
    far.read_exact(&mut buf).map_err(step(6))?;
    let late = time::timeout(Duration::from_millis(10), || far.read(&mut [0]));
    if late.map_err(|error| error.kind()) != Err(ErrorKind::TimedOut) {
        return Err(7);
    }
    let start = Instant::now();
    time::sleep(Duration::from_millis(10));
    if start.elapsed() < Duration::from_millis(10) {
        return Err(8);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(step(9))?;
    socket.send_to(b"x", socket.local_addr().map_err(step(10))?).map_err(step(11))?;
    socket.recv_from(&mut [0; 4]).map_err(step(12))?;
    drop(lookup_host("127.0.0.1").map_err(step(13))?);
    let notification = Notification::new();
    notification.post();
    if !notification.wait_timeout(Duration::from_secs(5))
        || notification.wait_timeout(Duration::from_millis(5))
    {
        return Err(14);
    }
    task::yield_now();
    Ok(())
}

/// Forks here, runs `child` there, and asserts that it was well.
fn fork_here() {
    // SAFETY: the child goes on to use memory allocation and sockets; glibc allows that after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // Not to hang for ever in front of the waiting parent.
        // SAFETY: no pointer is passed.
        unsafe { libc::alarm(20) };
        let code = std::panic::catch_unwind(|| child().err().unwrap_or(0)).unwrap_or(99);
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: a live place for the status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child died of signal {}", libc::WTERMSIG(status));
    assert_eq!(libc::WEXITSTATUS(status), 0, "the step that failed in the child");
}

#[test]
fn a_child_forked_by_a_thread_or_a_task_uses_the_wrappers_as_a_plain_thread() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        // Work in flight, so that the parent's ports and timers are busy when it forks.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let waiting = runtime.spawn(move || listener.accept().map(drop).unwrap_err());
        let sleeping = runtime.spawn(|| time::sleep(Duration::from_millis(200)));
        for _ in 0..5 {
            fork_here();
        }
        runtime.run(fork_here);
        // And inside a timeout, whose scope the child leaves behind.
        runtime.run(|| time::timeout(Duration::from_secs(60), fork_here));
        // The parent has not suffered.
        sleeping.join().unwrap();
        waiting.cancel();
        waiting.join().unwrap();
    });
}
