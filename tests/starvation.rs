//! In a pool, what is ready of one source never holds back another: each thing that never ends, with each that is to come all the same.

mod net_common;

use ec_test_support::{limit, skipped};
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::net::{TcpListener, TcpStream};
use event_channel::sync::Notification;
use event_channel::{Runtime, task};
use net_common::build;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
/// How often what is to come comes.
const ROUNDS: usize = 3;

/// What never ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hog {
    /// Tasks that yield.
    Yields,
    ManyYields,
    /// Handlers that post again.
    Handlers,
    /// Two tasks that wake each other.
    Wakes,
    /// A thread outside keeps spawning.
    Injected,
    /// Tasks that spawn the next one.
    Spawns,
    /// Tasks that talk over sockets.
    Sockets,
    /// A task that gets what it posts, and never waits.
    Getter,
    /// A task that takes a post that is there, and never waits.
    Posts,
    /// A task that computes.
    Computes,
}

/// What is to come.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Sleep,
    /// An answer from a task on another thread's socket.
    Socket,
    Handler,
    Yield,
    /// A task that a task spawns.
    Spawned,
    /// A task that a thread spawns.
    Injected,
    /// A task that a thread wakes.
    Woken,
    /// What a task gets from the runtime's channel.
    Event,
}

type Flag = Arc<AtomicBool>;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (one, listener.accept().unwrap().0)
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 64];
    while let Ok(n @ 1..) = stream.read(&mut bytes) {
        if stream.write_all(&bytes[..n]).is_err() {
            return;
        }
    }
}

fn post_again(channel: &EventChannel, stop: &Flag) {
    let stop = stop.clone();
    let handler = move |channel: &EventChannel, _| {
        if !stop.load(Ordering::Relaxed) {
            post_again(channel, &stop);
        }
    };
    let _ = channel.post(Request::notification().on_complete(handler));
}

fn spawn_again(stop: Flag) {
    if !stop.load(Ordering::Relaxed) {
        // (Not while the runtime ends.)
        drop(task::Builder::new().spawn(move || spawn_again(stop)));
    }
}

/// Begins what never ends until `stop`. A thread of it is to be joined.
fn begin(runtime: &Arc<Runtime>, hog: Hog, stop: &Flag) -> Option<std::thread::JoinHandle<()>> {
    let goes_on = {
        let stop = stop.clone();
        move || !stop.load(Ordering::Relaxed)
    };
    match hog {
        Hog::Yields | Hog::ManyYields => {
            for _ in 0..if hog == Hog::Yields { 4 } else { 300 } {
                let goes_on = goes_on.clone();
                drop(runtime.spawn(move || {
                    while goes_on() {
                        task::yield_now();
                    }
                }));
            }
        }
        Hog::Handlers => (0..4).for_each(|_| post_again(runtime.channel(), stop)),
        Hog::Wakes => {
            let (one, other) = (Arc::new(Notification::new()), Arc::new(Notification::new()));
            for (waits, posts) in [(one.clone(), other.clone()), (other, one.clone())] {
                let goes_on = goes_on.clone();
                drop(runtime.spawn(move || {
                    while goes_on() {
                        waits.wait();
                        posts.post();
                    }
                    posts.post();
                }));
            }
            one.post();
        }
        Hog::Injected => {
            let (runtime, done) = (runtime.clone(), Arc::new(AtomicU64::new(0)));
            return Some(std::thread::spawn(move || {
                let mut spawned = 0;
                while goes_on() {
                    // (A queue that only grows would be another matter.)
                    if spawned < done.load(Ordering::Relaxed) + 50 {
                        let done = done.clone();
                        drop(runtime.spawn(move || done.fetch_add(1, Ordering::Relaxed)));
                        spawned += 1;
                    }
                }
            }));
        }
        Hog::Spawns => {
            for _ in 0..4 {
                let stop = stop.clone();
                drop(runtime.spawn(move || spawn_again(stop)));
            }
        }
        Hog::Sockets => {
            for _ in 0..5 {
                let goes_on = goes_on.clone();
                drop(runtime.spawn(move || {
                    let (mut one, other) = pair();
                    let echoes = task::spawn(move || echo(other));
                    let mut bytes = [0; 64];
                    // (At the end it is cancelled, or the other one is.)
                    while goes_on() && one.write_all(&bytes).and_then(|()| one.read_exact(&mut bytes)).is_ok()
                    {
                    }
                    drop(one);
                    echoes.join().unwrap();
                }));
            }
        }
        Hog::Getter => {
            // (Not the runtime's channel: what others wait for there is not to be taken from them.)
            let channel = EventChannel::new().unwrap();
            drop(runtime.spawn(move || {
                channel.post(Request::notification()).unwrap();
                while goes_on() {
                    channel.post(channel.get_event().unwrap()).unwrap();
                }
            }));
        }
        Hog::Posts => {
            let notification = Notification::new();
            drop(runtime.spawn(move || {
                while goes_on() {
                    notification.post();
                    notification.wait();
                }
            }));
        }
        Hog::Computes => drop(runtime.spawn(move || {
            while goes_on() {
                std::hint::spin_loop();
            }
        })),
    }
    None
}

/// Returns when what is to come has come, a few times.
fn come(runtime: &Runtime, victim: Victim) {
    match victim {
        Victim::Sleep => runtime.run(|| (0..ROUNDS).for_each(|_| task::sleep(MS))),
        Victim::Socket => {
            let (mut one, other) = runtime.run(pair);
            let echoes = runtime.spawn(move || echo(other));
            for _ in 0..ROUNDS {
                one.write_all(b"x").unwrap();
                one.read_exact(&mut [0]).unwrap();
            }
            drop(one);
            echoes.join().unwrap();
        }
        Victim::Handler => {
            for _ in 0..ROUNDS {
                let (called, hears) = mpsc::channel();
                let handler = move |_: &EventChannel, _| called.send(()).unwrap();
                runtime.channel().post(Request::timer(MS).on_complete(handler)).unwrap();
                hears.recv().unwrap();
            }
        }
        Victim::Yield => runtime.run(|| (0..ROUNDS).for_each(|_| task::yield_now())),
        Victim::Spawned => runtime.run(|| (0..ROUNDS).for_each(|_| task::spawn(|| ()).join().unwrap())),
        Victim::Injected => (0..ROUNDS).for_each(|_| runtime.spawn(|| ()).join().unwrap()),
        Victim::Woken => {
            let notification = Arc::new(Notification::new());
            let waits = notification.clone();
            let (woken, hears) = mpsc::channel();
            let task = runtime.spawn(move || {
                for _ in 0..ROUNDS {
                    waits.wait();
                    woken.send(()).unwrap();
                }
            });
            for _ in 0..ROUNDS {
                notification.post();
                hears.recv().unwrap();
            }
            task.join().unwrap();
        }
        Victim::Event => {
            let channel = runtime.channel().clone();
            runtime.run(move || {
                for _ in 0..ROUNDS {
                    channel.post(Request::timer(MS)).unwrap();
                    channel.get_event().unwrap();
                }
            });
        }
    }
}

fn each_pair_with(hogs: &[Hog]) {
    if !task::migrates() {
        return skipped("here each task is a thread of its own: the kernel is fair");
    }
    let victims = [
        Victim::Sleep,
        Victim::Socket,
        Victim::Handler,
        Victim::Yield,
        Victim::Spawned,
        Victim::Injected,
        Victim::Woken,
        Victim::Event,
    ];
    for driver in event_channel::channel::Driver::ALL {
        for cores in [1, 2] {
            for hog in hogs {
                let Some(runtime) = build(driver, Runtime::builder().cores(cores)) else { break };
                let (runtime, stop) = (Arc::new(runtime), Flag::default());
                let thread = begin(&runtime, *hog, &stop);
                for victim in victims {
                    limit(20, || come(&runtime, victim));
                }
                stop.store(true, Ordering::Relaxed);
                thread.into_iter().for_each(|thread| thread.join().unwrap());
                runtime.shutdown(Duration::from_secs(20)).unwrap();
            }
        }
    }
}

#[test]
fn what_never_waits_starves_nothing() {
    each_pair_with(&[Hog::Yields, Hog::ManyYields, Hog::Getter, Hog::Posts, Hog::Computes]);
}

#[test]
fn what_is_woken_again_and_again_starves_nothing() {
    each_pair_with(&[Hog::Handlers, Hog::Wakes, Hog::Sockets]);
}

#[test]
fn what_is_spawned_again_and_again_starves_nothing() {
    each_pair_with(&[Hog::Injected, Hog::Spawns]);
}
