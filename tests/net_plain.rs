//! The wrappers without any runtime: std's blocking calls on plain threads.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::sync::Notification;
use event_channel::time;
use net_common::pattern;
use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

/// The names of this process's threads.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    // One may end while its name is read.
    tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok()).collect()
}

#[test]
fn threads_talk_to_each_other_and_no_runtime_is_started() {
    limit(30, || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        static DONE: Notification = Notification::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(addr).unwrap();
                stream.write_all(&pattern(1 << 20)).unwrap();
                DONE.wait();
            });
            let (mut stream, _) = listener.accept().unwrap();
            let mut got = vec![0; 1 << 20];
            stream.read_exact(&mut got).unwrap();
            assert!(got == pattern(1 << 20));
            time::sleep(Duration::from_millis(1));
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            assert_eq!(socket.recv(&mut [0; 4]).unwrap(), 1);
            DONE.post();
        });
        let names = threads();
        assert!(!names.iter().any(|name| name.starts_with("ec-")), "{names:?}");
    });
}
