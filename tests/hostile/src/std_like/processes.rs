//! Other processes from inside a task, and what a task's stack looks like from inside.

use crate::check::Check;
use crate::support::{hop, hops, many, tasks};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::thread;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("a_command_in_a_task_runs_and_is_waited_for", commands),
    Check::new("a_forked_child_has_the_tasks_thread_locals", forked_child),
    Check::new("a_forked_child_may_start_threads", forked_child_starts_threads),
    Check::new("fork_and_exec_in_a_task", fork_and_exec),
    Check::new("a_backtrace_shows_the_tasks_frames_and_ends", backtraces),
    Check::new("a_hash_maps_random_keys_are_the_tasks", hash_maps),
    Check::new("std_net_and_file_calls_in_a_task", plain_calls),
];

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
    static LIST: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn commands() {
    tasks(many(60), |me| {
        MINE.set(me);
        let output = Command::new("sh")
            .args(["-c", "read -r line; echo got $line; exit 3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .and_then(|mut child| {
                use std::io::Write;
                hop();
                writeln!(child.stdin.take().expect("piped"), "{me}")?;
                child.wait_with_output()
            })
            .expect("sh runs");
        hop();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("got {me}\n"));
        assert_eq!(MINE.get(), me);
    });
}

/// Forks; the child ends with the status that `in_child` returns. Returns the child's status.
fn fork(in_child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child runs `in_child` on the only thread it has, and leaves without unwinding.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork: {}", std::io::Error::last_os_error());
    if child == 0 {
        let status = in_child();
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(status) }
    }
    let mut status = 0;
    // SAFETY: the child is this process's own, and the status has its place.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status), "the child was killed: status {status:#x}");
    libc::WEXITSTATUS(status)
}

fn forked_child() {
    tasks(many(100), |me| {
        MINE.set(me);
        LIST.with_borrow_mut(|list| list.extend([me, me + 1]));
        let parent = std::process::id();
        hop();
        let held = LIST.with(|list| {
            let held = list.borrow_mut();
            let status = fork(|| {
                let id = thread::current().id();
                let right = MINE.get() == me
                    && LIST.with(|list| list.try_borrow().is_err())
                    && std::process::id() != parent
                    && thread::current().id() == id;
                MINE.set(usize::MAX);
                if right { 42 } else { 1 }
            });
            hop();
            assert_eq!(status, 42);
            held.len()
        });
        assert_eq!((MINE.get(), held), (me, 2));
    });
}

fn forked_child_starts_threads() {
    // Each kind of hop once: the plain threads that hops need, which begin with a lock of std's, have begun before the first fork.
    tasks(1, |_| hops(16));
    tasks(20, |me| {
        MINE.set(me + 1);
        hop();
        let status = fork(|| {
            let thread = thread::spawn(|| {
                let before = MINE.replace(9);
                (before, vec![0_u8; 100_000].len())
            });
            let joined = thread.join().ok();
            if joined == Some((0, 100_000)) && MINE.get() == me + 1 { 42 } else { 1 }
        });
        assert_eq!(status, 42);
        hop();
    });
}

fn fork_and_exec() {
    tasks(many(60), |_| {
        let path = c"/bin/sh".as_ptr();
        let arguments = [path, c"-c".as_ptr(), c"exit 17".as_ptr(), std::ptr::null()];
        let status = fork(|| {
            // SAFETY: strings with a NUL at their ends, in an array that ends with a null pointer.
            unsafe { libc::execv(path, arguments.as_ptr()) };
            1
        });
        hop();
        assert_eq!(status, 17);
    });
}

#[inline(never)]
fn a_frame_to_be_found(depth: usize, seen: &mut String) -> usize {
    if depth == 0 {
        hop();
        *seen = Backtrace::force_capture().to_string();
        return 1;
    }
    std::hint::black_box(a_frame_to_be_found(depth - 1, seen)) + 1
}

fn backtraces() {
    // One at a time resolves its symbols, which takes a while: std's lock blocks the others.
    tasks(12, |_| {
        let mut seen = String::new();
        hop();
        assert_eq!(a_frame_to_be_found(5, &mut seen), 6);
        hop();
        let found = seen.matches("a_frame_to_be_found").count();
        assert!(found >= 6, "only {found} of the task's frames in\n{seen}");
        assert!(seen.lines().count() < 400, "it does not end");
    });
}

/// std seeds from a thread-local and then counts: no two maps of a task have the same keys.
fn hash_maps() {
    use std::hash::{BuildHasher, RandomState};
    tasks(many(500), |me| {
        let mut hashes = Vec::new();
        let mut map = HashMap::new();
        for n in 0..20 {
            hashes.push(RandomState::new().hash_one(me));
            map.insert(n, me);
            hop();
        }
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!((hashes.len(), map.len()), (20, 20));
    });
}

fn plain_calls() {
    use std::io::{Read, Write};
    tasks(many(60), |me| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        for n in 0..5_usize {
            near.write_all(&(me * n).to_le_bytes()).unwrap();
            hop();
            let mut bytes = [0; 8];
            far.read_exact(&mut bytes).unwrap();
            assert_eq!(usize::from_le_bytes(bytes), me * n);
        }
        assert!(std::fs::read_to_string("/proc/self/statm").is_ok());
        assert!(std::env::var("PATH").is_ok());
        hops(2);
        let error = std::fs::read("/no such file").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    });
}
