//! An allocator that uses the channel itself, at any moment at which something is allocated or freed.

mod common;

use common::{Random, drivers, serve};
use ec_channel::{Completions, EventChannel, Request, Source, Wait};
use ec_test_support::limit;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

struct Posting;

/// Where to post to; never freed.
static CHANNEL: AtomicPtr<EventChannel> = AtomicPtr::new(ptr::null_mut());
static POSTED: AtomicU64 = AtomicU64::new(0);
static GOT: AtomicU64 = AtomicU64::new(0);
/// So many threads ask that channel for something.
static ASKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static TURN: Cell<u64> = const { Cell::new(0) };
}

thread_local! {
    /// On this thread every allocation waits for an event of this channel.
    static WAITS: Cell<Option<&'static EventChannel>> = const { Cell::new(None) };
    static REFUSED: Cell<u64> = const { Cell::new(0) };
}

fn waits(channel: &EventChannel) {
    if INSIDE.replace(true) {
        return;
    }
    channel.post(Request::timer(Duration::from_micros(100)).token(1)).unwrap();
    match channel.get_event() {
        Ok(event) => assert_eq!(event.token(), 1),
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::Deadlock);
            // (Nor does it wait for itself to tell what is in flight.)
            assert_eq!(channel.in_flight().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
            REFUSED.set(REFUSED.get() + 1);
        }
    }
    INSIDE.set(false);
}

/// At each sixteenth call on a thread it posts; at each sixty-fourth it looks for an event, too, and asks for all that can be asked.
fn hostile() {
    if let Some(channel) = WAITS.get() {
        return waits(channel);
    }
    if INSIDE.replace(true) {
        return;
    }
    ASKING.fetch_add(1, Ordering::SeqCst);
    // SAFETY: what it points to is never freed.
    if let Some(channel) = unsafe { CHANNEL.load(Ordering::SeqCst).as_ref() } {
        ask(channel);
    }
    ASKING.fetch_sub(1, Ordering::SeqCst);
    INSIDE.set(false);
}

fn ask(channel: &EventChannel) {
    let turn = TURN.get() + 1;
    TURN.set(turn);
    if turn.is_multiple_of(16)
        && let Ok(id) = channel.post(Request::notification().token(u64::MAX))
    {
        POSTED.fetch_add(1, Ordering::Relaxed);
        channel.cancel(id);
    }
    if turn.is_multiple_of(64) {
        let _ = (channel.metrics(), channel.is_asleep(0));
        if turn.is_multiple_of(256) {
            let _ = channel.in_flight();
        }
        let got = if turn.is_multiple_of(512) {
            channel.get_event_timeout(Duration::from_micros(100))
        } else {
            channel.try_get_event()
        };
        GOT.fetch_add(u64::from(matches!(got, Ok(Some(_)))), Ordering::Relaxed);
        if let Ok(id) = channel.post(Request::timer(Duration::from_micros(turn % 300))) {
            POSTED.fetch_add(1, Ordering::Relaxed);
            if turn.is_multiple_of(128) {
                channel.cancel(id);
            }
        }
    }
}

// SAFETY: it is the system's, with something before. What that allocates goes to the system's at once.
unsafe impl GlobalAlloc for Posting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hostile();
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        hostile();
        // SAFETY: by contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        hostile();
        // SAFETY: by contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Posting = Posting;

#[test]
fn an_allocator_that_posts_and_gets_waits_for_nothing_and_loses_nothing() {
    limit(120, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            POSTED.store(0, Ordering::Relaxed);
            GOT.store(0, Ordering::Relaxed);
            CHANNEL.store(Box::into_raw(Box::new(channel.clone())), Ordering::Release);
            let (a, _b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            let (end, handled) = (AtomicBool::new(false), std::sync::Arc::new(AtomicUsize::new(0)));
            std::thread::scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        while channel.get_event().is_ok() {
                            GOT.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
                let posters: Vec<_> = (0..2)
                    .map(|n| {
                        let (channel, a, handled) = (&channel, &a, &handled);
                        s.spawn(move || {
                            let mut random = Random(n + 1);
                            for _ in 0..3_000 {
                                let handled = handled.clone();
                                let request = match random.below(5) {
                                    0 => Request::recv(a.clone(), Vec::with_capacity(1))
                                        .within(Duration::from_micros(random.below(3_000))),
                                    1 => Request::timer(Duration::from_micros(random.below(3_000))),
                                    2 => Request::notification().wake_all(),
                                    3 => Request::timer(Duration::ZERO).on_complete(move |_, _| {
                                        handled.fetch_add(1, Ordering::Relaxed);
                                    }),
                                    _ => Request::recv(a.clone(), Vec::with_capacity(1)),
                                };
                                let cancels = random.below(5) == 0;
                                let id = channel.post(request).unwrap();
                                if cancels {
                                    channel.cancel(id);
                                }
                            }
                        })
                    })
                    .collect();
                posters.into_iter().for_each(|p| p.join().unwrap());
                channel.shutdown();
                end.store(true, Ordering::Relaxed);
            });
            CHANNEL.store(ptr::null_mut(), Ordering::SeqCst);
            // (Another test's threads may have got one, and not counted it yet.)
            while ASKING.load(Ordering::SeqCst) > 0 {
                std::thread::yield_now();
            }
            let m = channel.metrics();
            let (posted, got) = (POSTED.load(Ordering::Relaxed), GOT.load(Ordering::Relaxed));
            println!(
                "{driver}: {} events, {posted} of them the allocator's, {} handlers",
                m.posted,
                handled.load(Ordering::Relaxed)
            );
            assert!(posted > 100, "the allocator was to post, not {posted} times");
            assert_eq!(m.in_flight, 0);
            assert_eq!(got + handled.load(Ordering::Relaxed) as u64, m.posted, "each comes back once");
        }
    });
}

const ROUNDS: usize = 20;

#[test]
fn an_allocator_that_waits_for_an_event_does_not_wait_for_its_own_thread() {
    limit(60, || {
        for driver in drivers() {
            // (It is not that of the other test, which runs at the same time.)
            let built = EventChannel::builder().driver(driver).ports(2).build().unwrap();
            let channel: &EventChannel = Box::leak(Box::new(built));
            REFUSED.set(0);
            let (asked, posted) = (AtomicUsize::new(0), AtomicUsize::new(0));
            std::thread::scope(|s| {
                // So many that what the port knows of each needs more memory, in a pass of whoever leads.
                s.spawn(|| {
                    for round in 1..=ROUNDS {
                        while asked.load(Ordering::Acquire) < round {
                            std::thread::yield_now();
                        }
                        for _ in 0..500 {
                            channel.post(Request::timer(Duration::from_millis(1)).token(1)).unwrap();
                        }
                        posted.store(round, Ordering::Release);
                    }
                });
                let mut out = Vec::with_capacity(1);
                for round in 1..=ROUNDS {
                    asked.store(round, Ordering::Release);
                    while posted.load(Ordering::Acquire) < round {
                        std::hint::spin_loop();
                    }
                    WAITS.set(Some(channel));
                    let got = channel.get_events(&mut out, 1, Some(Duration::from_micros(300)));
                    WAITS.set(None);
                    got.unwrap();
                    out.clear();
                }
            });
            assert!(REFUSED.get() > 0, "no allocation of the leader's was seen");
            while channel.metrics().in_flight > 0 {
                let _ = channel.get_event_timeout(Duration::from_millis(1));
            }
        }
    });
}

#[test]
fn nor_does_one_that_is_called_while_the_port_is_driven_for_a_pool() {
    limit(60, || {
        for driver in drivers() {
            let built = EventChannel::builder().driver(driver).build().unwrap();
            let channel: &EventChannel = Box::leak(Box::new(built));
            let serving = serve(channel);
            REFUSED.set(0);
            let mut out = Completions::new();
            for _ in 0..ROUNDS {
                for _ in 0..500 {
                    channel.post(Request::timer(Duration::from_millis(1)).token(1)).unwrap();
                }
                WAITS.set(Some(channel));
                let driven = serving.drive(0, Wait::No, &mut out);
                let glanced = serving.glance(0, &mut out);
                WAITS.set(None);
                assert!(driven.unwrap() && glanced.unwrap());
            }
            assert!(REFUSED.get() > 0, "no allocation in a pass was seen");
            drop(serving);
            while channel.metrics().in_flight > 0 {
                channel.get_event_timeout(Duration::from_millis(1)).unwrap();
            }
        }
    });
}
