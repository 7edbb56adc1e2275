//! A forked child: refused wherever it comes from, and it touches nothing of its parent's.

mod common;

use common::{each_driver, serve};
use ec_channel::{Completions, EventChannel, Interest, Request, Wait};
use ec_test_support::alone;
use ec_unkind as _;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

#[test]
fn a_forked_child_is_refused_and_touches_nothing() {
    alone(30, || {
        each_driver(|channel| {
            let served = EventChannel::new().unwrap();
            let serving = serve(&served);
            std::thread::scope(|s| {
                // asleep in the port at the fork
                s.spawn(|| channel.get_event().map(drop));
                while !channel.is_asleep(0) {
                    std::thread::yield_now();
                }
                // SAFETY: the child only makes system calls and calls that are refused, and ends by _exit.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let refused = serving.drive(0, Wait::No, &mut Completions::new()).is_err()
                        && channel.try_get_event().is_err()
                        && channel.post(Request::notification()).is_err();
                    // SAFETY: plain system calls on descriptors of the child's own, which have the numbers of the parent's rings.
                    unsafe {
                        let mine: Vec<_> = (0..4).map(|_| libc::memfd_create(c"mine".as_ptr(), 0)).collect();
                        let refused = refused && channel.serve().is_err();
                        serving.wake_port(0);
                        drop(serving);
                        let untouched = mine.iter().all(|fd| libc::lseek(*fd, 0, libc::SEEK_END) == 0);
                        libc::_exit(if refused && untouched { 0 } else { 1 });
                    }
                }
                let mut status = 0;
                // SAFETY: a live int.
                unsafe { libc::waitpid(child, &mut status, 0) };
                channel.shutdown();
                assert_eq!(
                    status, 0,
                    "11: a fault; 256: not refused, or a file of the child's was written to"
                );
            });
        })
    });
}

/// As where the child's `main` goes on.
#[test]
fn a_child_that_comes_back_from_a_handler_or_a_source_is_refused() {
    struct Forks(OwnedFd, AtomicI32);
    impl AsFd for Forks {
        fn as_fd(&self) -> BorrowedFd<'_> {
            if self.1.load(Ordering::SeqCst) < 0 {
                // SAFETY: the child makes calls that are refused, and ends by _exit.
                self.1.store(unsafe { libc::fork() }, Ordering::SeqCst);
            }
            self.0.as_fd()
        }
    }
    thread_local!(static CHILD: Cell<i32> = const { Cell::new(-1) });
    let exit_if_child = |child: i32, refused: bool| {
        if child == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(!refused)) };
        }
        let mut status = 0;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "256: it was not refused");
    };
    alone(60, || {
        each_driver(|channel| {
            let (end, _other) = UnixStream::pair().unwrap();
            let source = Arc::new(Forks(end.into(), AtomicI32::new(-1)));
            let posted = channel.post(Request::readiness(source.clone(), Interest::READABLE));
            exit_if_child(source.1.load(Ordering::SeqCst), posted.is_err());
            let over = AtomicBool::new(false);
            std::thread::scope(|s| {
                // They hold the channel's locks now and then.
                for _ in 0..3 {
                    s.spawn(|| {
                        while !over.load(Ordering::Relaxed) {
                            let _ = channel.metrics();
                        }
                    });
                }
                for _ in 0..200 {
                    let forks = Request::notification().on_complete(|_, _| {
                        // SAFETY: as above.
                        CHILD.set(unsafe { libc::fork() });
                    });
                    channel.post(forks).unwrap();
                    CHILD.set(-1);
                    let mut refused = false;
                    while CHILD.get() < 0 && !refused {
                        refused = channel.try_get_event().is_err();
                    }
                    exit_if_child(CHILD.get(), refused);
                }
                over.store(true, Ordering::Relaxed);
            });
        })
    });
}
