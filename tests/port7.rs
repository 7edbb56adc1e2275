//! examples/port7 as its users meet it: a program of its own, with arguments, signals and clients
//! that know nothing of this project.
//!
//! `cargo test` builds the example; the tests find it beside themselves.

#[path = "port7/running.rs"]
mod running;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use running::Running;

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

#[test]
fn demo_loses_nothing_and_says_so_on_each_driver() {
    limit(120, || {
        for driver in usable_drivers() {
            let demo = Running::start(port7(&["--demo", "2"]).env("EVENT_CHANNEL_DRIVER", driver));
            let end = demo.end();
            assert_eq!(end.code, Some(0), "{end:?}");
            assert!(
                end.out.lines().next().is_some_and(|line| line.contains(&format!("driver {driver}"))),
                "{end:?}"
            );
            assert!(end.out.contains(" 1 s ") && end.out.contains("lost 0"), "{end:?}");
        }
    });
}

#[test]
fn sigint_and_sigterm_end_the_server_with_its_totals() {
    limit(120, || {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let server = Running::start(&mut port7(&[]));
            let mut client = TcpStream::connect(server.address()).unwrap();
            client.write_all(b"seven").unwrap();
            let mut echo = [0; 5];
            client.read_exact(&mut echo).unwrap();
            assert_eq!(&echo, b"seven");

            server.signal(signal);
            let end = server.end();
            assert_eq!(end.code, Some(0), "{end:?}");
            assert!(end.out.contains("total: 1 connections, 0 datagrams, 5 bytes echoed"), "{end:?}");
        }
    });
}

#[test]
fn an_unknown_driver_is_an_error_that_lists_the_known_ones() {
    limit(60, || {
        let end = Running::start(port7(&["--demo", "1"]).env("EVENT_CHANNEL_DRIVER", "kqueue")).end();
        assert_eq!(end.code, Some(1), "{end:?}");
        assert!(DRIVERS.iter().all(|driver| end.err.contains(driver)), "{end:?}");
    });
}

#[test]
fn wrong_arguments_are_told_and_end_with_code_2() {
    limit(60, || {
        for arguments in [&["--demo"][..], &["--demo", "soon"], &["--demo", "0"], &["--port", "7"], &["7"]] {
            let end = Running::start(&mut port7(arguments)).end();
            assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
            assert!(end.err.starts_with("port7: ") && end.err.contains("--help"), "{arguments:?}: {end:?}");
        }
        let help = Running::start(&mut port7(&["--help"])).end();
        assert_eq!(help.code, Some(0), "{help:?}");
        assert!(help.out.contains("--listen ADDR"), "{help:?}");
    });
}

#[test]
fn an_address_that_is_taken_is_told() {
    limit(60, || {
        let first = Running::start(&mut port7(&[]));
        let address = first.address();
        let second = Running::start(&mut port7(&["--listen", &address])).end();
        assert_eq!(second.code, Some(1), "{second:?}");
        assert!(second.err.contains(&address), "{second:?}");
    });
}

#[test]
fn without_descriptors_for_more_connections_the_server_says_so_and_goes_on() {
    limit(120, || {
        for driver in usable_drivers() {
            let mut command = by_shell("ulimit -n 40 && exec", &[]);
            let server = Running::start(command.env("EVENT_CHANNEL_DRIVER", driver));
            let address = server.address();
            // The kernel completes connections before the server accepts them.
            let mut clients: Vec<_> = (0..60).map(|_| TcpStream::connect(&address).unwrap()).collect();
            assert!(server.error_line().contains("cannot take a connection"), "driver {driver}");

            // Room again: the last one, which has been waiting, is served.
            let mut last = clients.pop().unwrap();
            drop(clients);
            last.write_all(b"at last").unwrap();
            let mut echo = [0; 7];
            last.read_exact(&mut echo).unwrap();
            assert_eq!(&echo, b"at last");

            server.signal(Signal::SIGINT);
            let end = server.end();
            assert_eq!(end.code, Some(0), "{end:?}");
        }
    });
}

#[test]
fn demo_fits_few_descriptors() {
    limit(60, || {
        for descriptors in [1024, 128] {
            let line = format!("ulimit -n {descriptors} && exec");
            let end = Running::start(&mut by_shell(&line, &["--demo", "1"])).end();
            assert_eq!(end.code, Some(0), "{descriptors} descriptors: {end:?}");
        }
    });
}

#[test]
fn demo_runs_on_one_cpu() {
    limit(60, || {
        let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
        let cpu = (0..1024).find(|cpu| allowed.is_set(*cpu).unwrap_or(false)).unwrap();
        if !shell("command -v taskset") {
            return skipped("there is no taskset here");
        }
        let end = Running::start(&mut by_shell(&format!("exec taskset -c {cpu}"), &["--demo", "1"])).end();
        assert_eq!(end.code, Some(0), "{end:?}");
    });
}

#[test]
fn demo_runs_where_io_uring_is_refused() {
    limit(60, || {
        let Some(mut python) = python(include_str!("no_io_uring.py")) else { return };
        let end =
            Running::start(python.arg(example()).args(["--demo", "1"]).env_remove("EVENT_CHANNEL_DRIVER"))
                .end();
        if end.code == Some(77) {
            return skipped(&end.err);
        }
        assert_eq!(end.code, Some(0), "{end:?}");
        assert!(end.out.lines().next().is_some_and(|line| line.contains("driver epoll (")), "{end:?}");
    });
}

#[test]
fn foreign_clients_get_every_byte_back_on_each_driver() {
    limit(240, || {
        for driver in usable_drivers() {
            let Some(mut python) = python(include_str!("port7_clients.py")) else { return };
            let end =
                Running::start(python.arg("--server").arg(example()).env("EVENT_CHANNEL_DRIVER", driver))
                    .end();
            println!("{}", end.out);
            assert_eq!(end.code, Some(0), "{end:?}");
        }
    });
}

/// The example, in target/<profile>/examples; this test is in target/<profile>/deps.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(|deps| deps.parent()).unwrap().join("examples/port7");
    assert!(example.exists(), "there is no {}: cargo build --example port7 makes it", example.display());
    example
}

fn port7(arguments: &[&str]) -> Command {
    let mut command = Command::new(example());
    command.args(arguments).env_remove("EVENT_CHANNEL_DRIVER");
    command
}

/// The example started by a shell line that ends in `exec`.
fn by_shell(line: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{line} \"$@\"")).arg("sh").arg(example()).args(arguments);
    command.env_remove("EVENT_CHANNEL_DRIVER");
    command
}

fn shell(line: &str) -> bool {
    let quiet = Command::new("sh").args(["-c", line]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Python with a script of ours, so that the tests do not depend on where the sources are.
fn python(script: &str) -> Option<Command> {
    if !shell("python3 -c 'import ctypes, resource, selectors, socket'") {
        skipped("there is no python3 here");
        return None;
    }
    let mut command = Command::new("python3");
    command.arg("-c").arg(script);
    Some(command)
}

/// The drivers this machine has.
fn usable_drivers() -> Vec<&'static str> {
    // SAFETY: without a place for its answer the call can only fail: EFAULT where io_uring may be used.
    unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, std::ptr::null_mut::<u8>()) };
    let error = std::io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EFAULT) {
        return DRIVERS.to_vec();
    }
    skipped(&format!("io_uring, which this machine refuses: {error}"));
    vec!["epoll"]
}
