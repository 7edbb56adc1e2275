//! Servers: they print their port and serve until they are killed.

use crate::rt;
use common::{Args, Http, listen};
use std::io::{Read, Write};
use std::net::TcpListener;

fn connection(mut stream: rt::Stream, http: bool, size: usize) {
    let (mut buf, mut reply, mut parser) = (vec![0; size], Vec::new(), Http::default());
    loop {
        let n = match stream.read(&mut buf) {
            Ok(n) if n > 0 => n,
            _ => return,
        };
        let written = if http {
            reply.clear();
            parser.feed(&buf[..n], &mut reply);
            stream.write_all(&reply)
        } else {
            stream.write_all(&buf[..n])
        };
        if written.is_err() {
            return;
        }
    }
}

/// A task for each connection.
pub fn serve(listener: TcpListener, http: bool, size: usize) -> u64 {
    let listener = rt::listener(listener);
    loop {
        let stream = rt::accept(&listener);
        drop(rt::spawn(move || connection(stream, http, size)));
    }
}

/// Echo or HTTP, with a buffer of `buf` bytes for each connection.
pub fn streams(a: &Args, workers: usize, http: bool) {
    let (listener, size) = (listen(0), a.num("buf", 16_384));
    println!("{{\"port\":{}}}", listener.local_addr().unwrap().port());
    rt::run(workers, move || serve(listener, http, size));
}

/// Echoes datagrams: one socket, a task for each worker.
pub fn udp(workers: usize) {
    let socket = common::udp(0);
    println!("{{\"port\":{}}}", socket.local_addr().unwrap().port());
    rt::run(workers, move || {
        let start = |socket: rt::Udp| {
            rt::spawn(move || {
                let mut buf = vec![0; 2048];
                loop {
                    let (n, from) = socket.recv_from(&mut buf).expect("receive");
                    socket.send_to(&buf[..n], from).expect("send");
                }
            })
        };
        let tasks: Vec<_> = rt::udp(socket, workers).into_iter().map(start).collect();
        tasks.into_iter().for_each(rt::join);
        0
    });
}
