//! What runs on helper threads: bounded, given up, refused, forked, left behind.

mod common;

use common::{drivers, each_driver, room};
use ec_channel::helpers::HELPERS;
use ec_channel::{Event, EventChannel, Request};
use ec_test_support::{alone, in_child, limit, refuse, skipped, went_well};
use ec_unkind as _;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};
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
