//! Nothing is allocated or freed under the channel's locks: an allocator is code of the program's, and may need them itself.
//!
//! The one here ends the process if it is called there, in a debug build, and says where from.

mod common;

use common::{drivers, room, serve};
use ec_channel::raw::{Op, Timer};
use ec_channel::{Completion, Completions, EventChannel, Interest, Request, Source, Wait, lock_held};
use ec_test_support::limit;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Watching;

static CALLS: AtomicUsize = AtomicUsize::new(0);

fn watch() {
    CALLS.fetch_add(1, Ordering::Relaxed);
    let Some(what) = lock_held() else { return };
    let words = |words: &str| {
        // SAFETY: the bytes of a live string.
        unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
    };
    words("\nan allocator was called under ");
    words(what);
    words("\n");
    let mut frames = [std::ptr::null_mut(); 64];
    // SAFETY: room for 64 addresses, of which so many are printed.
    unsafe {
        let n = backtrace(frames.as_mut_ptr(), 64);
        backtrace_symbols_fd(frames.as_ptr(), n, 2);
    }
    std::process::abort();
}

unsafe extern "C" {
    fn backtrace(frames: *mut *mut libc::c_void, room: libc::c_int) -> libc::c_int;
    fn backtrace_symbols_fd(frames: *const *mut libc::c_void, n: libc::c_int, fd: libc::c_int);
}

// SAFETY: it is the system's, after a look.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        watch();
        // SAFETY: by contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: by contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch();
        // SAFETY: by contract.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn each_driver(ports: usize, f: impl Fn(EventChannel)) {
    for driver in drivers() {
        let before = CALLS.load(Ordering::Relaxed);
        f(EventChannel::builder().driver(driver).ports(ports).build().expect("it was there a moment ago"));
        assert!(CALLS.load(Ordering::Relaxed) > before, "the allocator is not ours");
    }
}

#[test]
fn requests_of_every_number_and_kind_are_posted_cancelled_and_got_without_an_allocation_under_a_lock() {
    limit(60, || {
        each_driver(1, |channel| {
            let (a, mut b) = UnixStream::pair().unwrap();
            let a = Source::from(a);
            let n = 3_000;
            for token in 0..n {
                let request = match token % 5 {
                    0 => Request::recv(a.clone(), room(1)),
                    1 => Request::recv(a.clone(), room(1)).within(Duration::from_micros(50 * token)),
                    2 => Request::timer(Duration::from_micros(30 * token)).context(Box::new(vec![token])),
                    3 => Request::readiness(a.clone(), Interest::READABLE),
                    _ => Request::timer(Duration::from_secs(1_000)),
                };
                let cancels = token % 5 == 4 || token % 10 == 3;
                let id = channel.post(request.token(token)).unwrap();
                if token % 3 == 0 {
                    assert!(
                        channel.get_event_timeout(Duration::ZERO).is_ok_and(|it| it.is_none() || token > 0)
                    );
                }
                if cancels {
                    channel.cancel(id);
                }
                if token % 100 == 99 {
                    assert!(!channel.in_flight().unwrap().is_empty());
                }
            }
            let mut got = channel.metrics().completed;
            let mut out = Vec::new();
            b.write_all(&vec![7; 2 * n as usize]).unwrap();
            while channel.metrics().in_flight > 0 {
                got += channel.get_events(&mut out, 1_000, Some(Duration::from_millis(1))).unwrap() as u64;
                out.clear();
            }
            assert!(got > 0);
            let wide = a.clone();
            channel.post(Request::readiness(wide, Interest::READABLE)).unwrap();
            drop(channel);
        })
    });
}

#[test]
fn descriptors_of_high_numbers_and_many_of_them_are_waited_for_without_an_allocation_under_a_lock() {
    limit(60, || {
        each_driver(1, |channel| {
            let pairs: Vec<_> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
            let mut writers = Vec::new();
            for (a, b) in pairs {
                channel.post(Request::recv(a, room(8))).unwrap();
                assert!(channel.try_get_event().unwrap().is_none());
                writers.push(b);
            }
            for writer in &mut writers {
                writer.write_all(b"x").unwrap();
            }
            (0..200).for_each(|_| drop(channel.get_event().unwrap()));
        })
    });
}

#[test]
fn followers_handlers_and_notifications_to_all_do_without_allocations_under_a_lock() {
    limit(60, || {
        each_driver(1, |channel| {
            let (got, handled) = (AtomicUsize::new(0), std::sync::Arc::new(AtomicUsize::new(0)));
            std::thread::scope(|s| {
                for n in 0..12 {
                    let (channel, got) = (&channel, &got);
                    s.spawn(move || {
                        let mut out = Vec::new();
                        loop {
                            let taken = match n % 3 {
                                0 => channel.get_event().map(|_| 1),
                                1 => channel
                                    .get_event_timeout(Duration::from_micros(300))
                                    .map(|it| it.is_some().into()),
                                _ => channel.get_events(&mut out, 7, None),
                            };
                            match taken {
                                Ok(n) => got.fetch_add(n, Ordering::SeqCst),
                                Err(_) => return,
                            };
                            out.clear();
                        }
                    });
                }
                for n in 0..2_000u64 {
                    let request = match n % 8 {
                        0 => Request::timer(Duration::from_micros(n)),
                        1 | 2 => {
                            let handled = handled.clone();
                            let handler = move |_: &EventChannel, _| {
                                handled.fetch_add(1, Ordering::SeqCst);
                            };
                            Request::timer(Duration::ZERO).on_complete(handler)
                        }
                        3 => Request::notification().wake_all(),
                        _ => Request::notification(),
                    };
                    channel.post(request).unwrap();
                }
                while handled.load(Ordering::SeqCst) < 500 || got.load(Ordering::SeqCst) < 1_500 {
                    std::thread::yield_now();
                }
                channel.shutdown();
            });
            assert!(channel.get_event().is_err());
        })
    });
}

#[test]
fn a_pool_serves_its_ports_without_allocations_under_a_lock() {
    limit(60, || {
        each_driver(3, |channel| {
            let serving = serve(&channel);
            let mut out = Completions::new();
            // A burst that no batch has room for; then some more, with a raw operation among them.
            for round in 0..3 {
                for _ in 0..1_000 {
                    channel.post(Request::timer(Duration::ZERO).on_complete(|_, _| ())).unwrap();
                    channel.post(Request::timer(Duration::ZERO).token(1)).unwrap();
                }
                let operation = Op::new(Timer, |_| (), 0);
                // SAFETY: it stays for ever.
                let id = unsafe { channel.submit_raw(round, Box::leak(Box::new(operation)).raw()) };
                // SAFETY: it is ours.
                unsafe { channel.cancel_raw(id) };
                while channel.metrics().in_flight > 0 {
                    for port in 0..3 {
                        serving.glance(port, &mut out).unwrap();
                        serving.drive(port, Wait::No, &mut out).unwrap();
                        for it in out.drain() {
                            match it {
                                Completion::Raw(operation) => operation.deliver(),
                                Completion::Call(call) => call.run(),
                            }
                        }
                    }
                }
            }
            // Left in all three ports, for those who get: they sleep outside of them.
            for _ in 0..3 {
                channel.post(Request::timer(Duration::from_secs(1_000))).unwrap();
            }
            drop(serving);
            (0..3_000).for_each(|_| assert_eq!(channel.get_event().unwrap().token(), 1));
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            channel.shutdown();
            while channel.get_event().is_ok() {}
        })
    });
}
