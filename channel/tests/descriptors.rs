//! What a limit of descriptors does: to an accept the limit of now counts, not the one of when it began; a connect needs none.

mod common;

use common::{drivers, each_driver, none_for};
use ec_channel::{Driver, EventChannel, Request, WatchFor};
use ec_test_support::{in_child, limit, skipped, this_test_again, went_well};
use ec_unkind as _;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Sets the soft limit.
fn limit_descriptors(count: u64) {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the limits.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limits), 0);
        limits.rlim_cur = count;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limits), 0);
    }
}

/// All that are to be had.
fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn socket() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

#[test]
fn an_accept_has_the_descriptors_of_when_it_ends() {
    // (In a process of its own: the limit is the process's.)
    went_well(in_child("an_accept_has_the_descriptors_of_when_it_ends", || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap().into();
            let (first, second) = (socket(), socket());
            limit_descriptors(64);
            channel.post(Request::accept(listener.try_clone().unwrap())).unwrap();
            // It is with the kernel now.
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            let hogs = all_descriptors();
            limit_descriptors(256);
            first.connect(&at).unwrap();
            let accepted = channel.get_event().unwrap();
            accepted.result().unwrap();

            let more = all_descriptors();
            channel.post(Request::accept(listener)).unwrap();
            second.connect(&at).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::EMFILE));
            drop((accepted, more, hogs));
        })
    }));
}

/// (Of the rest under such a limit: `no_descriptors.rs`.)
#[test]
fn a_connect_needs_no_descriptor_and_an_accept_says_that_it_does() {
    went_well(in_child("a_connect_needs_no_descriptor_and_an_accept_says_that_it_does", || {
        for driver in drivers().into_iter().chain([Driver::Direct]) {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (to, nobody) = (listener.local_addr().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
            let refuses = nobody.local_addr().unwrap();
            drop(nobody);
            let socket = || std::net::TcpStream::from(socket());
            let (fine, refused) = (socket(), socket());
            limit_descriptors(0);
            channel.post(Request::connect(fine, to)).unwrap();
            let connected = channel.get_event().unwrap();
            channel.post(Request::connect(refused, refuses)).unwrap();
            let failed = channel.get_event().unwrap();
            channel.post(Request::accept(listener)).unwrap();
            let accept = channel.get_event().unwrap();
            limit_descriptors(256);
            assert!(connected.result().is_ok(), "{driver}: {connected:?}");
            assert_eq!(failed.result().unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED), "{driver}");
            assert_eq!(accept.result().unwrap_err().raw_os_error(), Some(libc::EMFILE), "{driver}");
        }
    }));
}

#[test]
fn a_stream_of_connections_ends_once_without_descriptors_and_goes_on_when_it_is_posted_again() {
    let me = "a_stream_of_connections_ends_once_without_descriptors_and_goes_on_when_it_is_posted_again";
    went_well(in_child(me, || {
        each_driver(|channel| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(at).unwrap()).collect();
            limit_descriptors(64);
            let hogs = all_descriptors();
            let id = channel.post(Request::accept_many(listener)).unwrap();
            let last = channel.get_event().unwrap();
            assert!(last.is_last() && last.id() == id, "{last:?}");
            assert_eq!(last.failure().unwrap().errno(), libc::EMFILE);
            none_for(&channel, Duration::from_millis(5));
            drop(hogs);
            limit_descriptors(256);
            channel.post(last.again()).unwrap();
            for client in &clients {
                let item = channel.get_event().unwrap();
                assert_eq!(item.address(), Some(client.local_addr().unwrap()));
            }
        })
    }));
}

#[test]
fn a_time_of_the_clock_needs_one_if_it_lies_ahead() {
    went_well(in_child("a_time_of_the_clock_needs_one_if_it_lies_ahead", || {
        each_driver(|channel| {
            limit_descriptors(64);
            let hogs = all_descriptors();
            let ahead = SystemTime::now() + Duration::from_secs(1000);
            // (Its own limit is not what it fails by.)
            channel.post(Request::wall_clock(ahead).within(Duration::from_secs(1000))).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::EMFILE));
            channel.post(Request::wall_clock(UNIX_EPOCH)).unwrap();
            assert!(channel.get_event().unwrap().result().is_ok());
            drop(hogs);
            limit_descriptors(256);
            channel.post(event.again()).unwrap();
            assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none(), "it waits");
        })
    }));
}

/// The kernel has one number for two limits.
#[test]
fn a_watch_says_that_the_process_may_have_no_more_descriptors() {
    went_well(in_child("a_watch_says_that_the_process_may_have_no_more_descriptors", || {
        limit_descriptors(64);
        let hogs = all_descriptors();
        let error = Request::watch("/", WatchFor::CREATED).map(drop).unwrap_err();
        drop(hogs);
        let words = error.to_string();
        assert!(words.contains("RLIMIT_NOFILE") && !words.contains("inotify"), "{words}");
        let source = std::error::Error::source(&error).and_then(|it| it.downcast_ref::<std::io::Error>());
        assert_eq!(source.and_then(std::io::Error::raw_os_error), Some(libc::EMFILE));
    }));
}

/// That is the limit in a namespace of users of its own, which goes with the process.
#[test]
fn a_watch_says_that_the_user_may_have_no_more_of_them() {
    const NAME: &str = "a_watch_says_that_the_user_may_have_no_more_of_them";
    let Some(mut again) = this_test_again(NAME) else {
        let words = Request::watch("/", WatchFor::CREATED).map(drop).unwrap_err().to_string();
        assert!(words.contains("max_user_instances") && !words.contains("RLIMIT"), "{words}");
        return;
    };
    let none_for_this_user = || {
        // SAFETY: what a child may call between fork and exec, with live bytes.
        let written = unsafe {
            if libc::unshare(libc::CLONE_NEWUSER) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            let limit = libc::open(c"/proc/sys/user/max_inotify_instances".as_ptr(), libc::O_WRONLY);
            libc::write(limit, c"0".as_ptr().cast(), 1)
        };
        if written == 1 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: as above.
    unsafe { again.pre_exec(none_for_this_user) };
    match limit(60, || again.stdin(Stdio::null()).output()) {
        Ok(output) => went_well(Some(output)),
        Err(error) => skipped(&format!("a user without inotify descriptors: {error}")),
    }
}
