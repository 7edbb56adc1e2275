//! What the channel's tests share: each conformance test runs on every driver that works here.

// Not every test file uses all of it.
#![allow(dead_code)]

pub mod shm;
pub mod storm;

use ec_channel::{Driver, EventChannel, Serving, Source};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Runs `f` on a fresh channel of each driver, one after the other. A driver that the machine refuses is skipped, with the reason.
pub fn each_driver(f: impl Fn(EventChannel)) {
    for driver in drivers() {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().expect("it was there a moment ago"));
    }
}

/// The drivers that work here. `EVENT_CHANNEL_DRIVER` narrows them down to one.
pub fn drivers() -> Vec<Driver> {
    let only =
        std::env::var("EVENT_CHANNEL_DRIVER").ok().map(|s| s.parse::<Driver>().expect("a driver's name"));
    Driver::ALL
        .into_iter()
        .filter(|d| only.is_none_or(|o| o == *d))
        .filter(|d| *d != Driver::Poll || only.is_some() || !ec_test_support::without_poll())
        .filter(|d| match EventChannel::builder().driver(*d).build() {
            Ok(_) => true,
            Err(e) => {
                ec_test_support::skipped(&format!("{d}: {e}"));
                false
            }
        })
        .collect()
}

/// A stream socket that is not connected yet.
pub fn fresh_socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket")
}

/// A stream socket whose port is free as soon as it is closed: for those that connect time and again.
pub fn fleeting_socket() -> socket2::Socket {
    let socket = fresh_socket();
    socket.set_linger(Some(Duration::ZERO)).unwrap();
    socket
}

/// As a pool does.
pub fn serve(channel: &EventChannel) -> Serving {
    // SAFETY: the tests drive the ports as long as somebody waits, and see to what comes of it.
    unsafe { channel.serve() }.unwrap()
}

/// Returns when somebody sleeps in the channel's first port.
pub fn until_asleep(channel: &EventChannel) {
    while !channel.is_asleep(0) {
        std::thread::yield_now();
    }
}

/// Waits until one of `events` (or an error) is there.
pub fn until_ready(it: &impl AsRawFd, events: i16) {
    let mut ask = libc::pollfd { fd: it.as_raw_fd(), events, revents: 0 };
    // SAFETY: a live pollfd.
    while unsafe { libc::poll(&mut ask, 1, -1) } < 1 {}
}

/// A small generator of numbers, the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Nothing comes for so long.
pub fn none_for(channel: &EventChannel, time: Duration) {
    let got = channel.get_event_timeout(time).expect("the channel works");
    assert!(got.is_none(), "nothing was to come, but {got:?} did");
}

/// A buffer to receive into.
pub fn room(n: usize) -> Vec<u8> {
    Vec::with_capacity(n)
}

/// Two ends of a stream: one for requests, and its peer.
pub fn pair() -> (Source, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Source::from(near), far)
}

/// Ends those who wait, also if an assertion fails.
pub struct AtEnd<F: Fn()>(pub F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
