//! `load raw-...`: the least that a server can do. One thread, no runtime; epoll for connections.

use crate::poll::Poll;
use common::{Args, Http, listen, udp};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;

const LISTENER: usize = usize::MAX;

pub fn streams(a: &Args, http: bool) {
    let (listener, mut buf) = (listen(0), vec![0; a.num("buf", 16_384)]);
    println!("{{\"port\":{}}}", listener.local_addr().unwrap().port());
    let mut poll = Poll::new();
    poll.add(&listener, LISTENER, false);
    let (mut all, mut next) = (HashMap::<usize, (TcpStream, Http)>::new(), 0);
    let mut reply = Vec::new();
    loop {
        for i in 0..poll.wait(None) {
            let key = poll.ready(i).key;
            if key == LISTENER {
                let stream = listener.accept().unwrap().0;
                stream.set_nodelay(true).unwrap();
                poll.add(&stream, next, false);
                all.insert(next, (stream, Http::default()));
                next += 1;
                continue;
            }
            let Some((stream, parser)) = all.get_mut(&key) else { continue };
            let n = stream.read(&mut buf).unwrap_or(0);
            let written = if http {
                reply.clear();
                parser.feed(&buf[..n], &mut reply);
                stream.write_all(&reply)
            } else {
                stream.write_all(&buf[..n])
            };
            if n == 0 || written.is_err() {
                all.remove(&key);
            }
        }
    }
}

pub fn datagrams() {
    let (socket, mut buf) = (udp(0), vec![0; 2048]);
    println!("{{\"port\":{}}}", socket.local_addr().unwrap().port());
    loop {
        let (n, from) = socket.recv_from(&mut buf).expect("receive");
        socket.send_to(&buf[..n], from).expect("send");
    }
}
