//! System calls on which a promise rests, and that the kernel refuses, or libc: what happens then. Each case runs in a process of its
//! own.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

mod net_common;

use ec_test_support::{descriptors_of, ended_itself, in_child, refuse, skipped, went_well};
use event_channel::channel::{Driver, EventChannel, Interest, Request};
use event_channel::{Runtime, task, time};
use net_common::eventually;
use std::ffi::c_void;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

type Handler = Option<unsafe extern "C" fn()>;

unsafe extern "C" {
    fn __register_atfork(
        before: Handler,
        parent: Handler,
        child: Handler,
        module: *mut c_void,
    ) -> libc::c_int;
    fn __getauxval(which: libc::c_ulong) -> libc::c_ulong;
}

/// libc has no memory for a handler of forks.
static NO_MEMORY: AtomicBool = AtomicBool::new(false);
/// A processor, or a kernel, without the instruction that writes the thread pointer.
static NO_FSGSBASE: AtomicBool = AtomicBool::new(false);

/// In place of libc's.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_atfork(before: Handler, parent: Handler, child: Handler) -> libc::c_int {
    if NO_MEMORY.load(Ordering::SeqCst) {
        return libc::ENOMEM;
    }
    // SAFETY: by contract; the program itself is never unloaded.
    unsafe { __register_atfork(before, parent, child, std::ptr::null_mut()) }
}

/// In place of libc's.
#[unsafe(no_mangle)]
pub extern "C" fn getauxval(which: libc::c_ulong) -> libc::c_ulong {
    // SAFETY: a question.
    let answer = unsafe { __getauxval(which) };
    if which == libc::AT_HWCAP2 && NO_FSGSBASE.load(Ordering::SeqCst) { answer & !2 } else { answer }
}

#[test]
fn who_could_not_know_that_it_is_forked_has_no_runtime_and_no_channel() {
    went_well(in_child("who_could_not_know_that_it_is_forked_has_no_runtime_and_no_channel", || {
        NO_MEMORY.store(true, Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(EventChannel::new().map(|_| ()).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
            assert_eq!(Runtime::new().map(|_| ()).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
        }
        NO_MEMORY.store(false, Ordering::SeqCst);
        // Of each there is one handler.
        drop(EventChannel::new().unwrap());
        assert_eq!(Runtime::new().unwrap().run(|| 23), 23);
        // SAFETY: the child calls what works there, and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let known = EventChannel::new().is_err() || task::Builder::new().spawn(|| ()).is_err();
            // SAFETY: ends the child.
            unsafe { libc::_exit(i32::from(known)) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 1, "{status}");
    }));
}

#[test]
fn a_thread_that_cannot_take_a_tasks_thread_locals_does_not_run_it() {
    let case = || {
        NO_FSGSBASE.store(true, Ordering::SeqCst);
        let runtime = Runtime::builder().cores(1).build().unwrap();
        assert_eq!(runtime.run(|| 23), 23);
        if !task::migrates() {
            return skipped("here each task is a thread of its own");
        }
        if !refuse(&[libc::SYS_arch_prctl], libc::EPERM) {
            return skipped("this machine does not allow seccomp filters");
        }
        runtime.run(|| panic!("it runs on the thread-locals of the worker"));
    };
    let ended = in_child("a_thread_that_cannot_take_a_tasks_thread_locals_does_not_run_it", case);
    ended_itself(ended, "the kernel refuses arch_prctl");
}

#[test]
fn a_forked_child_does_not_go_on_where_the_kernel_would_write_to_its_memory() {
    went_well(in_child("a_forked_child_does_not_go_on_where_the_kernel_would_write_to_its_memory", || {
        // (Where rseq is refused libc cannot start a thread.)
        let runtime = Runtime::builder().cores(1).without_monitor().build().unwrap();
        runtime.run(|| {
            if !task::migrates() {
                return skipped("here each task is a thread of its own");
            }
            if !refuse(&[libc::SYS_rseq], libc::EPERM) {
                return skipped("this machine does not allow seccomp filters");
            }
            // SAFETY: the child ends at once.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: ends the child.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGABRT, "{status}");
        });
    }));
}

fn with_closed_bell(driver: Driver) {
    let runtime = match Runtime::builder().cores(1).driver(driver).build() {
        Ok(runtime) => runtime,
        Err(error) => return skipped(&format!("{driver} is not to be had: {error}")),
    };
    assert_eq!(runtime.run(|| 23), 23);
    if !task::migrates() {
        return skipped("here each task is a thread of its own");
    }
    eventually(|| runtime.metrics().workers_asleep == 1);
    // (By which a sleeper in a port is woken.)
    // SAFETY: not safe at all: that is what the case is about.
    descriptors_of(&["[eventfd]", "[io_uring]"])
        .into_iter()
        .for_each(|fd| assert_eq!(unsafe { libc::close(fd) }, 0));
    // (Counted as asleep a moment before it is.)
    loop {
        drop(runtime.spawn(|| ()));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_sleeper_whose_bell_was_closed_is_not_left_asleep_on_epoll() {
    let ended = in_child("a_sleeper_whose_bell_was_closed_is_not_left_asleep_on_epoll", || {
        with_closed_bell(Driver::Epoll);
    });
    ended_itself(ended, "closed a descriptor of an event channel");
}

#[test]
fn a_sleeper_whose_bell_was_closed_is_not_left_asleep_on_io_uring() {
    let ended = in_child("a_sleeper_whose_bell_was_closed_is_not_left_asleep_on_io_uring", || {
        with_closed_bell(Driver::IoUring);
    });
    ended_itself(ended, "closed a descriptor of an event channel");
}

#[test]
fn who_is_blocked_is_found_though_proc_is_not_to_be_read_any_more() {
    went_well(in_child("who_is_blocked_is_found_though_proc_is_not_to_be_read_any_more", || {
        let runtime = Runtime::builder().cores(1).build().unwrap();
        if !task::migrates() {
            return skipped("here each task is a thread of its own");
        }
        runtime.run(|| std::thread::sleep(Duration::from_millis(20)));
        let (sender, receiver) = mpsc::channel();
        let blocked = runtime.spawn(move || {
            let refused = refuse(&[libc::SYS_pread64], libc::EPERM);
            receiver.recv().unwrap();
            refused
        });
        runtime.run(move || {
            time::sleep(Duration::from_millis(2));
            sender.send(()).unwrap();
        });
        if !blocked.join().unwrap() {
            skipped("this machine does not allow seccomp filters");
        }
    }));
}

/// What waits because nothing is ready.
#[derive(Clone, Copy, PartialEq)]
enum Waits {
    /// Goes on when something is.
    GoesOn,
    /// Fails with the kernel's reason, although nothing ever is.
    Fails,
}

/// What a request or a wait comes to if the kernel refuses these calls while nothing is ready: an end.
fn ends_where_refused(calls: &[libc::c_long], errno: i32, waits: Waits) {
    let runtime = Runtime::builder().cores(1).driver(Driver::Epoll).build().unwrap();
    let own = EventChannel::builder().driver(Driver::Epoll).build().unwrap();
    let (mut near, mut far) = net_common::pair();
    let (there, mut sends) = UnixStream::pair().unwrap();
    let (empty, mut later) = UnixStream::pair().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    sends.write_all(b"x").unwrap();
    if !refuse(calls, errno) {
        return skipped("this machine does not allow seccomp filters");
    }
    let result_of = |request: Request| {
        own.post(request).unwrap();
        own.get_event().unwrap().result().map_err(|error| io::Error::from(error.kind()))
    };
    // Ready already, whoever tells.
    assert_eq!(result_of(Request::recv(there, Vec::with_capacity(1))).unwrap(), 1);
    let _ = result_of(Request::accept(listener));
    let _ = result_of(Request::readiness(file, Interest::READABLE));
    // Ready some time.
    let writes = std::thread::spawn(move || {
        if waits == Waits::GoesOn {
            std::thread::sleep(Duration::from_millis(20));
            later.write_all(b"x").unwrap();
            far.write_all(b"x").unwrap();
        }
        (later, far)
    });
    let ends = |result: io::Result<usize>| match waits {
        Waits::GoesOn => assert_eq!(result.unwrap(), 1),
        Waits::Fails => {
            assert_eq!(result.unwrap_err().kind(), io::Error::from_raw_os_error(errno).kind());
        }
    };
    ends(result_of(Request::recv(empty, Vec::with_capacity(1))));
    ends(runtime.run(|| near.read(&mut [0])));
    let getter = {
        let own = own.clone();
        runtime.spawn(move || own.get_event().map(|_| 0))
    };
    std::thread::sleep(Duration::from_millis(5));
    getter.cancel();
    assert!(getter.join().unwrap().is_err());
    runtime.shutdown(Duration::from_secs(5)).unwrap();
    drop((writes.join().unwrap(), connection));
}

#[test]
fn what_epoll_refuses_to_watch_fails_and_what_is_ready_is_done() {
    went_well(in_child("what_epoll_refuses_to_watch_fails_and_what_is_ready_is_done", || {
        ends_where_refused(&[libc::SYS_epoll_ctl], libc::ENOSPC, Waits::Fails);
    }));
}

/// So it says of files, too.
#[test]
fn what_epoll_may_not_watch_fails_and_what_is_ready_is_done() {
    went_well(in_child("what_epoll_may_not_watch_fails_and_what_is_ready_is_done", || {
        ends_where_refused(&[libc::SYS_epoll_ctl], libc::EPERM, Waits::Fails);
    }));
}

#[test]
fn without_poll_nothing_waits_for_ever() {
    went_well(in_child("without_poll_nothing_waits_for_ever", || {
        ends_where_refused(&[libc::SYS_poll], libc::EACCES, Waits::GoesOn);
    }));
}

#[test]
fn without_epoll_pwait2_the_older_call_is_made_whatever_the_reason() {
    went_well(in_child("without_epoll_pwait2_the_older_call_is_made_whatever_the_reason", || {
        ends_where_refused(&[libc::SYS_epoll_pwait2], libc::EACCES, Waits::GoesOn);
    }));
}
