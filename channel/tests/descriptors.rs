//! What a limit of descriptors does to an accept: the limit of now counts, not the one of when it began.

mod common;

use common::each_driver;
use ec_channel::Request;
use ec_test_support::limit;
use ec_unkind as _;
use std::fs::File;
use std::net::TcpListener;
use std::time::Duration;

/// Sets the soft limit.
fn limit_descriptors(count: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the limits.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
        limits.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limits), 0);
    }
}

/// All that are to be had.
fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

// (One test: the limit is the process's.)
#[test]
fn an_accept_has_the_descriptors_of_when_it_ends() {
    limit(60, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap().into();
            let (first, second) = (socket(), socket());
            limit_descriptors(64);
            channel.post(Request::accept(listener.try_clone().unwrap())).unwrap();
            // It is with the kernel now.
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            let hogs = all_descriptors();
            limit_descriptors(256);
            first.connect(&at).unwrap();
            let accepted = channel.get_event().unwrap();
            accepted.result().unwrap();

            let more = all_descriptors();
            channel.post(Request::accept(listener)).unwrap();
            second.connect(&at).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::EMFILE));
            drop((accepted, more, hogs));
        })
    });
}
