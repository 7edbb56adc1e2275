//! Children that end: each is told of once, with its status and what it has used, and comes back; one that is given up stays.

mod common;

use common::{all_drivers, each_driver, is_left_alone, none_for, until_ended};
use ec_channel::{Driver, Event, EventChannel, Request};
use ec_test_support::{in_child, limit, refuse, skipped, went_well};
use ec_unkind as _;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

fn sh(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// It runs until it is killed, or its input ends.
fn cat() -> Child {
    Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::kill(pid as i32, signal) }, 0);
}

fn errno(event: &Event) -> Option<i32> {
    event.failure().map(|failure| failure.errno())
}

/// Waits for it as anybody may, and gives whether it was there.
fn waitpid(pid: u32) -> bool {
    // SAFETY: nobody wants the status.
    unsafe { libc::waitpid(pid as i32, std::ptr::null_mut(), 0) == pid as i32 }
}

#[test]
fn a_child_comes_back_with_its_status_its_pipes_and_what_it_has_used() {
    limit(30, || {
        each_driver(|channel| {
            let child =
                sh("read word; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done; echo got $word; exit 3");
            let pid = child.id();
            let mut child = child;
            let mut input = child.stdin.take().unwrap();
            let id = channel.post(Request::child_exit(child).token(7)).unwrap();
            none_for(&channel, SOON);
            std::io::Write::write_all(&mut input, b"it\n").unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!((event.id(), event.token(), event.is_last()), (id, 7, true));
            assert!(event.result().is_ok() && event.exit_status().unwrap().code() == Some(3), "{event:?}");
            let usage = event.resource_usage().unwrap();
            assert!(usage.user + usage.system > Duration::ZERO && usage.most_memory > 100_000, "{usage:?}");
            let mut child = event.take_child().unwrap();
            assert!(event.take_child().is_none());
            let mut said = String::new();
            child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "got it\n");
            // It knows that it has gone, and is reaped.
            assert_eq!(child.wait().unwrap().code(), Some(3));
            assert!(child.kill().is_ok() && !waitpid(pid), "its number may be another's");
        })
    });
}

#[test]
fn a_child_that_was_killed_says_by_what() {
    limit(30, || {
        each_driver(|channel| {
            for signal in [libc::SIGKILL, libc::SIGTERM] {
                let child = cat();
                let pid = child.id();
                channel.post(Request::child_exit(child)).unwrap();
                kill(pid, signal);
                assert_eq!(channel.get_event().unwrap().exit_status().unwrap().signal(), Some(signal));
            }
        })
    });
}

#[test]
fn a_child_that_has_ended_is_told_of_at_once() {
    limit(30, || {
        each_driver(|channel| {
            let child = sh("exit 4");
            until_ended(child.id());
            channel.post(Request::child_exit(child).within(Duration::from_secs(1000))).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.exit_status().unwrap().code(), Some(4));
            assert!(event.resource_usage().is_some());
            // It has been waited for by now. What it has used is known no more.
            channel.post(event.again()).unwrap();
            let event = channel.get_event().unwrap();
            assert_eq!(event.exit_status().unwrap().code(), Some(4));
            assert!(event.resource_usage().is_none());
        })
    });
}

#[test]
fn a_child_that_somebody_else_has_reaped_is_told_so() {
    limit(30, || {
        each_driver(|channel| {
            let late = cat();
            let pid = late.id();
            channel.post(Request::child_exit(late)).unwrap();
            none_for(&channel, SOON);
            kill(pid, libc::SIGKILL);
            assert!(waitpid(pid));
            let mut event = channel.get_event().unwrap();
            assert_eq!((errno(&event), event.exit_status()), (Some(libc::ECHILD), None));
            let words = "child_exit on its process: No child processes (os error 10)";
            assert_eq!(event.failure().unwrap().to_string(), words);
            assert!(event.take_child().is_some());
            // Without a child there is nobody to wait for.
            channel.post(event.again()).unwrap();
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::ECHILD));
            let early = sh("exit 0");
            assert!(waitpid(early.id()));
            channel.post(Request::child_exit(early)).unwrap();
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::ECHILD));
        })
    });
}

/// A child with this number, which ends at once. `None`: nobody may choose one here.
fn child_of_number(pid: u32, status: i32) -> Option<()> {
    let chosen = pid as libc::pid_t;
    // (As the kernel has it: flags, three addresses, the signal at its end, the stack, thread-locals, the numbers, a group.)
    let mut how = [0u64; 11];
    (how[4], how[8], how[9]) = (libc::SIGCHLD as u64, (&raw const chosen).addr() as u64, 1);
    // SAFETY: a live description; the child does nothing but end.
    unsafe {
        match libc::syscall(libc::SYS_clone3, how.as_mut_ptr(), size_of_val(&how)) {
            0 => libc::_exit(status),
            1.. => Some(()),
            _ => None,
        }
    }
}

#[test]
fn a_child_is_not_taken_for_the_one_that_has_its_number_next() {
    limit(60, || {
        each_driver(|channel| {
            let child = cat();
            let pid = child.id();
            channel.post(Request::child_exit(child)).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            kill(pid, libc::SIGKILL);
            assert!(waitpid(pid));
            if child_of_number(pid, 42).is_none() {
                skipped("nobody may choose the number of a process here");
                return;
            }
            let event = channel.get_event().unwrap();
            assert_eq!((errno(&event), event.exit_status()), (Some(libc::ECHILD), None));
            let mut status = 0;
            // SAFETY: room for the status.
            assert_eq!(unsafe { libc::waitpid(pid as libc::pid_t, &mut status, 0) }, pid as libc::pid_t);
            assert_eq!(libc::WEXITSTATUS(status), 42);
        });
    });
}

/// What has come by then is told.
#[test]
fn a_child_that_has_ended_by_the_time_it_is_given_up_is_reaped() {
    limit(60, || {
        each_driver(|channel| {
            let child = cat();
            let pid = child.id();
            let id = channel.post(Request::child_exit(child)).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            kill(pid, libc::SIGKILL);
            while waitid(pid, libc::WEXITED | libc::WNOWAIT).is_none() {}
            channel.cancel(id);
            let event = channel.get_event().unwrap();
            assert_eq!(event.result().unwrap(), 0);
            assert_eq!(event.exit_status().unwrap().signal(), Some(libc::SIGKILL));
            assert!(!waitpid(pid));
        });
    });
}

#[test]
#[allow(clippy::zombie_processes, reason = "the request waits for it")]
fn a_number_is_looked_up_anew_when_it_is_posted_again() {
    limit(60, || {
        each_driver(|channel| {
            let child = cat();
            channel.post(Request::process_exit(child.id())).unwrap();
            kill(child.id(), libc::SIGKILL);
            let event = channel.get_event().unwrap();
            assert_eq!(event.exit_status().unwrap().signal(), Some(libc::SIGKILL));
            channel.post(event.again()).unwrap();
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::ESRCH));
        });
    });
}

#[test]
fn of_a_process_that_is_nobodys_child_here_only_the_end_is_told() {
    limit(30, || {
        each_driver(|channel| {
            // Its child is in between.
            let mut between = sh("sleep 1000 & echo $!; wait");
            let mut line = String::new();
            BufReader::new(between.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let grandchild = line.trim().parse().unwrap();
            channel.post(Request::process_exit(grandchild)).unwrap();
            none_for(&channel, SOON);
            kill(grandchild, libc::SIGKILL);
            let event = channel.get_event().unwrap();
            assert!(event.result().is_ok() && event.exit_status().is_none(), "{event:?}");
            assert!(event.resource_usage().is_none());
            between.wait().unwrap();
        })
    });
}

#[test]
fn a_child_that_is_given_up_stays_to_be_waited_for() {
    limit(30, || {
        each_driver(|channel| {
            let child = cat();
            let pid = child.id();
            let id = channel.post(Request::child_exit(child)).unwrap();
            none_for(&channel, SOON);
            channel.cancel(id);
            let event = channel.get_event().unwrap();
            assert!(event.is_cancelled() && event.exit_status().is_none());
            let limited = Request::from(event).within(Duration::from_millis(1));
            channel.post(limited).unwrap();
            let mut event = channel.get_event().unwrap();
            assert!(event.is_timed_out());
            let mut child = event.take_child().unwrap();
            assert!(child.try_wait().unwrap().is_none(), "it runs");
            kill(pid, libc::SIGTERM);
            assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
        })
    });
}

/// Many at once, with several who get; and for some two have asked.
#[test]
fn each_child_is_told_of_once() {
    limit(60, || {
        each_driver(|channel| {
            let children: Vec<Child> = (0..40).map(|n| sh(&format!("read word; exit {n}"))).collect();
            for (n, child) in children.iter().enumerate() {
                let asks = if n % 4 == 0 { 2 } else { 1 };
                (0..asks).for_each(|_| {
                    channel.post(Request::process_exit(child.id()).token(n as u64)).unwrap();
                });
            }
            let told = Mutex::new(HashMap::<u64, Vec<Result<i32, i32>>>::new());
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        while let Ok(event) = channel.get_event() {
                            let came = match event.exit_status() {
                                Some(status) => Ok(status.code().unwrap()),
                                None => Err(errno(&event).unwrap()),
                            };
                            told.lock().unwrap().entry(event.token()).or_default().push(came);
                        }
                    });
                }
                // (Their inputs end.)
                let pids: Vec<u32> = children.iter().map(Child::id).collect();
                drop(children);
                while told.lock().unwrap().values().map(Vec::len).sum::<usize>() < 50 {
                    std::thread::yield_now();
                }
                channel.shutdown();
                assert!(pids.into_iter().all(|pid| !waitpid(pid)), "all are reaped");
            });
            for (n, came) in told.into_inner().unwrap() {
                let mut came = came;
                came.sort_unstable();
                match n % 4 {
                    0 => assert_eq!(came, [Ok(n as i32), Err(libc::ECHILD)]),
                    _ => assert_eq!(came, [Ok(n as i32)]),
                }
            }
        })
    });
}

#[test]
fn a_child_that_the_kernel_reaps_is_told_so() {
    went_well(in_child("a_child_that_the_kernel_reaps_is_told_so", || {
        // SAFETY: no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        each_driver(|channel| {
            let child = cat();
            let pid = child.id();
            channel.post(Request::child_exit(child)).unwrap();
            none_for(&channel, SOON);
            kill(pid, libc::SIGKILL);
            assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::ECHILD));
        })
    }));
}

/// Before Linux 5.3, or behind a filter.
#[test]
fn where_there_is_no_pidfd_the_child_comes_back_with_an_error() {
    went_well(in_child("where_there_is_no_pidfd_the_child_comes_back_with_an_error", || {
        if !refuse(&[libc::SYS_pidfd_open], libc::ENOSYS) {
            return skipped("system calls cannot be refused here");
        }
        each_driver(|channel: EventChannel| {
            channel.post(Request::child_exit(cat()).within(Duration::from_secs(1000))).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!(errno(&event), Some(libc::ENOSYS));
            assert!(event.take_child().unwrap().wait().unwrap().success());
        })
    }));
}

/// Runs `script` traced by this thread: it stops at its first step. `None`: it must not be traced here.
fn traced(script: &str) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    let traced = || match ptrace(libc::PTRACE_TRACEME, 0) {
        true => Ok(()),
        false => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: a system call, and nothing else.
    let spawned = unsafe { command.pre_exec(traced) }.spawn();
    spawned.inspect_err(|error| skipped(&format!("nothing can be traced here: {error}"))).ok()
}

fn ptrace(request: libc::c_uint, pid: u32) -> bool {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: requests without data.
    unsafe { libc::ptrace(request as _, pid as libc::pid_t, nothing, nothing) == 0 }
}

/// What waitid(2) says of this process with these flags: what has become of it, and its status.
fn waitid(pid: u32, flags: i32) -> Option<(i32, i32)> {
    // SAFETY: all zero is a valid value; room for the answer, which is as it was or what is said of a child.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let waited = libc::waitid(libc::P_PID, pid, &mut info, flags);
        (waited == 0 && info.si_pid() != 0).then(|| (info.si_code, info.si_status()))
    }
}

fn until_stopped(pid: u32) -> i32 {
    let (code, signal) = waitid(pid, libc::WSTOPPED | libc::WNOWAIT).unwrap();
    assert_eq!(code, libc::CLD_TRAPPED);
    signal
}

/// Linux tells a tracer of stops, although it asks for ends alone.
#[test]
fn a_traced_child_that_has_only_stopped_has_not_ended() {
    limit(30, || {
        for driver in all_drivers() {
            for by_number in [true, false] {
                let channel = EventChannel::builder().driver(driver).build().unwrap();
                let Some(child) = traced("kill -USR1 $$; exit 5") else { return };
                let pid = child.id();
                let (ours, request) = match by_number {
                    true => (Some(child), Request::process_exit(pid)),
                    false => (None, Request::child_exit(child)),
                };
                assert_eq!(until_stopped(pid), libc::SIGTRAP);
                channel.post(request).unwrap();
                none_for(&channel, SOON);
                // One that comes while it is awaited.
                assert!(ptrace(libc::PTRACE_CONT, pid));
                assert_eq!(until_stopped(pid), libc::SIGUSR1);
                if driver == Driver::Direct {
                    none_for(&channel, SOON);
                } else {
                    is_left_alone(&channel, SOON);
                }
                // The stop is still there for whoever traces.
                let taken = waitid(pid, libc::WSTOPPED | libc::WNOHANG);
                assert_eq!(taken, Some((libc::CLD_TRAPPED, libc::SIGUSR1)), "{driver}");
                assert!(ptrace(libc::PTRACE_CONT, pid));
                let event = channel.get_event().unwrap();
                let status = event.exit_status().map(|status| status.code());
                assert_eq!((errno(&event), status), (None, Some(Some(5))), "{driver}");
                assert!(event.resource_usage().is_some() && !waitpid(pid));
                drop(ours);
            }
        }
    });
}

/// Its tracer may know how it ended, and takes it, as waitpid(2) does. Then its parent may.
#[test]
fn of_a_process_that_is_traced_here_the_status_is_told() {
    limit(30, || {
        each_driver(|channel| {
            let mut between = sh("sleep 1000 & echo $!; wait $!; exit 6");
            let mut line = String::new();
            BufReader::new(between.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            let grandchild = line.trim().parse().unwrap();
            if ptrace(libc::PTRACE_SEIZE, grandchild) {
                channel.post(Request::process_exit(grandchild)).unwrap();
                none_for(&channel, SOON);
                kill(grandchild, libc::SIGKILL);
                let status = channel.get_event().unwrap().exit_status().unwrap();
                assert_eq!(status.signal(), Some(libc::SIGKILL));
            } else {
                skipped("another's child cannot be traced here");
                kill(grandchild, libc::SIGKILL);
            }
            assert_eq!(between.wait().unwrap().code(), Some(6));
        })
    });
}

/// A child that tells nobody of its end by a signal, as clone(2) makes them. It reads a byte, and ends with it.
fn quiet_child(input: &OwnedFd) -> u32 {
    // SAFETY: as fork(2): the child makes two calls, and touches nothing that others may have.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0);
        if pid == 0 {
            let mut byte = 0u8;
            libc::read(input.as_raw_fd(), (&raw mut byte).cast(), 1);
            libc::_exit(byte.into());
        }
        u32::try_from(pid).unwrap()
    }
}

#[test]
fn a_child_without_a_signal_at_its_end_is_reaped() {
    limit(30, || {
        for driver in all_drivers() {
            for by_number in [true, false] {
                let channel = EventChannel::builder().driver(driver).build().unwrap();
                let (reader, mut writer) = std::io::pipe().unwrap();
                let pid = quiet_child(&reader.into());
                // SAFETY: no pointer is passed; the descriptor is new.
                let pidfd = || unsafe {
                    let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
                    OwnedFd::from_raw_fd(fd.try_into().unwrap())
                };
                let request =
                    if by_number { Request::process_exit(pid) } else { Request::pidfd_exit(pidfd()) };
                channel.post(request).unwrap();
                none_for(&channel, SOON);
                std::io::Write::write_all(&mut writer, &[3]).unwrap();
                let event = channel.get_event().unwrap();
                assert_eq!(
                    event.exit_status().and_then(|status| status.code()),
                    Some(3),
                    "{driver}: {event:?}"
                );
                assert_eq!(waitid(pid, libc::WEXITED | libc::WNOHANG | libc::__WALL), None, "it is reaped");
            }
        }
    });
}

#[test]
fn what_is_no_number_of_a_process_is_told_so() {
    limit(30, || {
        // SAFETY: no pointer is passed.
        let thread = unsafe { libc::gettid() } as u32;
        assert_ne!(thread, std::process::id());
        for driver in all_drivers() {
            let channel = EventChannel::builder().driver(driver).build().unwrap();
            for number in [thread, 0, i32::MAX as u32, 1 << 31, u32::MAX] {
                channel.post(Request::process_exit(number)).unwrap();
                assert_eq!(errno(&channel.get_event().unwrap()), Some(libc::ESRCH), "{number}");
            }
        }
    });
}
