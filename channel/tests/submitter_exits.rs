//! What a ring is asked for belongs to the thread that asked. If that exits, what is under way is done all the same.

mod common;

use common::{each_driver, room};
use ec_channel::{EventChannel, Request};
use ec_test_support::limit;
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

const BLOCK: usize = 4096;

/// Of so many blocks, each full of its number.
fn numbered(blocks: usize) -> File {
    let (file, path) = common::new_file("numbered", 0).unwrap();
    std::fs::remove_file(path).unwrap();
    for at in 0..blocks {
        file.write_all_at(&[at as u8; BLOCK], (at * BLOCK) as u64).unwrap();
    }
    file.sync_all().unwrap();
    file
}

/// Nothing of it is cached, if the file system lets go of it.
fn forget_cached(file: &File) {
    // SAFETY: no pointer is passed.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Which is not read ahead.
fn cache(file: &File, bytes: usize) {
    for advice in [libc::POSIX_FADV_RANDOM, libc::POSIX_FADV_NORMAL] {
        // SAFETY: no pointer is passed.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, advice) };
        if advice == libc::POSIX_FADV_RANDOM {
            file.read_exact_at(&mut vec![0; bytes], 0).unwrap();
        }
    }
}

/// (On ext4 and Linux 6.18 each of them ends with what was cached.)
#[test]
fn reads_whose_submitter_exits_are_not_cut_short() {
    const BLOCKS: usize = 256;
    limit(120, || {
        each_driver(|channel| {
            let file = Arc::new(numbered(BLOCKS));
            let all: Vec<u8> = (0..BLOCKS).flat_map(|at| [at as u8; BLOCK]).collect();
            let single = || Request::read_at(file.clone(), room(all.len()), 0);
            let vectored =
                || Request::read_at_vectored(file.clone(), vec![room(BLOCK), room(all.len() - BLOCK)], 0);
            for make in [&single as &(dyn Fn() -> Request + Sync), &vectored] {
                for _ in 0..10 {
                    forget_cached(&file);
                    cache(&file, 16 * BLOCK);
                    let exits = || {
                        channel.post(make()).unwrap();
                        channel.get_event_timeout(Duration::ZERO).unwrap()
                    };
                    let early = std::thread::scope(|s| s.spawn(exits).join().unwrap());
                    let event = early.unwrap_or_else(|| channel.get_event().unwrap());
                    assert_eq!(event.result().unwrap(), all.len());
                    let came = if event.buffers().is_empty() {
                        event.buffer().to_vec()
                    } else {
                        event.buffers().concat()
                    };
                    assert!(came == all);
                }
            }
        })
    });
}

struct AtEnd(EventChannel, Arc<File>);

impl Drop for AtEnd {
    fn drop(&mut self) {
        for at in 0..16 {
            self.0.post(Request::read_at(self.1.clone(), room(BLOCK), at * 4 * BLOCK as u64)).unwrap();
        }
        // Submits them.
        if self.0.get_event_timeout(Duration::ZERO).unwrap().is_some() {
            self.0.post(Request::notification()).unwrap();
        }
    }
}

/// What a thread-local's destructor submits comes as well, also when the channel's own ones have gone.
#[test]
fn reads_of_a_thread_that_ends_already_come_with_their_bytes() {
    thread_local!(static FIRST: RefCell<Option<AtEnd>> = const { RefCell::new(None) });
    limit(120, || {
        each_driver(|channel| {
            let file = Arc::new(numbered(64));
            for _ in 0..10 {
                forget_cached(&file);
                std::thread::scope(|s| {
                    s.spawn(|| {
                        FIRST.set(Some(AtEnd(channel.clone(), file.clone())));
                        channel.post(Request::timer(Duration::from_micros(1))).unwrap();
                        channel.get_event().unwrap();
                    });
                });
                // (Its thread-locals may go a moment after the scope knows that it has ended.)
                for _ in 0..16 {
                    assert_eq!(channel.get_event().unwrap().failure(), None);
                }
            }
        })
    });
}

/// (On ext4 and Linux 6.18 each of these reads ends in EFAULT.)
#[test]
fn reads_whose_submitter_exits_come_with_their_bytes() {
    limit(120, || {
        each_driver(|channel| {
            const AT_ONCE: usize = 64;
            let file = Arc::new(numbered(AT_ONCE));
            for _ in 0..15 {
                forget_cached(&file);
                std::thread::scope(|s| {
                    s.spawn(|| {
                        for at in 0..AT_ONCE {
                            let read = Request::read_at(file.clone(), room(BLOCK), (at * BLOCK) as u64);
                            channel.post(read.token(at as u64)).unwrap();
                        }
                        // Submits them, and ends.
                        let early = channel.get_event_timeout(Duration::ZERO).unwrap();
                        if let Some(event) = early {
                            channel.post(Request::notification().token(1000)).unwrap();
                            assert_eq!(event.buffer(), [event.token() as u8; BLOCK]);
                        }
                    });
                });
                for _ in 0..AT_ONCE {
                    let event = channel.get_event().unwrap();
                    if event.token() < 1000 {
                        assert_eq!(event.failure(), None, "block {}", event.token());
                        assert_eq!(event.buffer(), [event.token() as u8; BLOCK]);
                    }
                }
            }
        })
    });
}
