//! A logger that panics, and uses channels, at whatever the channel has to say.

mod common;

use common::{drivers, serve};
use ec_channel::raw::{Op, Timer};
use ec_channel::{EventChannel, Request, lock_held};
use ec_test_support::limit;
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Hostile;

static CHANNEL: OnceLock<EventChannel> = OnceLock::new();
static LINES: AtomicUsize = AtomicUsize::new(0);
static PANICS: AtomicUsize = AtomicUsize::new(0);
static POSTED: AtomicUsize = AtomicUsize::new(0);

thread_local!(static INSIDE: Cell<bool> = const { Cell::new(false) });

impl log::Log for Hostile {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if lock_held().is_some() {
            eprintln!("a line under a lock: {}", record.args());
            std::process::abort();
        }
        let n = LINES.fetch_add(1, Ordering::SeqCst);
        if INSIDE.replace(true) {
            return;
        }
        if let Some(channel) = CHANNEL.get() {
            channel.post(Request::notification()).unwrap();
            channel.post(Request::timer(Duration::ZERO)).unwrap();
            (0..2).for_each(|_| drop(channel.get_event().unwrap()));
            POSTED.fetch_add(2, Ordering::SeqCst);
        }
        drop(EventChannel::new());
        INSIDE.set(false);
        if n.is_multiple_of(2) {
            PANICS.fetch_add(1, Ordering::SeqCst);
            panic!("a logger, as the test wants: {}", record.args());
        }
    }

    fn flush(&self) {}
}

#[test]
fn a_logger_may_panic_and_use_channels_at_every_line() {
    limit(60, || {
        log::set_logger(&Hostile).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let _ = CHANNEL.set(EventChannel::new().unwrap());
        for driver in drivers() {
            for _ in 0..20 {
                let channel = EventChannel::builder().driver(driver).build().unwrap();
                channel.post(Request::notification().on_complete(|_, _| panic!("a handler's"))).unwrap();
                channel.post(Request::timer(Duration::from_millis(1)).token(3)).unwrap();
                assert_eq!(channel.get_event().unwrap().token(), 3);
                let wake = |_| panic!("a wake function's");
                // SAFETY: it stays for ever.
                unsafe { channel.submit_raw(0, Box::leak(Box::new(Op::new(Timer, wake, 0))).raw()) };
                assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
                drop(serve(&channel));
                channel.shutdown();
                assert!(channel.get_event().is_err());
                assert_eq!(channel.metrics().handlers_due, 0);
            }
        }
        let [lines, panics, posted] = [&LINES, &PANICS, &POSTED].map(|n| n.load(Ordering::SeqCst));
        println!("{lines} lines, {panics} panics, {posted} events posted by the logger");
        assert!(lines > 100 && panics > 50 && posted > 100);
    });
}
