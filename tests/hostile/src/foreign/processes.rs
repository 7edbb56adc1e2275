//! Processes made in tasks: fork, exec, popen, system, `Command`. A child of fork has the task's thread-locals, and no runtime.

use super::locals;
use crate::check::Check;
use crate::support::{eventually, hop, hops, many, tasks};
use event_channel::net::UdpSocket;
use event_channel::task;
use std::cell::RefCell;
use std::ffi::{c_int, c_long};
use std::os::unix::process::CommandExt;
use std::panic::catch_unwind;
use std::process::Command;
use std::time::Duration;
use std::{io, ptr};

pub const CHECKS: &[Check] = &[
    Check::new("a_forked_child_has_its_tasks_thread_locals", a_forked_child_has_its_tasks_thread_locals),
    Check::new("fork_and_exec", fork_and_exec),
    Check::new("popen_and_system", popen_and_system),
    Check::new("commands_that_fork_and_commands_that_spawn", commands_that_fork_and_commands_that_spawn),
    Check::new("setuid_on_the_thread_does_not_hang", setuid_on_the_thread_does_not_hang),
    Check::new("setuid_on_the_thread_while_tasks_start_threads", setuid_while_tasks_start_threads),
];

unsafe extern "C" {
    safe fn ec_popen_number(number: c_long) -> c_long;
    safe fn ec_system_code(code: c_int) -> c_int;
}

thread_local! {
    static WORDS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The exit status of a child, awaited without blocking the worker.
fn awaited(child: libc::pid_t) -> c_int {
    let mut status = 0;
    eventually(|| {
        // SAFETY: a child of this process that nobody else waits for, and a place for its status.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 => false,
            done => {
                assert_eq!(done, child, "{}", io::Error::last_os_error());
                true
            }
        }
    });
    assert!(libc::WIFEXITED(status), "killed by signal {}", libc::WTERMSIG(status));
    libc::WEXITSTATUS(status)
}

/// # Safety
/// As fork(2): the child has this thread only.
unsafe fn fork() -> libc::pid_t {
    // SAFETY: by contract.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "{}", io::Error::last_os_error());
    if child == 0 {
        // A child that hangs ends by itself.
        // SAFETY: no handler is installed.
        unsafe { libc::alarm(30) };
    }
    child
}

fn a_forked_child_has_its_tasks_thread_locals() {
    tasks(24, |i| {
        let number = i as c_long + 1;
        for _ in 0..3 {
            locals::set(number);
            WORDS.set(vec![format!("task {i}"), "second".into()]);
            hop();
            // SAFETY: the child uses what a child of a runtime may, and ends without unwinding out of here.
            let child = unsafe { fork() };
            if child == 0 {
                let code = catch_unwind(|| in_child(i)).map_or(101, |()| 7);
                // SAFETY: ends the process.
                unsafe { libc::_exit(code) };
            }
            hop();
            assert!(locals::have(number), "the parent's task has lost its thread-locals");
            assert_eq!(awaited(child), 7, "what the child has returned");
            WORDS.with_borrow(|words| assert_eq!(words[0], format!("task {i}")));
        }
    });
}

/// In the child: the calls block, the thread-locals are the task's, memory and threads can be had.
fn in_child(i: usize) {
    assert!(locals::have(i as c_long + 1), "the child has not the task's thread-locals");
    WORDS.with_borrow_mut(|words| {
        assert_eq!(words[0], format!("task {i}"));
        words.push("third".repeat(1000));
    });
    task::sleep(Duration::from_millis(1));
    task::yield_now();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.send_to(b"hello", socket.local_addr().expect("an address")).expect("a send");
    assert_eq!(socket.recv_from(&mut [0; 8]).expect("a receive").0, 5);
    assert!(task::Builder::new().spawn(|| ()).is_err(), "a task was started in a forked child");
    assert_eq!(event_channel::run(|| 5), 5);
    let thread = std::thread::spawn(locals::fresh);
    assert!(thread.join().expect("a thread of the child"), "the child's thread has the task's thread-locals");
    // SAFETY: the child's own child, which ends at once.
    let grandchild = unsafe { fork() };
    if grandchild == 0 {
        // SAFETY: ends the process.
        unsafe { libc::_exit(if locals::have(i as c_long + 1) { 3 } else { 4 }) };
    }
    assert_eq!(awaited(grandchild), 3);
}

fn fork_and_exec() {
    tasks(24, |i| {
        for _ in 0..5 {
            locals::set(i as c_long + 1);
            hop();
            let arguments = [c"/bin/sh".as_ptr(), c"-c".as_ptr(), c"exit 9".as_ptr(), ptr::null()];
            // SAFETY: the child execs or exits at once.
            let child = unsafe { fork() };
            if child == 0 {
                // SAFETY: as execv(3) wants them; back only if it failed.
                unsafe {
                    libc::execv(arguments[0], arguments.as_ptr());
                    libc::_exit(1);
                }
            }
            assert_eq!(awaited(child), 9);
            assert!(locals::have(i as c_long + 1));
        }
    });
}

fn popen_and_system() {
    tasks(16, |i| {
        for n in 0..4 {
            hop();
            locals::set(i as c_long + 1);
            assert_eq!(ec_popen_number((100 * i + n) as c_long), (100 * i + n) as c_long);
            hop();
            assert_eq!(ec_system_code(i as c_int + 1), i as c_int + 1);
            assert!(locals::have(i as c_long + 1));
        }
    });
}

fn commands_that_fork_and_commands_that_spawn() {
    tasks(16, |i| {
        let number = i as c_long + 1;
        for _ in 0..4 {
            locals::set(number);
            WORDS.set(vec![format!("task {i}")]);
            hop();
            // std uses posix_spawn.
            let spawned = Command::new("echo").arg(i.to_string()).output().expect("echo");
            assert_eq!(spawned.stdout, format!("{i}\n").as_bytes());
            hop();
            // With a closure to run before exec, std forks.
            let before_exec = move || {
                let right = locals::have(number) && WORDS.with_borrow(|words| words.len() == 1);
                if right { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ENOTRECOVERABLE)) }
            };
            let mut command = Command::new("sh");
            command.arg("-c").arg(format!("exit {i}"));
            // SAFETY: the closure reads thread-locals and allocates nothing.
            let status =
                unsafe { command.pre_exec(before_exec) }.status().expect("the child's thread-locals");
            assert_eq!(status.code(), Some(i as c_int));
        }
    });
}

/// libc makes every thread of the process change its ids, by a signal, and waits for them.
fn change_ids() {
    // SAFETY: without arguments; and nothing changes.
    let done = task::on_thread(|| unsafe { (libc::setuid(libc::getuid()), libc::setgid(libc::getgid())) });
    assert_eq!(done, (0, 0));
}

fn setuid_on_the_thread_does_not_hang() {
    // What `hop` needs is made before: no thread is started meanwhile.
    tasks(32, |_| hops(8));
    tasks(many(100), |i| {
        for _ in 0..5 {
            hop();
            if i % 10 == 0 {
                change_ids();
            }
        }
    });
    // Again without tasks, whose traces might be in the way.
    change_ids();
}

fn setuid_while_tasks_start_threads() {
    // Whoever starts a thread waits for the change to end, in the task; which waits for that worker's answer.
    tasks(many(100), |i| {
        for _ in 0..10 {
            hop();
            if i % 10 == 0 {
                change_ids();
            } else {
                std::thread::spawn(|| ()).join().expect("a thread");
            }
        }
    });
}
