//! A name lookup that takes long must not hold up the other tasks of a one-core pool.
//!
//! This program has a getaddrinfo(3) of its own, which std's resolver calls: for one name it waits
//! until the test lets it go, for all others it passes on to libc's.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use event_channel::{Cancelled, time};
use net_common::{each_run, each_runtime, eventually, until_waiting};
use parking_lot::{Condvar, Mutex};
use std::ffi::{CStr, c_char, c_int};
use std::io::ErrorKind;
use std::time::Duration;

/// How many are inside, and whether they may go on.
static SLOW: (Mutex<(usize, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

type GetAddrInfo = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const libc::addrinfo,
    *mut *mut libc::addrinfo,
) -> c_int;

/// # Safety
/// As getaddrinfo(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    let mut node = node;
    // SAFETY: a C string or null, by contract.
    if !node.is_null() && unsafe { CStr::from_ptr(node) } == c"slow.test" {
        let mut state = SLOW.0.lock();
        state.0 += 1;
        SLOW.1.wait_while(&mut state, |state| !state.1);
        state.0 -= 1;
        node = c"localhost".as_ptr();
    }
    // SAFETY: libc has this symbol, of this type; the arguments are the caller's.
    unsafe {
        let next = libc::dlsym(libc::RTLD_NEXT, c"getaddrinfo".as_ptr());
        assert!(!next.is_null(), "libc has a getaddrinfo");
        std::mem::transmute::<*mut libc::c_void, GetAddrInfo>(next)(node, service, hints, result)
    }
}

fn let_go(go: bool) {
    SLOW.0.lock().1 = go;
    SLOW.1.notify_all();
}

/// One at a time: they share the resolver.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn other_tasks_run_while_one_looks_up_a_name() {
    limit(60, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let connecting = runtime.spawn(move || TcpStream::connect(("slow.test", port)).unwrap());
            eventually(|| SLOW.0.lock().0 == 1);
            until_waiting(runtime, "lookup_host");
            // The resolver is stuck, and yet even on one core this comes to its end.
            runtime.run(|| {
                let near = TcpStream::connect(("127.0.0.1", port)).unwrap();
                assert_eq!(listener.accept().unwrap().1, near.local_addr().unwrap());
                time::sleep(Duration::from_millis(2));
            });
            assert!(!connecting.is_finished());
            let_go(true);
            assert_eq!(connecting.join().unwrap().peer_addr().unwrap().port(), port);
        });
    });
}

#[test]
fn a_waiting_lookup_can_be_cancelled_and_has_deadlines() {
    limit(60, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let waiting = runtime.spawn(|| {
                let error = "slow.test:1".to_socket_addrs().unwrap_err();
                assert!(Cancelled::is(&error), "{error}");
                let error = time::timeout(Duration::from_millis(10), || lookup_host("slow.test").map(drop));
                assert_eq!(error.unwrap_err().kind(), ErrorKind::TimedOut);
            });
            until_waiting(runtime, "lookup_host");
            waiting.cancel();
            waiting.join().unwrap();
            let_go(true);
            eventually(|| SLOW.0.lock().0 == 0);
        });
    });
}

#[test]
fn more_lookups_than_helper_threads_all_come_back() {
    limit(60, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let lookups: Vec<_> =
                (0..100).map(|_| runtime.spawn(|| lookup_host("slow.test:7").unwrap().count())).collect();
            eventually(|| SLOW.0.lock().0 >= 4);
            assert!(SLOW.0.lock().0 < 100, "the helpers are bounded");
            let_go(true);
            assert!(lookups.into_iter().all(|lookup| lookup.join().unwrap() > 0));
        });
    });
}

#[test]
fn lookup_host_takes_names_and_addresses_with_and_without_a_port() {
    limit(30, || {
        let _turn = TURN.lock();
        let check = || {
            let all = |host| lookup_host(host).unwrap().collect::<Vec<_>>();
            assert!(!all("localhost").is_empty());
            assert!(all("localhost").iter().all(|addr| addr.ip().is_loopback() && addr.port() == 0));
            assert!(all("localhost:80").iter().all(|addr| addr.ip().is_loopback() && addr.port() == 80));
            assert_eq!(all("127.0.0.1"), ["127.0.0.1:0".parse().unwrap()]);
            assert_eq!(all("::1"), ["[::1]:0".parse().unwrap()]);
            assert_eq!(all("[::1]:9"), ["[::1]:9".parse().unwrap()]);
            assert!(lookup_host("no.such.host.invalid").is_err());
        };
        check();
        each_run(check);
    });
}
