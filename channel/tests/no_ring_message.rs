//! A kernel (before Linux 6.13) that sends no messages to rings: a sleeper hears of calls all the same, whoever sleeps.

mod common;

use common::drivers;
use ec_channel::{Driver, EventChannel, EventKind, Request};
use ec_test_support::{limit, refuse_with_second, skipped};
use ec_unkind as _;
use std::thread;
use std::time::Duration;

const SEND_MSG_RING: u32 = 31;

#[test]
fn calls_reach_whoever_sleeps() {
    limit(30, || {
        if !drivers().contains(&Driver::IoUring) {
            return;
        }
        if !refuse_with_second(libc::SYS_io_uring_register, SEND_MSG_RING, libc::EINVAL) {
            return skipped("this machine does not allow seccomp filters");
        }
        let channel = EventChannel::builder().driver(Driver::IoUring).build().unwrap();
        for round in 0..300 {
            thread::scope(|s| {
                // Each time it is another thread that sleeps. The one before has exited.
                let getter = s.spawn(|| channel.get_event().unwrap().token());
                if round % 2 == 0 {
                    common::until_asleep(&channel);
                }
                channel.post(Request::timer(Duration::ZERO).token(round)).unwrap();
                assert_eq!(getter.join().unwrap(), round);
            });
        }
        // One that sleeps with a limit has it, too.
        assert!(channel.get_event_timeout(Duration::from_millis(5)).unwrap().is_none());
        channel.post(Request::timer(Duration::from_millis(1))).unwrap();
        assert_eq!(channel.get_event().unwrap().kind(), EventKind::Timer);
    });
}
