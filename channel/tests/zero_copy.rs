//! Sends that do not copy: the buffer stays where it is until the kernel has let go of it, whatever becomes of the request.

mod common;

use common::{Random, is_left_alone, none_for};
use ec_channel::{Driver, EventChannel, EventId, Request};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use socket2::SockRef;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
/// More than the peer takes before somebody reads, and no more than the socket takes.
const MUCH: usize = 128 * 1024;

/// Where the kernel can send without a copy.
fn channel() -> Option<EventChannel> {
    let ring = io_uring::IoUring::new(8).and_then(|ring| {
        let mut probe = io_uring::Probe::new();
        ring.submitter().register_probe(&mut probe)?;
        Ok(probe.is_supported(io_uring::opcode::SendZc::CODE))
    });
    if std::env::var("EVENT_CHANNEL_DRIVER").is_ok_and(|driver| driver != "io_uring")
        || !matches!(ring, Ok(true))
    {
        skipped("no io_uring that sends without a copy");
        return None;
    }
    Some(EventChannel::builder().driver(Driver::IoUring).build().unwrap())
}

fn connected() -> (Arc<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // (Segments that are larger than the peer's window wait for a timer.)
    SockRef::from(&listener).set_tcp_mss(1000).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Arc::new(near), listener.accept().unwrap().0)
}

fn pattern(seed: usize) -> Vec<u8> {
    (0..MUCH).map(|at| (at * 31 + at / 251 + seed) as u8).collect()
}

/// Much is on its way, and the peer does not take it.
fn stuck(channel: &EventChannel) -> (EventId, Arc<TcpStream>, TcpStream) {
    let (near, far) = connected();
    SockRef::from(&far).set_recv_buffer_size(MUCH / 16).unwrap();
    SockRef::from(&*near).set_send_buffer_size(4 * MUCH).unwrap();
    let id = channel.post(Request::send_zero_copy(near.clone(), pattern(7))).unwrap();
    none_for(channel, SOON);
    (id, near, far)
}

/// The peer takes what is on its way. (With little room it would take long.)
fn take(far: &mut TcpStream) {
    SockRef::from(&*far).set_recv_buffer_size(4 * MUCH).unwrap();
    let mut all = vec![0; MUCH];
    far.read_exact(&mut all).unwrap();
    assert!(all == pattern(7));
}

#[test]
fn the_event_comes_when_nobody_needs_the_bytes_any_more() {
    limit(30, || {
        let Some(channel) = channel() else { return };
        let (id, near, mut far) = stuck(&channel);
        // Neither a cancel nor a second one brings it.
        assert!(channel.cancel(id));
        none_for(&channel, SOON);
        assert!(channel.cancel(id));
        is_left_alone(&channel, 2 * SOON);
        take(&mut far);
        let event = channel.get_event().unwrap();
        assert_eq!((event.id(), event.result().unwrap()), (id, MUCH));
        assert!(event.buffer() == pattern(7) && !channel.cancel(id));
        none_for(&channel, SOON);
        // The same once more, and it has a limit.
        SockRef::from(&far).set_recv_buffer_size(MUCH / 16).unwrap();
        let id = channel.post(event.again().within(SOON)).unwrap();
        none_for(&channel, 2 * SOON);
        take(&mut far);
        let event = channel.get_event().unwrap();
        assert_eq!((event.id(), event.result().unwrap()), (id, MUCH));
        drop(near);
    });
}

#[test]
fn a_connection_that_ends_lets_go_of_the_bytes() {
    limit(30, || {
        let Some(channel) = channel() else { return };
        let (id, _near, far) = stuck(&channel);
        channel.shutdown();
        none_for(&channel, SOON);
        drop(far); // resets it: nobody has read what came
        let event = channel.get_event().unwrap();
        assert_eq!((event.id(), event.result().unwrap()), (id, MUCH));
        assert!(channel.get_event().is_err());
    });
}

/// It does not wait for ever, and what the kernel still reads is not freed.
#[test]
fn the_bytes_outlive_the_channel() {
    limit(30, || {
        let Some(channel) = channel() else { return };
        let (_, near, mut far) = stuck(&channel);
        drop(channel);
        // (Whatever was free is somebody else's now.)
        let others: Vec<_> = (0..64).map(|seed| pattern(seed + 8)).collect();
        near.shutdown(Shutdown::Write).unwrap();
        take(&mut far);
        assert_eq!(far.read(&mut [0]).unwrap(), 0);
        drop(others);
    });
}

/// Short ones and long ones, through several connections, cancelled now and then: what the events say arrives, in order.
#[test]
fn what_is_said_to_be_sent_arrives() {
    limit(60, || {
        let Some(channel) = channel() else { return };
        const LINES: usize = 32;
        let (near, far): (Vec<_>, Vec<_>) = (0..LINES).map(|_| connected()).unzip();
        let readers: Vec<_> = far
            .into_iter()
            .map(|mut far| {
                thread::spawn(move || {
                    let mut all = Vec::new();
                    far.read_to_end(&mut all).map(|_| all).unwrap()
                })
            })
            .collect();
        let mut random = Random(0x2e20);
        let mut due: Vec<Vec<u8>> = vec![Vec::new(); LINES];
        let mut cancelled = 0;
        // One at a time for each connection, so that there is an order.
        let send = |random: &mut Random, line: usize| {
            let len = match random.below(3) {
                0 => random.below(200),
                1 => 3000 + random.below(200),
                _ => random.below(MUCH as u64),
            };
            let byte = random.below(256) as u8;
            let request = Request::send_zero_copy(near[line].clone(), vec![byte; len as usize]);
            channel.post(request.token(line as u64)).unwrap()
        };
        let mut ids: Vec<_> = (0..LINES).map(|line| send(&mut random, line)).collect();
        for round in 0..1000 {
            if random.below(4) == 0 {
                channel.cancel(ids[random.below(LINES as u64) as usize]);
            }
            let event = channel.get_event().unwrap();
            let line = event.token() as usize;
            assert_eq!(event.id(), ids[line]);
            if event.is_cancelled() {
                cancelled += 1;
            } else {
                due[line].extend(&event.buffer()[..event.result().unwrap()]);
            }
            if round < 1000 - LINES {
                ids[line] = send(&mut random, line);
            }
        }
        assert!(cancelled > 0, "none was cancelled");
        near.iter().for_each(|near| near.shutdown(Shutdown::Write).unwrap());
        for (reader, due) in readers.into_iter().zip(due) {
            assert!(reader.join().unwrap() == due, "something else arrived");
        }
    });
}
