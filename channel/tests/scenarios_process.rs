//! What ivykis's own tests of processes, signals and watches go through, anew: a signal to a child and to a thread, children that are waited
//! for, popen, and a watch that is given up in its own handler.

mod common;

use common::{Scratch, each_driver, none_for};
use ec_channel::{Event, EventChannel, Interest, Request, WatchFor};
use ec_test_support::{alone, limit, this_test_again};
use ec_unkind as _;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::os::unix::thread::JoinHandleExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

fn sh(script: &str) -> Child {
    Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The child has a channel, too, and waits for the same signal.
#[test]
fn a_signal_to_a_child_is_heard_by_the_child_alone() {
    const NAME: &str = "a_signal_to_a_child_is_heard_by_the_child_alone";
    if this_test_again(NAME).is_none() {
        return limit(30, || {
            let channel = EventChannel::new().unwrap();
            channel.post(Request::signal(libc::SIGUSR1).unwrap()).unwrap();
            println!("\nready");
            let signal = *channel.get_event().unwrap().signal().unwrap();
            // SAFETY: no pointer is passed.
            assert_eq!(signal.sender.unwrap().pid, unsafe { libc::getppid() } as u32);
            println!("\nheard");
        });
    }
    alone(60, || {
        each_driver(|channel| {
            let signals = channel.post(Request::signal(libc::SIGUSR1).unwrap()).unwrap();
            let mut again = this_test_again(NAME).unwrap();
            let mut child = again.stdout(Stdio::piped()).spawn().unwrap();
            let pid = child.id() as i32;
            let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
            channel.post(Request::child_exit(child)).unwrap();
            assert!(said.by_ref().any(|line| line.unwrap() == "ready"));
            // SAFETY: no pointer is passed.
            assert_eq!(unsafe { libc::kill(pid, libc::SIGUSR1) }, 0);
            assert!(said.any(|line| line.unwrap() == "heard"));
            let end = channel.get_event().unwrap();
            assert!(end.id() != signals && end.exit_status().unwrap().success(), "{end:?}");
            none_for(&channel, SOON);
        });
    });
}

/// One that waits for something else, and goes on with that.
#[test]
fn a_signal_to_a_thread_is_heard_by_who_waits_for_it() {
    alone(30, || {
        each_driver(|channel| {
            channel.post(Request::signal(libc::SIGUSR2).unwrap()).unwrap();
            let (go_on, wait) = mpsc::channel::<()>();
            let thread = std::thread::spawn(move || wait.recv().is_ok());
            for _ in 0..100 {
                // SAFETY: the thread is there until it is joined.
                assert_eq!(unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR2) }, 0);
                let event = channel.get_event().unwrap();
                assert_eq!(event.signal().unwrap().occurrences, 1, "{event:?}");
            }
            go_on.send(()).unwrap();
            assert!(thread.join().unwrap());
        });
    });
}

/// By their exits, while SIGCHLD is waited for, too.
#[test]
fn children_are_waited_for_in_whatever_order_they_end() {
    alone(60, || {
        each_driver(|channel| {
            channel.post(Request::signal(libc::SIGCHLD).unwrap().token(100)).unwrap();
            let mut inputs = Vec::new();
            for n in 0..10 {
                let mut child = sh(&format!("read word; exit {n}"));
                inputs.push(child.stdin.take());
                channel.post(Request::child_exit(child).token(n)).unwrap();
            }
            none_for(&channel, SOON);
            let (mut came, mut signals) = (BTreeMap::new(), 0);
            for n in [7, 0, 9, 3, 4, 5, 8, 1, 2, 6] {
                inputs[n] = None;
                while !came.contains_key(&(n as u64)) {
                    let event = channel.get_event().unwrap();
                    match event.signal() {
                        Some(signal) => signals += signal.occurrences,
                        None => _ = came.insert(event.token(), event.exit_status().unwrap().code().unwrap()),
                    }
                }
            }
            assert!(came.into_iter().eq((0..10).map(|n| (n, n as i32))));
            while let Some(event) = channel.get_event_timeout(SOON).unwrap() {
                signals += event.signal().unwrap().occurrences;
            }
            // (The kernel keeps one that is pending, however many they are.)
            assert!((1..=10).contains(&signals), "{signals}");
        });
    });
}

/// What such a process says, until its end.
fn all_of(channel: &EventChannel, mut output: ChildStdout) -> String {
    let source = output.as_fd().try_clone_to_owned().unwrap();
    let stream = channel.post(Request::readiness_stream(source, Interest::READABLE)).unwrap();
    let mut said = Vec::new();
    loop {
        let item = channel.get_event().unwrap();
        assert_eq!(item.id(), stream);
        let mut some = [0; 64];
        match output.read(&mut some).unwrap() {
            0 => break,
            n => said.extend(&some[..n]),
        }
    }
    channel.cancel(stream);
    while !channel.get_event().unwrap().is_last() {}
    String::from_utf8(said).unwrap()
}

#[test]
fn what_a_process_says_is_read_and_its_end_is_told() {
    alone(30, || {
        each_driver(|channel| {
            let mut child = sh("while read word; do echo got $word; done; exit 5");
            let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
            input.write_all(b"one\ntwo\nthree\n").unwrap();
            drop(input);
            assert_eq!(all_of(&channel, output), "got one\ngot two\ngot three\n");
            channel.post(Request::child_exit(child)).unwrap();
            assert_eq!(channel.get_event().unwrap().exit_status().unwrap().code(), Some(5));
        });
    });
}

/// Its pipe is closed while it goes on to say something.
#[test]
fn a_process_to_which_nobody_listens_any_more_ends() {
    alone(30, || {
        each_driver(|channel| {
            let mut child = Command::new("yes").stdout(Stdio::piped()).spawn().unwrap();
            let mut output = child.stdout.take().unwrap();
            channel.post(Request::child_exit(child)).unwrap();
            let mut some = [0; 64];
            output.read_exact(&mut some).unwrap();
            none_for(&channel, SOON);
            drop(output);
            let event = channel.get_event().unwrap();
            assert_eq!(event.exit_status().unwrap().signal(), Some(libc::SIGPIPE));
        });
    });
}

#[test]
fn a_watch_is_given_up_in_its_own_handler() {
    alone(30, || {
        each_driver(|channel| {
            let place = Scratch::new();
            let (called, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
            let (id, count, end) = (Arc::new(OnceLock::new()), called.clone(), over.clone());
            let own = id.clone();
            let watch = Request::watch(&*place, WatchFor::CREATED).unwrap();
            let handler = move |channel: &EventChannel, event: Event| {
                if event.is_last() {
                    end.store(event.is_cancelled(), Ordering::SeqCst);
                    channel.post(Request::notification()).unwrap();
                    return;
                }
                assert_eq!(event.change().unwrap().name(), Some("first".as_ref()));
                count.fetch_add(1, Ordering::SeqCst);
                assert!(channel.cancel(*own.get().unwrap()));
            };
            id.set(channel.post(watch.on_complete(handler)).unwrap()).unwrap();
            fs::write(place.join("first"), "").unwrap();
            fs::write(place.join("second"), "").unwrap();
            channel.get_event().unwrap();
            assert!(called.load(Ordering::SeqCst) == 1 && over.load(Ordering::SeqCst));
            none_for(&channel, SOON);
        });
    });
}
