//! Servers: they print their port and serve until they are killed.

use crate::rt;
use common::{Args, Buf, Http, listeners, udps};
use std::net::TcpListener;

async fn connection(mut stream: rt::Stream, http: bool, size: usize) {
    let (mut buf, mut reply, mut parser) = (Buf::new(size), Buf::new(0), Http::default());
    loop {
        rt::read(&mut stream, &mut buf).await;
        if buf.filled == 0 {
            return;
        }
        let written = if http {
            reply.bytes.clear();
            parser.feed(buf.data(), &mut reply.bytes);
            reply.filled = reply.bytes.len();
            rt::write(&mut stream, &mut reply).await
        } else {
            rt::write(&mut stream, &mut buf).await
        };
        if !written {
            return;
        }
    }
}

/// A task for each connection.
pub async fn serve(listener: TcpListener, http: bool, size: usize) -> u64 {
    let listener = rt::listener(listener);
    loop {
        let stream = rt::accept(&listener).await;
        rt::detach(rt::spawn(connection(stream, http, size)));
    }
}

/// Echo or HTTP, with a buffer of `buf` bytes for each connection. With shards, each has a listener.
pub fn streams(a: &Args, workers: usize, http: bool) {
    let (port, listeners) = listeners(if rt::SHARDED { workers } else { 1 });
    let size = a.num("buf", 16_384);
    println!("{{\"port\":{port}}}");
    rt::run(workers, move |shard, _| {
        let mine = listeners.lock().unwrap()[shard].take().unwrap();
        serve(mine, http, size)
    });
}

async fn datagrams(socket: rt::Udp) {
    let mut buf = Buf::new(2048);
    loop {
        let from = rt::recv_from(&socket, &mut buf).await;
        rt::send_to(&socket, &mut buf, from).await;
    }
}

/// Echoes datagrams: one socket and a task for each worker, or a socket and a task for each shard.
pub fn udp(workers: usize) {
    let (port, sockets) = udps(if rt::SHARDED { workers } else { 1 });
    println!("{{\"port\":{port}}}");
    rt::run(workers, move |shard, shards| {
        let mine = sockets.lock().unwrap()[shard].take().unwrap();
        async move {
            let start = |socket| rt::spawn(datagrams(socket));
            let tasks: Vec<_> = rt::udp(mine, workers / shards).into_iter().map(start).collect();
            for task in tasks {
                rt::join(task).await;
            }
            0
        }
    });
}
