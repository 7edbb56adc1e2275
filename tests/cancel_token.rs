//! `task::CancelToken`: one cancel for a group of tasks.

mod net_common;

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::channel::{EventChannel, Request};
use event_channel::net::UdpSocket;
use event_channel::sync::Notification;
use event_channel::task::{Builder, CancelToken, JoinHandle, check};
use event_channel::time::{Duration, Instant, sleep_cancellable, timeout};
use event_channel::{Runtime, is_cancelled, is_deadline, task};
use net_common::{Numbers, each_run, each_runtime, eventually, members, until_waiting};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const LONG: Duration = Duration::from_secs(3600);

type Waits = fn() -> io::Result<()>;

/// Each waits for ever. With what a dump says of it.
const WAITS: [(&str, Waits); 5] = [
    ("sleep", || sleep_cancellable(LONG)),
    ("park", task::park_cancellable),
    ("notification", || Notification::new().wait_cancellable()),
    ("recv: descriptor", || UdpSocket::bind("127.0.0.1:0")?.recv(&mut [0; 1]).map(drop)),
    ("get_event", || {
        let channel = EventChannel::builder().ports(1).build()?;
        channel.post(Request::timer(LONG))?;
        channel.get_event().map(drop)
    }),
];

fn everywhere(test: fn()) {
    thread::spawn(test).join().unwrap();
    each_run(test);
}

fn assert_cancelled<T>(result: io::Result<T>) {
    let error = result.map(drop).expect_err("cancelled");
    assert!(is_cancelled(&error), "{error}");
}

#[test]
fn a_cancel_ends_each_kind_of_wait_once_and_in_the_group_only() {
    limit(120, || {
        each_runtime(|runtime| {
            for (what, call) in WAITS {
                for kind in [Builder::new(), Builder::new().dedicated()] {
                    let token = CancelToken::new();
                    let theirs = token.clone();
                    let task = runtime.spawn_with(kind, move || {
                        theirs.enter(|| {
                            assert_cancelled(call());
                            assert!(task::is_cancelled() && theirs.is_cancelled());
                            check().expect("once");
                        });
                        assert!(!task::is_cancelled(), "it was the group's");
                        check().unwrap();
                    });
                    until_waiting(runtime, what);
                    token.cancel();
                    task.unwrap().join().unwrap();
                    assert_eq!(members(&token), 0);
                }
            }
        });
    });
}

#[test]
fn a_group_is_cancelled_whatever_its_members_do() {
    limit(60, || {
        each_runtime(|runtime| {
            let token = CancelToken::new();
            let spawn = |kind: Builder, f: fn() -> io::Result<()>| {
                runtime.spawn_with(kind.cancel_token(&token), f).unwrap()
            };
            let waits: Vec<_> = WAITS.into_iter().map(|(_, call)| spawn(Builder::new(), call)).collect();
            let dedicated = spawn(Builder::new().dedicated(), || sleep_cancellable(LONG));
            let computes = spawn(Builder::new(), || {
                loop {
                    check()?;
                }
            });
            let other = runtime.spawn(|| task::park_timeout_cancellable(Duration::from_millis(50)));
            eventually(|| members(&token) == WAITS.len() + 2);
            token.cancel();
            // Some may not have come to their wait yet, and these join too late.
            let late = spawn(Builder::new(), || sleep_cancellable(LONG));
            let all = waits.into_iter().chain([dedicated, computes, late]);
            all.for_each(|task| assert_cancelled(task.join().unwrap()));
            other.join().unwrap().expect("not in the group");
            token.cancel();
        });
    });
}

#[test]
fn who_joins_late_is_cancelled_at_once_and_who_leaves_is_not() {
    limit(60, || {
        everywhere(|| {
            let token = CancelToken::new();
            token.enter(|| check().unwrap());
            token.enter(|| {
                check().unwrap();
                token.cancel();
                // Left without a point.
            });
            check().unwrap();
            for _ in 0..2 {
                token.enter(|| {
                    assert!(task::is_cancelled());
                    assert_cancelled(sleep_cancellable(LONG));
                    check().unwrap();
                });
            }
            let task = Builder::new().cancel_token(&token).spawn(|| (check(), task::is_cancelled())).unwrap();
            let (result, latched) = task.join().unwrap();
            assert_cancelled(result);
            assert!(latched && !task::is_cancelled());
        });
    });
}

#[test]
fn a_childs_group_is_cancelled_with_its_parents_and_alone() {
    limit(60, || {
        everywhere(|| {
            let parent = CancelToken::new();
            let (one, other) = (parent.child_token(), parent.child_token());
            let grandchild = one.child_token();
            let sleeps = |token: &CancelToken| {
                Builder::new().cancel_token(token).spawn(|| sleep_cancellable(LONG)).unwrap()
            };
            let tasks = [sleeps(&one), sleeps(&grandchild)];
            let others = [sleeps(&parent), sleeps(&other)];
            one.cancel();
            tasks.into_iter().for_each(|task| assert_cancelled(task.join().unwrap()));
            assert!(others.iter().all(|task| !task.is_finished()) && !parent.is_cancelled());
            assert!(one.child_token().is_cancelled());
            drop(other);
            parent.cancel();
            others.into_iter().for_each(|task| assert_cancelled(task.join().unwrap()));
        });
    });
}

#[test]
fn each_tokens_cancel_is_delivered_once_to_a_task() {
    limit(60, || {
        everywhere(|| {
            let (token, other) = (CancelToken::new(), CancelToken::new());
            let child = token.child_token();
            token.enter(|| {
                other.enter(|| {
                    token.enter(|| {
                        child.enter(|| {
                            token.cancel();
                            assert_cancelled(check()); // the child's
                            assert_cancelled(check()); // its parent's: of both scopes
                            check().unwrap();
                        });
                    });
                    check().unwrap();
                    other.cancel();
                    assert_cancelled(check());
                });
                check().unwrap();
            });
        });
        // Beside the task's own.
        each_runtime(|runtime| {
            let (token, begins) = (CancelToken::new(), Arc::new(Notification::new()));
            let theirs = begins.clone();
            let own = Builder::new().cancel_token(&token);
            let task = runtime.spawn_with(own, move || {
                theirs.wait();
                assert_cancelled(sleep_cancellable(LONG));
                assert_cancelled(sleep_cancellable(LONG));
                check().unwrap();
            });
            let task = task.unwrap();
            token.cancel();
            task.cancel();
            begins.post();
            task.join().unwrap();
        });
    });
}

#[test]
fn a_deadline_and_a_cancel_are_each_delivered() {
    limit(60, || {
        everywhere(|| {
            let token = CancelToken::new();
            token.enter(|| {
                timeout(Duration::ZERO, || {
                    token.cancel();
                    let errors = [check().unwrap_err(), check().unwrap_err()];
                    assert!(errors.iter().any(is_cancelled) && errors.iter().any(is_deadline));
                    check().unwrap();
                });
            });
        });
    });
}

#[test]
fn dropping_tokens_cancels_nothing() {
    limit(60, || {
        everywhere(|| {
            let token = CancelToken::new();
            let child = token.child_token();
            drop(token.clone());
            let task = Builder::new().cancel_token(&child).spawn(|| {
                task::park_timeout_cancellable(Duration::from_millis(5))?;
                check()
            });
            drop(child);
            drop(token);
            task.unwrap().join().unwrap().unwrap();
        });
    });
}

/// A token that lives for ever keeps nothing of those who come and go.
#[test]
fn those_who_have_left_leave_nothing_behind() {
    limit(60, || {
        each_runtime(|runtime| {
            let token = CancelToken::new();
            let counted = Arc::new(());
            for _ in 0..20 {
                let tasks: Vec<_> = (0..50)
                    .map(|_| {
                        let counted = counted.clone();
                        let member = Builder::new().cancel_token(&token);
                        runtime.spawn_with(member, move || {
                            let child = CancelToken::new().child_token();
                            child.enter(task::yield_now);
                            drop(counted);
                        })
                    })
                    .collect();
                tasks.into_iter().for_each(|task| task.unwrap().join().unwrap());
                drop((0..50).map(|_| token.child_token()).collect::<Vec<_>>());
                drop(token.child_token().child_token());
                assert_eq!(members(&token), 0);
            }
            assert!(format!("{token:?}").contains("children: 0"), "{token:?}");
            assert_eq!(Arc::strong_count(&counted), 1);
        });
    });
}

/// Whoever goes first: a token that only its child refers to goes with that.
#[test]
fn a_token_leaves_its_parent_in_whatever_order_they_go() {
    limit(60, || {
        everywhere(|| {
            let server = CancelToken::new();
            let stays = server.child_token();
            let (first, part) = (server.child_token(), server.child_token().child_token());
            let lines: [Vec<CancelToken>; 2] = [1, 1_000].map(|depth| {
                let mut line = vec![server.child_token()];
                (0..depth).for_each(|last| line.push(line[last].child_token()));
                line
            });
            assert!(format!("{server:?}").contains("children: 5"), "{server:?}");
            drop((first, part));
            let [short, mut long] = lines;
            // The first in the line goes first here.
            short.into_iter().for_each(drop);
            let (middle, last) = (long.swap_remove(500), long.pop());
            drop(long);
            assert!(format!("{server:?}").contains("children: 2"), "{server:?}");
            drop(last);
            drop(middle);
            assert!(format!("{server:?}").contains("children: 1"), "{server:?}");
            // Whoever has the place of one that has gone stays there.
            server.cancel();
            assert!(stays.is_cancelled());
        });
    });
}

/// Of each two who cancel, and of each who looks, none finds a token that is cancelled and a descendant that is not, or the other way
/// round.
#[test]
fn a_cancel_is_one_moment_for_a_token_and_all_its_descendants() {
    const ROUNDS: usize = 60;
    struct Family {
        root: CancelToken,
        /// The first, one in the middle and the last, and one that is far down.
        descendants: Vec<CancelToken>,
        _others: Vec<CancelToken>,
    }
    impl Family {
        fn new() -> Family {
            let root = CancelToken::new();
            let others: Vec<_> = (0..600).map(|_| root.child_token()).collect();
            let mut descendants: Vec<_> = [0, 300, 599].map(|n| others[n].clone()).into();
            descendants.push((0..50).fold(others[599].clone(), |last, _| last.child_token()));
            Family { root, descendants, _others: others }
        }

        fn all_are_cancelled(&self) {
            assert!(self.root.is_cancelled());
            assert_cancelled(self.root.enter(check));
            for token in &self.descendants {
                assert!(token.is_cancelled());
                assert_cancelled(token.enter(check));
                assert!(token.child_token().is_cancelled());
            }
        }
    }
    limit(120, || {
        everywhere(|| {
            for round in 0..ROUNDS {
                let family = Family::new();
                let start = std::sync::Barrier::new(4);
                let sleeps = Builder::new().cancel_token(&family.descendants[2]);
                let sleeps = sleeps.spawn(|| sleep_cancellable(LONG)).unwrap();
                thread::scope(|scope| {
                    let cancels = |after: usize| {
                        let (family, start) = (&family, &start);
                        scope.spawn(move || {
                            start.wait();
                            (0..after).for_each(|_| std::hint::spin_loop());
                            family.root.cancel();
                            family.all_are_cancelled();
                        });
                    };
                    cancels(0);
                    cancels(round * 200);
                    scope.spawn(|| {
                        start.wait();
                        while !family.root.is_cancelled() {
                            thread::yield_now();
                        }
                        family.all_are_cancelled();
                    });
                    scope.spawn(|| {
                        start.wait();
                        family.descendants[3].enter(|| {
                            while check().is_ok() {
                                thread::yield_now();
                            }
                        });
                        family.all_are_cancelled();
                    });
                });
                assert_cancelled(sleeps.join().unwrap());
            }
        });
    });
}

/// None waits for itself: one whose destructor cancels goes with what the cancel wakes.
#[test]
fn a_token_may_be_cancelled_by_what_its_cancel_ends() {
    struct Cancels(CancelToken);
    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel();
            assert!(self.0.is_cancelled() && self.0.child_token().is_cancelled());
        }
    }
    limit(60, || {
        each_runtime(|runtime| {
            let token = CancelToken::new();
            let members: Vec<_> = (0..20)
                .map(|n| {
                    let child = if n % 2 == 0 { token.clone() } else { token.child_token() };
                    let cancels = Cancels(token.clone());
                    let member = Builder::new().cancel_token(&child);
                    let waits = move || {
                        let (_cancels, _child) = (cancels, Cancels(child));
                        sleep_cancellable(LONG)
                    };
                    runtime.spawn_with(member, waits).unwrap()
                })
                .collect();
            token.cancel();
            members.into_iter().for_each(|task| assert_cancelled(task.join().unwrap()));
        });
    });
}

#[test]
fn a_very_long_line_of_descendants_is_cancelled_and_dropped() {
    limit(60, || {
        everywhere(|| {
            for cancels in [true, false] {
                let first = CancelToken::new();
                let mut last = first.clone();
                for _ in 0..20_000 {
                    last = last.child_token();
                }
                if cancels {
                    first.cancel();
                }
                assert_eq!(last.is_cancelled(), cancels);
            }
        });
    });
}

/// From a destructor, a handler, a plain thread, another runtime, and from a member.
#[test]
fn anybody_may_cancel() {
    struct Cancels(CancelToken);
    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    type Way = fn(&Runtime, CancelToken);
    const WAYS: [Way; 5] = [
        |runtime, token| {
            let last = Cancels(token);
            drop(runtime.spawn(move || drop(last)));
        },
        |runtime, token| {
            let timer = Request::timer(Duration::from_micros(10));
            runtime.channel().post(timer.on_complete(move |_, _| token.cancel())).unwrap();
        },
        |_, token| drop(thread::spawn(move || token.cancel())),
        |_, token| drop(task::spawn(move || token.cancel())),
        |runtime, token| {
            let member = Builder::new().cancel_token(&token);
            let task = runtime.spawn_with(member, move || {
                token.cancel();
                assert_cancelled(check());
            });
            task.unwrap().join().unwrap();
        },
    ];
    limit(60, || {
        each_runtime(|runtime| {
            for way in WAYS {
                let token = CancelToken::new();
                let member = || Builder::new().cancel_token(&token);
                let here = runtime.spawn_with(member(), || sleep_cancellable(LONG)).unwrap();
                let elsewhere = member().spawn(|| sleep_cancellable(LONG)).unwrap();
                way(runtime, token);
                assert_cancelled(here.join().unwrap());
                assert_cancelled(elsewhere.join().unwrap());
            }
        });
    });
}

/// Tasks come, go and wait as the cancel comes: each that is in the group then ends.
#[test]
fn nobody_misses_a_cancel() {
    const ROUNDS: u64 = 150;
    limit(120, || {
        each_runtime(|runtime| {
            let mut numbers = Numbers(1);
            for round in 0..ROUNDS {
                let token = CancelToken::new();
                let tasks: Vec<JoinHandle<_>> = (0..6)
                    .map(|n| {
                        let token = if n % 2 == 0 { token.clone() } else { token.child_token() };
                        let mut numbers = Numbers(round * 6 + n);
                        runtime.spawn(move || {
                            while !token.is_cancelled() {
                                token.enter(|| task::park_timeout_cancellable(Duration::ZERO)).ok();
                                (0..numbers.below(300)).for_each(|_| std::hint::spin_loop());
                                if numbers.below(4) == 0 {
                                    break;
                                }
                            }
                            token.enter(|| WAITS[numbers.below(3) as usize].1())
                        })
                    })
                    .collect();
                let start = Instant::now();
                let span = Duration::from_micros(numbers.below(200));
                while start.elapsed() < span {
                    std::hint::spin_loop();
                }
                token.cancel();
                tasks.into_iter().for_each(|task| assert_cancelled(task.join().unwrap()));
                assert_eq!(members(&token), 0);
            }
        });
    });
}

/// In each round one post and one cancel come at the same time: the task sees both.
#[test]
fn a_cancelled_waiter_never_takes_a_post_with_it() {
    const ROUNDS: usize = 1_000;
    limit(120, || {
        each_runtime(|runtime| {
            let posted = Arc::new(Notification::new());
            let counted = Arc::new(AtomicUsize::new(0));
            let mut numbers = Numbers(3);
            for _ in 0..ROUNDS {
                let token = CancelToken::new();
                let (posts, counts) = (posted.clone(), counted.clone());
                let waits = runtime.spawn_with(Builder::new().cancel_token(&token), move || {
                    if let Err(error) = posts.wait_cancellable() {
                        assert!(is_cancelled(&error));
                        counts.fetch_add(1, Ordering::Relaxed);
                        posts.wait_cancellable().unwrap();
                    } else {
                        assert_cancelled(task::park_cancellable());
                    }
                });
                let spins = numbers.below(3_000);
                // (At times for long: where there is one CPU the task might always see both at once.)
                let pause = |n: u64| match n % 64 {
                    0 => thread::sleep(Duration::from_millis(2)),
                    _ => (0..n).for_each(|_| std::hint::spin_loop()),
                };
                pause(numbers.below(20_000));
                if numbers.below(2) == 0 {
                    posted.post();
                    pause(spins);
                    token.cancel();
                } else {
                    token.cancel();
                    pause(spins);
                    posted.post();
                }
                waits.unwrap().join().unwrap();
            }
            assert!(!posted.try_wait());
            assert!((1..ROUNDS).contains(&counted.load(Ordering::Relaxed)), "both orders");
        });
    });
}

#[test]
fn members_that_a_shutdown_has_abandoned_do_no_harm() {
    if let Some(why) = task::why_not() {
        // A thread is never abandoned for good.
        return ec_test_support::skipped(why);
    }
    limit(60, || {
        let token = CancelToken::new();
        let runtime = Runtime::builder().cores(1).build().unwrap();
        let child = token.child_token();
        drop(runtime.spawn_with(Builder::new().cancel_token(&child), task::park).unwrap());
        until_waiting(&runtime, "park");
        assert!(runtime.shutdown(Duration::from_millis(1)).is_err());
        drop(child);
        let task = Builder::new().cancel_token(&token).spawn(|| sleep_cancellable(LONG)).unwrap();
        token.cancel();
        assert_cancelled(task.join().unwrap());
    });
}
