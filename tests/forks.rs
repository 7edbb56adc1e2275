//! Each way into the runtime from a forked child answers: with an error that says why, by blocking as on a plain thread, or by doing
//! nothing. None hangs, whatever the parent's threads did at the moment of the fork.

mod fork_common;

use ec_test_support::{limit, this_test_again};
use ec_unkind as _;
use event_channel::channel::{Event, EventChannel, EventId, Request};
use event_channel::net::{TcpListener, TcpStream, UdpSocket, lookup_host};
use event_channel::sync::Notification;
use event_channel::task::{JoinHandle, JoinSet};
use event_channel::{Runtime, future, run, task, time};
use fork_common::{End, Place, each_driver, fork};
use std::fmt::{Debug, Display};
use std::io::{ErrorKind, Read, Write};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

/// What the parent had at the fork. A child takes out of its own copy.
struct Parent {
    runtime: Mutex<Option<Arc<Runtime>>>,
    /// A runtime that nobody else has.
    other: Mutex<Option<Runtime>>,
    channel: Mutex<Option<EventChannel>>,
    posted: EventId,
    event: Mutex<Option<Event>>,
    unfinished: Mutex<Option<JoinHandle<()>>>,
    finished: Mutex<Option<JoinHandle<u8>>>,
    /// One that has ended, and one that has not.
    set: Mutex<Option<JoinSet<u8>>>,
    notification: Notification,
    pair: (TcpStream, TcpStream),
}

type Answer = Result<(), String>;

fn take<T>(it: &Mutex<Option<T>>) -> T {
    it.lock().unwrap().take().unwrap()
}

/// An error that names the fork.
fn refused<T>(result: Result<T, impl Display>) -> Answer {
    match result {
        Ok(_) => Err(String::from("it was done")),
        Err(error) if error.to_string().contains("forked child") => Ok(()),
        Err(error) => Err(format!("the reason is not told: {error}")),
    }
}

fn panics<T>(f: impl FnOnce() -> T + std::panic::UnwindSafe) -> Answer {
    match catch_unwind(f) {
        Ok(_) => Err(String::from("it was done")),
        Err(payload) => refused(Err::<(), _>(payload.downcast_ref::<String>().cloned().unwrap_or_default())),
    }
}

fn is<T: PartialEq + Debug>(found: T, right: T) -> Answer {
    if found == right { Ok(()) } else { Err(format!("{found:?}, not {right:?}")) }
}

fn both(first: Answer, second: Answer) -> Answer {
    first.and(second)
}

fn fine<T>(result: std::io::Result<T>) -> Answer {
    result.map(drop).map_err(|error| error.to_string())
}

type Way = (&'static str, fn(&Parent) -> Answer);

const WAYS: &[Way] = &[
    // A runtime of its own.
    ("Runtime::new", |_| refused(Runtime::new())),
    ("Builder::build", |_| refused(Runtime::builder().cores(1).build())),
    ("EventChannel::new", |_| refused(EventChannel::new())),
    ("ChannelBuilder::build", |_| refused(EventChannel::builder().ports(2).build())),
    // Tasks.
    ("Builder::spawn", |_| refused(task::Builder::new().spawn(|| ()))),
    ("Builder::dedicated", |_| refused(task::Builder::new().dedicated().spawn(|| ()))),
    // SAFETY: it does not begin.
    ("Builder::spawn_lean", |_| refused(unsafe { task::Builder::new().spawn_lean(|| ()) })),
    ("spawn", |_| panics(|| task::spawn(|| ()))),
    ("Runtime::spawn_with", |p| refused(take(&p.runtime).spawn_with(task::Builder::new(), || ()))),
    ("run", |_| is(run(|| 5), 5)),
    ("Runtime::run", |p| is(take(&p.runtime).run(|| 5), 5)),
    ("run in run", |_| is(run(|| run(|| 5)), 5)),
    ("run that panics", |_| is(catch_unwind(|| run(|| panic!("in the child"))).is_err(), true)),
    ("join, not finished", |p| {
        let payload = take(&p.unfinished).join().unwrap_err();
        refused(Err::<(), _>(*payload.downcast_ref::<&str>().unwrap()))
    }),
    ("join, finished", |p| is(take(&p.finished).join().unwrap(), 7)),
    ("join_timeout, not finished", |p| {
        let result = take(&p.unfinished).join_timeout(Duration::MAX).expect("it does not wait");
        refused(result.map_err(|payload| *payload.downcast::<&str>().unwrap()))
    }),
    ("await, not finished", |p| {
        let result = future::wait(take(&p.unfinished));
        refused(result.map_err(|payload| *payload.downcast::<&str>().unwrap()))
    }),
    ("await, finished", |p| is(future::wait(take(&p.finished)).unwrap(), 7)),
    ("future::wait", |_| {
        let mut polls = 0;
        let third = std::future::poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls < 3 { Poll::Pending } else { Poll::Ready(polls) }
        });
        is(future::wait(third), 3)
    }),
    ("JoinSet", |p| {
        let mut set = take(&p.set);
        set.add(take(&p.finished));
        let results: Vec<_> =
            (0..3).map(|_| set.join_next_timeout(Duration::MAX).unwrap().unwrap()).collect();
        assert!(set.join_next().is_none());
        is(results.into_iter().filter_map(Result::ok).collect(), vec![7, 8])
    }),
    ("drop of a JoinSet", |p| {
        drop(take(&p.set));
        Ok(())
    }),
    ("drop of a JoinHandle", |p| {
        drop(take(&p.unfinished));
        drop(take(&p.finished));
        Ok(())
    }),
    ("cancel, unpark", |p| {
        let handle = take(&p.unfinished);
        handle.cancel();
        handle.task().unpark();
        is(format!("{handle:?}").is_empty() || handle.is_finished(), false)
    }),
    ("the current task", |_| {
        task::yield_now();
        task::current().unpark();
        task::park();
        task::park_timeout(Duration::from_millis(1));
        is((task::is_cancelled(), task::blocking(|| 1), task::on_thread(|| 2)), (false, 1, 2))
    }),
    ("migrates", |_| {
        task::migrates();
        Ok(())
    }),
    // The parent's runtime.
    ("metrics, dump, Debug", |p| {
        let runtime = take(&p.runtime);
        let seen =
            (runtime.metrics().tasks_live, runtime.dump().tasks.len(), format!("{runtime:?}").is_empty());
        is(seen, (0, 0, false))
    }),
    ("shutdown", |p| is(take(&p.runtime).shutdown(Duration::MAX).is_ok(), true)),
    ("drop of a runtime", |p| {
        drop(take(&p.other));
        Ok(())
    }),
    ("the runtime's channel", |p| {
        let runtime = take(&p.runtime);
        let channel = runtime.channel();
        both(refused(channel.post(Request::timer(Duration::ZERO))), refused(channel.try_get_event()))
    }),
    // Channels.
    ("post", |p| refused(take(&p.channel).post(Request::notification()))),
    ("post of an event", |p| refused(take(&p.channel).post(take(&p.event)))),
    ("drop of an event", |p| {
        drop(take(&p.event));
        Ok(())
    }),
    ("get_event", |p| refused(take(&p.channel).get_event())),
    ("get_event in a timeout", |p| {
        let channel = take(&p.channel);
        refused(time::timeout(Duration::from_secs(60), || channel.get_event()))
    }),
    ("try_get_event", |p| refused(take(&p.channel).try_get_event())),
    ("cancel of an event", |p| is(take(&p.channel).cancel(p.posted), false)),
    ("metrics of a channel", |p| is(take(&p.channel).metrics().posted, 0)),
    ("shutdown of a channel", |p| {
        let channel = take(&p.channel);
        channel.shutdown();
        both(is(format!("{channel:?}").is_empty(), false), refused(channel.get_event()))
    }),
    ("drop of a channel", |p| {
        drop(take(&p.channel));
        Ok(())
    }),
    // What blocks, as on a plain thread.
    ("sleep, timeout", |_| {
        let begin = Instant::now();
        time::sleep(Duration::from_millis(2));
        time::sleep_until(begin + Duration::from_millis(4));
        let late = time::timeout(Duration::from_millis(2), || {
            UdpSocket::bind("127.0.0.1:0").unwrap().recv(&mut [0]).map_err(|error| error.kind())
        });
        both(is(late, Err(ErrorKind::TimedOut)), is(begin.elapsed() >= Duration::from_millis(4), true))
    }),
    ("Notification", |p| {
        let early = p.notification.wait_timeout(Duration::from_millis(2));
        p.notification.post();
        p.notification.wait();
        p.notification.post_all();
        is((early, p.notification.try_wait()), (false, false))
    }),
    ("sockets of its own", |_| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        near.write_all(b"x").unwrap();
        fine(far.read_exact(&mut [0]))
    }),
    ("sockets of the parent's", |p| {
        (&p.pair.0).write_all(b"x").unwrap();
        fine((&p.pair.1).read_exact(&mut [0]))
    }),
    ("lookup_host", |_| both(fine(lookup_host("127.0.0.1")), fine(lookup_host("localhost:7")))),
    // And from a thread that the child starts.
    ("a thread of the child's", |_| {
        let refusals = || both(refused(Runtime::new()), refused(task::Builder::new().spawn(|| ())));
        let thread = thread::spawn(move || both(refusals(), is(run(|| 5), 5)));
        thread.join().unwrap()
    }),
    // And from the child's child.
    ("a child of the child", |_| {
        // SAFETY: ends the child.
        let end = fork(|| unsafe { libc::_exit(i32::from(refused(Runtime::new()).is_err())) });
        is(end, Some(End::Code(0)))
    }),
];

/// Keeps the locks of both busy until told.
fn busy(runtime: Arc<Runtime>, channel: EventChannel, over: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        while !over.load(Ordering::Relaxed) {
            let tasks: Vec<_> = (0..8).map(|_| runtime.spawn(task::yield_now)).collect();
            runtime.metrics();
            runtime.dump();
            channel.metrics();
            tasks.into_iter().for_each(|task| task.join().unwrap());
            thread::sleep(Duration::from_micros(200));
        }
    })
}

#[test]
fn each_way_into_the_runtime_answers_in_a_forked_child() {
    each_driver("each_way_into_the_runtime_answers_in_a_forked_child", |runtime| {
        let channel = EventChannel::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let ended = runtime.spawn(|| 7);
        while !ended.is_finished() {
            thread::yield_now();
        }
        let mut set = JoinSet::new();
        let parks = runtime.spawn(|| {
            task::park();
            0
        });
        let parked = parks.task().clone();
        set.add(parks);
        set.add(runtime.spawn(|| 8));
        while !format!("{set:?}").contains("ended: 1") {
            thread::yield_now();
        }
        channel.post(Request::notification()).unwrap();
        let parent = Arc::new(Parent {
            event: Mutex::new(Some(channel.get_event().unwrap())),
            posted: channel.post(Request::timer(Duration::from_secs(3600))).unwrap(),
            channel: Mutex::new(Some(channel.clone())),
            unfinished: Mutex::new(Some(runtime.spawn(task::park))),
            set: Mutex::new(Some(set)),
            finished: Mutex::new(Some(ended)),
            notification: Notification::new(),
            pair: (near, listener.accept().unwrap().0),
            other: Mutex::new(Some(Runtime::builder().cores(1).build().unwrap())),
            runtime: Mutex::new(Some(runtime.clone())),
        });
        let over = Arc::new(AtomicBool::new(false));
        let busy = busy(runtime.clone(), channel, over.clone());
        let wrong = Arc::new(Mutex::new(Vec::new()));
        for place in Place::ALL {
            for (way, call) in WAYS {
                let (parent, wrong) = (parent.clone(), wrong.clone());
                place.call(&runtime, move || {
                    let me = task::current();
                    let end = fork(|| {
                        // What it says may be as long as a backtrace.
                        std::panic::set_hook(Box::new(|_| ()));
                        me.unpark();
                        task::park();
                        let answer = catch_unwind(std::panic::AssertUnwindSafe(|| call(&parent)));
                        let answer = answer.unwrap_or_else(|_| Err(String::from("it panicked")));
                        if let Err(why) = &answer {
                            eprintln!("{place:?}: {way}: {why}");
                        }
                        // SAFETY: ends the child.
                        unsafe { libc::_exit(i32::from(answer.is_err())) }
                    });
                    if end != Some(End::Code(0)) {
                        wrong.lock().unwrap().push(format!("{place:?}: {way}: {end:?}"));
                    }
                });
            }
        }
        over.store(true, Ordering::Relaxed);
        busy.join().unwrap();
        take(&parent.unfinished).task().unpark();
        parked.unpark();
        let wrong = wrong.lock().unwrap();
        assert!(wrong.is_empty(), "1: a wrong answer (see above); signal 14: it hung: {wrong:#?}");
    });
}

#[test]
fn a_child_that_was_forked_before_the_first_runtime_may_do_everything() {
    let name = "a_child_that_was_forked_before_the_first_runtime_may_do_everything";
    if let Some(mut again) = this_test_again(name) {
        let status = limit(60, || again.status().unwrap());
        assert!(status.success(), "{status}");
        return;
    }
    let everything = || {
        let own = Runtime::new().unwrap();
        let channel = EventChannel::new().unwrap();
        channel.post(Request::notification()).unwrap();
        channel.get_event().unwrap();
        run(|| task::spawn(|| 5).join().unwrap()) + own.run(|| 2)
    };
    // SAFETY: ends the child.
    let end = fork(|| unsafe { libc::_exit(everything()) });
    assert_eq!(end, Some(End::Code(7)));
    // And the parent, afterwards.
    assert_eq!(everything(), 7);
}
