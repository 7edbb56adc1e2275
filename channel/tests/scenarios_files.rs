//! What libevent's and other programs' tests of asynchronous files do, written anew: reads and writes from handlers, many at once, files and
//! sockets in one loop, odd lengths and places, and how many system calls it takes.

mod common;

use common::{all_drivers, room};
use ec_channel::{Driver, Event, EventChannel, Request};
use ec_test_support::{each_system_call, limit, skipped};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BLOCK: usize = 4096;

/// Nobody else has it, and it has no name.
fn scratch() -> File {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let name = format!("ec-files-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// Block `n` is full of this.
fn block(n: usize) -> Vec<u8> {
    (n as u32).to_ne_bytes().repeat(BLOCK / 4)
}

fn numbered(blocks: usize) -> Arc<File> {
    let file = scratch();
    (0..blocks).for_each(|n| file.write_all_at(&block(n), at(n)).unwrap());
    Arc::new(file)
}

fn at(n: usize) -> u64 {
    (n * BLOCK) as u64
}

/// Also that which has one request at a time.
fn each_driver(f: impl Fn(EventChannel)) {
    for driver in all_drivers() {
        eprintln!("on {driver}");
        f(EventChannel::builder().driver(driver).build().unwrap());
    }
}

/// Gets events, whose handlers go on, until `over`.
fn run_until(channel: &EventChannel, over: impl Fn() -> bool) {
    while !over() {
        let got = channel.get_event_timeout(Duration::from_millis(1)).unwrap();
        assert!(got.is_none(), "what has a handler is not got: {got:?}");
    }
}

#[test]
fn a_file_is_copied_by_handlers_that_read_and_write_in_turn() {
    const BLOCKS: usize = 100;
    limit(60, || {
        each_driver(|channel| {
            let (from, to) = (numbered(BLOCKS), Arc::new(scratch()));
            let copied = Arc::new(AtomicUsize::new(0));
            // Four at a time, each with a buffer that goes back and forth.
            for lane in 0..4 {
                copy(&channel, from.clone(), to.clone(), copied.clone(), lane, room(BLOCK));
            }
            run_until(&channel, || copied.load(Ordering::SeqCst) == BLOCKS);
            let mut content = vec![0; BLOCKS * BLOCK + 1];
            assert_eq!(to.read_at(&mut content, 0).unwrap(), BLOCKS * BLOCK);
            assert!((0..BLOCKS).all(|n| content[n * BLOCK..][..BLOCK] == block(n)));
        })
    });

    fn copy(
        channel: &EventChannel,
        from: Arc<File>,
        to: Arc<File>,
        copied: Arc<AtomicUsize>,
        n: usize,
        buffer: Vec<u8>,
    ) {
        let read = Request::read_at(from.clone(), buffer, at(n));
        let read = read.on_complete(move |channel, mut event| {
            if event.result().unwrap() == 0 {
                return;
            }
            let (from, target, copied) = (from.clone(), to.clone(), copied.clone());
            let write = Request::write_at(to.clone(), event.take_buffer(), at(n));
            let write = write.on_complete(move |channel, mut event| {
                assert_eq!(event.result().unwrap(), BLOCK);
                copied.fetch_add(1, Ordering::SeqCst);
                copy(channel, from.clone(), target.clone(), copied.clone(), n + 4, event.take_buffer());
            });
            channel.post(write).unwrap();
        });
        channel.post(read).unwrap();
    }
}

#[test]
fn a_thousand_buffers_are_in_flight_at_once() {
    const BLOCKS: usize = 1000;
    limit(60, || {
        each_driver(|channel| {
            let file = Arc::new(scratch());
            let write = |n| Request::write_at(file.clone(), block(n), at(n)).token(n as u64);
            channel.post_all((0..BLOCKS).map(write)).unwrap();
            assert_eq!(channel.metrics().in_flight, BLOCKS as u64);
            let mut events: Vec<Event> = Vec::new();
            while events.len() < BLOCKS {
                channel.get_events(&mut events, BLOCKS, None).unwrap();
            }
            assert!(events.iter().all(|event| event.result().unwrap() == BLOCK));
            // Each buffer is read into again, from another place.
            let read = |mut event: Event| {
                let n = BLOCKS - 1 - event.token() as usize;
                Request::read_at(file.clone(), event.take_buffer(), at(n)).token(n as u64)
            };
            channel.post_all(events.drain(..).map(read)).unwrap();
            while events.len() < BLOCKS {
                channel.get_events(&mut events, BLOCKS, None).unwrap();
            }
            events.sort_by_key(Event::token);
            assert!((0..BLOCKS).all(|n| events[n].token() == n as u64 && events[n].buffer() == block(n)));
        })
    });
}

/// Each comes back once, done or cancelled, and a buffer is filled just if it is done.
#[test]
fn of_many_that_are_cancelled_each_comes_back_as_it_is() {
    const BLOCKS: usize = 500;
    limit(60, || {
        each_driver(|channel| {
            let (file, written) = (numbered(BLOCKS), Arc::new(scratch()));
            written.set_len(at(BLOCKS)).unwrap();
            let mut ids = Vec::new();
            for n in 0..BLOCKS {
                let read = Request::read_at(file.clone(), room(BLOCK), at(n)).token(n as u64);
                let write = Request::write_at(written.clone(), block(n), at(n)).token((BLOCKS + n) as u64);
                ids.extend([channel.post(read).unwrap(), channel.post(write).unwrap()]);
            }
            // These are not begun yet, and never will be; of the others some may be done by the time that they are cancelled.
            let cancel =
                |from, step| ids.iter().skip(from).step_by(step).filter(|id| channel.cancel(**id)).count();
            let never = cancel(0, 3);
            assert_eq!(never, ids.len().div_ceil(3));
            let mut came: Vec<Event> = Vec::new();
            while came.len() < never {
                came.extend(channel.get_event_timeout(Duration::ZERO).unwrap());
            }
            cancel(1, 2);
            while came.len() < 2 * BLOCKS {
                came.push(channel.get_event().unwrap());
            }
            let mut content = room(BLOCKS * BLOCK);
            content.resize(BLOCKS * BLOCK, 0);
            written.read_exact_at(&mut content, 0).unwrap();
            came.sort_by_key(Event::token);
            assert!(came.iter().filter(|event| event.is_cancelled()).count() >= never);
            for (token, event) in came.iter().enumerate() {
                let (n, is_done) = (token % BLOCKS, event.result().is_ok());
                assert_eq!(event.token(), token as u64);
                assert!(is_done || event.is_cancelled(), "{event:?}");
                if token < BLOCKS {
                    assert!(event.buffer() == if is_done { block(n) } else { Vec::new() });
                } else {
                    let due = if is_done { block(n) } else { vec![0; BLOCK] };
                    assert!(content[n * BLOCK..][..BLOCK] == due, "{event:?}");
                }
            }
            assert!(channel.try_get_event().unwrap().is_none());
        })
    });
}

/// A small server: a peer names a block by its number, and is sent it.
#[test]
fn files_and_sockets_are_served_by_one_loop() {
    const BLOCKS: usize = 64;
    limit(60, || {
        // (With one request at a time a receive that waits would hold up the rest.)
        common::each_driver(|channel| {
            let file = numbered(BLOCKS);
            let mut peers = Vec::new();
            for lane in 0..4u64 {
                let (near, far) = UnixStream::pair().unwrap();
                let near = Arc::new(near);
                channel.post(Request::recv(near.clone(), room(1)).token(lane)).unwrap();
                peers.push((near, far));
            }
            std::thread::scope(|s| {
                let clients: Vec<_> = peers
                    .iter()
                    .map(|(_, far)| {
                        s.spawn(move || {
                            let (mut far, mut got) = (far, vec![0; BLOCK]);
                            for n in 0..BLOCKS {
                                far.write_all(&[n as u8]).unwrap();
                                far.read_exact(&mut got).unwrap();
                                assert!(got == block(n));
                            }
                            far.shutdown(std::net::Shutdown::Write).unwrap();
                        })
                    })
                    .collect();
                let mut open = peers.len();
                while open > 0 {
                    let mut event = channel.get_event().unwrap();
                    let (lane, n) = (event.token(), event.result().unwrap());
                    let near = peers[lane as usize].0.clone();
                    let next = match event.kind() {
                        ec_channel::EventKind::Recv if n == 0 => {
                            open -= 1;
                            continue;
                        }
                        ec_channel::EventKind::Recv => {
                            Request::read_at(file.clone(), room(BLOCK), at(event.buffer()[0].into()))
                        }
                        ec_channel::EventKind::ReadAt => Request::write(near, event.take_buffer()),
                        _ => {
                            assert_eq!(n, BLOCK);
                            Request::recv(near, room(1))
                        }
                    };
                    channel.post(next.token(lane)).unwrap();
                }
                clients.into_iter().for_each(|client| client.join().unwrap());
            });
        })
    });
}

/// Threads that post one thing each, and are gone by the time that it is done.
#[test]
fn posts_of_threads_that_exit_at_once_are_carried_out() {
    const BLOCKS: usize = 200;
    limit(60, || {
        each_driver(|channel| {
            let (file, log) = (numbered(BLOCKS), Arc::new(Mutex::new(Vec::new())));
            let done = Arc::new(AtomicUsize::new(0));
            std::thread::scope(|s| {
                for n in 0..BLOCKS {
                    let (file, log, done) = (file.clone(), log.clone(), done.clone());
                    let channel = &channel;
                    s.spawn(move || {
                        let read = Request::read_at(file, room(BLOCK), at(n));
                        let read = read.on_complete(move |_, event| {
                            assert!(event.buffer() == block(n));
                            log.lock().unwrap().push(n);
                            done.fetch_add(1, Ordering::SeqCst);
                        });
                        channel.post(read).unwrap();
                    });
                }
                run_until(&channel, || done.load(Ordering::SeqCst) == BLOCKS);
            });
            let mut log = std::mem::take(&mut *log.lock().unwrap());
            log.sort();
            assert!(log.into_iter().eq(0..BLOCKS));
        })
    });
}

/// More is asked for than a call transfers: 2,147,479,552 bytes. (No page of these buffers is touched.)
#[test]
fn oversize_buffers_are_capped_as_the_kernel_does() {
    const MOST: usize = 0x7fff_f000;
    /// Its lower 32 bits are few.
    const LEN: usize = (1 << 32) + 16;
    let mut large = room(0);
    if large.try_reserve_exact(LEN).is_err() {
        return skipped("there is no such room");
    }
    limit(60, || {
        let large = Mutex::new(large);
        each_driver(|channel| {
            let come_of = |request| {
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!(event.failure(), None);
                event
            };
            let file = scratch();
            file.write_all_at(b"all there is", 0).unwrap();
            let file = Arc::new(file);
            let mut buffer = std::mem::take(&mut *large.lock().unwrap());
            for read in
                [|file, buffer| Request::read_at(file, buffer, 0), |file, buffer| Request::read(file, buffer)]
                    as [fn(Arc<File>, Vec<u8>) -> Request; 2]
            {
                let mut event = come_of(read(file.clone(), buffer));
                assert_eq!(event.buffer(), b"all there is");
                buffer = event.take_buffer();
                assert_eq!(buffer.capacity(), LEN);
            }
            let mut event = come_of(Request::read_at_vectored(file, vec![buffer, room(1)], 0));
            buffer = event.take_buffers().swap_remove(0);
            assert_eq!(buffer, b"all there is");
            *large.lock().unwrap() = buffer;
            // What the kernel makes as zeroes, and /dev/null does not look at.
            let null = || OpenOptions::new().write(true).open("/dev/null").unwrap();
            let Some(zeroes) = zeroes(LEN) else { return skipped("there is no such room") };
            let mut event = come_of(Request::write_at(null(), zeroes, 0));
            assert_eq!(event.result().unwrap(), MOST);
            let mut event = come_of(Request::write(null(), event.take_buffer()));
            assert_eq!(event.result().unwrap(), MOST);
            let buffers = vec![event.take_buffer(), vec![0; 16]];
            assert_eq!(come_of(Request::write_at_vectored(null(), buffers, 0)).result().unwrap(), MOST);
        });
    });
}

fn zeroes(len: usize) -> Option<Vec<u8>> {
    let layout = std::alloc::Layout::array::<u8>(len).ok()?;
    // SAFETY: of this layout a vector is that has so much room, all of which is filled.
    unsafe {
        let at = std::alloc::alloc_zeroed(layout);
        (!at.is_null()).then(|| Vec::from_raw_parts(at, len, len))
    }
}

/// The system calls of one thread that posts so many and gets what comes of them.
fn calls_of(count: usize, make: impl Fn() -> Request + Sync + Send) -> std::io::Result<Vec<libc::c_long>> {
    each_system_call(|watch| {
        let channel = EventChannel::builder().driver(Driver::IoUring).build().unwrap();
        let mut events = Vec::with_capacity(count);
        // (The first one prepares what comes once.)
        channel.post(make()).unwrap();
        channel.get_event().unwrap();
        watch.note(|| {
            for _ in 0..count {
                channel.post(make()).unwrap();
            }
            while events.len() < count {
                channel.get_events(&mut events, count, None).unwrap();
            }
        });
        assert!(events.iter().all(|event| event.result().unwrap() == 8), "{events:?}");
    })
}

/// Of what the ring does without waiting: else a thread that waits calls again.
#[test]
fn requests_accumulate_and_go_to_the_kernel_in_one_system_call() {
    if !common::drivers().contains(&Driver::IoUring) {
        return;
    }
    limit(60, || {
        let null = Arc::new(OpenOptions::new().write(true).open("/dev/null").unwrap());
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = Arc::new(std::os::fd::OwnedFd::from(reader));
        let write = || Request::write_at(null.clone(), vec![7; 8], 0);
        let read = || Request::read(reader.clone(), room(8));
        // (As many as the queue takes, and one more.)
        for (count, due) in [(1, 1), (32, 1), (128, 1), (129, 2)] {
            writer.write_all(&vec![1; 8 * (count + 1)]).unwrap();
            for calls in [calls_of(count, write), calls_of(count, read)] {
                let calls = match calls {
                    Ok(calls) => calls,
                    Err(error) => {
                        return skipped(&format!("system calls cannot be watched here: {error}"));
                    }
                };
                let enters = calls.iter().filter(|call| **call == libc::SYS_io_uring_enter).count();
                assert_eq!(enters, due, "{count} requests: {calls:?}");
            }
        }
    });
}
