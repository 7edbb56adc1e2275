//! What an error says.

use crate::SOON;
use crate::common::{each_driver, room};
use ec_channel::{Advice, Allocation, Interest, Request, Source};
use ec_test_support::limit;
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
