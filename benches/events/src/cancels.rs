//! Timers that are inserted and cancelled: `events cancels n=N driver=.. [raw=1]`. As events, which are delivered; with `raw=1` as
//! operations beneath them, in one block of memory.

use crate::{na, product};
use common::{args, out};
use event_channel::channel::raw::{Op, OpId, Timer};
use event_channel::channel::{EventChannel, EventId, Request};
use std::time::{Duration, Instant};

const BATCH: usize = 1024;
const LONG: Duration = Duration::from_secs(1000);

pub fn run() {
    let (n, channel) = (args().num("n", 1_000_000), product::channel(&args().str("driver", "")));
    // (A round to warm up.)
    let mut ns = 0;
    for _ in 0..2 {
        ns = if args().flag("raw") { raw(&channel, n) } else { events(&channel, n) };
    }
    out(&[("ns", ns as f64 / n as f64)]);
}

fn events(channel: &EventChannel, n: usize) -> u128 {
    let mut got = Vec::with_capacity(BATCH);
    let begun = Instant::now();
    let ids: Vec<EventId> = (0..n).map(|_| channel.post(Request::timer(LONG)).expect("posted")).collect();
    // (Taken in.)
    channel.try_get_event().expect("a look");
    assert!(ids.iter().all(|id| channel.cancel(*id)));
    let mut left = n;
    while left > 0 {
        left -= channel.get_events(&mut got, BATCH, None).expect("events");
        got.clear();
    }
    begun.elapsed().as_nanos()
}

fn raw(channel: &EventChannel, n: usize) -> u128 {
    fn wake(word: usize) {
        // SAFETY: the word is the address of the counter that outlives all of them; one thread drives and counts.
        unsafe { *(word as *mut usize) += 1 };
    }
    let mut woken = 0usize;
    let word = &raw mut woken;
    let mut operations: Vec<Op<Timer>> = (0..n).map(|_| Op::new(Timer, wake, word as usize)).collect();
    let begun = Instant::now();
    let at = begun + LONG;
    let ids: Vec<OpId> = operations
        .iter_mut()
        .map(|operation| {
            operation.set_deadline(Some(at));
            // SAFETY: it stays in the block, untouched, until all have come back.
            unsafe { channel.submit_raw(0, operation.raw()) }
        })
        .collect();
    channel.try_get_event().expect("a look");
    for id in ids {
        // SAFETY: the ids are those of this function's own operations.
        assert!(unsafe { channel.cancel_raw(id) });
    }
    // SAFETY: as in `wake`.
    while unsafe { word.read() } < n {
        if channel.try_get_event().is_err() {
            na("the channel fails");
        }
    }
    begun.elapsed().as_nanos()
}
