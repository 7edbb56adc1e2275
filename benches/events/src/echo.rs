//! An echo server in proactor style: one thread, one channel, no tasks. `events echo buf=BYTES driver=..`.
//!
//! Each connection has one request under way: a receive, or the send of what was received. Both are posted again and again, in their own
//! memory, and hand the one buffer to each other.

use crate::{na, product};
use common::args;
use event_channel::channel::{Event, EventChannel, EventKind, Request, Source};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;

const BATCH: usize = 256;

struct Connection {
    socket: Source,
    /// The event that is not under way.
    other: Option<Event>,
}

pub fn serve() -> ! {
    let room = args().num("buf", 16384);
    let channel = product::channel(&args().str("driver", ""));
    let listener =
        TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| na(&format!("no listener: {error}")));
    println!("{{\"port\":{}}}", listener.local_addr().expect("its address").port());
    channel.post(Request::accept(listener)).expect("posted");
    let (mut connections, mut free) = (Vec::<Option<Connection>>::new(), Vec::new());
    let mut events = Vec::with_capacity(BATCH);
    loop {
        channel.get_events(&mut events, BATCH, None).expect("events");
        for event in events.drain(..) {
            let at = event.token() as usize;
            if event.kind() == EventKind::Accept {
                let at = free.pop().unwrap_or(connections.len());
                if at == connections.len() {
                    connections.push(None);
                }
                connections[at] = begin(&channel, event, at, room);
                continue;
            }
            let connection = connections[at].as_mut().expect("it has a request under way");
            if !go_on(&channel, connection, event) {
                connections[at] = None;
                free.push(at);
            }
        }
    }
}

fn begin(channel: &EventChannel, mut event: Event, at: usize, room: usize) -> Option<Connection> {
    let accepted: Option<OwnedFd> = event.take_accepted();
    channel.post(event.again()).expect("posted");
    let stream = TcpStream::from(accepted?);
    stream.set_nodelay(true).ok()?;
    let socket = Source::from(Arc::new(stream));
    let receive = Request::recv(socket.clone(), Vec::with_capacity(room)).token(at as u64);
    channel.post(receive).expect("posted");
    Some(Connection { socket, other: None })
}

/// What was received is sent, and what was sent makes room. False: it is over.
fn go_on(channel: &EventChannel, connection: &mut Connection, mut event: Event) -> bool {
    let Ok(n @ 1..) = event.result() else { return false };
    let (token, mut buffer) = (event.token(), event.take_buffer());
    let is_receive = event.kind() == EventKind::Recv;
    if !is_receive && n < buffer.len() {
        buffer.drain(..n);
        channel.post(event.again_with(buffer)).expect("posted");
        return true;
    }
    if !is_receive {
        buffer.clear();
    }
    let next = match connection.other.replace(event) {
        Some(other) => other.again_with(buffer),
        None if is_receive => Request::send(connection.socket.clone(), buffer).token(token),
        None => unreachable!("a send follows a receive"),
    };
    channel.post(next).expect("posted");
    true
}
