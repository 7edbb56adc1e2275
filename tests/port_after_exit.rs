//! Whoever comes next can have the port of a process that is gone, however that ended, with accepts in flight. Each case runs in
//! child processes: this program started again.

use ec_test_support::{limit, skipped, this_test_again};
use ec_unkind as _;
use event_channel::channel::{Driver, EventChannel};
use event_channel::net::{TcpListener, TcpStream, UdpSocket};
use event_channel::{run, task, time};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many processes end, one after the other. (More with `EC_STRESS_ROUNDS`.)
fn rounds() -> usize {
    std::env::var("EC_STRESS_ROUNDS").map_or(5, |rounds| rounds.parse().expect("a number"))
}
/// So many of them may find the machine too busy.
const MOST_LEFT_OUT: usize = 2;
/// What a child writes before the address that it listens on.
const AT: &str = "listens on ";

/// The drivers that work here; `EVENT_CHANNEL_DRIVER` narrows them down to one.
fn drivers() -> Vec<Driver> {
    let only =
        std::env::var("EVENT_CHANNEL_DRIVER").ok().map(|s| s.parse::<Driver>().expect("a driver's name"));
    let works = |driver: &Driver| match EventChannel::builder().driver(*driver).build() {
        Ok(_) => true,
        Err(error) => {
            skipped(&format!("{driver}: {error}"));
            false
        }
    };
    Driver::ALL.into_iter().filter(|driver| only.is_none_or(|o| o == *driver)).filter(works).collect()
}

/// The requests of this process that wait in a ring of the kernel's: accepts, and recvmsg.
fn in_flight() -> usize {
    let files = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.map(|text| text.matches("op=13,").count() + text.matches("op=10,").count()).sum()
}

/// In the child: tasks accept, receive and read for ever. Says where when the kernel has the requests. The datagrams have the same port.
fn populate() {
    // An address of its own: no other test's child may get the port as soon as it is free.
    let [.., high, low] = std::process::id().to_be_bytes();
    let (listener, datagrams) = loop {
        let listener = TcpListener::bind(SocketAddr::from(([127, 1, high, low.clamp(1, 254)], 0))).unwrap();
        if let Ok(datagrams) = UdpSocket::bind(listener.local_addr().unwrap()) {
            break (listener, datagrams);
        }
    };
    let address = listener.local_addr().unwrap();
    drop(task::spawn(move || datagrams.recv_from(&mut [0; 8]).unwrap()));
    for _ in 0..3 {
        let listener = listener.try_clone().unwrap();
        drop(task::spawn(move || listener.incoming().collect::<Vec<_>>()));
    }
    drop(task::spawn(move || TcpStream::connect(address).unwrap().read(&mut [0; 8]).unwrap()));
    let end = Instant::now() + Duration::from_secs(1);
    let uring = std::env::var("EVENT_CHANNEL_DRIVER").is_ok_and(|driver| driver == Driver::IoUring.name());
    // (A kernel that does not say what is in flight has a second for it.)
    while uring && in_flight() < 4 && Instant::now() < end {
        time::sleep(Duration::from_millis(1));
    }
    println!("{AT}{address}");
}

/// A child that runs, where it listens, and what it says.
type Running = (Child, SocketAddr, BufReader<ChildStdout>);

/// Runs `case` in a child after [`populate`]. `None` in that child, which then ends as the harness has it: `main` returns.
fn child(test: &str, driver: Driver, case: impl FnOnce()) -> Option<Running> {
    let Some(mut again) = this_test_again(test) else {
        limit(30, || {
            run(populate);
            case();
        });
        return None;
    };
    let again = again.env("EVENT_CHANNEL_DRIVER", driver.name());
    let mut child = again.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while lines.read_line(&mut line).unwrap() > 0 {
        if let Some((_, address)) = line.split_once(AT) {
            let address = address.trim().parse().unwrap();
            return Some((child, address, lines));
        }
        line.clear();
    }
    panic!("the child ended before it listened: {:?}", child.wait());
}

/// Who binds when the process is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Std,
    Thread,
    Task,
}

impl Next {
    fn bind(self, at: SocketAddr) -> io::Result<()> {
        match self {
            Next::Std => std::net::TcpListener::bind(at).and(std::net::UdpSocket::bind(at)).map(drop),
            Next::Thread => TcpListener::bind(at).and(UdpSocket::bind(at)).map(drop),
            Next::Task => run(|| Next::Thread.bind(at)),
        }
    }
}

/// Children end by `case` (and by what `and` does to them); the next one binds. A round counts only if the kernel has had the time
/// that it is given: on a machine that is busy otherwise it may want more, to end a request or to put away a ring.
fn then_the_port_is_free(
    test: &str,
    next: &[Next],
    case: impl Fn(),
    and: impl Fn(&Child),
    expected: impl Fn(ExitStatus) -> bool,
) {
    static ALONE: Mutex<()> = Mutex::new(());
    // (The child has its driver from the one who started it, and nobody beside it.)
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    limit(120, || {
        for driver in drivers() {
            let (mut done, mut left_out) = (0, 0);
            while done < rounds() {
                let Some((mut child, at, _lines)) = child(test, driver, &case) else { return };
                and(&child);
                let status = child.wait().unwrap();
                let next = next[done % next.len()];
                let bound = next.bind(at);
                assert!(expected(status), "{status}");
                if bound.is_err() && left_out < MOST_LEFT_OUT && driver == Driver::IoUring {
                    println!("left out: {next:?}: {bound:?}");
                    left_out += 1;
                    continue;
                }
                assert!(bound.is_ok(), "{driver}, round {done}, {next:?}: {bound:?}");
                done += 1;
            }
        }
    });
}

const CLEAN: [Next; 3] = [Next::Std, Next::Thread, Next::Task];
const UNCLEAN: [Next; 2] = [Next::Thread, Next::Task];

#[test]
fn when_main_has_returned() {
    then_the_port_is_free("when_main_has_returned", &CLEAN, || (), |_| (), |status| status.success());
}

#[test]
fn when_a_thread_has_called_exit() {
    let exit = || std::process::exit(17);
    then_the_port_is_free("when_a_thread_has_called_exit", &CLEAN, exit, |_| (), |s| s.code() == Some(17));
}

#[test]
fn when_a_task_has_called_exit() {
    let exit = || run(|| std::process::exit(18));
    then_the_port_is_free("when_a_task_has_called_exit", &CLEAN, exit, |_| (), |s| s.code() == Some(18));
}

#[test]
fn when_a_task_computes_as_the_process_ends() {
    let exit = || {
        drop(task::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        }));
        std::process::exit(19)
    };
    let test = "when_a_task_computes_as_the_process_ends";
    then_the_port_is_free(test, &CLEAN, exit, |_| (), |s| s.code() == Some(19));
}

#[test]
fn when_it_has_aborted() {
    let abort = || std::process::abort();
    then_the_port_is_free(
        "when_it_has_aborted",
        &UNCLEAN,
        abort,
        |_| (),
        |s| s.signal() == Some(libc::SIGABRT),
    );
}

fn for_ever() {
    loop {
        std::thread::park();
    }
}

/// Sends the signal.
fn kill(child: &Child, signal: i32) {
    // SAFETY: a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, signal) }, 0);
}

#[test]
fn when_sigterm_has_ended_it() {
    let sigterm = |child: &Child| kill(child, libc::SIGTERM);
    then_the_port_is_free("when_sigterm_has_ended_it", &UNCLEAN, for_ever, sigterm, |s| {
        s.signal() == Some(libc::SIGTERM)
    });
}

#[test]
fn when_sigkill_has_ended_it() {
    let sigkill = |child: &Child| kill(child, libc::SIGKILL);
    then_the_port_is_free("when_sigkill_has_ended_it", &UNCLEAN, for_ever, sigkill, |s| {
        s.signal() == Some(libc::SIGKILL)
    });
}

/// The code with which the child of a fork ends.
fn exit_code_of_fork(child: impl FnOnce()) -> i32 {
    // SAFETY: the child ends in `child`, or here.
    match unsafe { libc::fork() } {
        0 => {
            child();
            std::process::abort()
        }
        child => {
            let mut status = 0;
            // SAFETY: waits for the child just made.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert!(libc::WIFEXITED(status), "{status}");
            libc::WEXITSTATUS(status)
        }
    }
}

#[test]
fn a_forked_child_that_calls_exit_leaves_its_parent_s_requests_alone() {
    let test = "a_forked_child_that_calls_exit_leaves_its_parent_s_requests_alone";
    let case = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let accepts = task::spawn(move || (0..2).map(|_| listener.accept().map(drop)).collect::<Vec<_>>());
        drop(TcpStream::connect(at).unwrap());
        assert_eq!(exit_code_of_fork(|| std::process::exit(23)), 23);
        drop(TcpStream::connect(at).unwrap());
        assert!(accepts.join().unwrap().iter().all(Result::is_ok));
    };
    limit(60, || {
        for driver in drivers() {
            let Some((mut child, _, _lines)) = child(test, driver, case) else { return };
            assert!(child.wait().unwrap().success(), "{driver}");
        }
    });
}

/// A task that waits for a connection which does not come.
static WAITS: Mutex<Option<task::JoinHandle<io::Result<()>>>> = Mutex::new(None);

/// Runs after the runtime's own hook, for it was registered before.
extern "C" fn after() {
    let far = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = far.local_addr().unwrap();
    std::thread::spawn(move || far.accept().unwrap().0.write_all(b"x").unwrap());
    run(|| {
        time::sleep(Duration::from_millis(1));
        TcpStream::connect(at).unwrap().read_exact(&mut [0]).unwrap();
        let waits = WAITS.lock().unwrap().take().unwrap();
        waits.cancel();
        assert!(waits.join().unwrap().is_err());
        // One that begins now waits, too, until it is cancelled.
        let late = task::spawn(|| TcpListener::bind("127.0.0.1:0").unwrap().accept().map(drop));
        late.cancel();
        assert!(late.join().unwrap().is_err());
    });
    println!("all is done");
}

#[test]
fn tasks_go_on_while_the_process_ends() {
    limit(60, || {
        for driver in drivers() {
            let test = "tasks_go_on_while_the_process_ends";
            if std::env::var("EC_TEST_CASE").is_ok_and(|case| case == test) {
                // SAFETY: the function does not unwind out of itself without an end of the process.
                assert_eq!(unsafe { libc::atexit(after) }, 0);
            }
            let case = || {
                let accept = || TcpListener::bind("127.0.0.1:0").unwrap().accept().map(drop);
                *WAITS.lock().unwrap() = Some(task::spawn(accept));
                let end = Instant::now() + Duration::from_secs(1);
                while driver == Driver::IoUring && in_flight() < 5 && Instant::now() < end {
                    time::sleep(Duration::from_millis(1));
                }
                std::process::exit(0)
            };
            let Some((mut child, _, mut lines)) = child(test, driver, case) else { return };
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            assert!(child.wait().unwrap().success() && rest.contains("all is done"), "{driver}: {rest}");
        }
    });
}

#[test]
fn rings_come_and_go_while_the_process_ends() {
    let case = || {
        for _ in 0..3 {
            std::thread::spawn(|| {
                loop {
                    let _ = EventChannel::builder().build();
                }
            });
        }
        std::process::exit(20)
    };
    let test = "rings_come_and_go_while_the_process_ends";
    then_the_port_is_free(test, &CLEAN, case, |_| (), |status| status.code() == Some(20));
}
