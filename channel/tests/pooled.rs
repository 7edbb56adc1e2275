//! Receives that take a buffer when there is something: no buffer for those that wait, none is lost, and who lacks one waits for it.

mod common;

use common::{Random, drivers, each_driver, is_left_alone, none_for};
use ec_channel::{BufferPool, Event, EventChannel, EventId, Request};
use ec_test_support::limit;
use ec_unkind as _;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(10);

fn streams(count: usize) -> (Vec<Arc<UnixStream>>, Vec<UnixStream>) {
    (0..count).map(|_| UnixStream::pair().unwrap()).map(|(near, far)| (Arc::new(near), far)).unzip()
}

#[test]
fn those_that_wait_hold_no_buffer() {
    limit(60, || {
        each_driver(|channel| {
            const COUNT: usize = 200;
            let pool = BufferPool::new(3, 16);
            let (near, mut far) = streams(COUNT);
            for (n, socket) in near.iter().enumerate() {
                channel.post(Request::recv_pooled(socket.clone(), &pool).token(n as u64)).unwrap();
            }
            none_for(&channel, SOON);
            assert_eq!(pool.available(), 3);
            // All at once, for three buffers.
            for far in &mut far {
                far.write_all(b"x").unwrap();
            }
            let mut held: Vec<Event> = (0..3).map(|_| channel.get_event().unwrap()).collect();
            none_for(&channel, SOON);
            assert_eq!(pool.available(), 0);
            let mut seen = [false; COUNT];
            for left in (0..COUNT).rev() {
                let event = held.pop().unwrap();
                assert_eq!(event.buffer(), b"x");
                assert!(!std::mem::replace(&mut seen[event.token() as usize], true));
                drop(event);
                if left >= 3 {
                    held.push(channel.get_event().unwrap());
                }
            }
            assert!(held.is_empty() && pool.available() == 3);
        })
    });
}

/// Neither the driver nor the port looks at what there is until a buffer comes back.
#[test]
fn who_lacks_a_buffer_is_not_looked_at() {
    limit(30, || {
        each_driver(|channel| {
            let pool = BufferPool::new(1, 16);
            let (near, mut far) = streams(2);
            for (near, far) in near.iter().zip(&mut far) {
                far.write_all(b"x").unwrap();
                channel.post(Request::recv_pooled(near.clone(), &pool)).unwrap();
            }
            let held = channel.get_event().unwrap();
            none_for(&channel, SOON);
            is_left_alone(&channel, 3 * SOON);
            drop(held);
            assert_eq!(channel.get_event().unwrap().buffer(), b"x");
        })
    });
}

/// Posts a receive from a socket on which there is something, and lets the port see that.
fn lacking(channel: &EventChannel, pool: &BufferPool, token: u64) -> (EventId, Arc<UnixStream>, UnixStream) {
    let (near, mut far) = UnixStream::pair().unwrap();
    let near = Arc::new(near);
    far.write_all(b"some").unwrap();
    let id = channel.post(Request::recv_pooled(near.clone(), pool).token(token)).unwrap();
    none_for(channel, SOON);
    (id, near, far)
}

#[test]
fn a_buffer_that_comes_back_goes_to_the_first_that_can_use_it() {
    limit(30, || {
        each_driver(|channel| {
            let pool = BufferPool::new(1, 16);
            let (_near, held) = {
                let (near, far) = UnixStream::pair().unwrap();
                (&far).write_all(b"first").unwrap();
                channel.post(Request::recv_pooled(near, &pool)).unwrap();
                (far, channel.get_event().unwrap())
            };
            let [a, b, c, d] = [1, 2, 3, 4].map(|token| lacking(&channel, &pool, token));
            // One is given up, and somebody else takes what another one waits for.
            channel.cancel(a.0);
            let event = channel.get_event().unwrap();
            assert!(event.is_cancelled() && event.token() == 1);
            (&*b.1).read_exact(&mut [0; 4]).unwrap();
            drop(held);
            let event = channel.get_event().unwrap();
            assert_eq!((event.token(), event.buffer(), pool.available()), (3, &b"some"[..], 0));
            none_for(&channel, SOON);
            drop(event);
            let event = channel.get_event().unwrap();
            assert_eq!((event.token(), event.buffer()), (4, &b"some"[..]));
            drop((event, c, d));
            // That one waits for more.
            none_for(&channel, SOON);
            (&b.2).write_all(b"more").unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!((event.token(), event.buffer()), (2, &b"more"[..]));
        })
    });
}

/// From several channels, driven by several threads, with events dropped, used again, cancelled: all bytes come, and all buffers are back.
#[test]
fn a_pool_that_many_share_loses_nothing() {
    limit(120, || {
        for driver in drivers() {
            let pool = BufferPool::new(3, 7);
            let channels: Vec<_> =
                (0..2).map(|_| EventChannel::builder().driver(driver).build().unwrap()).collect();
            let rounds = if cfg!(debug_assertions) { 4_000 } else { 40_000 };
            let (sum, came) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let over = AtomicBool::new(false);
            let (near, far) = streams(24);
            std::thread::scope(|scope| {
                for (n, channel) in channels.iter().enumerate() {
                    let mine = || near.iter().enumerate().filter(move |(at, _)| at % 2 == n);
                    for (at, socket) in mine() {
                        channel.post(Request::recv_pooled(socket.clone(), &pool).token(at as u64)).unwrap();
                    }
                    let ids = Arc::new(Mutex::new(Vec::new()));
                    for getter in 0..2 {
                        let (sum, came, ids, near, pool) = (&sum, &came, ids.clone(), &near, &pool);
                        scope.spawn(move || {
                            let mut random = Random(0x9001 + getter + 2 * n as u64);
                            while let Ok(event) = channel.get_event() {
                                let all = event.buffer().iter().map(|byte| usize::from(*byte)).sum();
                                sum.fetch_add(all, Ordering::SeqCst);
                                came.fetch_add(event.buffer().len(), Ordering::SeqCst);
                                let at = event.token();
                                let next = match random.below(3) {
                                    0 => Request::recv_pooled(near[at as usize].clone(), pool).token(at),
                                    _ => event.again(),
                                };
                                let next = if random.below(4) == 0 {
                                    next.within(Duration::from_micros(random.below(500)))
                                } else {
                                    next
                                };
                                let Ok(id) = channel.post(next) else { break };
                                ids.lock().unwrap().push(id);
                            }
                        });
                    }
                    let over = &over;
                    scope.spawn(move || {
                        while !over.load(Ordering::SeqCst) {
                            let some = std::mem::take(&mut *ids.lock().unwrap());
                            some.iter().step_by(3).for_each(|id| _ = channel.cancel(*id));
                            std::thread::yield_now();
                        }
                    });
                }
                let mut random = Random(0xfeed);
                let (mut sent, mut due) = (0, 0);
                for _ in 0..rounds {
                    let byte = random.below(256) as u8;
                    let bytes = vec![byte; 1 + random.below(20) as usize];
                    let mut to = &far[random.below(24) as usize];
                    to.write_all(&bytes).unwrap();
                    (sent, due) = (sent + bytes.len(), due + usize::from(byte) * bytes.len());
                }
                while came.load(Ordering::SeqCst) < sent {
                    std::thread::yield_now();
                }
                over.store(true, Ordering::SeqCst);
                channels.iter().for_each(EventChannel::shutdown);
                assert_eq!((came.load(Ordering::SeqCst), sum.load(Ordering::SeqCst)), (sent, due));
            });
            drop(channels);
            assert_eq!(pool.available(), 3, "{driver}");
        }
    });
}
