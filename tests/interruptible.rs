//! Blocking calls of foreign code in [`task::interruptible`]: what is to stop ends them, and nobody else notices.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::net::UdpSocket;
use event_channel::time::{Duration, sleep, timeout};
use event_channel::{Cancelled, Runtime, task};
use net_common::{each_runtime, each_runtime_of};
use std::ffi::CString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::mem::MaybeUninit;
use std::net::UdpSocket as StdSocket;
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(1000);
const CORES: [usize; 3] = [1, 2, 8];

/// What a call of libc's came to, with its errno.
fn result(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

fn was_ended(result: io::Result<i32>) {
    assert_eq!(result.map_err(|error| error.raw_os_error()), Err(Some(libc::EINTR)));
}

/// Nothing interrupts the calling thread for some milliseconds.
fn nothing_interrupts() {
    // SAFETY: no descriptors.
    let waited = unsafe { libc::poll(ptr::null_mut(), 0, 8) };
    assert_eq!(result(waited).map_err(|error| error.to_string()), Ok(0));
}

/// What waits for ever, each by another system call.
enum Wait {
    Fifo(CString, PathBuf),
    Pipe(PipeReader, #[allow(dead_code, reason = "so that the pipe stays open")] PipeWriter),
    Flock(File, #[allow(dead_code, reason = "it has the lock")] File),
    Child(Child),
    Recv(StdSocket),
}

impl Wait {
    fn each() -> [Wait; 5] {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let place = |name| std::env::temp_dir().join(format!("ec-{name}-{}-{number}", std::process::id()));
        let fifo = place("fifo");
        let name = CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: a name that lives.
        result(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        let (held, wanted) = (place("lock"), place("lock"));
        let held = File::create(held).unwrap();
        let wants = File::open(&wanted).unwrap();
        std::fs::remove_file(wanted).unwrap();
        // SAFETY: no pointer is passed.
        result(unsafe { libc::flock(held.as_raw_fd(), libc::LOCK_EX) }).unwrap();
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let socket = StdSocket::bind("127.0.0.1:0").unwrap();
        [
            Wait::Fifo(name, fifo),
            Wait::Pipe(reader, writer),
            Wait::Flock(wants, held),
            Wait::Child(child),
            Wait::Recv(socket),
        ]
    }

    /// Makes the call. The errno is what it has left.
    fn call(&self) -> i32 {
        let mut byte = 0u8;
        let to = (&raw mut byte).cast();
        // SAFETY: a name that lives, room for a byte; no other pointers.
        unsafe {
            match self {
                Wait::Fifo(name, _) => libc::open(name.as_ptr(), libc::O_RDONLY),
                Wait::Pipe(reader, _) => libc::read(reader.as_raw_fd(), to, 1) as i32,
                Wait::Flock(file, _) => libc::flock(file.as_raw_fd(), libc::LOCK_EX),
                Wait::Child(child) => libc::waitpid(child.id() as i32, ptr::null_mut(), 0),
                Wait::Recv(socket) => libc::recv(socket.as_raw_fd(), to, 1, 0) as i32,
            }
        }
    }

    /// (What errno was in the section it is after it.)
    fn call_in_section(&self) -> io::Result<i32> {
        let returned = task::interruptible(|| self.call());
        result(returned)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        match self {
            Wait::Fifo(_, path) => _ = std::fs::remove_file(path),
            Wait::Child(child) => {
                child.kill().unwrap();
                child.wait().unwrap();
            }
            _ => {}
        }
    }
}

/// A cancellation point that fails because of a stop, or waits for a moment in vain.
fn point() -> Result<(), Option<bool>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SHORT)).unwrap();
    match socket.recv(&mut [0]).unwrap_err() {
        error if error.kind() == ErrorKind::WouldBlock => Ok(()),
        error if Cancelled::is(&error) => Err(Some(true)),
        error if error.kind() == ErrorKind::TimedOut => Err(None),
        error => panic!("{error}"),
    }
}

const CANCELLED: Result<(), Option<bool>> = Err(Some(true));
const TIMED_OUT: Result<(), Option<bool>> = Err(None);

fn pipe() -> Wait {
    let (reader, writer) = io::pipe().unwrap();
    Wait::Pipe(reader, writer)
}

/// Runs `f` as a task of the runtime, and cancels it once it says so.
fn cancelled_when_told(
    runtime: &Runtime,
    builder: task::Builder,
    f: impl FnOnce(&AtomicBool) + Send + 'static,
) {
    static TOLD: [AtomicBool; 64] = [const { AtomicBool::new(false) }; 64];
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let told = &TOLD[NEXT.fetch_add(1, Ordering::Relaxed) % TOLD.len()];
    told.store(false, Ordering::Relaxed);
    let task = runtime.spawn_with(builder, || f(told)).unwrap();
    while !told.load(Ordering::Acquire) && !task.is_finished() {
        thread::yield_now();
    }
    task.cancel();
    task.join().unwrap();
}

#[test]
fn a_cancel_ends_each_kind_of_call() {
    limit(60, || {
        each_runtime_of(&CORES, |runtime| {
            for (number, wait) in Wait::each().into_iter().enumerate() {
                cancelled_when_told(runtime, task::Builder::new(), move |told| {
                    told.store(true, Ordering::Release);
                    if number % 2 == 0 {
                        // As often as not it is cancelled before.
                        thread::sleep(Duration::from_micros(300));
                    }
                    was_ended(wait.call_in_section());
                    nothing_interrupts();
                    assert_eq!(point(), CANCELLED);
                    assert_eq!(point(), Ok(()));
                });
            }
        });
    });
}

#[test]
fn a_deadline_ends_each_kind_of_call() {
    fn each() {
        for wait in Wait::each() {
            timeout(SHORT, || {
                was_ended(wait.call_in_section());
                nothing_interrupts();
                assert_eq!(point(), TIMED_OUT);
                assert_eq!(point(), Ok(()));
            });
        }
    }
    limit(60, || {
        thread::spawn(each).join().unwrap();
        each_runtime_of(&CORES, |runtime| {
            runtime.run(each);
            runtime.spawn_with(task::Builder::new().dedicated(), each).unwrap().join().unwrap();
        });
    });
}

#[test]
fn a_dedicated_task_that_is_cancelled_is_interrupted() {
    limit(60, || {
        each_runtime(|runtime| {
            cancelled_when_told(runtime, task::Builder::new().dedicated(), |told| {
                told.store(true, Ordering::Release);
                task::interruptible(|| {
                    // It sleeps on its own thread, which is not in the section meanwhile.
                    sleep(SHORT);
                    was_ended(result(pipe().call()));
                });
                assert_eq!(point(), CANCELLED);
            });
        });
    });
}

/// More tasks than cores: nobody is left who could notice the deadlines but the sender.
#[test]
fn all_cores_may_be_blocked() {
    limit(60, || {
        each_runtime_of(&[1, 2], |runtime| {
            let blocked: Vec<_> = (0..6u32)
                .map(|number| {
                    let body = move || timeout(number * SHORT, || was_ended(pipe().call_in_section()));
                    runtime.spawn(body)
                })
                .collect();
            blocked.into_iter().for_each(|task| task.join().unwrap());
        });
    });
}

/// In the section, too, what was delivered ends no further call.
#[test]
fn what_was_delivered_interrupts_no_more() {
    limit(60, || {
        each_runtime(|runtime| {
            cancelled_when_told(runtime, task::Builder::new(), |told| {
                told.store(true, Ordering::Release);
                task::interruptible(|| {
                    was_ended(result(pipe().call()));
                    assert_eq!(point(), CANCELLED);
                    nothing_interrupts();
                });
            });
            runtime.run(|| {
                timeout(SHORT, || {
                    task::interruptible(|| {
                        was_ended(result(pipe().call()));
                        assert_eq!(point(), TIMED_OUT);
                        nothing_interrupts();
                    });
                });
            });
        });
    });
}

#[test]
fn timeouts_and_sections_nest() {
    fn nested() {
        let pipe = pipe();
        // The deadline of a timeout that begins in the section, and ends there.
        task::interruptible(|| {
            nothing_interrupts();
            timeout(SHORT, || was_ended(result(pipe.call())));
            nothing_interrupts();
            // An inner section is the outer one: it does not end that.
            timeout(SHORT, || {
                task::interruptible(|| ());
                was_ended(result(pipe.call()));
            });
            timeout(LONG, nothing_interrupts);
        });
        // The earliest counts; one that was delivered counts no more, and the next one does.
        timeout(4 * SHORT, || {
            timeout(SHORT, || {
                timeout(LONG, || {
                    was_ended(pipe.call_in_section());
                    assert_eq!(point(), TIMED_OUT);
                    was_ended(pipe.call_in_section());
                    assert_eq!(point(), TIMED_OUT);
                    task::interruptible(nothing_interrupts);
                });
            });
        });
        nothing_interrupts();
    }
    limit(60, || {
        thread::spawn(nested).join().unwrap();
        each_runtime(|runtime| runtime.run(nested));
    });
}

#[test]
fn a_panic_ends_the_section() {
    fn panics() {
        let pipe = pipe();
        timeout(SHORT, || {
            let section = || {
                task::interruptible(|| {
                    was_ended(result(pipe.call()));
                    std::panic::resume_unwind(Box::new("on purpose"))
                })
            };
            let panic: Result<(), _> = catch_unwind(AssertUnwindSafe(section));
            assert!(panic.unwrap_err().is::<&str>());
            nothing_interrupts();
            was_ended(pipe.call_in_section());
        });
    }
    limit(60, || {
        thread::spawn(panics).join().unwrap();
        each_runtime(|runtime| runtime.run(panics));
    });
}

/// A task that is suspended in a section is on no thread: others on those are left alone. It may go on on another one.
#[test]
fn a_suspension_leaves_the_section_meanwhile() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).force_migration().build().unwrap();
        for _ in 0..20 {
            let suspended = runtime.spawn(|| {
                task::interruptible(|| {
                    task::park();
                    was_ended(result(pipe().call()));
                    task::yield_now();
                    was_ended(result(pipe().call()));
                    assert_eq!(point(), CANCELLED);
                    nothing_interrupts();
                });
            });
            suspended.cancel();
            let others: Vec<_> = (0..3).map(|_| runtime.spawn(nothing_interrupts)).collect();
            others.into_iter().for_each(|other| other.join().unwrap());
            suspended.task().unpark();
            suspended.join().unwrap();
        }
    });
}

/// The cancel of a shutdown is delivered again and again, and so it ends each call.
#[test]
fn a_shutdown_ends_calls_again_and_again() {
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        let begun = &*Box::leak(Box::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = [task::Builder::new(), task::Builder::new().dedicated()]
            .into_iter()
            .map(|builder| {
                let body = || {
                    task::interruptible(|| {
                        begun.fetch_add(1, Ordering::Release);
                        for _ in 0..3 {
                            was_ended(result(pipe().call()));
                            assert_eq!(point(), CANCELLED);
                        }
                    });
                    nothing_interrupts();
                };
                runtime.spawn_with(builder, body).unwrap()
            })
            .collect();
        while begun.load(Ordering::Acquire) < 2 {
            thread::yield_now();
        }
        runtime.shutdown(Duration::from_secs(60)).unwrap();
        tasks.into_iter().for_each(|task| task.join().unwrap());
    });
}

/// The mask of the calling thread; with a signal, after that was blocked.
fn mask(block: Option<i32>) -> libc::sigset_t {
    let (mut set, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: room for two sets.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        block.into_iter().for_each(|signal| _ = libc::sigaddset(set.as_mut_ptr(), signal));
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), before.as_mut_ptr()), 0);
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), before.as_mut_ptr());
        before.assume_init()
    }
}

fn keeps_out(signal: i32) -> bool {
    // SAFETY: a set that is filled.
    unsafe { libc::sigismember(&mask(None), signal) == 1 }
}

#[test]
fn a_thread_that_keeps_the_signal_out_lets_it_through_in_the_section() {
    limit(60, || {
        let signal = libc::SIGRTMIN() + 3;
        let runtime = Runtime::builder().cores(1).interrupt_signal(signal).build().unwrap();
        runtime
            .spawn_with(task::Builder::new().dedicated(), move || {
                mask(Some(signal));
                timeout(SHORT, || {
                    was_ended(pipe().call_in_section());
                    assert!(keeps_out(signal));
                    nothing_interrupts();
                });
                // What code in the section keeps out is kept out afterwards, and what was sent is gone. It is one, however long it takes.
                timeout(SHORT, || {
                    task::interruptible(|| {
                        assert!(!keeps_out(signal));
                        mask(Some(signal));
                        thread::sleep(6 * SHORT);
                        assert_eq!((takes(signal), takes(signal)), (true, false));
                    });
                });
                timeout(SHORT, || {
                    task::interruptible(|| {
                        mask(Some(signal));
                        thread::sleep(3 * SHORT);
                    });
                    assert!(keeps_out(signal) && !takes(signal));
                });
            })
            .unwrap()
            .join()
            .unwrap();
    });
}

/// Takes one that is queued, of those that the thread keeps out.
fn takes(signal: i32) -> bool {
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut set = MaybeUninit::uninit();
    // SAFETY: a set of one, and a time.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signal);
        libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), &now) == signal
    }
}

extern "C" fn theirs(_: i32) {}

#[test]
fn the_signal_is_the_builders_choice() {
    limit(60, || {
        let (mine, other, used) = (libc::SIGRTMIN() + 4, libc::SIGRTMIN() + 5, libc::SIGRTMIN() + 6);
        // SAFETY: a handler that does nothing.
        let handle = |signal, handler| assert_ne!(unsafe { libc::signal(signal, handler) }, libc::SIG_ERR);
        handle(used, theirs as *const () as usize);
        handle(other, libc::SIG_IGN);
        let refused = |signal| {
            let error = Runtime::builder().cores(1).interrupt_signal(signal).build().unwrap_err();
            assert!(error.to_string().contains(&format!("signal {signal} ")), "{error}");
            error.kind()
        };
        assert_eq!([used, other].map(refused), [ErrorKind::ResourceBusy; 2]);
        assert_eq!([libc::SIGUSR1, 0, -1, libc::SIGRTMAX() + 1].map(refused), [ErrorKind::InvalidInput; 4]);
        // Two runtimes may have the same.
        for _ in 0..2 {
            let runtime = Runtime::builder().cores(1).interrupt_signal(mine).build().unwrap();
            runtime.run(|| {
                timeout(SHORT, || {
                    task::interruptible(|| {
                        mask(Some(mine));
                        thread::sleep(3 * SHORT);
                        assert!(takes(mine));
                    });
                });
            });
            std::mem::forget(runtime);
        }
        // One that the program has taken meanwhile is never sent.
        let runtime = Runtime::builder().cores(1).interrupt_signal(mine).build().unwrap();
        extern "C" fn ends(_: i32) {
            std::process::abort();
        }
        handle(mine, ends as *const () as usize);
        runtime.run(|| timeout(SHORT, || was_ended(pipe().call_in_section())));
    });
}

#[test]
fn a_child_that_is_forked_in_a_section_is_left_alone() {
    fn forks() {
        task::interruptible(|| {
            timeout(SHORT, || {
                // SAFETY: the child makes system calls, and ends.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    let well = catch_unwind(|| {
                        nothing_interrupts();
                        task::interruptible(nothing_interrupts);
                    });
                    // SAFETY: nothing of the parent's is run.
                    unsafe { libc::_exit(i32::from(well.is_err())) };
                }
                let mut status = -1;
                // (It is interrupted itself, again and again.)
                // SAFETY: room for the status.
                while unsafe { libc::waitpid(child, &mut status, 0) } != child {}
                assert_eq!(status, 0);
                was_ended(result(pipe().call()));
            });
        });
        nothing_interrupts();
    }
    limit(60, || {
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(forks);
        thread::spawn(forks).join().unwrap();
    });
}

/// A section whose frame is left on another thread than it was entered on: neither of both is interrupted after that.
#[test]
fn a_coroutine_may_leave_a_section_elsewhere() {
    use corosensei::{Coroutine, Yielder};
    struct Sent(Coroutine<(), (), ()>);
    // SAFETY: what lies on its stack may go to another thread.
    unsafe impl Send for Sent {}

    fn begins() -> Sent {
        let mut coroutine = Coroutine::new(|y: &Yielder<(), ()>, ()| {
            timeout(SHORT, || task::interruptible(|| y.suspend(())));
        });
        coroutine.resume(());
        Sent(coroutine)
    }
    fn ends(coroutine: Sent) {
        let mut whole = coroutine;
        assert!(whole.0.resume(()).as_return().is_some());
        nothing_interrupts();
    }
    limit(60, || {
        let coroutine = begins();
        thread::spawn(|| ends(coroutine)).join().unwrap();
        nothing_interrupts();
        let runtime = Runtime::builder().cores(2).build().unwrap();
        runtime.run(|| {
            let coroutine = begins();
            task::spawn(|| ends(coroutine)).join().unwrap();
            nothing_interrupts();
            // One that is forgotten ends with the task.
            task::spawn(|| std::mem::forget(begins())).join().unwrap();
            thread::sleep(3 * SHORT);
            nothing_interrupts();
        });
    });
}

/// The wrappers' own calls in a section do what they always do.
#[test]
fn the_wrappers_work_in_a_section() {
    use std::io::Write;
    limit(60, || {
        each_runtime(|runtime| {
            runtime.run(|| {
                let (mut here, mut there) = net_common::pair();
                task::interruptible(|| {
                    let echo = task::spawn(move || {
                        let mut text = [0; 3];
                        there.read_exact(&mut text)?;
                        there.write_all(&text)
                    });
                    for byte in b"abc" {
                        sleep(Duration::from_millis(1));
                        here.write_all(&[*byte]).unwrap();
                    }
                    let mut text = String::new();
                    here.read_to_string(&mut text).unwrap();
                    assert_eq!(text, "abc");
                    echo.join().unwrap().unwrap();
                    assert_eq!(timeout(SHORT, point), TIMED_OUT);
                });
            });
        });
    });
}
