//! What a ring is asked for belongs to the thread that asked. If that exits, what is under way is done all the same.

mod common;

use common::{each_driver, room};
use ec_channel::Request;
use ec_test_support::limit;
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
