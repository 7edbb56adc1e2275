//! A name lookup that takes long must not hold up the other tasks of a one-core pool.
//!
//! This program has a getaddrinfo(3) of its own, which std's resolver calls: for one name it waits
//! until the test lets it go, for another it forks; all others it passes on to libc's.

mod net_common;

use ec_test_support::{limit, refuse, skipped};
use ec_unkind as _;
use event_channel::channel::Driver;
use event_channel::net::{TcpListener, TcpStream, ToSocketAddrs, lookup_host};
use event_channel::sync::Notification;
use event_channel::{Cancelled, Runtime, time};
use net_common::{each_run, each_runtime, eventually, in_a_process_for_each, until_waiting};
use parking_lot::{Condvar, Mutex};
use std::ffi::{CStr, c_char, c_int};
use std::fs::{DirEntry, read_dir, read_to_string};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// How many are inside, and whether they may go on.
static SLOW: (Mutex<(usize, bool)>, Condvar) = (Mutex::new((0, false)), Condvar::new());

/// How the child has ended that a look-up forked.
static CHILD: AtomicI32 = AtomicI32::new(-1);

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
    // SAFETY: as above.
    if !node.is_null() && unsafe { CStr::from_ptr(node) } == c"fork.test" {
        // SAFETY: the child goes on like its parent, and may allocate; `CHILD` is a live place.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::alarm(20);
            } else {
                let mut status = -1;
                libc::waitpid(child, &mut status, 0);
                CHILD.store(status, Ordering::SeqCst);
            }
        }
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
fn lookups_that_were_given_up_keep_nobody_waiting() {
    limit(120, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let given_up: Vec<_> = (0..100)
                .map(|_| {
                    runtime.spawn(|| {
                        time::timeout(Duration::from_millis(50), || lookup_host("slow.test").map(drop))
                    })
                })
                .collect();
            for lookup in given_up {
                assert_eq!(lookup.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
            }
            let next = || time::timeout(Duration::from_secs(10), || lookup_host("localhost").map(drop));
            runtime.run(next).unwrap();
            let_go(true);
            eventually(|| SLOW.0.lock().0 == 0);
        });
    });
}

#[test]
fn a_quick_lookup_does_not_wait_for_64_slow_ones() {
    limit(120, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let slow: Vec<_> =
                (0..64).map(|_| runtime.spawn(|| lookup_host("slow.test").map(drop))).collect();
            until_waiting(runtime, "lookup_host");
            let quick = || time::timeout(Duration::from_secs(10), || lookup_host("localhost").map(drop));
            runtime.run(quick).unwrap();
            eventually(|| SLOW.0.lock().0 == 64);
            let_go(true);
            assert!(slow.into_iter().all(|lookup| lookup.join().unwrap().is_ok()));
        });
    });
}

/// In processes of their own, one for each driver: from a moment on there are no threads to be had.
fn without_threads(name: &str, case: impl FnOnce(&Runtime)) {
    if !limit(60, || in_a_process_for_each(Driver::ALL, name)) {
        return;
    }
    match Runtime::builder().cores(2).build() {
        Ok(runtime) => limit(50, || case(&runtime)),
        Err(error) => skipped(&error.to_string()),
    }
}

/// A task that looks a name up when it is told to, and what tells it and waits for it. (Spawned before, since tasks may be threads.)
fn will_look_up(
    runtime: &Runtime,
    look_up: fn() -> std::io::Result<()>,
) -> impl FnOnce() -> std::io::Result<()> {
    let go = Arc::new(Notification::new());
    let theirs = go.clone();
    let task = runtime.spawn(move || {
        theirs.wait();
        look_up()
    });
    eventually(|| format!("{go:?}").contains("waiters: 1"));
    move || {
        go.post();
        task.join().unwrap()
    }
}

fn no_more_threads() -> bool {
    let refused = refuse(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN);
    if !refused {
        skipped("no seccomp filter can be set here");
    }
    refused
}

#[test]
fn without_threads_the_helper_there_is_comes_in_its_turn() {
    without_threads("without_threads_the_helper_there_is_comes_in_its_turn", |runtime| {
        let given_up = will_look_up(runtime, || {
            time::timeout(Duration::from_millis(20), || lookup_host("localhost").map(drop))
        });
        let waits = will_look_up(runtime, || lookup_host("localhost").map(drop));
        let slow = runtime.spawn(|| lookup_host("slow.test").map(drop));
        eventually(|| SLOW.0.lock().0 == 1);
        if !no_more_threads() {
            return let_go(true);
        }
        assert_eq!(given_up().unwrap_err().kind(), ErrorKind::TimedOut);
        let_go(true);
        waits().unwrap();
        slow.join().unwrap().unwrap();
    });
}

#[test]
fn without_threads_and_helpers_a_worker_does_it() {
    without_threads("without_threads_and_helpers_a_worker_does_it", |runtime| {
        let look_up = will_look_up(runtime, || lookup_host("localhost").map(drop));
        let is_helper = |thread: &DirEntry| {
            read_to_string(thread.path().join("comm")).is_ok_and(|name| name.starts_with("ec-helper"))
        };
        assert!(!read_dir("/proc/self/task").unwrap().flatten().any(|thread| is_helper(&thread)));
        if no_more_threads() {
            look_up().unwrap();
        }
    });
}

/// The child returns to the helper that ran the look-up.
#[test]
fn a_resolver_may_fork() {
    limit(60, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            runtime.run(|| lookup_host("fork.test").map(drop)).unwrap();
            assert_eq!(CHILD.swap(-1, Ordering::SeqCst), 0, "14: it hung");
        });
    });
}

#[test]
fn many_lookups_all_come_back() {
    limit(60, || {
        let _turn = TURN.lock();
        each_runtime(|runtime| {
            let_go(false);
            let lookups: Vec<_> =
                (0..100).map(|_| runtime.spawn(|| lookup_host("slow.test:7").unwrap().count())).collect();
            eventually(|| SLOW.0.lock().0 == 100);
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
