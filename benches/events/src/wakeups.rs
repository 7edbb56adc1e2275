//! A notification to a getter that sleeps on another CPU: `events wakeups n=N driver=.. [floor=1]`, one every millisecond. The floor is
//! std's park and unpark, a futex.

use crate::product;
use common::{args, out, pct, pin};
use event_channel::channel::Request;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(1);

pub fn run() {
    let n = args().num("n", 1000);
    let channel = product::channel(&args().str("driver", ""));
    let (sent, called, floor) = (AtomicU64::new(0), AtomicBool::new(false), args().flag("floor"));
    let base = Instant::now();
    let now = || base.elapsed().as_nanos() as u64;
    let mut took: Vec<u32> = std::thread::scope(|scope| {
        let getter = scope.spawn(|| {
            pin(1);
            let mut took = Vec::with_capacity(n);
            while took.len() < n {
                if floor {
                    while !called.swap(false, Ordering::Acquire) {
                        std::thread::park();
                    }
                } else {
                    channel.get_event().expect("an event");
                }
                took.push((now() - sent.load(Ordering::Acquire)) as u32);
            }
            took
        });
        pin(0);
        for _ in 0..n {
            std::thread::sleep(PAUSE);
            sent.store(now(), Ordering::Release);
            if floor {
                called.store(true, Ordering::Release);
                getter.thread().unpark();
            } else {
                channel.post(Request::notification()).expect("posted");
            }
        }
        getter.join().expect("it does not panic")
    });
    out(&[("p50_us", pct(&mut took, 0.5) / 1e3), ("p99_us", pct(&mut took, 0.99) / 1e3)]);
}
