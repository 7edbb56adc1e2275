//! Devices that have positions, and let a read at one wait for as long as others wish: a tap that nothing goes through.

mod common;

use common::{Scratch, all_drivers, drivers, none_for, room};
use ec_channel::{Driver, Event, EventChannel, Pages, Request};
use ec_test_support::{limit, skipped};
use ec_unkind as _;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

/// Nobody sends anything there. `None`: this user may have none, or the system has none.
fn tap() -> Option<Arc<File>> {
    const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
    const IFF_TUN_WITHOUT_HEADER: i16 = 0x1001;
    let make = || {
        // (In a network of its own, which nobody else sees, if that may be.)
        // SAFETY: no pointer is passed, and this thread does nothing else.
        unsafe { libc::unshare(libc::CLONE_NEWNET) };
        let file = File::options().read(true).write(true).open("/dev/net/tun")?;
        let mut request = [0u8; 40];
        request[..5].copy_from_slice(b"ech%d");
        request[16..18].copy_from_slice(&IFF_TUN_WITHOUT_HEADER.to_ne_bytes());
        // SAFETY: as many bytes as an `ifreq` has.
        match unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF as _, request.as_mut_ptr()) } {
            0 => Ok(Arc::new(file)),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    let made = thread::spawn(make).join().unwrap();
    made.inspect_err(|error| skipped(&format!("a tap: {error}"))).ok()
}

fn channel(driver: Driver) -> EventChannel {
    eprintln!("on {driver}");
    EventChannel::builder().driver(driver).build().unwrap()
}

fn reads(tap: &Arc<File>) -> [Request; 3] {
    [
        Request::read_at(tap.clone(), room(64), 0),
        Request::read_at_vectored(tap.clone(), vec![room(64), room(64)], 0),
        Request::read_direct(tap.clone(), Pages::with_capacity(64), 0),
    ]
}

#[test]
fn a_read_that_waits_ends_when_it_is_given_up_and_holds_up_no_timer() {
    limit(60, || {
        let Some(tap) = tap() else { return };
        for driver in all_drivers() {
            for at in 0..3 {
                let request = || reads(&tap).into_iter().nth(at).unwrap();
                let channel = channel(driver);
                channel.post(request().within(SOON)).unwrap();
                assert!(channel.get_event().unwrap().is_timed_out());
                let id = channel.post(request()).unwrap();
                channel.post(Request::timer(SOON).token(7)).unwrap();
                assert_eq!(channel.get_event().unwrap().token(), 7);
                assert!(channel.cancel(id));
                assert!(channel.get_event().unwrap().is_cancelled());
                channel.post(request()).unwrap();
                none_for(&channel, SOON);
                channel.shutdown();
                assert!(channel.get_event().unwrap().is_cancelled());
            }
        }
    });
}

#[test]
fn reads_that_wait_keep_no_helper_from_others() {
    // (There are so many.)
    const MOST: usize = 512;
    limit(60, || {
        let Some(tap) = tap() else { return };
        for driver in drivers() {
            let (channel, folder) = (channel(driver), Scratch::new());
            for _ in 0..MOST {
                channel.post(Request::read_at(tap.clone(), room(64), 0)).unwrap();
            }
            channel.post(Request::mkdir(folder.join("new"), 0o700).token(1)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 1);
            channel.shutdown();
            let ended: Vec<Event> = (0..MOST).map(|_| channel.get_event().unwrap()).collect();
            assert!(ended.iter().all(Event::is_cancelled));
        }
    });
}
