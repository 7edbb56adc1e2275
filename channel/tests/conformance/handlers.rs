//! Handlers.

use crate::SOON;
use crate::common::each_driver;
use ec_channel::Request;
use ec_test_support::limit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn a_handler_gets_the_event_in_the_getter_s_stead_and_may_post_it_again() {
    limit(30, || {
        each_driver(|channel| {
            let calls = Arc::new(AtomicUsize::new(0));
            let seen = calls.clone();
            let request = Request::timer(Duration::from_millis(1)).on_complete(move |channel, event| {
                if seen.fetch_add(1, Ordering::SeqCst) < 4 {
                    channel.post(event.again()).unwrap();
                } else {
                    channel.post(Request::notification().token(77)).unwrap();
                }
            });
            channel.post(request).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 77);
            assert_eq!(calls.load(Ordering::SeqCst), 5);
        })
    });
}

#[test]
fn a_panic_in_a_handler_costs_nobody_else() {
    limit(30, || {
        each_driver(|channel| {
            channel.post(Request::notification().on_complete(|_, _| panic!("as the test wants"))).unwrap();
            channel.post(Request::timer(SOON).token(5)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 5);
        })
    });
}
