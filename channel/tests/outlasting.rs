//! What outlasts its channel: helpers that are still at work when it goes, and pools that it lacked a buffer of. Nothing stays.

mod common;

use common::{Scratch, all_drivers, drivers};
use ec_channel::{BufferPool, Driver, EventChannel, OpenOptions, Request, lock_held};
use ec_test_support::{alone, descriptors_of, skipped, threads_and_files};
use ec_unkind as _;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Says, as it is dropped, which it is.
struct Tells(&'static str, Sender<&'static str>);

impl Drop for Tells {
    fn drop(&mut self) {
        assert_eq!(lock_held(), None);
        let _ = self.1.send(self.0);
    }
}

/// Counts the lines that blame the kernel.
struct Listens;

static BLAMED: AtomicUsize = AtomicUsize::new(0);

impl log::Log for Listens {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if record.args().to_string().contains("the kernel does not give back") {
            BLAMED.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn flush(&self) {}
}

fn names(told: &Receiver<&'static str>, count: usize) -> Vec<&'static str> {
    let mut names: Vec<_> = told.iter().take(count).collect();
    names.sort_unstable();
    names
}

fn channel(driver: Driver) -> EventChannel {
    EventChannel::builder().driver(driver).build().unwrap()
}

/// What is posted has begun when this returns.
fn begin(channel: &EventChannel, begun: &Receiver<()>) {
    assert!(channel.try_get_event().unwrap().is_none());
    begun.recv().unwrap();
}

/// The request, with its context, and what came of it; no handler runs.
#[test]
fn what_work_holds_goes_when_it_ends_long_after_its_channel() {
    let one = |driver| {
        let (tells, told) = mpsc::channel();
        let tells = |name| Tells(name, tells.clone());
        let (begins, begun) = mpsc::channel();
        let (goes_on, gate) = mpsc::channel::<()>();
        let channel = channel(driver);
        let (captured, output, handler) = (tells("captured"), tells("output"), tells("handler"));
        let work = Request::work(move || {
            let _captured = captured;
            begins.send(()).unwrap();
            gate.recv().unwrap();
            output
        });
        let request = work.context(Box::new(tells("context"))).on_complete(move |_, _| {
            let _handler = &handler;
            panic!("nobody gets events any more");
        });
        channel.post(request).unwrap();
        begin(&channel, &begun);
        drop(channel);
        assert!(told.try_recv().is_err(), "it is still needed");
        goes_on.send(()).unwrap();
        assert_eq!(names(&told, 4), ["captured", "context", "handler", "output"]);
        assert_eq!(BLAMED.load(Ordering::SeqCst), 0, "the kernel keeps nothing");
    };
    match log::set_logger(&Listens) {
        Ok(()) => log::set_max_level(log::LevelFilter::Warn),
        Err(_) => skipped("the logger is another: it is not looked at what is logged"),
    }
    // (Side by side: each channel waits for a moment as it goes.)
    alone(60, || {
        thread::scope(|scope| all_drivers().into_iter().for_each(|it| drop(scope.spawn(move || one(it)))))
    });
}

/// A file that cannot be opened until this is dropped. `None`: this file system has no such thing.
struct Leased(File);

impl Leased {
    fn new(path: &Path) -> Option<Leased> {
        let file = File::create(path).unwrap();
        // SAFETY: no pointer is passed. (Whoever opens it has the kernel signal that, which would end the process.)
        unsafe {
            libc::signal(libc::SIGIO, libc::SIG_IGN);
            (libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) == 0).then_some(Leased(file))
        }
    }

    /// Does somebody want it?
    fn is_wanted(&self) -> bool {
        // SAFETY: no pointer is passed.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_GETLEASE) != libc::F_WRLCK }
    }
}

#[test]
fn what_is_opened_long_after_its_channel_has_gone_is_closed() {
    let one = |driver| {
        let (tells, told) = mpsc::channel();
        let folder = Scratch::new();
        let path = folder.join("leased");
        let Some(leased) = Leased::new(&path) else { return skipped("no leases here") };
        let channel = channel(driver);
        let request = Request::open(&path, OpenOptions::new().read(true));
        channel.post(request.context(Box::new(Tells("context", tells)))).unwrap();
        while !leased.is_wanted() {
            assert!(channel.try_get_event().unwrap().is_none());
            thread::yield_now();
        }
        drop(channel);
        assert!(told.try_recv().is_err(), "it is still needed");
        drop(leased);
        assert_eq!(names(&told, 1), ["context"]);
        // (That goes first.)
        while !descriptors_of(&[path.to_str().unwrap()]).is_empty() {
            thread::yield_now();
        }
    };
    // (Whoever has one request at a time opens it himself, and waits.)
    alone(60, || {
        thread::scope(|scope| drivers().into_iter().for_each(|it| drop(scope.spawn(move || one(it)))))
    });
}

/// The channel goes in the work's own closure: so often that to wait for it each time would take too long.
#[test]
fn work_that_has_the_last_clone_does_not_wait_for_itself() {
    alone(60, || {
        for driver in all_drivers() {
            for _ in 0..60 {
                let (tells, told) = mpsc::channel();
                let (begins, begun) = mpsc::channel();
                let (goes_on, gate) = mpsc::channel::<()>();
                let data = Tells("data", tells.clone());
                let channel = EventChannel::builder().driver(driver).user_data(data).build().unwrap();
                let clone = channel.clone();
                let work = Request::work(move || {
                    begins.send(()).unwrap();
                    gate.recv().unwrap();
                    drop(clone);
                });
                // (What else is in flight comes back meanwhile.)
                let timer = Request::timer(Duration::from_secs(1000));
                channel.post(timer.context(Box::new(Tells("timer", tells.clone())))).unwrap();
                channel.post(work.context(Box::new(Tells("context", tells)))).unwrap();
                begin(&channel, &begun);
                drop(channel);
                assert!(told.try_recv().is_err(), "it is still there");
                goes_on.send(()).unwrap();
                assert_eq!(told.iter().collect::<Vec<_>>(), ["timer", "data", "context"]);
            }
        }
    });
}

/// Counts the process's descriptors as it is dropped.
struct Counts(Sender<usize>);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.send(threads_and_files().1).unwrap();
    }
}

/// A channel with this in it, and how many descriptors there were before.
fn counted(driver: Driver) -> (EventChannel, Receiver<usize>, usize) {
    let before = threads_and_files().1;
    let (counts, counted) = mpsc::channel();
    let builder = EventChannel::builder().driver(driver).user_data(Counts(counts));
    (builder.build().unwrap(), counted, before)
}

#[test]
fn a_channel_that_goes_has_no_descriptor_left_although_a_pool_outlasts_it() {
    alone(60, || {
        for driver in all_drivers() {
            eprintln!("on {driver}");
            let pool = BufferPool::new(1, 16);
            let lacks = |channel: &EventChannel| {
                let (near, mut far) = UnixStream::pair().unwrap();
                far.write_all(b"x").unwrap();
                channel.post(Request::recv_pooled(near, &pool)).unwrap();
            };
            let first = channel(driver);
            lacks(&first);
            let held = first.get_event().unwrap();
            drop(first);
            for round in 0..20 {
                let (channel, counted, before) = counted(driver);
                lacks(&channel);
                lacks(&channel);
                // (Often enough that it has found out.)
                for _ in 0..4 {
                    assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
                }
                drop(channel);
                assert_eq!(counted.recv(), Ok(before), "round {round}");
            }
            drop(held);
            let last = channel(driver);
            lacks(&last);
            assert_eq!(last.get_event().unwrap().buffer(), b"x");
        }
    });
}

#[test]
fn a_channel_that_goes_has_no_descriptor_left_although_work_outlasts_it() {
    alone(60, || {
        // (One driver, since each waits for a moment as it goes: one that is woken by a descriptor.)
        let driver = drivers().into_iter().find(|it| *it != Driver::IoUring).unwrap_or(Driver::Direct);
        let (begins, begun) = mpsc::channel();
        let (goes_on, gate) = mpsc::channel::<()>();
        // (The helper, and what it has, is there before.)
        let (channel, counted, before) = counted(driver);
        channel.post(Request::work(move || begins.send(()).is_ok() && gate.recv().is_ok())).unwrap();
        begin(&channel, &begun);
        drop(channel);
        assert_eq!(counted.recv(), Ok(before));
        goes_on.send(()).unwrap();
    });
}
