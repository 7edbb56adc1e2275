//! Points in time.

use crate::SOON;
use crate::common::{each_driver, none_for};
use ec_channel::Request;
use ec_test_support::limit;
use std::time::{Duration, Instant};

#[test]
fn timers_come_in_order_and_never_early() {
    limit(30, || {
        each_driver(|channel| {
            let start = Instant::now();
            for ms in [30, 10, 20] {
                channel.post(Request::timer_at(start + Duration::from_millis(ms)).token(ms)).unwrap();
            }
            for ms in [10, 20, 30] {
                assert_eq!(channel.get_event().unwrap().token(), ms);
                assert!(start.elapsed() >= Duration::from_millis(ms), "early");
            }
        })
    });
}

/// However late the channel is looked at.
#[test]
fn timers_that_are_due_together_come_in_the_order_of_their_deadlines() {
    limit(30, || {
        each_driver(|channel| {
            let past = Instant::now() - SOON;
            for n in [3, 0, 4, 1, 2] {
                let at = past + Duration::from_micros(n);
                channel.post(Request::timer_at(at).token(n)).unwrap();
            }
            let tokens: Vec<_> = (0..5).map(|_| channel.get_event().unwrap().token()).collect();
            assert_eq!(tokens, [0, 1, 2, 3, 4]);
        })
    });
}

#[test]
fn a_timer_for_a_time_gone_by_is_immediate() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::timer_at(Instant::now() - SOON)).unwrap();
            channel.post(Request::timer(Duration::ZERO)).unwrap();
            assert!(channel.get_event().unwrap().result().is_ok());
            assert!(channel.get_event().unwrap().result().is_ok());
        })
    });
}

#[test]
fn the_longest_timer_neither_overflows_nor_fires() {
    limit(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::timer(Duration::MAX)).unwrap();
            none_for(&channel, SOON);
            assert!(channel.cancel(id));
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}
