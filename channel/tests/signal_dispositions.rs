//! What signals do while somebody waits for them, and afterwards: handlers of the program's own, before and meanwhile, and children.

mod common;

use common::signals::{
    BELOW, ONE, OTHER, SOON, action, called, calls_below, dispose, disposition, next, plain, raise, with_info,
};
use common::{each_driver, none_for};
use ec_channel::{EventChannel, Request};
use ec_test_support::{alone, in_child};
use ec_unkind as _;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::Ordering;

#[test]
fn what_a_signal_did_before_it_does_again_when_the_last_has_gone() {
    alone(30, || {
        for before in [
            action(libc::SIG_DFL, 0),
            action(libc::SIG_IGN, 0),
            action(plain as *const () as usize, libc::SA_NODEFER),
            action(with_info as *const () as usize, libc::SA_SIGINFO | libc::SA_RESTART),
        ] {
            let old = dispose(OTHER, &before);
            let (one, other) = (Request::signal(OTHER).unwrap(), Request::signals([ONE, OTHER]).unwrap());
            let ours = disposition(OTHER);
            let has_handler = ![libc::SIG_DFL, libc::SIG_IGN].contains(&before.sa_sigaction);
            let on_stack = ours.sa_flags & libc::SA_ONSTACK != 0;
            assert!(ours.sa_sigaction != before.sa_sigaction && on_stack != has_handler);
            drop(one);
            assert_eq!(disposition(OTHER).sa_sigaction, ours.sa_sigaction, "another waits");
            drop(other);
            let now = disposition(OTHER);
            assert_eq!(
                (now.sa_sigaction, now.sa_flags),
                (before.sa_sigaction, before.sa_flags | now.sa_flags & 0x4000000)
            );
            dispose(OTHER, &old);
        }
        assert_eq!(disposition(ONE).sa_sigaction, libc::SIG_DFL);
    });
}

#[test]
fn a_handler_that_was_there_before_is_called_too() {
    alone(30, || {
        each_driver(|channel| {
            let old = dispose(OTHER, &action(plain as *const () as usize, 0));
            channel.post(Request::signal(OTHER).unwrap()).unwrap();
            assert_eq!(called(|| raise(OTHER)), 1);
            assert_eq!(next(&channel).occurrences, 1);
            // With all that it has asked for.
            let id = channel.post(Request::signal(ONE).unwrap()).unwrap();
            channel.cancel(id);
            drop(channel.get_event().unwrap());
            let old_one = dispose(ONE, &action(with_info as *const () as usize, libc::SA_SIGINFO));
            channel.post(Request::signal(ONE).unwrap()).unwrap();
            assert_eq!(called(|| raise(ONE)), 1);
            assert_eq!(next(&channel).number, ONE);
            drop(channel);
            dispose(OTHER, &old);
            dispose(ONE, &old_one);
        })
    });
}

/// It may call the one that it has found, or not; it stays; and whoever waits for the signal next hears of it, once.
#[test]
fn a_handler_that_the_program_sets_meanwhile_stays() {
    alone(30, || {
        let old = disposition(OTHER);
        let channel = EventChannel::new().unwrap();
        let id = channel.post(Request::signal(OTHER).unwrap()).unwrap();
        let found = dispose(OTHER, &action(calls_below as *const () as usize, libc::SA_SIGINFO));
        BELOW.store(found.sa_sigaction, Ordering::SeqCst);
        assert_eq!(called(|| raise(OTHER)), 1);
        assert_eq!(next(&channel).occurrences, 1);

        // One more who waits: above it from now on. Each hears of it once.
        let second = EventChannel::new().unwrap();
        second.post(Request::signal(OTHER).unwrap()).unwrap();
        assert_eq!(called(|| raise(OTHER)), 1);
        assert_eq!((next(&channel).occurrences, next(&second).occurrences), (1, 1));
        none_for(&channel, SOON);
        drop(second);
        channel.cancel(id);
        drop(channel.get_event().unwrap());
        assert_eq!(disposition(OTHER).sa_sigaction, calls_below as *const () as usize);
        // Ours is called by it, and does nothing.
        assert_eq!(called(|| raise(OTHER)), 1);

        // One that calls nobody: those who wait hear nothing, until one more does.
        let deaf = Request::signal(OTHER).unwrap();
        channel.post(deaf).unwrap();
        dispose(OTHER, &action(plain as *const () as usize, 0));
        assert_eq!(called(|| raise(OTHER)), 1);
        none_for(&channel, SOON);
        let one_more = Request::signal(OTHER).unwrap();
        assert_eq!(called(|| raise(OTHER)), 1);
        assert_eq!(next(&channel).occurrences, 1);
        drop((one_more, channel));
        assert_eq!(disposition(OTHER).sa_sigaction, plain as *const () as usize);
        dispose(OTHER, &old);
    });
}

/// Each time the program sets one over ours while somebody waits, and each is another one.
#[test]
fn a_handler_that_is_replaced_time_and_again_is_an_error_in_the_end() {
    alone(30, || {
        let signal = libc::SIGRTMIN() + 1;
        let old = disposition(signal);
        let mut requests = Vec::new();
        let error = loop {
            match Request::signal(signal) {
                Ok(request) => requests.push(request),
                Err(error) => break error,
            }
            let mut other = action(with_info as *const () as usize, libc::SA_SIGINFO);
            // SAFETY: a live set.
            unsafe { libc::sigaddset(&mut other.sa_mask, requests.len() as i32) };
            dispose(signal, &other);
        };
        assert_eq!((requests.len(), error.kind()), (8, std::io::ErrorKind::ResourceBusy));
        assert!(error.to_string().contains("too many handlers have been set for it"), "{error}");
        // With nothing of the kind on top all begins anew.
        drop(requests);
        dispose(signal, &old);
        let channel = EventChannel::new().unwrap();
        channel.post(Request::signal(signal).unwrap()).unwrap();
        raise(signal);
        assert_eq!(next(&channel).occurrences, 1);
    });
}

/// Runs `f` in a forked child, and gives how that has ended: by itself with 0, or by a signal.
fn in_fork(f: impl FnOnce()) -> (i32, Option<i32>) {
    // SAFETY: the child makes system calls, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        f();
        // SAFETY: no pointer is passed.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a live int.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    let status = std::process::ExitStatus::from_raw(status);
    (status.code().unwrap_or(-1), status.signal())
}

#[test]
fn a_signal_to_a_forked_child_is_its_own() {
    alone(30, || {
        each_driver(|channel| {
            let old = dispose(OTHER, &action(plain as *const () as usize, 0));
            channel
                .post(Request::signals([ONE, OTHER, libc::SIGCHLD, libc::SIGRTMIN() + 2]).unwrap())
                .unwrap();
            // It does what it did before.
            assert_eq!(in_fork(|| raise(ONE)), (-1, Some(ONE)));
            let handled = || {
                // SAFETY: no pointer is passed.
                let end = |code| unsafe { libc::_exit(code) };
                if called(|| raise(OTHER)) != 1 {
                    end(7);
                }
                if Request::signal(ONE).is_ok() {
                    end(8);
                }
                // Ignored by default; and so from then on.
                raise(libc::SIGCHLD);
                if disposition(libc::SIGCHLD).sa_sigaction != libc::SIG_DFL {
                    end(9);
                }
            };
            assert_eq!(in_fork(handled), (0, None));
            // What it sends to its parent comes here, and what the kernel sends for it, and nothing else.
            let tells = || {
                // SAFETY: no pointer is passed.
                unsafe { libc::kill(libc::getppid(), ONE) };
            };
            assert_eq!(in_fork(tells), (0, None));
            let (mut ends, mut own) = (0, 0);
            while ends < 3 || own < 1 {
                let told = next(&channel);
                assert!(told.sender.unwrap().pid != std::process::id(), "{told:?}");
                match told.number {
                    libc::SIGCHLD => ends += told.occurrences,
                    ONE => own += told.occurrences,
                    _ => panic!("{told:?}"),
                }
            }
            none_for(&channel, SOON);
            assert_eq!((ends, own), (3, 1));
            drop(channel);
            dispose(OTHER, &old);
        })
    });
}

#[test]
fn what_is_executed_in_a_child_begins_with_the_default() {
    alone(30, || {
        each_driver(|channel| {
            channel.post(Request::signal(ONE).unwrap()).unwrap();
            let script = format!("kill -{ONE} $$; sleep 1000");
            let status = Command::new("sh").args(["-c", &script]).status().unwrap();
            assert_eq!(status.signal(), Some(ONE));
            none_for(&channel, SOON);
        })
    });
}

/// Runs `case` in a process of its own, which is to die of this signal.
fn dies_of(signal: i32, name: &str, case: impl FnOnce()) {
    alone(60, || {
        let Some(output) = in_child(name, case) else { panic!("it lives") };
        assert_eq!(output.status.signal(), Some(signal), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_signal_that_nobody_waits_for_any_more_does_what_it_does_by_default() {
    dies_of(ONE, "a_signal_that_nobody_waits_for_any_more_does_what_it_does_by_default", || {
        drop(Request::signal(ONE).unwrap());
        raise(ONE);
    });
}

/// The program sets a handler, and when all have gone who waited it puts ours back, which it has found.
#[test]
fn so_does_one_whose_handler_the_program_has_put_back() {
    dies_of(ONE, "so_does_one_whose_handler_the_program_has_put_back", || {
        let made = Request::signal(ONE).unwrap();
        let ours = dispose(ONE, &action(plain as *const () as usize, 0));
        drop(made);
        dispose(ONE, &ours);
        raise(ONE);
    });
}
