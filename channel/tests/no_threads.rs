//! The system gives the process no thread: what needs one is told so, and nothing is left waiting for one; what needs none goes on.

mod common;

use common::{all_drivers, new_file, none_for, room, until_ready};
use ec_channel::helpers::HELPERS;
use ec_channel::{Allocation, Driver, EventChannel, OpenOptions, Request};
use ec_test_support::{in_child, skipped, went_well};
use ec_unkind as _;
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel as words};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// So many processes may this user have from now on, threads counted.
fn most_processes(soft: libc::rlim_t) -> libc::rlim_t {
    // SAFETY: all zero is a valid limit; it is live.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NPROC, &mut limit), 0);
        let before = std::mem::replace(&mut limit.rlim_cur, soft);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &limit), 0);
        before
    }
}

/// While it lives no thread is to be had in this process; dropped, there is.
struct NoThreads(libc::rlim_t);

impl NoThreads {
    /// `None`: here there is one all the same.
    fn begin() -> Option<Self> {
        // SAFETY: no pointer is passed. (The limit does not hold for root. Who is nobody from here on has no rights to give up.)
        unsafe {
            if libc::getuid() == 0 && (libc::setgid(60_123) != 0 || libc::setuid(60_123) != 0) {
                skipped("this user cannot become another one");
                return None;
            }
        }
        let none = NoThreads(most_processes(0));
        match std::thread::Builder::new().spawn(|| ()) {
            Err(_) => Some(none),
            Ok(_) => {
                skipped("the limit of processes does not hold for this user");
                None
            }
        }
    }
}

impl Drop for NoThreads {
    fn drop(&mut self) {
        most_processes(self.0);
    }
}

fn errno(channel: &EventChannel) -> Option<i32> {
    channel.get_event().unwrap().failure().map(|failure| failure.errno())
}

#[test]
fn what_needs_a_thread_is_refused_and_nothing_is_left() {
    went_well(in_child("what_needs_a_thread_is_refused_and_nothing_is_left", || {
        let channels: Vec<_> = all_drivers()
            .into_iter()
            .map(|driver| (driver, EventChannel::builder().driver(driver).build().unwrap()))
            .collect();
        let (mut file, path) = new_file("no-threads", 0).unwrap();
        std::fs::remove_file(path).unwrap();
        file.write_all(&[7; 8192]).unwrap();
        let file = Arc::new(file);
        let Some(none) = NoThreads::begin() else { return };
        for (driver, channel) in &channels {
            let pipe = || OwnedFd::from(std::io::pipe().unwrap().0);
            let (_reader, writer) = std::io::pipe().unwrap();
            let (near, _far) = UnixStream::pair().unwrap();
            let writer = OwnedFd::from(writer);
            let again = || writer.try_clone().unwrap();
            let f = || file.clone();
            let all = [
                ("open", Request::open("/", OpenOptions::new().read(true))),
                ("stat", Request::stat("/")),
                ("rename", Request::rename("/no/such", "/file")),
                ("fsync", Request::fsync(f())),
                ("fdatasync", Request::fdatasync(f())),
                ("truncate", Request::truncate(f(), 8000)),
                ("allocate", Request::allocate(f(), Allocation::Reserve, 0, 100)),
                ("write", Request::write(f(), vec![1; 10])),
                ("write_at", Request::write_at(f(), vec![1; 8000], 0)),
                ("close", Request::close(pipe())),
                ("splice", Request::splice_at(f(), Some(0), again(), None, 10)),
                ("pump", Request::pump(f(), near)),
            ];
            for (words, request) in all {
                channel.post(request).unwrap();
                let errno = errno(channel);
                eprintln!("{driver}: {words}: {errno:?}");
                match driver {
                    // (It makes the call itself.)
                    Driver::Direct => assert!(matches!(errno, None | Some(libc::ENOENT)), "{words}"),
                    // (Some file systems write what has room already where the port is driven.)
                    _ if words == "write_at" => assert!(matches!(errno, None | Some(libc::EAGAIN))),
                    _ => assert_eq!(errno, Some(libc::EAGAIN), "{words}"),
                }
            }
            channel.post(Request::work(|| 1)).unwrap();
            assert_eq!(errno(channel), Some(libc::EAGAIN));
            // What needs none goes on.
            channel.post(Request::read_at(file.clone(), room(4), 0)).unwrap();
            assert_eq!(errno(channel), None);
        }
        drop(none);
        for (_, channel) in &channels {
            channel.post(Request::work(|| 1)).unwrap();
            channel.post(Request::fsync(file.clone())).unwrap();
            assert_eq!([errno(channel), errno(channel)], [None, None]);
        }
    }));
}

/// The ring gives a receive whose descriptor is always ready, and that finds nothing, to a thread of the kernel's. Where there is none it
/// is asked for again: no helper can receive in its place.
#[test]
fn a_receive_that_the_kernel_has_no_thread_for_comes_all_the_same() {
    went_well(in_child("a_receive_that_the_kernel_has_no_thread_for_comes_all_the_same", || {
        let channels: Vec<_> = all_drivers()
            .into_iter()
            .map(|driver| EventChannel::builder().driver(driver).build().unwrap())
            .collect();
        let Some(_none) = NoThreads::begin() else { return };
        for channel in &channels {
            // Something is in its error queue, which no receive takes.
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let (fd, one) = (socket.as_raw_fd(), 1i32);
            let (level, option, at) = (libc::IPPROTO_IP, libc::IP_RECVERR, (&raw const one).cast());
            // SAFETY: a live int.
            assert_eq!(unsafe { libc::setsockopt(fd, level, option, at, 4) }, 0);
            let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            socket.send_to(b"x", nobody).unwrap();
            until_ready(&socket, 0);
            socket.set_nonblocking(true).unwrap();
            assert!(socket.recv(&mut [0; 4]).is_err());
            socket.set_nonblocking(false).unwrap();

            let to = socket.local_addr().unwrap();
            channel.post(Request::recv(socket, room(8))).unwrap();
            none_for(channel, Duration::from_millis(200));
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"here", to).unwrap();
            assert_eq!(channel.get_event().unwrap().buffer(), b"here");
        }
    }));
}

/// A closure that runs until something is said, on the process's one helper.
fn occupied(channel: &EventChannel) -> Sender<()> {
    let ((say, hear), (here, arrived)) = (words::<()>(), words());
    let request = Request::work(move || {
        here.send(()).unwrap();
        let _ = hear.recv();
    });
    channel.post(request.token(1)).unwrap();
    none_for(channel, Duration::ZERO);
    arrived.recv().unwrap();
    assert_eq!(HELPERS.threads(), 1);
    say
}

/// What waits behind a helper that begins what lasts would wait as long as that.
#[test]
fn what_waits_behind_what_lasts_is_refused() {
    went_well(in_child("what_waits_behind_what_lasts_is_refused", || {
        let Some(driver) = all_drivers().into_iter().next() else { return };
        let channel = EventChannel::builder().driver(driver).build().unwrap();
        let say = occupied(&channel);
        let Some(none) = NoThreads::begin() else { return };
        let word = Arc::new(AtomicU32::new(0));
        let lasts = channel.post(Request::word(word.clone(), 0).token(2)).unwrap();
        (3..6).for_each(|token| _ = channel.post(Request::work(|| 5).token(token)).unwrap());
        // (The helper that there is comes to them.)
        none_for(&channel, SOON);
        assert_eq!(HELPERS.queued(), 4);
        say.send(()).unwrap();
        let mut came: Vec<_> = (0..4)
            .map(|_| {
                let event = channel.get_event().unwrap();
                (event.token(), event.failure().map(|failure| failure.errno()))
            })
            .collect();
        came.sort();
        let refused = Some(libc::EAGAIN);
        assert_eq!(came, [(1, None), (3, refused), (4, refused), (5, refused)]);
        // There is no other one now, and when this is back it is as any.
        channel.post(Request::work(|| 5)).unwrap();
        assert_eq!(errno(&channel), refused);
        word.store(1, Ordering::SeqCst);
        ec_channel::wake_word(&word);
        let event = channel.get_event().unwrap();
        assert!(event.id() == lasts && event.failure().is_none());
        while HELPERS.threads() == 0 {
            std::thread::yield_now();
        }
        channel.post(Request::work(|| 5)).unwrap();
        assert_eq!(errno(&channel), None);
        drop(none);
    }));
}

/// When there is a thread to be had again, what comes then has one, and what waits as well.
#[test]
fn what_waits_is_done_when_there_is_a_thread_again() {
    went_well(in_child("what_waits_is_done_when_there_is_a_thread_again", || {
        let Some(driver) = all_drivers().into_iter().next() else { return };
        let channel = EventChannel::builder().driver(driver).build().unwrap();
        let say = occupied(&channel);
        let Some(none) = NoThreads::begin() else { return };
        (2..5).for_each(|token| _ = channel.post(Request::work(|| 5).token(token)).unwrap());
        none_for(&channel, SOON);
        drop(none);
        // (The one helper is occupied until they have come.)
        (0..3).for_each(|_| assert!(channel.get_event().unwrap().token() > 1));
        say.send(()).unwrap();
        assert_eq!(channel.get_event().unwrap().token(), 1);
    }));
}
