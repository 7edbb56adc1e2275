//! A forked child: refused wherever it comes from, and it touches nothing of its parent's.

mod common;

use common::{drivers, each_driver, pair, room, serve};
use ec_channel::{ChannelBuilder, Completions, Driver, Event, EventChannel, Interest, Request, Wait};
use ec_test_support::alone;
use ec_unkind as _;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

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

/// Whether this is the child of `forks`, how many of its parent's things it has dropped, and its first files.
static IS_CHILD: AtomicBool = AtomicBool::new(false);
static DROPPED: AtomicU32 = AtomicU32::new(0);
static FILES: [AtomicI32; 4] = [const { AtomicI32::new(-1) }; 4];

/// In the child: what must not be dropped there.
struct Parents;

impl Drop for Parents {
    fn drop(&mut self) {
        DROPPED.fetch_add(u32::from(IS_CHILD.load(Ordering::SeqCst)), Ordering::SeqCst);
    }
}

/// A destructor that forks, once. The child goes on; its parent waits for its end.
struct Forks;

impl Drop for Forks {
    fn drop(&mut self) {
        // SAFETY: the child goes on as a child may, and ends by _exit.
        let child = unsafe { libc::fork() };
        if child == 0 {
            for file in &FILES {
                // SAFETY: it gets the number of one of its parent's descriptors, say.
                file.store(unsafe { libc::memfd_create(c"mine".as_ptr(), 0) }, Ordering::SeqCst);
            }
            return IS_CHILD.store(true, Ordering::SeqCst);
        }
        let mut status = 0;
        // SAFETY: a live int.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        ENDED.store(status, Ordering::SeqCst);
    }
}

/// How the child ended, as its parent hears.
static ENDED: AtomicI32 = AtomicI32::new(-1);

#[test]
fn a_child_that_a_destructor_forks_while_the_channel_goes_touches_nothing() {
    let receive = || Request::recv(pair().0, room(8));
    let in_flight = |channel: &EventChannel, request: Request| {
        let (near, far) = pair();
        std::mem::forget(far);
        channel.post(Request::recv(near, room(8)).context(Box::new(Parents))).unwrap();
        channel.post(request).unwrap();
        for _ in 0..3 {
            channel.post(Request::timer(Duration::from_secs(100)).context(Box::new(Parents))).unwrap();
        }
        assert!(channel.try_get_event().unwrap().is_none());
    };
    let far_off = || Request::timer(Duration::from_secs(99));
    type Case<'a> = (&'a str, &'a dyn Fn(&EventChannel));
    let cases: [Case<'_>; 5] = [
        ("ready", &|channel| {
            channel.post(Request::notification().context(Box::new(Forks))).unwrap();
            channel.post(Request::notification().context(Box::new(Parents))).unwrap();
            channel.post(receive().context(Box::new(Parents))).unwrap();
        }),
        ("a context in flight", &|channel| {
            in_flight(channel, far_off().context(Box::new(Forks)));
        }),
        ("a context, and its handler", &|channel| {
            let parents = Parents;
            let handler = move |_: &EventChannel, _: Event| _ = &parents;
            in_flight(channel, far_off().context(Box::new(Forks)).on_complete(handler));
        }),
        ("a handler in flight", &|channel| {
            let forks = Forks;
            in_flight(channel, far_off().on_complete(move |_, _| _ = &forks));
        }),
        ("a source in flight", &|channel| {
            struct Held(OwnedFd, Forks);
            impl AsFd for Held {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    let Held(fd, _forks) = self;
                    fd.as_fd()
                }
            }
            let (near, far) = UnixStream::pair().unwrap();
            std::mem::forget(far);
            in_flight(channel, Request::recv(Arc::new(Held(near.into(), Forks)), room(8)));
        }),
    ];
    let with_data = |driver| EventChannel::builder().driver(driver).user_data(Parents);
    let goes = |words: &str, builder: ChannelBuilder, prepare: &dyn Fn(&EventChannel)| {
        eprintln!("{words}");
        let channel = builder.build().unwrap();
        prepare(&channel);
        ENDED.store(-1, Ordering::SeqCst);
        drop(channel);
        if IS_CHILD.load(Ordering::SeqCst) {
            // SAFETY: a question for each, and the end of the child.
            unsafe {
                let is_mine =
                    |file: &AtomicI32| libc::lseek(file.load(Ordering::SeqCst), 0, libc::SEEK_END) == 0;
                let untouched = FILES.iter().all(is_mine);
                libc::_exit(i32::from(!untouched) << 1 | i32::from(DROPPED.load(Ordering::SeqCst) > 0));
            }
        }
        let ended = ENDED.load(Ordering::SeqCst);
        assert_eq!(ended, 0, "{words}: 256: it drops its parent's things; 512: files of its own are touched");
    };
    alone(60, || {
        for driver in drivers().into_iter().chain([Driver::Direct]) {
            eprintln!("on {driver}");
            for (words, prepare) in &cases {
                goes(words, with_data(driver), prepare);
            }
            let forks = Forks;
            goes("the hook", with_data(driver).on_internal_error(move |_| _ = &forks), &|_| ());
        }
    });
}
