//! Of tasks, and of time.

use super::*;

pub const CALLS: &[Row] = &[
    (&["task::check"], || call(task::check)),
    (&["time::sleep_cancellable"], || call(|| time::sleep_cancellable(SHORT))),
    (&["time::sleep_until_cancellable"], || call(|| time::sleep_until_cancellable(Instant::now() + SHORT))),
    (&["task::park_cancellable"], || {
        task::current().unpark();
        call(task::park_cancellable)
    }),
    (&["task::park_timeout_cancellable"], || call(|| task::park_timeout_cancellable(SHORT))),
    (&["task::JoinHandle::join_cancellable"], || {
        let mut child = child();
        call(move || child.join_cancellable().map(|ended| ended.unwrap()))
    }),
    (&["task::JoinHandle::join_timeout_cancellable"], || {
        let mut child = child();
        call(move || child.join_timeout_cancellable(LONG).map(|ended| ended.unwrap().unwrap()))
    }),
    (&["time::sleep", "time::sleep_until", "thread::sleep_ms"], || {
        calls(|| {
            #[allow(deprecated)]
            event_channel::thread::sleep_ms(1);
            time::sleep(SHORT);
            time::sleep_until(Instant::now() + SHORT);
        })
    }),
    (&["task::park", "task::park_timeout", "thread::park_timeout_ms"], || {
        calls(|| {
            let me = task::current();
            let unparks = task::spawn(move || {
                time::sleep(SHORT);
                me.unpark();
            });
            task::park();
            unparks.join().unwrap();
            task::park_timeout(SHORT);
            #[allow(deprecated)]
            event_channel::thread::park_timeout_ms(1);
        })
    }),
    (&["time::Interval::tick_cancellable"], || {
        let mut ticks = time::interval_at(Instant::now() + SHORT, SHORT);
        call(move || ticks.tick_cancellable().map(drop))
    }),
    (&["time::Interval::tick"], || {
        let mut ticks = time::interval_at(Instant::now() + SHORT, SHORT);
        calls(move || ticks.tick())
    }),
    (
        &[
            "time::interval",
            "time::interval_at",
            "time::Interval::reset",
            "time::Interval::period",
            "time::Interval::missed_ticks",
            "time::Interval::set_missed_ticks",
        ],
        || {
            calls(|| {
                let mut ticks = [time::interval(LONG), time::interval_at(Instant::now(), LONG)];
                ticks[0].reset();
                let missed = ticks[0].missed_ticks();
                ticks[1].set_missed_ticks(missed);
                assert_eq!(ticks[1].period(), LONG);
            })
        },
    ),
    (&["task::ScopedJoinHandle::join_cancellable"], || {
        call(|| {
            task::scope(|s| s.spawn(|| time::sleep(SHORT)).join_cancellable().map(|ended| ended.unwrap()))
        })
    }),
    (&["task::ScopedJoinHandle::join_timeout_cancellable"], || {
        call(|| {
            task::scope(|s| {
                let mut child = s.spawn(|| time::sleep(SHORT));
                child.join_timeout_cancellable(LONG).map(|ended| ended.unwrap().unwrap())
            })
        })
    }),
    (&["task::ScopedJoinHandle::join", "task::ScopedJoinHandle::join_timeout"], || {
        calls(|| {
            task::scope(|s| {
                s.spawn(|| time::sleep(SHORT)).join().unwrap();
                s.spawn(|| time::sleep(SHORT)).join_timeout(LONG).unwrap().unwrap();
            })
        })
    }),
    (&["task::JoinHandle::join"], || calls(|| child().join().unwrap())),
    (&["task::JoinHandle::join_timeout"], || calls(|| child().join_timeout(LONG).unwrap().unwrap())),
    (&["task::JoinSet::join_next_cancellable"], || {
        let mut set = JoinSet::new();
        set.add(child());
        call(move || set.join_next_cancellable().map(|ended| ended.unwrap().unwrap()))
    }),
    (&["task::JoinSet::join_next_with_id_cancellable"], || {
        let mut set = JoinSet::new();
        set.add(child());
        call(move || set.join_next_with_id_cancellable().map(|ended| ended.unwrap().1.unwrap()))
    }),
    (&["task::JoinSet::join_next_timeout_cancellable"], || {
        let mut set = JoinSet::new();
        set.add(child());
        call(move || set.join_next_timeout_cancellable(LONG).map(|ended| ended.unwrap().unwrap().unwrap()))
    }),
    (
        &["task::JoinSet::join_next", "task::JoinSet::join_next_with_id", "task::JoinSet::join_next_timeout"],
        || {
            calls(|| {
                let mut set = JoinSet::new();
                (0..3).for_each(|_| set.add(child()));
                set.join_next().unwrap().unwrap();
                set.join_next_with_id().unwrap().1.unwrap();
                set.join_next_timeout(LONG).unwrap().unwrap().unwrap();
            })
        },
    ),
    (
        &[
            "task::JoinSet::new",
            "task::JoinSet::add",
            "task::JoinSet::spawn",
            "task::JoinSet::spawn_with",
            "task::JoinSet::try_join_next",
            "task::JoinSet::len",
            "task::JoinSet::is_empty",
            "task::JoinSet::cancel_all",
            "task::JoinSet::detach_all",
        ],
        || {
            calls(|| {
                let mut set = JoinSet::new();
                set.add(child());
                set.spawn(|| ());
                set.spawn_with(Builder::new(), || ()).unwrap();
                let _ = (set.try_join_next(), set.len(), set.is_empty());
                set.cancel_all();
                set.detach_all();
            })
        },
    ),
    (&["future::wait_cancellable"], || {
        let mut child = child();
        call(move || future::wait_cancellable(&mut child).map(|ended| ended.unwrap()))
    }),
    (&["future::wait"], || calls(|| future::wait(child()).unwrap())),
    (&["task::yield_now"], || calls(task::yield_now)),
    (
        &[
            "time::timeout",
            "task::shield",
            "task::blocking",
            "task::interruptible",
            "task::on_thread",
            "task::CancelToken::enter",
            "task::scope",
        ],
        || {
            calls(|| {
                task::scope(|s| drop(s.spawn(|| time::sleep(SHORT))));
                time::timeout(LONG, || ());
                task::shield(|| ());
                task::blocking(|| ());
                task::interruptible(|| ());
                task::on_thread(|| ());
                CancelToken::new().enter(|| ());
            })
        },
    ),
    (
        &[
            "task::spawn",
            "task::Builder::new",
            "task::Builder::name",
            "task::Builder::stack_size",
            "task::Builder::dedicated",
            "task::Builder::cancel_token",
            "task::Builder::spawn",
            "task::Builder::spawn_lean",
            "task::JoinHandle::cancel",
            "task::JoinHandle::is_finished",
            "task::JoinHandle::task",
            "task::JoinHandle::thread",
            "task::Task::id",
            "task::Task::name",
            "task::Task::unpark",
        ],
        || {
            call(|| {
                let task = task::spawn(|| ());
                task.cancel();
                task.is_finished();
                let _ = (task.task().id(), task.task().name().map(str::len));
                task.task().unpark();
                task.thread().unpark();
                let builder = Builder::new().name("named".into()).stack_size(64 << 10);
                drop(builder.cancel_token(&CancelToken::new()).spawn(|| ())?);
                drop(Builder::new().dedicated().spawn(|| ())?);
                // SAFETY: it does nothing.
                drop(unsafe { Builder::new().spawn_lean(|| ()) }?);
                Ok(())
            })
        },
    ),
    (
        &[
            "task::Scope::spawn",
            "task::Scope::cancel",
            "task::Builder::spawn_scoped",
            "task::ScopedJoinHandle::cancel",
            "task::ScopedJoinHandle::is_finished",
            "task::ScopedJoinHandle::task",
            "task::ScopedJoinHandle::thread",
        ],
        || {
            call(|| {
                task::scope(|s| {
                    let child = s.spawn(|| ());
                    drop(Builder::new().spawn_scoped(s, || ())?);
                    child.cancel();
                    child.is_finished();
                    assert_eq!(child.task().id(), child.thread().id());
                    s.cancel();
                    Ok(())
                })
            })
        },
    ),
    (
        &[
            "task::CancelToken::new",
            "task::CancelToken::child_token",
            "task::CancelToken::cancel",
            "task::CancelToken::is_cancelled",
            "task::current",
            "task::is_cancelled",
            "task::migrates",
            "task::why_not",
            "is_cancelled",
            "is_deadline",
            "is_read_timeout",
        ],
        || {
            calls(|| {
                let token = CancelToken::new();
                token.child_token().cancel();
                assert!(!token.is_cancelled());
                let _ = (task::current(), task::is_cancelled(), task::migrates(), task::why_not());
                let error = io::ErrorKind::Other.into();
                assert!(!is_cancelled(&error) && !is_deadline(&error) && !is_read_timeout(&error));
            })
        },
    ),
];
