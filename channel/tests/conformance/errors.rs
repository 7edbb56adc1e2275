//! What an error says.

use crate::common::{each_driver, room};
use crate::row::Cell;
use crate::{ROWS, SOON, named};
use ec_channel::{Advice, Allocation, EventChannel, Interest, OpenOptions, Request, Source, WatchFor};
use ec_test_support::limit;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

#[test]
fn a_bad_descriptor_is_an_error_in_the_event() {
    limit(30, || {
        each_driver(|channel| {
            let file = std::fs::File::open("/dev/null").unwrap();
            channel.post(Request::recv(file, room(8))).unwrap();
            let error = channel.get_event().unwrap().result().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
        })
    });
}

/// In the error of each kind: the operation, what its descriptor is to it, the errno.
#[test]
fn an_error_says_what_it_is_about() {
    limit(30, || {
        each_driver(|channel| {
            // Open for writing only, and no socket.
            let file = || Source::from(std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap());
            let to = "127.0.0.1:9".parse().unwrap();
            let failing = [
                (Request::accept(file()), "accept on its listener"),
                (Request::connect(file(), to), "connect on its socket"),
                (Request::recv(file(), room(1)), "recv on its socket"),
                (Request::send(file(), vec![0]), "send on its socket"),
                (Request::recv_from(file(), room(1)), "recv_from on its socket"),
                (Request::send_to(file(), vec![0], to), "send_to on its socket"),
            ];
            for (request, words) in failing {
                let kind = request.kind();
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                let failure = event.failure().unwrap();
                assert_eq!((failure.kind(), failure.errno()), (kind, libc::ENOTSOCK));
                assert_eq!(event.result().unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
                assert!(failure.to_string().starts_with(&format!("{words}: ")), "{failure}");
            }
            let closed = crate::world::not_open;
            let failing = [
                (Request::read(closed(), room(1)), "read on its descriptor"),
                (Request::write(closed(), vec![0]), "write on its descriptor"),
                (Request::read_at(closed(), room(1), 0), "read_at on its file"),
                (Request::write_at(closed(), vec![0], 0), "write_at on its file"),
                (Request::read_at_vectored(closed(), vec![room(1)], 0), "read_at_vectored on its file"),
                (Request::write_at_vectored(closed(), vec![vec![0]], 0), "write_at_vectored on its file"),
                (Request::fsync(closed()), "fsync on its file"),
                (Request::fdatasync(closed()), "fdatasync on its file"),
                (Request::truncate(closed(), 0), "truncate on its file"),
                (Request::allocate(closed(), Allocation::Reserve, 0, 1), "allocate on its file"),
                (Request::advise(closed(), 0, 1, Advice::WillNeed), "advise on its file"),
            ];
            for (request, words) in failing {
                assert!(format!("{request:?}").contains("descriptor: 1000"), "{request:?}");
                channel.post(request).unwrap();
                let failure = channel.get_event().unwrap().failure().unwrap();
                assert_eq!(failure.to_string(), format!("{words}: Bad file descriptor (os error 9)"));
            }
            let (a, _b) = UnixStream::pair().unwrap();
            channel.post(Request::readiness(a, Interest::READABLE).within(SOON)).unwrap();
            let failure = channel.get_event().unwrap().failure().unwrap();
            assert_eq!(
                failure.to_string(),
                "readiness on its descriptor: the request's time limit came first"
            );
            let id = channel.post(Request::timer(Duration::from_secs(100))).unwrap();
            channel.cancel(id);
            let failure = channel.get_event().unwrap().failure().unwrap();
            assert_eq!(failure.to_string(), "timer: the request was cancelled");
            channel.post(Request::notification()).unwrap();
            assert_eq!(channel.get_event().unwrap().failure(), None);
        })
    });
}

/// In the error of each kind that takes paths: these, in their order. So in what is printed of its request and its event.
#[test]
fn an_error_says_which_files_it_is_about() {
    limit(30, || {
        each_driver(|channel| {
            let (none, below) = ("/no/such file", "/no/such \"place\"/\n");
            let buffer = || room(16);
            let failing = [
                (Request::open(none, OpenOptions::new().read(true)), r#"open of "/no/such file""#),
                (Request::stat(none), r#"stat of "/no/such file""#),
                (Request::lstat(below), r#"stat of "/no/such \"place\"/\n""#),
                (Request::rename(none, below), r#"rename of "/no/such file", "/no/such \"place\"/\n""#),
                (Request::link(none, below), r#"link of "/no/such file", "/no/such \"place\"/\n""#),
                (Request::symlink("to", none), r#"symlink of "to", "/no/such file""#),
                (Request::unlink(none), r#"unlink of "/no/such file""#),
                (Request::mkdir(none, 0o700), r#"mkdir of "/no/such file""#),
                (Request::rmdir(none), r#"rmdir of "/no/such file""#),
                (Request::read_link(none, buffer()), r#"read_link of "/no/such file""#),
                (Request::get_xattr(none, "user.x", buffer()), r#"get_xattr of "/no/such file", "user.x""#),
                (Request::list_xattr(none, buffer()), r#"list_xattr of "/no/such file""#),
                (Request::set_xattr(none, "user.x", vec![]), r#"set_xattr of "/no/such file", "user.x""#),
                (Request::remove_xattr(none, "user.x"), r#"remove_xattr of "/no/such file", "user.x""#),
            ];
            for (request, words) in failing {
                let names = words.split_once(" of ").unwrap().1;
                let shown = format!("names: [{names}]");
                assert!(format!("{request:?}").contains(&shown), "{request:?}");
                channel.post(request).unwrap();
                let event = channel.get_event().unwrap();
                assert!(format!("{event:?}").contains(&shown), "{event:?}");
                let failure = event.failure().unwrap();
                assert_eq!(failure.to_string(), format!("{words}: No such file or directory (os error 2)"));
                assert_eq!(failure.names(), event.names());
                let error = event.result().unwrap_err();
                let both = (error.kind(), error.raw_os_error());
                assert_eq!(both, (io::ErrorKind::NotFound, Some(libc::ENOENT)));
            }
        })
    });
}

#[test]
fn whatever_a_file_is_called_its_error_says_so() {
    limit(30, || {
        each_driver(|channel| {
            for (name, words) in [
                (
                    OsStr::from_bytes(b"no\xff/such"),
                    "open of \"no\\xFF/such\": No such file or directory (os error 2)",
                ),
                // What is no name for the kernel is one here.
                (OsStr::new("nul\0in it"), "open of \"nul\\0in it\": Invalid argument (os error 22)"),
                (OsStr::new(""), "open of \"\": No such file or directory (os error 2)"),
            ] {
                channel.post(Request::open(name, OpenOptions::new().read(true))).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!(
                    (event.failure().unwrap().to_string().as_str(), event.names()),
                    (words, vec![name])
                );
                // Posted again it has them still.
                channel.post(event.again()).unwrap();
                assert_eq!(channel.get_event().unwrap().names(), [name]);
            }
            let id = channel.post(Request::unlink("never tried")).unwrap();
            channel.cancel(id);
            let failure = channel.get_event().unwrap().failure().unwrap();
            assert_eq!(failure.to_string(), "unlink of \"never tried\": the request was cancelled");
            let watch = Request::watch("/", WatchFor::CREATED).unwrap();
            assert!(format!("{watch:?}").contains(r#"names: ["/"]"#), "{watch:?}");
            let id = channel.post(watch).unwrap();
            channel.cancel(id);
            let failure = loop {
                let event = channel.get_event().unwrap();
                if event.is_last() {
                    break event.failure().unwrap();
                }
            };
            assert_eq!(failure.to_string(), "watch of \"/\": the request was cancelled");
        })
    });
}

/// Each word that [`Failure::role`](ec_channel::Failure::role) is said to give is that of some kind, and no kind has another one.
#[test]
fn the_roles_are_those_that_are_said() {
    let page = include_str!("../../src/kinds/failure.rs");
    let list = page.lines().filter(|line| line.starts_with("    /// * `"));
    let words = |line: &'static str| line.split(':').next().unwrap().split('`').skip(1).step_by(2);
    let said: BTreeSet<&str> = list.flat_map(words).collect();
    limit(30, || {
        let channel = EventChannel::new().unwrap();
        let mut seen = BTreeSet::new();
        for row in ROWS.iter().filter(|row| named::missing(row.kind).is_none()) {
            let makes = |cell| if let Cell::Can { make, .. } = cell { Some(make) } else { None };
            let fail = row.inputs.iter().filter(|input| input.gives.is_err()).map(|input| input.make);
            let fail = fail.chain(makes(row.fails)).map(|make| (make, false));
            for (make, is_given_up) in fail.chain(makes(row.cancelled).map(|make| (make, true))) {
                let scene = make();
                let id = channel.post(scene.request).unwrap();
                if is_given_up {
                    channel.cancel(id);
                } else {
                    (scene.cause)();
                }
                let mut event = channel.get_event().unwrap();
                while !event.is_last() {
                    channel.cancel(id);
                    event = channel.get_event().unwrap();
                }
                seen.extend(event.failure().and_then(|failure| failure.role()));
            }
        }
        assert_eq!(seen, said);
    });
}
