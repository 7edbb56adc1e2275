//! How a process ends, and forks, with a runtime in it. Each case runs in a child process: this program started again
//! with the name of the case.

use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use event_channel::channel::Request;
use event_channel::net::{TcpListener, TcpStream};
use event_channel::sync::Notification;
use event_channel::{Runtime, run, task, time};
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

/// Runs `case` in a child and gives how it ended; in the child itself runs it.
fn in_child(test: &str, case: impl FnOnce()) -> Option<ExitStatus> {
    match this_test_again(test) {
        Some(mut child) => limit(60, || Some(child.stdout(Stdio::null()).status().unwrap())),
        None => {
            limit(30, case);
            None
        }
    }
}

/// Tasks in all kinds of waits, and requests in the kernel.
fn populate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(task::spawn(move || listener.incoming().map(|stream| stream.unwrap()).collect::<Vec<_>>()));
    drop(task::spawn(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.read(&mut [0; 64]).unwrap()
    }));
    drop(task::spawn(|| time::sleep(Duration::from_secs(3600))));
    drop(task::spawn(task::park));
    drop(task::spawn(|| {
        loop {
            task::yield_now();
        }
    }));
    time::sleep(Duration::from_millis(20));
}

#[test]
fn process_exit_in_a_task_ends_the_process_with_its_code() {
    let ended = in_child("process_exit_in_a_task_ends_the_process_with_its_code", || {
        run(|| {
            populate();
            std::process::exit(17);
        });
    });
    assert!(ended.is_none_or(|status| status.code() == Some(17)), "{ended:?}");
}

#[test]
fn process_exit_on_a_thread_ends_the_process_with_its_code() {
    let ended = in_child("process_exit_on_a_thread_ends_the_process_with_its_code", || {
        run(populate);
        std::process::exit(18);
    });
    assert!(ended.is_none_or(|status| status.code() == Some(18)), "{ended:?}");
}

#[test]
fn main_may_return_with_tasks_suspended_and_requests_in_flight() {
    let ended = in_child("main_may_return_with_tasks_suspended_and_requests_in_flight", || {
        let runtime = Runtime::new().unwrap();
        runtime.channel().post(Request::timer(Duration::from_secs(3600))).unwrap();
        run(populate);
        std::mem::forget(runtime);
        // The harness's main returns after this.
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}

#[test]
fn an_abort_in_a_task_is_an_abort() {
    let ended = in_child("an_abort_in_a_task_is_an_abort", || {
        run(|| {
            populate();
            std::process::abort();
        });
    });
    assert!(ended.is_none_or(|status| status.signal() == Some(libc::SIGABRT)), "{ended:?}");
}

/// Forks and gives the child's exit code; the child runs `f` and ends.
fn fork(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: the child uses what is documented to work there, and ends by `_exit`.
    unsafe {
        match libc::fork() {
            0 => {
                // Not to hang for ever in front of the waiting parent.
                libc::alarm(20);
                libc::_exit(f())
            }
            child => {
                let mut status = 0;
                assert_eq!(libc::waitpid(child, &mut status, 0), child);
                assert!(libc::WIFEXITED(status), "{status}");
                libc::WEXITSTATUS(status)
            }
        }
    }
}

/// What must work in a forked child as on a plain thread.
fn as_a_plain_thread() -> i32 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"fork").unwrap();
    let mut word = [0; 4];
    server.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"fork");
    time::sleep(Duration::from_millis(2));
    task::yield_now();
    assert!(task::Builder::new().spawn(|| ()).is_err());
    run(|| 23)
}

#[test]
fn a_forked_child_uses_the_wrappers_as_a_plain_thread() {
    let ended = in_child("a_forked_child_uses_the_wrappers_as_a_plain_thread", || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(populate);
        let code = fork(|| {
            let code = as_a_plain_thread();
            assert_eq!(runtime.metrics().tasks_live, 0);
            assert!(runtime.dump().tasks.is_empty());
            assert!(runtime.shutdown(Duration::from_secs(1)).is_ok());
            drop(runtime);
            code
        });
        assert_eq!(code, 23);
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}

#[test]
fn a_task_may_fork_and_its_child_is_a_plain_thread() {
    let ended = in_child("a_task_may_fork_and_its_child_is_a_plain_thread", || {
        run(|| {
            populate();
            assert_eq!(fork(as_a_plain_thread), 23);
        });
        assert_eq!(run(|| 7), 7, "the parent goes on");
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}

#[test]
fn a_task_that_returns_in_a_forked_child_ends_the_child() {
    let ended = in_child("a_task_that_returns_in_a_forked_child_ends_the_child", || {
        run(|| {
            populate();
            // SAFETY: the child only returns.
            let child = unsafe { libc::fork() };
            if child == 0 {
                return;
            }
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "{status}");
        });
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}

#[test]
fn a_child_forked_before_the_first_task_knows_that_it_is_one() {
    let ended = in_child("a_child_forked_before_the_first_task_knows_that_it_is_one", || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let code = fork(|| {
            assert!(runtime.spawn_with(task::Builder::new(), || ()).is_err());
            assert!(runtime.shutdown(Duration::MAX).is_ok());
            let code = runtime.run(|| 23);
            drop(runtime);
            code
        });
        assert_eq!(code, 23);
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}

#[test]
fn a_post_in_a_forked_child_is_for_the_child() {
    let ended = in_child("a_post_in_a_forked_child_is_for_the_child", || {
        static NOTIFICATION: Notification = Notification::new();
        let waiter = task::spawn(|| NOTIFICATION.wait());
        while !format!("{NOTIFICATION:?}").contains("waiters: 1") {
            std::thread::yield_now();
        }
        let code = fork(|| {
            NOTIFICATION.post();
            let mine = NOTIFICATION.try_wait();
            NOTIFICATION.post_all();
            i32::from(mine)
        });
        assert_eq!(code, 1, "the parent's task has not taken it");
        assert!(!waiter.is_finished());
        NOTIFICATION.post();
        waiter.join().unwrap();
    });
    assert!(ended.is_none_or(|status| status.success()), "{ended:?}");
}
