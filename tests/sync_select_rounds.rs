//! `select!` is one wait, however often it looks: by one waiter, in one order, and what leaves nothing behind reaches it.

mod fork_common;
mod sync_common;

use ec_test_support::{in_child, limit, skipped, went_well};
use ec_unkind as _;
use event_channel::Runtime;
use event_channel::net::UdpSocket;
use event_channel::sync::channel::{Receiver, Sender};
use event_channel::sync::{Arc, Notification, channel, oneshot, select};
use event_channel::task::{self, JoinSet};
use event_channel::time::{Duration, Instant, interval};
use fork_common::{End, fork};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use sync_common::{Hand, everywhere};

const SHORT: Duration = Duration::from_millis(2);

fn waiters(of: &Notification) -> usize {
    let text = format!("{of:?}");
    let (_, number) = text.split_once("waiters: ").unwrap();
    number.trim_end_matches([' ', '}']).parse().unwrap()
}

fn until_waiting(at: &Notification, number: usize) {
    while waiters(at) != number {
        task::yield_now();
    }
}

/// In a task of a runtime in which nothing else runs until that suspends. (Where tasks are threads others do.)
fn alone(test: impl Fn() + Send + Sync) {
    let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
    runtime.run(test);
}

fn pair<T>(places: Option<usize>) -> (Sender<T>, Receiver<T>) {
    places.map_or_else(channel::unbounded, channel::bounded)
}

/// What they are told of is taken by others, again and again. So they look, and wait again.
#[test]
fn post_all_reaches_those_that_look_meanwhile() {
    limit(120, || {
        everywhere(|crew| {
            const WAITING: usize = 4;
            for round in 0..24 {
                let (sender, receiver) = pair([None, Some(2), Some(0)][round % 3]);
                let stop = Arc::new(Notification::new());
                let waits = |_| {
                    let (receiver, stop) = (receiver.clone(), stop.clone());
                    crew.spawn(move || {
                        select! { recv(&receiver) -> value => Some(value.unwrap()), wait(&stop) => None }
                    })
                };
                let waiting: Vec<_> = (0..WAITING).map(waits).collect();
                until_waiting(&stop, WAITING);
                let (theirs, mut sent, mut taken_back) = (receiver.clone(), 0, 0);
                for _ in 0..=round {
                    sent += usize::from(sender.try_send(7).is_ok());
                    taken_back += usize::from(theirs.try_recv().is_ok());
                }
                // Each that has got nothing waits at this moment.
                stop.post_all();
                let got = waiting.into_iter().map(Hand::join).filter(|got| *got == Ok(Some(7))).count();
                taken_back += std::iter::from_fn(|| theirs.try_recv().ok()).count();
                assert_eq!(got + taken_back, sent);
                assert!(!stop.try_wait(), "nothing is left behind");
            }
        });
    });
}

/// Of several workers none is anywhere but in its select, which may let others run before it waits.
#[test]
fn post_all_reaches_those_that_have_just_begun() {
    if let Some(why) = task::why_not() {
        // (Tasks are threads: one may be just between two selects.)
        return skipped(why);
    }
    limit(60, || {
        for jobs in 90..130 {
            alone(move || {
                let (sender, todo) = pair(None);
                let (stop, done) = (Arc::new(Notification::new()), Arc::new(AtomicUsize::new(0)));
                let works = |_| {
                    let (todo, stop, done) = (todo.clone(), stop.clone(), done.clone());
                    task::spawn(move || {
                        loop {
                            let stops = select! {
                                recv(&todo) -> job => job.unwrap(),
                                wait(&stop) => true,
                            };
                            if stops.unwrap() {
                                return;
                            }
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                };
                let workers: Vec<_> = (0..4).map(works).collect();
                until_waiting(&stop, workers.len());
                (0..jobs).for_each(|_| sender.send(false).unwrap());
                while done.load(Ordering::Relaxed) < jobs {
                    task::yield_now();
                }
                stop.post_all();
                workers.into_iter().for_each(|worker| worker.join().unwrap());
            });
        }
    });
}

/// Something was handed to it, which somebody else has taken before it ran.
#[test]
fn post_all_reaches_one_that_was_told_for_nothing() {
    limit(60, || {
        (0..20).for_each(|_| {
            alone(|| {
                let (sender, receiver) = pair(Some(0));
                let stop = Arc::new(Notification::new());
                let (theirs, stops) = (receiver.clone(), stop.clone());
                let waits = task::spawn(
                    move || select! { recv(&theirs) -> value => value.ok(), wait(&stops) => None },
                );
                until_waiting(&stop, 1);
                // (It may stand there first.)
                while sender.try_send(7).is_err() {
                    task::yield_now();
                }
                let taken_back = receiver.try_recv().ok();
                stop.post_all();
                let got = waits.join().unwrap().unwrap();
                assert!(got.is_some() != taken_back.is_some(), "{got:?}, {taken_back:?}");
            });
        });
    });
}

/// It does not go behind those that have come later.
#[test]
fn it_keeps_its_place_in_line() {
    if let Some(why) = task::why_not() {
        // (Tasks are threads: it may be quicker than who takes it back.)
        return skipped(why);
    }
    limit(60, || {
        (0..20).for_each(|_| {
            alone(|| {
                let (sender, receiver) = pair(Some(1));
                let (posts, over) = (Arc::new(Notification::new()), channel::unbounded());
                let (theirs, line, out) = (receiver.clone(), posts.clone(), over.0.clone());
                let selects = task::spawn(move || {
                    select! { recv(&theirs) -> value => panic!("{value:?}"), wait(&line) => out.send(1).unwrap() }
                });
                until_waiting(&posts, 1);
                let (line, out) = (posts.clone(), over.0);
                let waits = task::spawn(move || {
                    line.wait();
                    out.send(2).unwrap();
                });
                until_waiting(&posts, 2);
                // It looks, and there is nothing.
                sender.try_send(7).unwrap();
                assert_eq!(receiver.try_recv(), Ok(7));
                (0..3).for_each(|_| task::yield_now());
                posts.post();
                assert_eq!(over.1.recv(), Ok(1));
                posts.post();
                assert_eq!(over.1.recv(), Ok(2));
                selects.join().unwrap().unwrap();
                waits.join().unwrap();
            });
        });
    });
}

/// What has come while it slept comes in the order of the arms, and a post that stands behind that is for the next in line.
#[test]
fn the_first_that_has_come_goes_before_a_post() {
    /// Of each: something that comes at once.
    macro_rules! first_of {
        ($operation:ident ($made:expr, $($argument:tt)*) by $comes:expr) => {
            first_of!($operation($made, $($argument)*) by $comes, post first true);
            first_of!($operation($made, $($argument)*) by $comes, post first false);
        };
        ($operation:ident ($made:expr, $($argument:tt)*) by $comes:expr, post first $post_first:expr) => {
            {
                let post_first = $post_first;
                alone(|| {
                    let posts = Arc::new(Notification::new());
                    #[allow(unused_mut)] // (one that is lent for changes is)
                    let (mut made, mut comes) = $made;
                    let theirs = posts.clone();
                    let selects = task::spawn(move || {
                        let first = select! {
                            biased;
                            $operation($($argument)* made) -> _ => true,
                            wait(&theirs) => false,
                        };
                        let _kept = made;
                        first
                    });
                    until_waiting(&posts, 1);
                    let line = posts.clone();
                    let next = task::spawn(move || line.wait());
                    until_waiting(&posts, 2);
                    if post_first && task::migrates() {
                        posts.post();
                    }
                    $comes(&mut comes);
                    if !post_first || !task::migrates() {
                        // (Elsewhere each task is a thread, and the post would be all that has come.)
                        posts.post();
                    }
                    assert_eq!(selects.join().unwrap(), Ok(true), "{}", stringify!($operation));
                    next.join().unwrap();
                    assert!(!posts.try_wait());
                });
            }
        };
    }
    limit(60, || {
        (0..5).for_each(|_| {
            for places in [Some(1), None] {
                first_of!(recv({ let (s, r) = pair(places); (r, s) }, &) by |sender: &mut Sender<u32>| sender.try_send(1).unwrap());
            }
            first_of!(recv({ let (s, r) = oneshot::channel(); (r, Some(s)) }, &) by |sender: &mut Option<oneshot::Sender<u32>>| sender.take().unwrap().send(1).unwrap());
            first_of!(closed({ let (s, r) = oneshot::channel::<u32>(); (s, Some(r)) }, &) by |receiver: &mut Option<_>| drop(receiver.take()));
            first_of!(wait({ let first = Arc::new(Notification::new()); (first.clone(), first) }, &) by |first: &mut Arc<Notification>| first.post());
            first_of!(wait({ let first = Arc::new(Notification::new()); (first.clone(), first) }, &) by |first: &mut Arc<Notification>| first.post_all());
            let parks = || {
                let handle = task::spawn(task::park);
                let who = handle.task().clone();
                (handle, who)
            };
            // (It ends before that one runs; as a thread it may be later than the post.)
            let ends = |who: &mut task::Task| who.unpark();
            if task::migrates() {
                first_of!(join(parks(), &mut) by ends, post first false);
            }
            // (The time comes, and nobody has run meanwhile.)
            let passes = |_: &mut ()| thread::sleep(SHORT * 10);
            first_of!(sleep_until((Instant::now() + SHORT * 5, ()),) by passes);
            first_of!(tick(({ let mut ticks = interval(SHORT * 5); ticks.tick(); ticks }, ()), &mut) by passes);
        });
    });
}

/// Of several that came while it slept each has its chance.
#[test]
fn of_those_that_came_meanwhile_one_is_taken_at_random() {
    if let Some(why) = task::why_not() {
        // (Tasks are threads, and run before all have come.)
        return skipped(why);
    }
    limit(60, || {
        alone(|| {
            const ROUNDS: usize = 300;
            let posts = Arc::new([const { Notification::new() }; 3]);
            let (again, theirs) = (Arc::new(Notification::new()), posts.clone());
            let next = again.clone();
            let selects = task::spawn(move || {
                let [a, b, c] = &*theirs;
                let mut came = [0; 3];
                for _ in 0..ROUNDS {
                    came[select! { wait(a) => 0, wait(b) => 1, wait(c) => 2 }.unwrap()] += 1;
                    // (What was not the first is there still.)
                    assert_eq!(theirs.iter().filter(|left| left.try_wait()).count(), 2);
                    next.post();
                }
                came
            });
            for _ in 0..ROUNDS {
                posts.iter().for_each(|posts| until_waiting(posts, 1));
                posts.iter().for_each(Notification::post);
                again.wait();
            }
            let came = selects.join().unwrap();
            assert!(came.iter().all(|came| *came > ROUNDS / 10), "{came:?}");
        });
    });
}

/// Waits for each as one of two; what comes does so while it sleeps, by a thread. With a runtime, also for tasks and readiness.
fn waits_for_each(with_runtime: bool) {
    let quiet = Arc::new(Notification::new());
    macro_rules! comes {
        ($operation:ident ($argument:expr) by $comes:expr) => {{
            let (theirs, comes) = (quiet.clone(), $comes);
            let other = thread::spawn(move || {
                until_waiting(&theirs, 1);
                // (It is about to sleep, or sleeps.)
                thread::sleep(SHORT);
                comes();
            });
            select! { $operation($argument) -> _ => (), wait(&quiet) => panic!("nobody posts") }.unwrap();
            other.join().unwrap();
        }};
    }
    for places in [Some(0), Some(1), None] {
        let (sender, receiver) = pair(places);
        comes!(recv(&receiver) by move || sender.send(7).unwrap());
    }
    let (sender, receiver) = pair(Some(0));
    let mut slot = Some(7);
    macro_rules! sends {
        () => {{
            let theirs = receiver.clone();
            let (line, watched) = (quiet.clone(), receiver.clone());
            let other = thread::spawn(move || {
                until_waiting(&line, 1);
                thread::sleep(SHORT);
                assert_eq!(theirs.recv(), Ok(7));
            });
            select! { send_from(&sender, &mut slot) -> sent => sent.unwrap(), wait(&quiet) => panic!("nobody posts") }.unwrap();
            other.join().unwrap();
            drop(watched);
        }};
    }
    sends!();
    let (reply, answer) = oneshot::channel();
    comes!(recv(&answer) by move || reply.send(7).unwrap());
    let (reply, answer) = oneshot::channel::<u32>();
    comes!(closed(&reply) by move || drop(answer));
    for post in [Notification::post, Notification::post_all] {
        let posts = Arc::new(Notification::new());
        let theirs = posts.clone();
        comes!(wait(&posts) by move || post(&theirs));
    }
    if with_runtime {
        let mut parked = task::spawn(task::park);
        let who = parked.task().clone();
        comes!(join(&mut parked) by move || who.unpark());
        let (mut set, (over, is_over)) = (JoinSet::new(), oneshot::channel());
        set.spawn(move || is_over.recv());
        comes!(join_next(&mut set) by move || over.send(()).unwrap());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        comes!(wait_readable(&socket) by move || _ = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"7", address).unwrap());
    }
}

struct AtTheEnd;

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        waits_for_each(true);
    }
}

/// Where its thread-locals are gone a thread is told of whatever comes, as elsewhere.
#[test]
fn in_the_destructor_of_a_thread_local() {
    thread_local!(static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) });
    limit(60, || {
        everywhere(|crew| {
            let ends = crew.spawn(|| {
                LAST.with(|last| *last.borrow_mut() = Some(AtTheEnd));
                // What this has of its own is made later, and gone earlier.
                Notification::new().wait_timeout(SHORT);
                assert_eq!(select! { sleep(SHORT) => 1 }, Ok(1));
            });
            ends.join();
        });
    });
}

/// A thread that has waited in the parent is told in the child, as one that has not.
#[test]
fn in_a_child_forked_by_one_that_has_waited() {
    let name = "in_a_child_forked_by_one_that_has_waited";
    went_well(in_child(name, || {
        for waited in [true, false] {
            let forks = move || {
                if waited {
                    Notification::new().wait_timeout(SHORT);
                }
                let in_its_child = |f: &dyn Fn()| {
                    let end = fork(|| {
                        let went = catch_unwind(AssertUnwindSafe(f));
                        // SAFETY: ends the child, which has the test's harness on its stack.
                        unsafe { libc::_exit(i32::from(went.is_err())) }
                    });
                    assert_eq!(end, Some(End::Code(0)));
                };
                in_its_child(&|| {
                    waits_for_each(false);
                    // And so on.
                    in_its_child(&|| waits_for_each(false));
                    waits_for_each(false);
                });
            };
            thread::spawn(forks).join().unwrap();
        }
    }));
}
