//! `load floor`, `load syscalls`: what the kernel takes for itself.

use common::{Args, out, pin};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    (near, far)
}

/// Two threads of one process, blocking, on one CPU or two.
pub fn round_trip(a: &Args) {
    let cpus = a.num("cpus", 2);
    let (mut near, mut far) = pair();
    std::thread::spawn(move || {
        pin(cpus - 1);
        let mut b = [0; 64];
        while far.read_exact(&mut b).is_ok() && far.write_all(&b).is_ok() {}
    });
    pin(0);
    let (mut b, t, mut n) = ([0; 64], Instant::now(), 0u64);
    while t.elapsed() < Duration::from_secs(2) {
        near.write_all(&b).unwrap();
        near.read_exact(&mut b).unwrap();
        n += 1;
    }
    out(&[("us", t.elapsed().as_secs_f64() * 1e6 / n as f64)]);
}

/// A send and a receive of 64 bytes of one thread to itself, without a wait, and a system call that does nothing.
pub fn syscalls() {
    let (mut near, mut far) = pair();
    let (mut b, n) = ([0; 64], 300_000);
    let (mut sending, mut receiving) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..n {
        let t = Instant::now();
        near.write_all(&b).unwrap();
        let sent = Instant::now();
        far.read_exact(&mut b).unwrap();
        sending += sent - t;
        receiving += sent.elapsed();
    }
    let t = Instant::now();
    for _ in 0..n {
        // SAFETY: no memory is involved.
        unsafe { libc::syscall(libc::SYS_getppid) };
    }
    let nothing = t.elapsed();
    let per = |d: Duration| d.as_nanos() as f64 / f64::from(n);
    out(&[("send_ns", per(sending)), ("recv_ns", per(receiving)), ("null_syscall_ns", per(nothing))]);
}
