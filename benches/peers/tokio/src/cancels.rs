//! Timers that are inserted and cancelled: `cancels n=N`. Each is polled once, which inserts it, and dropped.

use common::{args, out};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

const LONG: Duration = Duration::from_secs(1000);

pub fn run() {
    let n = args().num("n", 1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let ns = runtime.block_on(async {
        round(n);
        round(n)
    });
    out(&[("ns", ns as f64 / n as f64)]);
}

fn round(n: usize) -> u128 {
    let mut context = Context::from_waker(Waker::noop());
    let mut timers: Vec<Option<Sleep>> = (0..n).map(|_| None).collect();
    let begun = Instant::now();
    for timer in &mut timers {
        let timer = timer.insert(tokio::time::sleep(LONG));
        // SAFETY: it stays in the block until it is dropped there.
        assert!(unsafe { Pin::new_unchecked(timer) }.poll(&mut context).is_pending());
    }
    for timer in &mut timers {
        *timer = None;
    }
    begun.elapsed().as_nanos()
}
