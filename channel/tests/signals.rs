//! Signals that are waited for: each occurrence is told of, to those whom it is for; nobody else's affairs are touched.

mod common;

use common::{each_driver, none_for};
use ec_channel::{Event, EventChannel, Request, Signal};
use ec_test_support::{alone, in_child, went_well};
use ec_unkind as _;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
const ONE: i32 = libc::SIGUSR1;
const OTHER: i32 = libc::SIGUSR2;

fn raise(signal: i32) {
    // SAFETY: no pointer is passed.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

fn told(event: &Event) -> Signal {
    *event.signal().unwrap_or_else(|| panic!("{event:?}"))
}

fn next(channel: &EventChannel) -> Signal {
    told(&channel.get_event().unwrap())
}

fn disposition(signal: i32) -> libc::sigaction {
    let mut now = MaybeUninit::uninit();
    // SAFETY: room for the answer.
    unsafe {
        assert_eq!(libc::sigaction(signal, ptr::null(), now.as_mut_ptr()), 0);
        now.assume_init()
    }
}

/// Gives what was before.
fn dispose(signal: i32, action: &libc::sigaction) -> libc::sigaction {
    let mut before = MaybeUninit::uninit();
    // SAFETY: a live action, and room for the answer.
    unsafe {
        assert_eq!(libc::sigaction(signal, action, before.as_mut_ptr()), 0);
        before.assume_init()
    }
}

fn action(handler: usize, flags: i32) -> libc::sigaction {
    // SAFETY: all zero is a valid value.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    (action.sa_sigaction, action.sa_flags) = (handler, flags);
    action
}

/// The program's own handlers.
static CALLED: AtomicU64 = AtomicU64::new(0);
/// What the one that calls others has found.
static BELOW: AtomicUsize = AtomicUsize::new(0);

extern "C" fn plain(_signal: i32) {
    CALLED.fetch_add(1, Ordering::SeqCst);
}

type WithInfo = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

extern "C" fn with_info(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: it is called as a handler is.
    let is_right = unsafe { (*info).si_signo == signal } && !context.is_null();
    CALLED.fetch_add(if is_right { 1 } else { 1000 }, Ordering::SeqCst);
}

extern "C" fn calls_below(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    CALLED.fetch_add(1, Ordering::SeqCst);
    let below = BELOW.load(Ordering::SeqCst);
    // SAFETY: the tests set it over one that takes these.
    unsafe { std::mem::transmute::<usize, WithInfo>(below)(signal, info, context) };
}

fn called(f: impl FnOnce()) -> u64 {
    let before = CALLED.load(Ordering::SeqCst);
    f();
    CALLED.load(Ordering::SeqCst) - before
}

#[test]
fn each_occurrence_is_told_of_with_its_sender() {
    alone(30, || {
        each_driver(|channel| {
            let id = channel.post(Request::signals([ONE, OTHER, ONE]).unwrap().token(3)).unwrap();
            for signal in [OTHER, ONE, ONE] {
                raise(signal);
                let event = channel.get_event().unwrap();
                assert!(event.id() == id && event.token() == 3 && !event.is_last(), "{event:?}");
                let told = told(&event);
                assert_eq!((told.number, told.occurrences), (signal, 1));
                assert_eq!(told.sender.unwrap().pid, std::process::id());
            }
            // Another process.
            let script = format!("kill -{ONE} {}; echo $$", std::process::id());
            let said = Command::new("sh").args(["-c", &script]).output().unwrap();
            let sender = next(&channel).sender.unwrap();
            assert_eq!(sender.pid.to_string(), String::from_utf8_lossy(&said.stdout).trim());
            // SAFETY: no pointer is passed.
            assert_eq!(sender.uid, unsafe { libc::getuid() });
            none_for(&channel, SOON);
            channel.cancel(id);
            assert!(channel.get_event().unwrap().is_cancelled());
        })
    });
}

#[test]
fn what_the_kernel_sends_has_no_sender() {
    alone(30, || {
        each_driver(|channel| {
            channel.post(Request::signal(libc::SIGALRM).unwrap()).unwrap();
            let span = libc::timeval { tv_sec: 0, tv_usec: 1000 };
            let timer =
                libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: span };
            // SAFETY: a live itimerval.
            unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, ptr::null_mut()) };
            let told = next(&channel);
            assert_eq!((told.number, told.occurrences, told.sender), (libc::SIGALRM, 1, None));
        })
    });
}

/// The occurrences that have come to this channel, as soon as they are so many.
fn sum(channel: &EventChannel, all: u64) -> u64 {
    let mut sum = 0;
    while sum < all {
        sum += next(channel).occurrences;
    }
    none_for(channel, SOON);
    sum
}

#[test]
fn what_comes_faster_than_it_is_fetched_is_counted() {
    alone(30, || {
        each_driver(|channel| {
            let (credit, all) = (2, 1000);
            let request = Request::signal(ONE).unwrap().credit(credit);
            // From when it is made.
            raise(ONE);
            let id = channel.post(request).unwrap();
            (1..all).for_each(|_| raise(ONE));
            let first = next(&channel).occurrences;
            let items = channel.metrics().items;
            assert!(items <= u64::from(credit) + 1, "{items}");
            assert_eq!(first + sum(&channel, all - first), all);
            channel.cancel(id);
            let last = channel.get_event().unwrap();
            assert!(last.is_cancelled());
            // As long as the event is there it is caught, and comes when it is posted again.
            raise(ONE);
            none_for(&channel, SOON);
            channel.post(last.again()).unwrap();
            assert_eq!(next(&channel).occurrences, 1);
        })
    });
}

/// Three threads send, two others come and go who wait for the same.
#[test]
fn none_is_lost_and_none_told_twice_while_others_come_and_go() {
    alone(60, || {
        each_driver(|channel| {
            let (each, over) = (2000, AtomicBool::new(false));
            let other = EventChannel::new().unwrap();
            channel.post(Request::signal(ONE).unwrap()).unwrap();
            channel.post(Request::signals([ONE, OTHER]).unwrap().exclusive().token(1)).unwrap();
            other.post(Request::signal(ONE).unwrap().exclusive()).unwrap();
            std::thread::scope(|scope| {
                let senders: Vec<_> =
                    (0..3).map(|_| scope.spawn(|| (0..each).for_each(|_| raise(ONE)))).collect();
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !over.load(Ordering::SeqCst) {
                            let shared = Request::signals([ONE, OTHER]).unwrap();
                            let channel = EventChannel::new().unwrap();
                            channel.post(shared).unwrap();
                            drop(channel.try_get_event());
                        }
                    });
                }
                let (mut shared, mut exclusive) = (0, 0);
                let all = 3 * each as u64;
                while shared < all || exclusive < all {
                    while let Some(event) = channel.get_event_timeout(Duration::from_micros(100)).unwrap() {
                        let count = told(&event).occurrences;
                        *(if event.token() == 1 { &mut exclusive } else { &mut shared }) += count;
                    }
                    while let Some(event) = other.try_get_event().unwrap() {
                        exclusive += told(&event).occurrences;
                    }
                }
                senders.into_iter().for_each(|sender| sender.join().unwrap());
                over.store(true, Ordering::SeqCst);
                none_for(&channel, SOON);
                none_for(&other, SOON);
                assert_eq!((shared, exclusive), (all, all));
            });
        })
    });
}

#[test]
fn an_exclusive_one_that_goes_leaves_what_it_has_not_taken_to_the_others() {
    alone(30, || {
        each_driver(|channel| {
            let (one, other) = (Request::signal(ONE).unwrap(), Request::signal(ONE).unwrap());
            let (one, other) = (one.exclusive(), other.exclusive());
            (0..3).for_each(|_| raise(ONE));
            drop(one);
            channel.post(other).unwrap();
            assert_eq!(next(&channel).occurrences, 3);
            // Also to one that has come later.
            let one = Request::signal(ONE).unwrap().exclusive();
            channel.shutdown();
            let last = channel.get_event().unwrap();
            raise(ONE);
            let late = Request::signal(ONE).unwrap().exclusive();
            drop((last, one));
            let channel = EventChannel::builder().driver(channel.driver().kind()).build().unwrap();
            channel.post(late).unwrap();
            assert_eq!(next(&channel).occurrences, 1);
            // What the last one leaves nobody gets.
            channel.shutdown();
            let last = channel.get_event().unwrap();
            raise(ONE);
            drop(last);
            let channel = EventChannel::new().unwrap();
            channel.post(Request::signal(ONE).unwrap().exclusive()).unwrap();
            none_for(&channel, SOON);
        })
    });
}

#[test]
fn what_cannot_be_caught_is_refused_with_words() {
    alone(30, || {
        for (signal, words) in [
            (0, "there is none"),
            (-1, "there is none"),
            (65, "there is none"),
            (libc::SIGKILL, "the kernel lets nobody catch it"),
            (libc::SIGSTOP, "the kernel lets nobody catch it"),
            (libc::SIGSEGV, "it says that the thread has done wrong"),
            (libc::SIGBUS, "it says that the thread has done wrong"),
            (libc::SIGFPE, "it says that the thread has done wrong"),
            (libc::SIGILL, "it says that the thread has done wrong"),
            (32, "libc has it for itself"),
            (33, "libc has it for itself"),
        ] {
            let error = Request::signals([ONE, signal]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            let begin = format!("signal {signal} cannot be waited for: {words}");
            assert!(error.to_string().starts_with(&begin), "{error}");
        }
        assert_eq!(Request::signals([]).unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    });
}

/// The signal that ends calls of accept4(2) that wait.
#[test]
fn the_channel_s_own_signal_is_refused() {
    alone(60, || {
        went_well(in_child("the_channel_s_own_signal_is_refused", || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let _near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            ec_channel::accept_now(std::os::fd::AsFd::as_fd(&listener)).unwrap();
            let is_own = |signal: &i32| match Request::signal(*signal) {
                Ok(_) => false,
                Err(error) => error.to_string().contains("the channel has it for itself"),
            };
            assert_eq!((libc::SIGRTMIN()..=libc::SIGRTMAX()).filter(is_own).count(), 1);
        }))
    });
}

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
            assert!(ours.sa_sigaction != before.sa_sigaction && ours.sa_flags & libc::SA_ONSTACK != 0);
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

/// Each time the program sets one over ours while somebody waits.
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
            let handler = if requests.len() % 2 == 0 {
                plain as *const () as usize
            } else {
                with_info as *const () as usize
            };
            dispose(signal, &action(handler, libc::SA_SIGINFO));
        };
        assert_eq!((requests.len(), error.kind()), (4, std::io::ErrorKind::ResourceBusy));
        assert!(error.to_string().contains("has been replaced too often"), "{error}");
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

#[test]
fn errno_is_kept() {
    alone(30, || {
        let _caught = Request::signal(ONE).unwrap();
        // SAFETY: errno is this thread's.
        unsafe { *libc::__errno_location() = libc::EXDEV };
        raise(ONE);
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EXDEV));
    });
}
