//! `select!`: which of those that have come it is, and who runs meanwhile.

mod sync_common;

use ec_test_support::{limit, skipped, system_calls, this_test_again};
use ec_unkind as _;
use event_channel::Runtime;
use event_channel::net::UdpSocket;
use event_channel::sync::{Arc, Notification, Semaphore, channel, oneshot, select};
use event_channel::task::{self, JoinSet, scope};
use event_channel::time::{Duration, interval};
use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use sync_common::each_runtime_of;

const LONG: Duration = Duration::from_secs(3600);

/// So unlikely a count is on either side of its bounds.
const UNLIKELY: f64 = 1e-14;

/// How many of `n` it is that come with `p` each, exactly (the binomial distribution).
fn bounds(n: usize, p: f64) -> RangeInclusive<usize> {
    let least = |p: f64| {
        let (mut log, mut sum) = (n as f64 * (1.0 - p).ln(), 0.0);
        let is_less = |count: &usize| {
            sum += log.exp();
            log += ((n - count) as f64 / (count + 1) as f64 * p / (1.0 - p)).ln();
            sum < UNLIKELY
        };
        (0..n).take_while(is_less).count()
    };
    least(p)..=n - least(1.0 - p)
}

/// Of these each has come as often as any other.
fn are_even(what: &dyn Debug, counts: &[usize]) {
    let bounds = bounds(counts.iter().sum(), 1.0 / counts.len() as f64);
    assert!(counts.iter().all(|count| bounds.contains(count)), "{what:?}: {counts:?}, not {bounds:?}");
}

/// Of `N` arms that have come each is as likely, whichever was it before.
fn is_at_random<const N: usize>(what: &str, came: &[usize]) {
    let mut counts = [0; N];
    came.iter().for_each(|arm| counts[*arm] += 1);
    are_even(&what, &counts);
    let mut pairs = [[0; N]; N];
    came.chunks_exact(2).for_each(|pair| pairs[pair[0]][pair[1]] += 1);
    are_even(&(what, "pairs"), pairs.as_flattened());
}

/// One that has come, and will each time.
fn ended() -> channel::Receiver<u32> {
    channel::unbounded().1
}

fn one_of_three(end: &channel::Receiver<u32>) -> usize {
    select! { recv(end) -> _ => 0, recv(end) -> _ => 1, recv(end) -> _ => 2 }.unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    LeftOut,
    There,
    Come,
}

#[test]
fn each_that_has_come_is_as_likely_whatever_else_stands_beside_it() {
    const DRAWS: usize = 1_000;
    limit(120, || {
        let (_sender, quiet) = channel::unbounded();
        let end = ended();
        let all = [Is::LeftOut, Is::There, Is::Come];
        for number in 0..81 {
            let is: [Is; 4] = [1, 3, 9, 27].map(|of| all[number / of % 3]);
            let come = is.iter().filter(|is| **is == Is::Come).count();
            if come < 2 {
                continue;
            }
            let of = is.map(|is| if is == Is::Come { &end } else { &quiet });
            let there = is.map(|is| is != Is::LeftOut);
            let waits = || {
                select! {
                    recv(of[0]) -> _, if there[0] => 0,
                    recv(of[1]) -> _, if there[1] => 1,
                    recv(of[2]) -> _, if there[2] => 2,
                    recv(of[3]) -> _, if there[3] => 3,
                }
            };
            let does_not = || {
                select! {
                    recv(of[0]) -> _, if there[0] => 0,
                    recv(of[1]) -> _, if there[1] => 1,
                    recv(of[2]) -> _, if there[2] => 2,
                    recv(of[3]) -> _, if there[3] => 3,
                    default => unreachable!(),
                }
            };
            let ways: [&dyn Fn() -> Result<usize, _>; 2] = [&waits, &does_not];
            for select in ways {
                let mut counts = [0; 4];
                (0..DRAWS).for_each(|_| counts[select().unwrap()] += 1);
                let counts: Vec<_> =
                    (0..4).filter(|arm| is[*arm] == Is::Come).map(|arm| counts[arm]).collect();
                assert_eq!(counts.iter().sum::<usize>(), DRAWS, "{is:?}");
                are_even(&is, &counts);
            }
        }
    });
}

#[test]
fn who_selects_once_draws_as_who_does_so_often() {
    const DRAWS: usize = 600;
    limit(120, || {
        let end = Arc::new(ended());
        let one = || one_of_three(&end);
        let apart = || {
            let end = end.clone();
            move || one_of_three(&end)
        };
        let of = |draw: &dyn Fn() -> usize| (0..DRAWS).map(|_| draw()).collect::<Vec<_>>();
        is_at_random::<3>("a thread, many times", &of(&one));
        is_at_random::<3>("threads", &of(&|| thread::spawn(apart()).join().unwrap()));
        each_runtime_of(&[1, 2, 8], |runtime| {
            is_at_random::<3>("runs", &of(&|| runtime.run(one)));
            is_at_random::<3>("a task, many times", &runtime.run(|| of(&one)));
            is_at_random::<3>("tasks of a thread", &of(&|| runtime.spawn(apart()).join().unwrap()));
            runtime.run(|| {
                is_at_random::<3>("tasks of a task", &of(&|| task::spawn(apart()).join().unwrap()));
                is_at_random::<3>("scoped", &of(&|| scope(|s| s.spawn(one).join().unwrap())));
                is_at_random::<3>("dedicated", &of(&|| task::on_thread(one)));
                let tasks: Vec<_> = (0..DRAWS).map(|_| task::spawn(apart())).collect();
                let came: Vec<_> = tasks.into_iter().map(|task| task.join().unwrap()).collect();
                is_at_random::<3>("tasks at the same time", &came);
            });
        });
    });
}

/// Nor do processes begin alike.
#[test]
fn each_process_draws_for_itself() {
    // (If each draws at random all draw the same less than once in 10^9 times.)
    const PROCESSES: usize = 21;
    limit(120, || {
        const NAME: &str = "each_process_draws_for_itself";
        let again = || this_test_again(NAME)?.stdout(Stdio::null()).spawn().ok();
        let children: Vec<_> = (0..PROCESSES).map_while(|_| again()).collect();
        if children.is_empty() {
            process::exit(10 + one_of_three(&ended()) as i32);
        }
        let codes = children.into_iter().map(|mut child| child.wait().unwrap().code().unwrap());
        let mut codes: Vec<_> = codes.collect();
        codes.sort_unstable();
        assert_eq!(codes.len(), PROCESSES);
        assert!(codes.iter().all(|code| (10..13).contains(code)), "{codes:?}");
        codes.dedup();
        assert!(codes.len() > 1, "all are {codes:?}");
    });
}

/// On one thread: nobody runs but who is let. False: tasks are threads here.
fn alone(test: impl FnOnce() + Send) -> bool {
    if !task::migrates() {
        skipped("each task is a thread of the kernel's");
        return false;
    }
    let runtime = Runtime::builder().cores(1).max_threads(1).build().unwrap();
    runtime.run(test);
    true
}

#[test]
fn of_those_that_come_while_it_sleeps_each_is_as_likely() {
    const DRAWS: usize = 900;
    limit(120, || {
        alone(|| {
            let asleep = |select: &(dyn Fn() -> usize + Sync), come: &dyn Fn()| {
                let waits = AtomicBool::new(false);
                scope(|s| {
                    let task = s.spawn(|| {
                        waits.store(true, Ordering::Relaxed);
                        select()
                    });
                    while !waits.load(Ordering::Relaxed) {
                        task::yield_now();
                    }
                    come();
                    task.join().unwrap()
                })
            };
            let channels = [(); 3].map(|()| channel::bounded::<u32>(1));
            let [(_, a), (_, b), (_, c)] = &channels;
            let receives = || {
                asleep(
                    &|| select! { recv(a) -> _ => 0, recv(b) -> _ => 1, recv(c) -> _ => 2 }.unwrap(),
                    &|| channels.iter().for_each(|(sender, _)| sender.try_send(7).unwrap()),
                )
            };
            let came: Vec<_> = (0..DRAWS)
                .map(|_| {
                    let came = receives();
                    let left = channels.each_ref().map(|(_, receiver)| receiver.try_recv().is_ok());
                    assert_eq!(left, [0, 1, 2].map(|arm| arm != came));
                    came
                })
                .collect();
            is_at_random::<3>("values", &came);
            let posts = [(); 3].map(|()| Notification::new());
            let [a, b, c] = &posts;
            let came: Vec<_> = (0..DRAWS)
                .map(|_| {
                    let came =
                        asleep(&|| select! { wait(a) => 0, wait(b) => 1, wait(c) => 2 }.unwrap(), &|| {
                            posts.iter().for_each(Notification::post)
                        });
                    let left = posts.each_ref().map(Notification::try_wait);
                    assert_eq!(left, [0, 1, 2].map(|arm| arm != came));
                    came
                })
                .collect();
            is_at_random::<3>("posts", &came);
        });
    });
}

#[test]
fn to_choose_makes_no_system_call() {
    limit(60, || {
        let end = ended();
        one_of_three(&end);
        let calls = system_calls(|watch| {
            watch.note(|| (0..1_000).for_each(|_| _ = one_of_three(&end)));
        });
        match calls {
            Ok(calls) => assert!(calls.is_empty(), "{calls:?}"),
            Err(error) => skipped(&format!("system calls cannot be watched: {error}")),
        }
    });
}

#[test]
fn who_is_answered_at_once_again_and_again_lets_others_run() {
    const MANY: usize = 2_000;
    fn lets_others_run(what: &str, mut call: impl FnMut()) {
        for _ in 0..3 {
            let other = task::spawn(|| ());
            let calls = (0..MANY).take_while(|_| {
                call();
                !other.is_finished()
            });
            assert!(calls.count() < MANY, "{what}: nobody else has run");
            other.join().unwrap();
        }
    }
    limit(60, || {
        alone(|| {
            let (_sender, quiet) = channel::unbounded::<u32>();
            let nothing = Notification::new();
            let end = ended();
            lets_others_run("default", || select! { recv(&quiet) -> _ => (), default => () }.unwrap());
            lets_others_run("an end", || select! { recv(&end) -> _ => (), wait(&nothing) => () }.unwrap());
            lets_others_run("biased", || select! { biased; recv(&end) -> _ => () }.unwrap());
            lets_others_run("sleep", || select! { sleep(Duration::ZERO) => () }.unwrap());
            let mut late = interval(Duration::from_nanos(1));
            lets_others_run("ticks", || select! { tick(&mut late) -> _ => () }.unwrap());
            let (reply, answer) = oneshot::channel::<u32>();
            drop(answer);
            lets_others_run("closed", || select! { closed(&reply) => (), sleep(LONG) => () }.unwrap());
            let mut nobody = JoinSet::<()>::new();
            lets_others_run("a set", || select! { join_next(&mut nobody) -> _ => () }.unwrap());
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            lets_others_run("readiness", || select! { wait_writable(&socket) -> is => is.unwrap() }.unwrap());
            let posts = Notification::new();
            lets_others_run("a post", || {
                posts.post();
                select! { wait(&posts) => (), recv(&quiet) -> _ => () }.unwrap();
            });
            lets_others_run("wait", || {
                posts.post();
                posts.wait();
            });
            lets_others_run("wait_cancellable", || {
                posts.post();
                posts.wait_cancellable().unwrap();
            });
            lets_others_run("wait_timeout", || assert!(!posts.wait_timeout(Duration::ZERO)));
            let permits = Semaphore::new(1);
            lets_others_run("acquire", || drop(permits.acquire()));
            lets_others_run("acquire_cancellable", || drop(permits.acquire_cancellable().unwrap()));
            let _all = permits.acquire();
            lets_others_run("acquire_timeout", || assert!(permits.acquire_timeout(Duration::ZERO).is_none()));
        });
    });
}

/// It might not run again. So others run before it takes something.
#[test]
fn who_has_taken_something_returns_with_it_before_others_run() {
    const ROUNDS: usize = 500;
    /// Whenever another task runs between `give` and the end of `take`, `is_there` says so.
    fn returns_with_it(
        what: &'static str,
        give: &dyn Fn(),
        take: &dyn Fn(),
        is_there: &(dyn Fn() -> bool + Sync),
    ) {
        let (over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        scope(|s| {
            let looks_on = s.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(is_there(), "{what}");
                    looks.fetch_add(1, Ordering::Relaxed);
                    task::yield_now();
                }
            });
            for _ in 0..ROUNDS {
                give();
                take();
            }
            over.store(true, Ordering::Relaxed);
            looks_on.join().unwrap();
        });
        assert!(looks.into_inner() > 2, "{what}: others have run");
    }
    limit(60, || {
        alone(|| {
            let posts = Notification::new();
            let is_posted = || posts.try_wait().then(|| posts.post()).is_some();
            returns_with_it("wait", &|| posts.post(), &|| posts.wait(), &is_posted);
            let select = || select! { wait(&posts) => (), sleep(LONG) => () }.unwrap();
            returns_with_it("a post", &|| posts.post(), &select, &is_posted);
            let (sender, receiver) = channel::unbounded();
            let select = || {
                select! { recv(&receiver) -> value => assert_eq!(value, Ok(7)), sleep(LONG) => () }.unwrap()
            };
            returns_with_it("a value", &|| sender.try_send(7).unwrap(), &select, &|| receiver.len() == 1);
            let permits = Semaphore::new(0);
            let give = || permits.add_permits(1);
            let is_there = || permits.available_permits() == 1;
            returns_with_it("acquire", &give, &|| permits.acquire().forget(), &is_there);
        });
    });
}
