//! Who leads in a channel of the program's own: tasks that a shutdown abandons, and pools that begin and cease to serve it.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::{Completion, Completions, Driver, EventChannel, Request, Wait};
use event_channel::time::Duration;
use event_channel::{Cancelled, Runtime, task};
use net_common::{build, eventually};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

const TICK: Duration = Duration::from_millis(1);

/// For each driver: a runtime with so many cores, and a channel of the program's own with so many ports.
fn each(cores: usize, ports: usize, f: impl Fn(Runtime, EventChannel)) {
    if !task::migrates() {
        return skipped("here each task is a thread of its own, which no shutdown abandons");
    }
    // (In a channel on poll a task that leads is not suspended: there is nothing that it could wait for.)
    for driver in [Driver::IoUring, Driver::Epoll] {
        let Some(runtime) = build(driver, Runtime::builder().cores(cores).max_threads(cores)) else {
            continue;
        };
        let channel = EventChannel::builder().driver(driver).ports(ports).build().expect("as the runtime's");
        f(runtime, channel);
    }
}

/// Serves `channel` on a thread of its own, until `end`.
fn serve(channel: &EventChannel, end: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (channel, end) = (channel.clone(), end.clone());
    thread::spawn(move || {
        // SAFETY: all ports are driven until nobody waits for it, and all that comes of it is seen to.
        let serving = unsafe { channel.serve() }.unwrap();
        let mut out = Completions::new();
        while !end.load(Ordering::SeqCst) {
            for port in 0..channel.ports() {
                let wait = if channel.ports() == 1 { Wait::For(5 * TICK) } else { Wait::For(TICK / 4) };
                serving.drive(port, wait, &mut out).unwrap();
                out.drain().for_each(run);
            }
        }
    })
}

fn run(completion: Completion) {
    match completion {
        Completion::Raw(operation) => operation.deliver(),
        Completion::Call(call) => call.run(),
    }
}

/// Makes `runtime` end while a task holds its only worker, so that all its other tasks are abandoned.
fn abandon(runtime: Runtime) {
    let (holds, free) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flags = (holds.clone(), free.clone());
    let hog = runtime.spawn(move || {
        flags.0.store(true, Ordering::SeqCst);
        while !flags.1.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    });
    eventually(|| holds.load(Ordering::SeqCst));
    runtime.shutdown(Duration::from_millis(20)).expect_err("the worker is held");
    free.store(true, Ordering::SeqCst);
    let _ = hog.join();
}

#[test]
fn a_pool_that_begins_to_serve_is_woken_although_a_task_leads() {
    limit(60, || {
        each(1, 1, |runtime, channel| {
            let (gets, got) = (channel.clone(), Arc::new(AtomicUsize::new(0)));
            let counts = got.clone();
            let getter = runtime.spawn(move || {
                while gets.get_event().unwrap().token() != 0 {
                    counts.fetch_add(1, Ordering::SeqCst);
                }
            });
            for round in 1..=20 {
                eventually(|| channel.is_asleep(0));
                let end = Arc::new(AtomicBool::new(false));
                let server = serve(&channel, &end);
                channel.post(Request::timer(TICK).token(1)).unwrap();
                eventually(|| got.load(Ordering::SeqCst) == 2 * round - 1);
                end.store(true, Ordering::SeqCst);
                server.join().unwrap();
                // The task leads again.
                channel.post(Request::timer(TICK).token(1)).unwrap();
                eventually(|| got.load(Ordering::SeqCst) == 2 * round);
            }
            channel.post(Request::notification().token(0)).unwrap();
            getter.join().unwrap();
        });
    });
}

/// A pool whose worker sleeps in the port hears what is posted, however the task that led before it leaves.
#[test]
fn who_sleeps_in_a_port_is_rung_for_after_another_one_has_left() {
    limit(60, || {
        each(1, 1, |runtime, channel| {
            for _ in 0..20 {
                let gets = channel.clone();
                let leads = runtime.spawn(move || gets.get_event_timeout(Duration::from_secs(30)));
                eventually(|| channel.is_asleep(0));
                // SAFETY: the one port is driven below until what was posted has come.
                let serving = unsafe { channel.serve() }.unwrap();
                let server = thread::spawn(move || {
                    let mut out = Completions::new();
                    while out.is_empty() {
                        serving.drive(0, Wait::Forever, &mut out).unwrap();
                    }
                    out.drain().for_each(run);
                });
                eventually(|| channel.is_asleep(0));
                leads.cancel();
                assert!(Cancelled::is(&leads.join().unwrap().unwrap_err()));
                channel.post(Request::timer(TICK).on_complete(|_, _| ())).unwrap();
                server.join().unwrap();
            }
        });
    });
}

#[test]
fn others_lead_in_the_place_of_a_task_that_was_abandoned() {
    limit(60, || {
        for ports in [1, 2] {
            each(1, ports, |runtime, channel| {
                for _ in 0..3 {
                    let gets = channel.clone();
                    drop(runtime.spawn(move || gets.get_event()));
                }
                eventually(|| channel.is_asleep(0));
                // One that follows already, and one that comes later.
                let gets = channel.clone();
                let follows = thread::spawn(move || gets.get_event().unwrap().token());
                abandon(runtime);
                channel.post(Request::timer(TICK).token(7)).unwrap();
                assert_eq!(follows.join().unwrap(), 7);
                channel.post(Request::timer(TICK).token(8)).unwrap();
                assert_eq!(channel.get_event().unwrap().token(), 8);
            });
        }
    });
}

/// They are called, and will not come.
#[test]
fn what_an_abandoned_task_was_called_for_is_anothers() {
    limit(60, || {
        each(1, 1, |runtime, channel| {
            let gets = channel.clone();
            let tasks: Vec<_> = (0..3).map(|_| gets.clone()).collect();
            for gets in tasks {
                drop(runtime.spawn(move || gets.get_event()));
            }
            eventually(|| channel.is_asleep(0));
            let held = Arc::new(AtomicBool::new(true));
            let (holds, keeps) = (Arc::new(AtomicBool::new(false)), held.clone());
            let begun = holds.clone();
            let hog = runtime.spawn(move || {
                begun.store(true, Ordering::SeqCst);
                while keeps.load(Ordering::SeqCst) {
                    std::hint::spin_loop();
                }
            });
            eventually(|| holds.load(Ordering::SeqCst));
            let others: Vec<_> = (0..3)
                .map(|_| {
                    let gets = channel.clone();
                    thread::spawn(move || gets.get_event().unwrap().token())
                })
                .collect();
            // The tasks came first, and are called first.
            for token in 1..=3 {
                channel.post(Request::notification().token(token)).unwrap();
            }
            runtime.shutdown(Duration::from_millis(20)).expect_err("the worker is held");
            assert_eq!(others.into_iter().map(|other| other.join().unwrap()).sum::<u64>(), 6);
            held.store(false, Ordering::SeqCst);
            let _ = hog.join();
        });
    });
}

#[test]
fn nothing_is_lost_while_pools_come_and_go_and_tasks_are_abandoned() {
    limit(120, || {
        for ports in [1, 3] {
            each(2, ports, |runtime, channel| storm(&runtime, &channel));
        }
    });
}

/// Threads, tasks that live and tasks that are abandoned get what is posted.
fn storm(runtime: &Runtime, channel: &EventChannel) {
    const ROUNDS: usize = 5;
    const EACH: usize = 300;
    let got = Arc::new(AtomicUsize::new(0));
    let getter = || {
        let (gets, got) = (channel.clone(), got.clone());
        move || {
            while gets.get_event().unwrap().token() != 0 {
                got.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let threads: Vec<_> = (0..2).map(|_| thread::spawn(getter())).collect();
    let tasks: Vec<_> = (0..3).map(|_| runtime.spawn(getter())).collect();
    let over = Arc::new(AtomicBool::new(false));
    let (serves, ends) = (channel.clone(), over.clone());
    let pools = thread::spawn(move || {
        while !ends.load(Ordering::SeqCst) {
            let end = Arc::new(AtomicBool::new(false));
            let server = serve(&serves, &end);
            thread::sleep(TICK);
            end.store(true, Ordering::SeqCst);
            server.join().unwrap();
            thread::sleep(TICK);
        }
    });
    for round in 0..ROUNDS {
        let driver = channel.driver().kind();
        let dies = build(driver, Runtime::builder().cores(1).max_threads(1)).expect("as the first one");
        for _ in 0..3 {
            // (It ends by its cancel, or is abandoned.)
            let (gets, got) = (channel.clone(), got.clone());
            drop(dies.spawn(move || {
                while let Ok(event) = gets.get_event() {
                    assert_ne!(event.token(), 0);
                    got.fetch_add(1, Ordering::SeqCst);
                }
            }));
        }
        let posts = channel.clone();
        let poster = thread::spawn(move || {
            for n in 0..EACH {
                let span = Duration::from_micros((n * 37 % 700) as u64);
                posts.post(Request::timer(span).token(1)).unwrap();
                if n % 3 == 0 {
                    thread::sleep(TICK / 4);
                }
            }
        });
        abandon(dies);
        poster.join().unwrap();
        eventually(|| got.load(Ordering::SeqCst) == (round + 1) * EACH);
    }
    over.store(true, Ordering::SeqCst);
    pools.join().unwrap();
    for _ in 0..threads.len() + tasks.len() {
        channel.post(Request::notification().token(0)).unwrap();
    }
    threads.into_iter().for_each(|it| it.join().unwrap());
    tasks.into_iter().for_each(|it| it.join().unwrap());
}
