//! What runs on helper threads: bounded, given up, refused, forked, left behind.

mod common;

use common::{Scratch, drivers, each_driver, fifo_in, room, threads_in};
use ec_channel::helpers::HELPERS;
use ec_channel::{Event, EventChannel, OpenOptions, Request, wake_word};
use ec_test_support::{alone, in_child, limit, refuse, skipped, went_well};
use ec_unkind as _;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// The most helpers that count.
const MOST: usize = 512;

/// What closures wait at, and how many do.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        while !state.1 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn until(&self, inside: usize) {
        let mut state = self.state.lock().unwrap();
        while state.0 < inside {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

fn stuck(channel: &EventChannel, gate: &Arc<Gate>) {
    let gate = gate.clone();
    channel.post(Request::work(move || gate.pass())).unwrap();
}

#[test]
fn at_the_bound_work_waits_and_what_is_given_up_there_is_not_run() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    alone(120, || {
        // (One driver: the helpers are the process's.)
        let Some(driver) = drivers().into_iter().next() else { return };
        let channel = EventChannel::builder().driver(driver).build().unwrap();
        let gate = Arc::<Gate>::default();
        (0..MOST).for_each(|_| stuck(&channel, &gate));
        assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
        gate.until(MOST);
        let (run, dropped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counted = |limit: Duration| {
            let (run, held) = (run.clone(), Counted(dropped.clone()));
            Request::work(move || {
                let _held = held;
                run.fetch_add(1, Ordering::SeqCst);
            })
            .within(limit)
        };
        let cancelled = channel.post(counted(Duration::MAX)).unwrap();
        channel.post(counted(Duration::from_millis(20))).unwrap();
        let waits = channel.post(counted(Duration::MAX)).unwrap();
        assert!(channel.get_event_timeout(Duration::ZERO).unwrap().is_none());
        assert_eq!((HELPERS.threads(), HELPERS.queued()), (MOST, 3));
        assert!(channel.cancel(cancelled));
        let (first, second) = (channel.get_event().unwrap(), channel.get_event().unwrap());
        assert!(first.is_cancelled() && first.id() == cancelled && second.is_timed_out());
        // It goes with its event.
        assert_eq!((run.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (0, 0));
        drop((first, second));
        assert_eq!((run.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (0, 2));
        gate.open();
        let mut ids: Vec<_> = (0..=MOST).map(|_| channel.get_event().unwrap().id()).collect();
        ids.retain(|id| *id == waits);
        assert_eq!((ids.len(), run.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst)), (1, 1, 3));
        assert_eq!(channel.metrics().helped, MOST as u64 + 1);
    });
}

/// Words and FIFOs wait for others, and not for a helper that is busy.
#[test]
fn what_lasts_does_not_wait_behind_what_is_busy() {
    alone(120, || {
        if !knows_what_is_cached() {
            return skipped("the kernel does not say without waiting what a path is (before Linux 5.12)");
        }
        // (One driver: the helpers are the process's.)
        let Some(driver) = drivers().into_iter().next() else { return };
        let channel = EventChannel::builder().driver(driver).build().unwrap();
        let (folder, gate) = (Scratch::new(), Arc::<Gate>::default());
        let path = fifo_in(&folder);
        (0..MOST + 3).for_each(|_| stuck(&channel, &gate));
        let words: Vec<_> = (0..20).map(|_| Arc::new(AtomicU32::new(1))).collect();
        channel.post_all(words.iter().map(|word| Request::word(word.clone(), 1).token(1))).unwrap();
        channel.post(Request::open(&path, OpenOptions::new().read(true)).token(2)).unwrap();
        let given_up = channel.post(Request::word(words[0].clone(), 1).token(3)).unwrap();
        assert!(channel.try_get_event().unwrap().is_none());
        gate.until(MOST);
        // (It waits until somebody reads.)
        let _writer = std::fs::File::options().write(true).open(&path).unwrap();
        assert_eq!(channel.get_event().unwrap().token(), 2);
        assert!(channel.cancel(given_up));
        assert_eq!(channel.get_event().unwrap().token(), 3);
        for word in &words {
            word.store(2, Ordering::SeqCst);
            wake_word(word);
            assert_eq!(channel.get_event().unwrap().token(), 1);
        }
        // What does not last is bounded as ever.
        assert_eq!(HELPERS.queued(), 3);
        assert_eq!(gate.state.lock().unwrap().0, MOST);
        gate.open();
        for _ in 0..MOST + 3 {
            channel.get_event().unwrap().result().unwrap();
        }
    });
}

fn knows_what_is_cached() -> bool {
    let how: [u64; 3] = [libc::O_PATH as u64, 0, 0x20];
    // SAFETY: a string that ends, and as many words as are said.
    unsafe {
        let fd =
            libc::syscall(libc::SYS_openat2, libc::AT_FDCWD, c"/".as_ptr(), how.as_ptr(), size_of_val(&how));
        fd >= 0 && libc::close(fd as i32) == 0
    }
}

static CAME: AtomicUsize = AtomicUsize::new(0);

extern "C" fn comes(_: i32) {
    CAME.fetch_add(1, Ordering::SeqCst);
}

/// What this signal does from now on. What it has done.
fn set(signal: i32, action: usize) -> usize {
    // SAFETY: a handler that may run at any time, or none.
    let before = unsafe { libc::signal(signal, action) };
    assert_ne!(before, libc::SIG_ERR);
    before
}

fn of_all(action: usize) -> Vec<usize> {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).map(|signal| set(signal, action)).collect()
}

/// A write to a counter that is nearly full: poll(2) says that it would not wait, but for more than one it does. The program has all signals by
/// the time it is given up, and so it lasts until there is one again.
#[test]
fn a_call_that_only_a_signal_ends_is_ended_as_soon_as_there_is_one() {
    let case = || {
        each_driver(|channel| {
            of_all(libc::SIG_DFL);
            set(libc::SIGURG, libc::SIG_DFL);
            // SAFETY: a new descriptor.
            let counter = unsafe { OwnedFd::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC)) };
            let (mut full, number) = (std::fs::File::from(counter.try_clone().unwrap()), counter.as_raw_fd());
            full.write_all(&(u64::MAX - 2).to_ne_bytes()).unwrap();
            let (reader, mut writer) = std::io::pipe().unwrap();
            writer.write_all(&5u64.to_ne_bytes()).unwrap();
            let id = channel.post(Request::pump(OwnedFd::from(reader), counter)).unwrap();
            while threads_in(libc::SYS_write, Some(number)) == 0 {
                assert!(channel.get_event_timeout(Duration::from_millis(1)).unwrap().is_none());
            }
            of_all(comes as *const () as usize);
            set(libc::SIGURG, libc::SIG_IGN);
            assert!(channel.cancel(id));
            assert!(channel.get_event_timeout(Duration::from_millis(50)).unwrap().is_none());
            set(libc::SIGRTMIN(), libc::SIG_DFL);
            let event = channel.get_event().unwrap();
            assert!(event.is_cancelled() && event.buffer() == 5u64.to_ne_bytes(), "{event:?}");
        });
        assert_eq!(CAME.load(Ordering::SeqCst), 0);
    };
    went_well(limit(30, || {
        in_child("a_call_that_only_a_signal_ends_is_ended_as_soon_as_there_is_one", case)
    }));
}

/// What the program does with its signals is its own affair: none of those is sent, and none need be had. (But for one that says nothing to who
/// does not ask.)
#[test]
fn what_lasts_ends_whatever_the_program_does_with_its_signals() {
    let case = || {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a live limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_SIGPENDING, &none) }, 0);
        each_driver(|channel| {
            let folder = Scratch::new();
            let path = fifo_in(&folder);
            let word = Arc::new(AtomicU32::new(1));
            for action in [libc::SIG_IGN, libc::SIG_DFL, comes as *const () as usize] {
                of_all(libc::SIG_DFL);
                let read = || Request::open(&path, OpenOptions::new().read(true));
                let post = || {
                    let mut ids = channel.post_all((0..20).map(|_| Request::word(word.clone(), 1))).unwrap();
                    ids.push(channel.post(read()).unwrap());
                    assert!(channel.get_event_timeout(Duration::from_millis(20)).unwrap().is_none());
                    ids
                };
                let ids = post();
                channel.post(Request::word(word.clone(), 1).within(Duration::from_millis(30))).unwrap();
                channel.post(read().within(Duration::from_millis(30))).unwrap();
                of_all(action);
                for _ in 0..2 {
                    assert!(channel.get_event().unwrap().is_timed_out());
                }
                ids.iter().for_each(|id| assert!(channel.cancel(*id)));
                for _ in &ids {
                    assert!(channel.get_event().unwrap().is_cancelled());
                }
                post();
                // (Those that it leaves alone are whoever's.)
                assert!(of_all(action).iter().all(|is| *is == action || action == libc::SIG_DFL));
            }
            channel.shutdown();
            for _ in 0..3 * 21 {
                let event = channel.get_event().unwrap();
                assert!(event.is_cancelled(), "{event:?}");
            }
            assert!(channel.get_event().is_err());
        });
        assert_eq!(CAME.load(Ordering::SeqCst), 0);
    };
    went_well(limit(60, || in_child("what_lasts_ends_whatever_the_program_does_with_its_signals", case)));
}

/// (Before Linux 5.16, and in a sandbox.)
#[test]
fn words_are_waited_for_where_a_thread_can_wait_for_one_alone() {
    let case = || {
        if !refuse(&[libc::SYS_futex_waitv], libc::ENOSYS) {
            return skipped("no filter of system calls here");
        }
        each_driver(|channel| {
            let word = Arc::new(AtomicU32::new(1));
            let request = || Request::word(word.clone(), 1);
            let id = channel.post(request()).unwrap();
            channel.post(request().within(Duration::from_millis(1))).unwrap();
            assert!(channel.get_event().unwrap().is_timed_out());
            assert!(channel.cancel(id) && channel.get_event().unwrap().is_cancelled());
            channel.post(request()).unwrap();
            assert!(channel.get_event_timeout(Duration::from_millis(50)).unwrap().is_none());
            word.store(2, Ordering::SeqCst);
            wake_word(&word);
            channel.get_event().unwrap().result().unwrap();
        });
    };
    went_well(limit(60, || in_child("words_are_waited_for_where_a_thread_can_wait_for_one_alone", case)));
}

/// What needs no thread goes on; what does is told so, and the channel lives.
#[test]
fn where_the_system_gives_no_thread_work_is_refused() {
    let case = || {
        let channels: Vec<_> = drivers()
            .into_iter()
            .map(|driver| EventChannel::builder().driver(driver).build().unwrap())
            .collect();
        let file = Arc::new(tempfile());
        if !refuse(&[libc::SYS_clone, libc::SYS_clone3], libc::EAGAIN) {
            return skipped("no filter of system calls here");
        }
        for channel in channels {
            for _ in 0..3 {
                channel.post(Request::work(|| 7)).unwrap();
                let mut event = channel.get_event().unwrap();
                assert_eq!(event.failure().unwrap().errno(), libc::EAGAIN);
                assert!(event.take_work::<i32>().is_none());
                // What is cached needs none.
                channel.post(Request::read_at(file.clone(), room(4), 0)).unwrap();
                assert_eq!(channel.get_event().unwrap().buffer(), b"here");
            }
        }
    };
    went_well(in_child("where_the_system_gives_no_thread_work_is_refused", case));
}

fn tempfile() -> std::fs::File {
    let path = std::env::temp_dir().join(format!("ec-helpers-{}", std::process::id()));
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.write_all_at(b"here", 0).unwrap();
    file
}

/// The child has no such thread, and no channel.
#[test]
fn work_may_fork_and_the_child_ends_where_its_helper_would_go_on() {
    alone(60, || {
        each_driver(|channel| {
            // SAFETY: the child returns from the closure, and does nothing else.
            channel.post(Request::work(|| unsafe { libc::fork() })).unwrap();
            let child = channel.get_event().unwrap().take_work::<i32>().unwrap().unwrap();
            assert!(child > 0, "the event came in the parent");
            let mut status = -1;
            // SAFETY: a live int.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0);
            assert!(channel.try_get_event().unwrap().is_none());
        })
    });
}

/// The channel waits for a moment, and then leaves it what it uses.
#[test]
fn a_channel_may_go_while_its_work_runs() {
    alone(60, || {
        each_driver(|channel| {
            let (gate, over) = (Arc::<Gate>::default(), Arc::<Gate>::default());
            let (theirs, end) = (gate.clone(), over.clone());
            over.open();
            let request = Request::work(move || {
                theirs.pass();
                end.pass();
            });
            channel.post(request).unwrap();
            assert!(channel.try_get_event().unwrap().is_none());
            gate.until(1);
            drop(channel);
            gate.open();
            over.until(1);
        })
    });
}

#[test]
fn a_handler_may_be_called_for_work() {
    limit(30, || {
        each_driver(|channel| {
            let handler = |channel: &EventChannel, mut event: Event| {
                let sum = event.take_work::<u64>().unwrap().unwrap();
                channel.post(Request::notification().token(sum)).unwrap();
            };
            channel.post(Request::work(|| (1..=10u64).sum::<u64>()).on_complete(handler)).unwrap();
            assert_eq!(channel.get_event().unwrap().token(), 55);
        })
    });
}

#[test]
fn a_channel_of_one_thread_has_helpers_too() {
    limit(30, || {
        for driver in drivers() {
            let channel = EventChannel::builder().driver(driver).single_threaded().build().unwrap();
            channel.post(Request::work(|| 7).token(1)).unwrap();
            let mut event = channel.get_event().unwrap();
            assert_eq!(event.take_work::<i32>().unwrap().unwrap(), 7);
        }
    });
}
