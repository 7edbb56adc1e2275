//! The driver fails for good: its descriptor is closed under its feet, or its calls are forbidden. Each case runs in a process of its own.

mod common;

use common::{room, serve, until_asleep};
use ec_channel::raw::{Op, Recv, Timer};
use ec_channel::{
    Completion, Completions, DRIVER_VARIABLE, Driver, EventChannel, InternalError, Request, Serving, Source,
    Wait, lock_held,
};
use ec_test_support::{
    cpu_time, descriptors_of, ended_itself, limit_descriptors, refuse, skipped, went_well,
};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// As [`ec_test_support::in_child`], without a runtime of the logger's, whose channel would fail, too.
fn in_child(name: &str, case: impl FnOnce()) -> Option<Output> {
    ec_test_support::in_child(name, || {
        ec_unkind::no_other_runtime();
        case();
    })
}

const FAR: Duration = Duration::from_secs(100);

/// Is this driver to be tested, and there? (Others are not even tried: what is skipped is told by whoever asks.)
fn wanted(driver: Driver) -> bool {
    let only = std::env::var(DRIVER_VARIABLE).ok().filter(|_| driver != Driver::Direct);
    if only.is_some_and(|only| only != driver.name()) {
        return false;
    }
    let built = EventChannel::builder().driver(driver).build();
    if let Err(error) = &built {
        skipped(&format!("{driver}: {error}"));
    }
    built.is_ok()
}

/// What drivers sleep in. (An eventfd is a bell, which epoll no longer has as soon as it is closed.)
const SLEPT_IN: &[&str] = &["io_uring", "eventpoll", "pipe"];

/// A channel, and the descriptors that it sleeps in.
struct Fragile {
    channel: EventChannel,
    own: Vec<RawFd>,
    told: Arc<Mutex<Vec<(InternalError, ThreadId)>>>,
}

fn fragile(driver: Driver, hook: bool, ports: usize) -> Fragile {
    let before = descriptors_of(SLEPT_IN);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let mut builder = EventChannel::builder().driver(driver).ports(ports);
    if hook {
        builder = builder.on_internal_error(move |error| {
            assert_eq!(lock_held(), None);
            heard.lock().unwrap().push((error.clone(), thread::current().id()));
            panic!("as the test wants");
        });
    }
    let channel = builder.build().unwrap();
    let own = descriptors_of(SLEPT_IN).difference(&before).copied().collect();
    Fragile { channel, own, told }
}

impl Fragile {
    /// Somebody closes them, and opens files that get these numbers (or not).
    fn close(&self, reuse: bool) -> Vec<File> {
        assert!(!self.own.is_empty());
        // SAFETY: not safe at all: that is what the case is about.
        self.own.iter().for_each(|fd| assert_eq!(unsafe { libc::close(*fd) }, 0));
        let files = if reuse { self.own.len() } else { 0 };
        (0..files).map(|_| File::open("/dev/null").unwrap()).collect()
    }

    fn is_told(&self, error: &InternalError) -> bool {
        let driver = self.channel.driver().kind();
        error.driver() == driver && error.port() == 0 && error.raw_os_error() == libc::EBADF
    }

    /// The error that says so.
    fn is_this(&self, error: &io::Error) -> bool {
        error.get_ref().and_then(|inside| inside.downcast_ref()).is_some_and(|inside| self.is_told(inside))
    }
}

/// Everything that comes until the channel has no more to give.
fn all(fragile: &Fragile) -> Vec<(u64, Option<i32>)> {
    let mut got = Vec::new();
    loop {
        match fragile.channel.get_event() {
            Ok(event) => {
                got.push((event.token(), event.result().err().and_then(|error| error.raw_os_error())))
            }
            Err(error) => {
                assert!(fragile.is_this(&error), "{error:?}");
                got.sort_unstable();
                return got;
            }
        }
    }
}

/// Getters hear of it, whether there is a hook or not, and get back what the kernel has not in its hands.
fn getters_hear(driver: Driver, hook: bool) {
    if !wanted(driver) {
        return;
    }
    let fragile = fragile(driver, hook, 1);
    let channel = &fragile.channel;
    let ((near, mut far), (other, _peer)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let near = Source::from(near);
    channel.post(Request::recv(near.clone(), room(8)).token(1)).unwrap();
    channel.post(Request::timer(FAR).token(2)).unwrap();
    assert!(channel.try_get_event().unwrap().is_none());
    // (Not taken in yet.)
    channel.post(Request::recv(other, room(8)).token(3)).unwrap();
    channel.post(Request::timer(FAR).token(4)).unwrap();
    fragile.close(false);
    let bad = Some(libc::EBADF);
    let mut back = vec![(1, bad), (2, bad), (3, bad), (4, bad)];
    if driver == Driver::IoUring {
        // The kernel has the first.
        back.remove(0);
    }
    assert_eq!(all(&fragile), back);
    // So it stays: at once, and nobody is told again.
    for _ in 0..100 {
        assert!(fragile.is_this(&channel.get_event().unwrap_err()));
        assert!(fragile.is_this(&channel.try_get_event().unwrap_err()));
    }
    let refused = channel.post(Request::send(near, b"never".to_vec())).unwrap_err();
    assert_eq!(refused.into_request().into_buffer(), b"never");
    assert!(channel.is_shut_down());
    let told = fragile.told.lock().unwrap().clone();
    assert_eq!(told.len(), usize::from(hook));
    assert!(told.iter().all(|(error, thread)| fragile.is_told(error) && *thread == thread::current().id()));
    if driver == Driver::IoUring {
        // The kernel gives it back.
        far.write_all(b"late").unwrap();
        let event = loop {
            match channel.get_event() {
                Ok(event) => break event,
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        };
        assert_eq!((event.token(), event.buffer()), (1, &b"late"[..]));
    }
    let metrics = channel.metrics();
    assert_eq!((metrics.in_flight, metrics.completed), (0, 4));
}

macro_rules! on_each {
    ($($driver:ident: $hears:ident $without:ident $reused:ident;)*) => {$(
        #[test]
        fn $hears() {
            went_well(in_child(stringify!($hears), || getters_hear(Driver::$driver, true)));
        }

        #[test]
        fn $without() {
            went_well(in_child(stringify!($without), || getters_hear(Driver::$driver, false)));
        }

        #[test]
        fn $reused() {
            went_well(in_child(stringify!($reused), || what_is_somebody_elses_is_not_closed(Driver::$driver)));
        }
    )*};
}

on_each! {
    IoUring: a_hook_and_getters_hear_of_a_closed_ring getters_hear_of_a_closed_ring a_reused_ring_s_number_is_left_alone;
    Epoll: a_hook_and_getters_hear_of_a_closed_epoll getters_hear_of_a_closed_epoll a_reused_epoll_s_number_is_left_alone;
    Poll: a_hook_and_getters_hear_of_a_closed_pipe getters_hear_of_a_closed_pipe a_reused_pipe_s_number_is_left_alone;
    Direct: a_hook_and_getters_hear_without_a_poller getters_hear_without_a_poller a_reused_number_is_left_alone_without_a_poller;
}

/// The numbers have files of the program's by the time that the driver uses them, and when the channel goes.
fn what_is_somebody_elses_is_not_closed(driver: Driver) {
    if !wanted(driver) {
        return;
    }
    let fragile = fragile(driver, true, 1);
    let (near, _far) = UnixStream::pair().unwrap();
    fragile.channel.post(Request::recv(near, room(8)).token(1)).unwrap();
    let files = fragile.close(true);
    let numbers: BTreeSet<RawFd> = files.iter().map(File::as_raw_fd).collect();
    assert_eq!(numbers, fragile.own.iter().copied().collect());
    let event = fragile.channel.get_event().unwrap();
    assert!(event.result().is_err());
    let error = fragile.channel.get_event().unwrap_err();
    assert!(error.get_ref().is_some_and(|inside| inside.is::<InternalError>()), "{error:?}");
    assert_eq!(fragile.told.lock().unwrap().len(), 1);
    drop((event, fragile));
    assert!(files.iter().all(|file| file.metadata().is_ok()), "closed by the channel");
}

/// One that sleeps in it is woken as always, and the others are called.
#[test]
fn all_who_wait_on_a_closed_epoll_hear_of_it() {
    went_well(in_child("all_who_wait_on_a_closed_epoll_hear_of_it", || {
        if !wanted(Driver::Epoll) {
            return;
        }
        let fragile = fragile(Driver::Epoll, true, 1);
        let timer = fragile.channel.post(Request::timer(FAR)).unwrap();
        // (One of them may get the timer first.)
        let error_of =
            |channel: &EventChannel| channel.get_event().and_then(|_| channel.get_event()).unwrap_err();
        thread::scope(|scope| {
            let getters: Vec<_> = (0..8).map(|_| scope.spawn(|| error_of(&fragile.channel))).collect();
            until_asleep(&fragile.channel);
            fragile.close(false);
            // (The one that sleeps there has the file as long as it does.)
            fragile.channel.cancel(timer);
            assert!(getters.into_iter().all(|getter| fragile.is_this(&getter.join().unwrap())));
        });
        assert_eq!(fragile.told.lock().unwrap().len(), 1);
    }));
}

/// Drives until so many completions have come, which are delivered.
fn drive(serving: &Serving, many: usize) {
    let mut out = Completions::new();
    let mut came = 0;
    while came < many {
        // (The failure itself is told once.)
        let _ = serving.drive(0, Wait::Forever, &mut out);
        for it in out.drain() {
            came += 1;
            match it {
                Completion::Raw(raw) => raw.deliver(),
                Completion::Call(call) => call.run(),
            }
        }
    }
}

/// (A call that was not heard yet makes the first pass not sleep.)
fn drive_until_error(serving: &Serving, port: usize) -> io::Error {
    loop {
        if let Err(error) = serving.drive(port, Wait::For(FAR), &mut Completions::new()) {
            return error;
        }
    }
}

/// Whoever rings for somebody that announces his sleep, and finds out in the same moment that there is nothing to sleep in.
#[test]
fn a_call_into_a_driver_that_is_failing_ends_nothing() {
    went_well(in_child("a_call_into_a_driver_that_is_failing_ends_nothing", || {
        for driver in [Driver::IoUring, Driver::Poll].into_iter().filter(|driver| wanted(*driver)) {
            for _ in 0..5 {
                let fragile = fragile(driver, true, 1);
                fragile.close(false);
                thread::scope(|scope| {
                    scope.spawn(|| while fragile.channel.post(Request::timer(FAR)).is_ok() {});
                    all(&fragile);
                });
            }
        }
    }));
}

static WOKEN: AtomicUsize = AtomicUsize::new(0);

fn wake(_: usize) {
    WOKEN.fetch_add(1, Ordering::SeqCst);
}

fn receive(socket: &UnixStream, buffer: &'static mut [u8]) -> &'static mut Op<Recv> {
    let what = Recv { fd: socket.as_raw_fd(), buf: buffer.as_mut_ptr(), len: buffer.len(), flags: 0 };
    Box::leak(Box::new(Op::new(what, wake, 0)))
}

/// As in a pool: operations end, timers go on, nothing spins, and the hook is called elsewhere.
fn operations_end(driver: Driver) {
    if !wanted(driver) {
        return;
    }
    let fragile = fragile(driver, true, 2);
    let channel = &fragile.channel;
    let serving = serve(channel);
    let (near, _far) = UnixStream::pair().unwrap();
    let (first, second) =
        (receive(&near, Box::leak(Box::new([0; 8]))), receive(&near, Box::leak(Box::new([0; 8]))));
    // One that waits, and drives nothing.
    let theirs = channel.clone();
    let (tell, told) = std::sync::mpsc::channel();
    let waits = thread::spawn(move || {
        // SAFETY: no pointer is passed.
        tell.send(unsafe { libc::gettid() }).unwrap();
        theirs.get_event().unwrap_err()
    });
    let stat = format!("/proc/self/task/{}/stat", told.recv().unwrap());
    while !std::fs::read_to_string(&stat).unwrap().contains(") S ") {
        thread::yield_now();
    }
    // SAFETY: they stay for ever, and so does the socket while they are in flight.
    unsafe { channel.submit_raw(0, first.raw()) };
    if driver == Driver::IoUring {
        // (Else the kernel has it: see below.)
        fragile.close(false);
    } else {
        serving.drive(0, Wait::No, &mut Completions::new()).unwrap();
        fragile.close(false);
    }
    let failed = drive_until_error(&serving, 0);
    assert_eq!(failed.raw_os_error(), Some(libc::EBADF));
    assert_eq!((WOKEN.load(Ordering::SeqCst), first.result()), (1, -libc::EBADF));
    assert!(fragile.is_this(&waits.join().unwrap()));
    // The other port has failed, too; but that is told already.
    let failed = drive_until_error(&serving, 1);
    assert_eq!(failed.raw_os_error(), Some(libc::EBADF));
    // SAFETY: as above.
    unsafe { channel.submit_raw(0, second.raw()) };
    drive(&serving, 1);
    assert_eq!((WOKEN.load(Ordering::SeqCst), second.result()), (2, -libc::EBADF));
    // A timer goes on, and one that sleeps meanwhile does not compute.
    let timer = Box::leak(Box::new(Op::new(Timer, wake, 0)));
    let (begun, spent) = (Instant::now(), cpu_time(libc::CLOCK_THREAD_CPUTIME_ID));
    timer.set_deadline(Some(begun + Duration::from_millis(300)));
    // SAFETY: as above.
    unsafe { channel.submit_raw(0, timer.raw()) };
    drive(&serving, 1);
    let (took, spent) = (begun.elapsed(), cpu_time(libc::CLOCK_THREAD_CPUTIME_ID) - spent);
    assert!(took >= Duration::from_millis(300) && timer.result() == 0);
    assert!(spent < took / 3, "{spent:?} of {took:?}");
    // One that naps hears a call all the same.
    thread::scope(|scope| {
        scope.spawn(|| {
            until_asleep(channel);
            serving.wake_port(0);
        });
        assert!(serving.drive(0, Wait::For(FAR), &mut Completions::new()).unwrap());
    });
    assert!(fragile.is_this(&channel.get_event().unwrap_err()));
    // (On a thread of its own, which may come late.)
    while fragile.told.lock().unwrap().is_empty() {
        thread::yield_now();
    }
    let told = fragile.told.lock().unwrap_or_else(|broken| broken.into_inner()).clone();
    assert!(told.len() == 1 && fragile.is_told(&told[0].0) && told[0].1 != thread::current().id());
}

#[test]
fn operations_end_where_a_ring_is_closed() {
    went_well(in_child("operations_end_where_a_ring_is_closed", || operations_end(Driver::IoUring)));
}

#[test]
fn operations_end_where_an_epoll_is_closed() {
    went_well(in_child("operations_end_where_an_epoll_is_closed", || operations_end(Driver::Epoll)));
}

#[test]
fn operations_end_where_poll_s_pipe_is_closed() {
    went_well(in_child("operations_end_where_poll_s_pipe_is_closed", || operations_end(Driver::Poll)));
}

fn ends_the_process(driver: Driver, test: &str) {
    if !wanted(driver) {
        return;
    }
    let output = in_child(test, || {
        let fragile = fragile(driver, false, 1);
        let serving = serve(&fragile.channel);
        fragile.close(false);
        drive_until_error(&serving, 0);
        panic!("it is told to whoever drives, and to nobody else");
    });
    let words = format!(
        "fatal runtime error: the driver {driver} of port 0 of an event channel has failed for good: "
    );
    ended_itself(output, &words);
}

#[test]
fn without_a_hook_a_closed_ring_that_is_served_ends_the_process() {
    ends_the_process(Driver::IoUring, "without_a_hook_a_closed_ring_that_is_served_ends_the_process");
}

#[test]
fn without_a_hook_a_closed_epoll_that_is_served_ends_the_process() {
    ends_the_process(Driver::Epoll, "without_a_hook_a_closed_epoll_that_is_served_ends_the_process");
}

#[test]
fn without_a_hook_a_closed_pipe_that_is_served_ends_the_process() {
    ends_the_process(Driver::Poll, "without_a_hook_a_closed_pipe_that_is_served_ends_the_process");
}

/// A filter forbids the call that waits. The ring itself, or the epoll, is there, and is not used any more.
fn a_call_is_forbidden(driver: Driver, calls: &[libc::c_long]) {
    if !wanted(driver) {
        return;
    }
    let fragile = fragile(driver, true, 1);
    let (near, _far) = UnixStream::pair().unwrap();
    fragile.channel.post(Request::recv(near, room(8)).token(1)).unwrap();
    if !refuse(calls, libc::EPERM) {
        return skipped("this machine does not allow seccomp filters");
    }
    let event = fragile.channel.get_event().unwrap();
    assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::EPERM));
    let error = fragile.channel.get_event().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let error: &InternalError = error.get_ref().unwrap().downcast_ref().unwrap();
    assert_eq!((error.raw_os_error(), error.driver()), (libc::EPERM, driver));
}

#[test]
fn getters_hear_that_a_ring_s_call_is_forbidden() {
    went_well(in_child("getters_hear_that_a_ring_s_call_is_forbidden", || {
        a_call_is_forbidden(Driver::IoUring, &[libc::SYS_io_uring_enter]);
    }));
}

#[test]
fn getters_hear_that_epoll_s_calls_are_forbidden() {
    went_well(in_child("getters_hear_that_epoll_s_calls_are_forbidden", || {
        let calls = [
            libc::SYS_epoll_pwait2,
            libc::SYS_epoll_pwait,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait,
        ];
        a_call_is_forbidden(Driver::Epoll, &calls);
    }));
}

/// A limit is raised again: so it is told, and the channel goes on. (Where poll(2) is refused, and select(2) as well.)
#[test]
fn what_may_go_away_is_no_internal_error() {
    went_well(in_child("what_may_go_away_is_no_internal_error", || {
        if !wanted(Driver::Poll) {
            return;
        }
        let select = [
            libc::SYS_pselect6,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select,
        ];
        if !refuse(&select, libc::EPERM) {
            return skipped("this machine does not allow seccomp filters");
        }
        let fragile = fragile(Driver::Poll, true, 1);
        let channel = &fragile.channel;
        let pairs: Vec<_> = (0..20).map(|_| UnixStream::pair().unwrap()).collect();
        for (token, (near, _)) in pairs.iter().enumerate() {
            channel.post(Request::recv(near.try_clone().unwrap(), room(1)).token(token as u64)).unwrap();
        }
        assert!(channel.try_get_event().unwrap().is_none());
        let enough = limit_descriptors(10);
        let error = channel.try_get_event().unwrap_err();
        assert!(error.to_string().contains("RLIMIT_NOFILE"), "{error}");
        limit_descriptors(enough);
        (&pairs[7].1).write_all(b"x").unwrap();
        assert_eq!(channel.get_event().unwrap().token(), 7);
        assert!(fragile.told.lock().unwrap().is_empty() && !channel.is_shut_down());
    }));
}
