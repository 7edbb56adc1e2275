//! What a write is signalled for, outside of Rust's ways: a pipe that nobody reads, where `SIGPIPE` is not ignored, and a file beyond the
//! process's limit of sizes.

mod common;

use common::{all_drivers, none_for};
use ec_channel::{Allocation, Driver, Event, EventChannel, Request};
use ec_test_support::{in_child, went_well};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

fn on_each_driver(f: impl Fn(&EventChannel, Driver)) {
    for driver in all_drivers() {
        eprintln!("on {driver}");
        f(&EventChannel::builder().driver(driver).build().unwrap(), driver);
    }
}

fn errno(event: &Event) -> Option<i32> {
    event.failure().map(|failure| failure.errno())
}

/// A pipe into which nothing more goes.
fn full_pipe() -> (File, Arc<OwnedFd>) {
    let (reader, writer) = std::io::pipe().unwrap();
    let writer = Arc::new(OwnedFd::from(writer));
    ec_channel::set_nonblocking(writer.as_fd(), true).unwrap();
    while File::from(writer.try_clone().unwrap()).write(&[0; 4096]).is_ok() {}
    ec_channel::set_nonblocking(writer.as_fd(), false).unwrap();
    (OwnedFd::from(reader).into(), writer)
}

fn sigpipe() -> libc::sigset_t {
    // SAFETY: all zero is a valid value, and it is filled then.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGPIPE);
        set
    }
}

/// Is it held back here, and is one held back?
fn held_back() -> (bool, bool) {
    // SAFETY: all zero is a valid value; the sets are live.
    unsafe {
        let (mut mask, mut pending) = (std::mem::zeroed(), std::mem::zeroed());
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut mask);
        libc::sigpending(&mut pending);
        let has = |set| libc::sigismember(set, libc::SIGPIPE) == 1;
        (has(&mask), has(&pending))
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error_and_no_signal() {
    went_well(in_child("a_pipe_that_nobody_reads_is_an_error_and_no_signal", || {
        // SAFETY: what it is in a program that is not Rust's.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        on_each_driver(|channel, driver| {
            let broken = || OwnedFd::from(std::io::pipe().unwrap().1);
            channel.post(Request::write(broken(), b"nobody".to_vec())).unwrap();
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::EPIPE));
            assert_eq!(held_back(), (false, false));

            // It waits, until nobody is there any more; until there is room; until it is cancelled.
            let (reader, writer) = full_pipe();
            channel.post(Request::write(writer, b"long".to_vec())).unwrap();
            none_for(channel, Duration::from_millis(20));
            drop(reader);
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::EPIPE));
            let (mut reader, writer) = full_pipe();
            channel.post(Request::write(writer.clone(), b"long".to_vec())).unwrap();
            none_for(channel, Duration::from_millis(20));
            reader.read_exact(&mut [0; 4096]).unwrap();
            assert_eq!(channel.get_event().unwrap().result().unwrap(), 4);
            let long = 1 << 17;
            let id = channel.post(Request::write(writer, vec![1; long])).unwrap();
            none_for(channel, Duration::from_millis(20));
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
            assert_eq!(channel.metrics().helped, 0, "on {driver}");

            // One of the program's own stays where it is.
            let set = sigpipe();
            // SAFETY: a live set.
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) };
            let own = File::from(broken()).write(b"mine");
            assert!(own.is_err() && held_back() == (true, true));
            channel.post(Request::write(broken(), b"nobody".to_vec())).unwrap();
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::EPIPE));
            assert_eq!(held_back(), (true, true));
            let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: live values.
            unsafe {
                assert_eq!(libc::sigtimedwait(&set, std::ptr::null_mut(), &none), libc::SIGPIPE);
                libc::pthread_sigmask(libc::SIG_UNBLOCK, &set, std::ptr::null_mut());
            }
        });
    }));
}

#[test]
fn nor_is_it_for_what_goes_from_one_descriptor_to_another() {
    went_well(in_child("nor_is_it_for_what_goes_from_one_descriptor_to_another", || {
        // SAFETY: what it is in a program that is not Rust's.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        on_each_driver(|channel, driver| {
            let full = || {
                let (reader, mut writer) = std::io::pipe().unwrap();
                writer.write_all(b"nobody").unwrap();
                OwnedFd::from(reader)
            };
            let pipe = || OwnedFd::from(std::io::pipe().unwrap().1);
            let socket = || OwnedFd::from(UnixStream::pair().unwrap().0);
            for broken in [&pipe as &dyn Fn() -> OwnedFd, &socket] {
                for nonblocking in [false, true] {
                    let end = || {
                        let end = broken();
                        ec_channel::set_nonblocking(end.as_fd(), nonblocking).unwrap();
                        end
                    };
                    for request in [Request::pump(full(), end()), Request::splice(full(), end(), 6)] {
                        channel.post(request).unwrap();
                        let event = channel.get_event().unwrap();
                        assert_eq!(errno(&event), Some(libc::EPIPE), "{} on {driver}", event.kind().name());
                    }
                }
            }
            assert_eq!(held_back(), (false, false));
        });
    }));
}

/// As write(2) and pwrite(2): what goes is written, and then it is an error.
#[test]
fn beyond_the_limit_of_sizes_a_write_is_short_and_then_fails() {
    went_well(in_child("beyond_the_limit_of_sizes_a_write_is_short_and_then_fails", || {
        const LIMIT: u64 = 8192;
        // SAFETY: a live limit. The signal is ignored, or it would end the process.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            let limit = libc::rlimit { rlim_cur: LIMIT, rlim_max: libc::RLIM_INFINITY };
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        }
        on_each_driver(|channel, driver| {
            let path =
                std::env::temp_dir().join(format!("ec-limit-{}-{}", std::process::id(), driver.name()));
            let file = Arc::new(File::create_new(&path).unwrap());
            let log = Arc::new(OpenOptions::new().append(true).open(&path).unwrap());
            std::fs::remove_file(&path).unwrap();
            let is = |request: Request, due: Result<usize, i32>| {
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                let kind = event.kind();
                assert_eq!(event.result().map_err(|_| errno(&event).unwrap()), due, "{kind} on {driver}");
            };
            let (short, fails) = (Ok(4), Err(libc::EFBIG));
            is(Request::write_at(file.clone(), vec![1; 8], LIMIT - 4), short);
            is(Request::write_at(file.clone(), vec![1; 8], LIMIT), fails);
            is(Request::write_at_vectored(file.clone(), vec![vec![1; 3]; 3], LIMIT - 4), short);
            is(Request::truncate(file.clone(), LIMIT + 1), fails);
            is(Request::allocate(file.clone(), Allocation::Reserve, LIMIT, 1), fails);
            is(Request::truncate(file.clone(), LIMIT - 4), Ok(0));
            is(Request::write_at(log.clone(), vec![1; 8], 0), short);
            is(Request::write_at(log.clone(), vec![1; 8], 0), fails);
            is(Request::truncate(file.clone(), LIMIT - 4), Ok(0));
            is(Request::write(log.clone(), vec![1; 8]), short);
            is(Request::write(log, vec![1; 8]), fails);
            is(Request::write(file.clone(), vec![1; LIMIT as usize - 4]), Ok(LIMIT as usize - 4));
            is(Request::write(file.clone(), vec![1; 8]), short);
            is(Request::write(file, vec![1; 8]), fails);
        });
    }));
}
