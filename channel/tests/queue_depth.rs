//! How long io_uring's queues are, and that nothing is lost where they are too short.

mod common;

use common::{drivers, room};
use ec_channel::{DRIVER_VARIABLE, Driver, EXCLUDE_VARIABLE, EventChannel, Interest, Request, Source};
use ec_test_support::{alone, skipped};
use ec_unkind as _;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// What the kernel says of this process's rings.
fn rings() -> BTreeSet<PathBuf> {
    let is_ring = |fd: &fs::DirEntry| {
        fs::read_link(fd.path()).is_ok_and(|what| what.to_string_lossy().contains("[io_uring]"))
    };
    let fds = fs::read_dir("/proc/self/fd").unwrap().flatten().filter(is_ring);
    fds.map(|fd| PathBuf::from("/proc/self/fdinfo").join(fd.file_name())).collect()
}

/// A channel on io_uring, and what the kernel says of its ring. `None`, and said why: not here.
fn with_depth(depth: usize) -> Option<(EventChannel, PathBuf)> {
    if !drivers().contains(&Driver::IoUring) {
        skipped("io_uring does not work here, or another driver is asked for by name");
        return None;
    }
    let before = rings();
    let channel = match EventChannel::builder().driver(Driver::IoUring).queue_depth(depth).build() {
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
            skipped(&format!("a queue of {depth}: {error}"));
            return None;
        }
        channel => channel.unwrap(),
    };
    let ring = rings().difference(&before).next().expect("its ring").clone();
    Some((channel, ring))
}

/// The number after this name.
fn value(said: &str, name: &str) -> Option<u64> {
    let value = said.lines().find_map(|line| line.strip_prefix(name))?.trim().to_owned();
    u64::from_str_radix(value.strip_prefix("0x")?, 16).ok()
}

#[test]
fn it_is_a_power_of_two_within_bounds_and_completions_have_eight_times_as_many() {
    alone(60, || {
        for (asked, submissions, completions) in [
            (0, 8, 64),
            (8, 8, 64),
            (9, 16, 128),
            (128, 128, 1024),
            (8_192, 8_192, 65_536),
            (32_768, 32_768, 65_536),
        ] {
            let Some((_channel, ring)) = with_depth(asked) else { continue };
            let said = fs::read_to_string(ring).unwrap();
            match (value(&said, "SqMask:"), value(&said, "CqMask:")) {
                (Some(sq), Some(cq)) => assert_eq!((sq + 1, cq + 1), (submissions, completions)),
                _ => skipped("this kernel does not say how long a ring's queues are"),
            }
        }
    });
}

/// Where it was asked for by name. Else the next driver is taken, and says why.
#[test]
fn one_that_is_too_long_is_refused() {
    alone(60, || {
        for depth in [32_769, usize::MAX] {
            let error =
                EventChannel::builder().driver(Driver::IoUring).queue_depth(depth).build().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(&format!("a submission queue of {depth} entries")), "{error}");
            for driver in [Driver::Epoll, Driver::Poll, Driver::Direct] {
                let channel = EventChannel::builder().driver(driver).queue_depth(depth).build().unwrap();
                assert_eq!(channel.driver().kind(), driver, "it has no such queue");
            }
            if [DRIVER_VARIABLE, EXCLUDE_VARIABLE].iter().any(|name| std::env::var_os(name).is_some()) {
                skipped("the environment has a say in which driver is taken");
                continue;
            }
            let channel = EventChannel::builder().queue_depth(depth).build().unwrap();
            assert_eq!(channel.driver().kind(), Driver::Epoll);
            assert!(channel.driver().reason().contains("32768"), "{}", channel.driver());
        }
    });
}

/// Thousands are complete before anybody looks, and the completion queue has room for 64.
#[test]
fn what_overflows_the_completion_queue_is_not_lost() {
    const EACH: u64 = 2_000;
    alone(60, || {
        let Some((channel, ring)) = with_depth(8) else { return };
        let (near, mut far) = UnixStream::pair().unwrap();
        let near = Source::from(near);
        let receives = (0..EACH).map(|token| Request::recv(near.clone(), room(1)).token(token));
        let looks = (EACH..2 * EACH).map(|n| Request::readiness(near.clone(), Interest::READABLE).token(n));
        channel.post_all(receives.chain(looks)).unwrap();
        // The ring has them all: a pass takes in some thousand, and the submission queue has room for 8.
        (0..8).for_each(|_| assert!(channel.try_get_event().unwrap().is_none()));
        // (One byte more than is received: there is something to read all the time.)
        far.write_all(&[7; EACH as usize + 1]).unwrap();
        let said = fs::read_to_string(ring).unwrap();
        let overflown = said.lines().skip_while(|line| !line.starts_with("CqOverflowList")).skip(1);
        let overflown = overflown.filter(|line| line.contains("user_data")).count();
        match said.contains("CqOverflowList") {
            true => assert!(
                overflown > 1_000,
                "only {overflown} have overflown, or the kernel says it in other words:\n{said}"
            ),
            false => skipped("this kernel does not say what has overflown a ring's queue"),
        }
        let mut seen = [false; 2 * EACH as usize];
        for _ in 0..2 * EACH {
            let event = channel.get_event().unwrap();
            assert!(!std::mem::replace(&mut seen[event.token() as usize], true), "twice: {event:?}");
            event.result().unwrap();
            if event.token() < EACH {
                assert_eq!(event.buffer(), [7]);
            }
        }
        assert!(channel.try_get_event().unwrap().is_none());
        assert_eq!(channel.metrics().in_flight, 0);
    });
}
