//! A channel that belongs to one task goes where the task goes.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{EventChannel, LocalChannel, Request, Source};
use event_channel::{Cancelled, task, time};
use net_common::{each_run, each_runtime, until_waiting};
use std::cell::Cell;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

fn local() -> LocalChannel {
    EventChannel::builder().single_threaded().build().unwrap()
}

#[test]
fn a_task_takes_its_channel_along() {
    limit(60, || {
        each_run(|| {
            let others: Vec<_> =
                (0..4).map(|_| task::spawn(|| (0..200).for_each(|_| task::yield_now()))).collect();
            let channel = local();
            let sum = Rc::new(Cell::new(0));
            for n in 1..=20u32 {
                let (sum, mut left) = (sum.clone(), 5);
                let handler = move |_: &LocalChannel, event: event_channel::channel::Event| {
                    sum.set(sum.get() + n);
                    task::yield_now();
                    left -= 1;
                    (left > 0).then(|| event.again())
                };
                channel.post_with(Request::timer(Duration::from_micros(u64::from(n) * 50)), handler).unwrap();
            }
            let poster = channel.poster();
            let posts = task::spawn(move || {
                time::sleep(Duration::from_millis(2));
                poster.post(7).unwrap();
            });
            channel.run().unwrap();
            assert_eq!(sum.get(), 5 * (1..=20).sum::<u32>());
            assert_eq!(channel.get_event().unwrap().token(), 7);
            posts.join().unwrap();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
    });
}

#[test]
fn a_cancel_ends_the_wait_and_loses_no_event() {
    limit(60, || {
        each_runtime(|runtime| {
            let (near, mut far) = UnixStream::pair().unwrap();
            let (tell, told) = mpsc::channel();
            let waits = runtime.spawn(move || {
                let channel = local();
                channel.post(Request::recv(Source::from(near), Vec::with_capacity(8))).unwrap();
                let error = channel.get_event().unwrap_err();
                assert!(error.get_ref().is_some_and(|inner| inner.is::<Cancelled>()), "{error}");
                tell.send(()).unwrap();
                channel.get_event().unwrap().buffer().to_vec()
            });
            until_waiting(runtime, "get_event");
            waits.cancel();
            told.recv().unwrap();
            far.write_all(b"data").unwrap();
            assert_eq!(waits.join().unwrap(), b"data");
        });
    });
}
