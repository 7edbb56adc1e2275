//! A notification that wakes all who wait reaches each task and each thread that waits in `get_event` once: in a runtime's own channel, and
//! in one that nobody serves.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::{Driver, Event, EventChannel, Request};
use event_channel::task::JoinHandle;
use event_channel::time::{Duration, timeout};
use event_channel::{Cancelled, Runtime, task};
use net_common::{build, eventually};
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

const SOON: Duration = Duration::from_millis(5);
/// The token that ends a getter.
const END: u64 = 0;

/// For each driver: a runtime with so many cores, which has no more threads, and its channel; and another one with a channel that nobody
/// serves. (There a task that leads on poll is not suspended: there is nothing that it could wait for.)
fn each(cores: usize, f: impl Fn(Runtime, EventChannel)) {
    for driver in Driver::ALL {
        let build = || build(driver, Runtime::builder().cores(cores).max_threads(cores));
        if let Some(runtime) = build() {
            let served = runtime.channel().clone();
            f(runtime, served);
        }
        if driver != Driver::Poll
            && let Some(runtime) = build()
        {
            f(runtime, EventChannel::builder().driver(driver).build().expect("as the runtime's"));
        }
    }
}

/// Posts it, and says to how many it goes, 0 being: to the next one.
fn post_for_all(channel: &EventChannel, token: u64) -> u64 {
    // (Nobody else posts.)
    let before = channel.metrics().posted;
    channel.post(Request::notification().token(token).wake_all()).unwrap();
    channel.metrics().posted - before
}

#[test]
fn each_task_and_each_thread_that_waits_gets_it_once() {
    const TASKS: usize = 4;
    const THREADS: usize = 3;
    limit(60, || {
        each(2, |runtime, channel| {
            let (told, heard) = mpsc::channel();
            let getter = |who: usize| {
                let (channel, told) = (channel.clone(), told.clone());
                move || loop {
                    match channel.get_event().unwrap().token() {
                        END => return,
                        token => told.send((token, who)).unwrap(),
                    }
                }
            };
            let tasks: Vec<_> = (0..TASKS).map(|who| runtime.spawn(getter(who))).collect();
            let threads: Vec<_> = (TASKS..TASKS + THREADS).map(|who| thread::spawn(getter(who))).collect();
            let (mut reached_all, mut token) = (0, END);
            while reached_all < 30 {
                token += 1;
                let copies = post_for_all(&channel, token);
                let got: Vec<_> = (0..copies).map(|_| heard.recv().unwrap()).collect();
                assert!(got.iter().all(|(it, _)| *it == token), "{got:?} of {token}");
                let those: HashSet<usize> = got.iter().map(|(_, who)| *who).collect();
                assert_eq!(those.len() as u64, copies, "one has got it twice: {got:?}");
                reached_all += u64::from(those.len() == TASKS + THREADS);
            }
            channel.post_all((0..TASKS + THREADS).map(|_| Request::notification().token(END))).unwrap();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert!(heard.try_recv().is_err(), "and none is left");
        });
    });
}

/// What two calls have given: a token, none in time, or an error.
type Given = [io::Result<Option<u64>>; 2];
type Waits = Box<dyn FnOnce() -> Given + Send>;

/// Tasks that wait, and do not run when they are called: another one has the only worker, until it is let go.
struct Held {
    let_go: Arc<AtomicBool>,
    hog: JoinHandle<()>,
    getters: Vec<JoinHandle<Given>>,
}

impl Held {
    fn new(runtime: &Runtime, waits: Vec<Waits>) -> Held {
        let (holds, let_go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (getters, told) = mpsc::channel();
        let (hogs, told_hog) = mpsc::channel();
        let (has_it, is_let_go) = (holds.clone(), let_go.clone());
        let mut next: Box<dyn FnOnce() + Send> = Box::new(move || {
            let hog = task::spawn(move || {
                has_it.store(true, Ordering::SeqCst);
                while !is_let_go.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            });
            hogs.send(hog).unwrap();
        });
        let many = waits.len();
        // Each begins the next one before it waits: so that comes as soon as it does.
        for waits in waits {
            let (getters, begin) = (getters.clone(), next);
            next = Box::new(move || {
                let getter = task::spawn(move || {
                    begin();
                    waits()
                });
                getters.send(getter).unwrap();
            });
        }
        runtime.spawn(next).join().unwrap();
        eventually(|| holds.load(Ordering::SeqCst));
        // (Those that began last have been told of first.)
        let mut getters: Vec<_> = told.iter().take(many).collect();
        getters.reverse();
        Held { let_go, hog: told_hog.recv().unwrap(), getters }
    }

    fn let_go(self) -> Vec<JoinHandle<Given>> {
        self.let_go.store(true, Ordering::SeqCst);
        // (It may have been abandoned by then.)
        let _ = self.hog.join();
        self.getters
    }
}

fn twice(get: impl Fn() -> io::Result<Option<Event>>) -> Given {
    [(); 2].map(|()| Ok(get()?.map(|event| event.token())))
}

/// The copy is there first; then there is the cancel, or the end of a deadline around the call, or its own.
#[test]
fn a_task_that_is_cancelled_or_late_has_its_copy_before_it_hears_of_that() {
    if !task::migrates() {
        return skipped("here each task is a thread of its own, which nobody keeps from running");
    }
    limit(60, || {
        each(1, |runtime, channel| {
            // (Far more than it takes to begin to wait.)
            let span = Duration::from_millis(200);
            let [one, other, third] = [(); 3].map(|()| channel.clone());
            let held = Held::new(
                &runtime,
                vec![
                    Box::new(move || twice(|| one.get_event().map(Some))),
                    Box::new(move || timeout(span, || twice(|| other.get_event().map(Some)))),
                    Box::new(move || twice(|| third.get_event_timeout(span))),
                ],
            );
            assert_eq!(post_for_all(&channel, 7), 3);
            held.getters[0].cancel();
            thread::sleep(span);
            let given: Vec<Given> = held.let_go().into_iter().map(|getter| getter.join().unwrap()).collect();
            assert!(given.iter().all(|[first, _]| matches!(first, Ok(Some(7)))), "{given:?}");
            let [cancelled, late, out_of_time] = [0, 1, 2].map(|who| &given[who][1]);
            assert!(Cancelled::is(cancelled.as_ref().unwrap_err()));
            assert_eq!(late.as_ref().unwrap_err().kind(), ErrorKind::TimedOut);
            assert!(matches!(out_of_time, Ok(None)));
        });
    });
}

/// Nobody else gets it, and nobody waits for it.
#[test]
fn the_copy_of_a_task_that_never_runs_again_goes_with_it() {
    if !task::migrates() {
        return skipped("here each task is a thread of its own, which no shutdown abandons");
    }
    limit(60, || {
        for driver in [Driver::IoUring, Driver::Epoll] {
            let Some(runtime) = build(driver, Runtime::builder().cores(1).max_threads(1)) else { continue };
            let channel = EventChannel::builder().driver(driver).build().expect("as the runtime's");
            let [one, other] = [(); 2].map(|()| channel.clone());
            let held = Held::new(
                &runtime,
                vec![
                    Box::new(move || twice(|| one.get_event().map(Some))),
                    Box::new(move || twice(|| other.get_event().map(Some))),
                ],
            );
            assert_eq!(post_for_all(&channel, 1), 2);
            runtime.shutdown(4 * SOON).expect_err("the worker is held");
            drop(held.let_go());
            assert_eq!(channel.metrics().ready, 0);
            // They wait there no longer: so the next one is for the next one.
            assert_eq!(post_for_all(&channel, 2), 1);
            assert_eq!(channel.get_event().unwrap().token(), 2);
            channel.shutdown();
            assert!(channel.get_event().is_err(), "all has come");
        }
    });
}
