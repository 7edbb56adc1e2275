//! Of what tasks and threads wait for each other by.

use super::*;

fn condition() -> (&'static Mutex<()>, &'static Condvar) {
    (Box::leak(Box::default()), Box::leak(Box::default()))
}

/// Once whoever holds the lock waits.
fn notifies(mutex: &'static Mutex<()>, condvar: &'static Condvar) -> JoinHandle<()> {
    task::spawn(move || {
        let _held = mutex.lock().unwrap();
        condvar.notify_all();
    })
}

/// Somebody has it, the first time.
fn held(mut point: impl FnMut(&Mutex<()>) -> io::Result<()> + 'static) -> Call {
    let mutex: &Mutex<()> = Box::leak(Box::default());
    let mut held = Some(mutex.lock().unwrap());
    call(move || {
        let result = point(mutex);
        drop(held.take());
        result
    })
}

/// Nobody notifies, the first time.
fn waits(mut point: impl FnMut(&Condvar, MutexGuard<'static, ()>) -> io::Result<()> + 'static) -> Call {
    let (mutex, condvar) = condition();
    let mut notified = None;
    call(move || {
        let guard = mutex.lock().unwrap();
        let notifies = notified.map(|()| notifies(mutex, condvar));
        notified = Some(());
        let result = point(condvar, guard);
        notifies.into_iter().for_each(|task| task.join().unwrap());
        result
    })
}

/// A condition that is to be waited for once.
fn once() -> impl FnMut(&mut ()) -> bool {
    let mut looks = 0;
    move |()| {
        looks += 1;
        looks < 2
    }
}

pub const CALLS: &[Row] = &[
    (&["sync::Notification::wait_cancellable"], || {
        let notification = Notification::new();
        notification.post();
        call(move || notification.wait_cancellable())
    }),
    (&["sync::Notification::wait_timeout_cancellable"], || {
        call(|| Notification::new().wait_timeout_cancellable(SHORT).map(drop))
    }),
    (&["sync::Mutex::lock_cancellable"], || held(|mutex| mutex.lock_cancellable().map(drop))),
    (&["sync::Mutex::lock_timeout_cancellable"], || {
        held(|mutex| mutex.lock_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::Condvar::wait_cancellable"], || {
        waits(|condvar, guard| condvar.wait_cancellable(guard).map(drop))
    }),
    (&["sync::Condvar::wait_while_cancellable"], || {
        waits(|condvar, guard| condvar.wait_while_cancellable(guard, once()).map(drop))
    }),
    (&["sync::Condvar::wait_timeout_cancellable"], || {
        waits(|condvar, guard| condvar.wait_timeout_cancellable(guard, LONG).map(drop))
    }),
    (&["sync::Condvar::wait_timeout_while_cancellable"], || {
        waits(|condvar, guard| condvar.wait_timeout_while_cancellable(guard, LONG, once()).map(drop))
    }),
    (&["sync::Mutex::lock", "sync::Mutex::lock_timeout"], || {
        let mutex: &Mutex<()> = Box::leak(Box::default());
        calls(move || {
            let (begun, holds) = mpsc::channel();
            let other = task::spawn(move || {
                let _held = mutex.lock().unwrap();
                begun.send(()).unwrap();
                time::sleep(SHORT);
            });
            holds.recv().unwrap();
            drop(mutex.lock().unwrap());
            other.join().unwrap();
            let _held = mutex.lock().unwrap();
            assert!(mutex.lock_timeout(SHORT).is_err());
        })
    }),
    (
        &[
            "sync::Condvar::wait",
            "sync::Condvar::wait_while",
            "sync::Condvar::wait_timeout",
            "sync::Condvar::wait_timeout_while",
            "sync::Condvar::wait_timeout_ms",
        ],
        || {
            let (mutex, condvar) = condition();
            calls(move || {
                let mut guard = mutex.lock().unwrap();
                let first = notifies(mutex, condvar);
                guard = condvar.wait(guard).unwrap();
                let second = notifies(mutex, condvar);
                guard = condvar.wait_while(guard, once()).unwrap();
                guard = condvar.wait_timeout(guard, SHORT).unwrap().0;
                guard = condvar.wait_timeout_while(guard, SHORT, |()| true).unwrap().0;
                #[allow(deprecated)]
                drop(condvar.wait_timeout_ms(guard, 1).unwrap());
                [first, second].into_iter().for_each(|task| task.join().unwrap());
            })
        },
    ),
    (
        &[
            "sync::Mutex::new",
            "sync::Mutex::named",
            "sync::Mutex::name",
            "sync::Mutex::try_lock",
            "sync::Mutex::get_mut",
            "sync::Mutex::into_inner",
            "sync::Mutex::is_poisoned",
            "sync::Mutex::clear_poison",
            "sync::Condvar::new",
            "sync::Condvar::named",
            "sync::Condvar::name",
            "sync::Condvar::notify_one",
            "sync::Condvar::notify_all",
            "sync::WaitTimeoutResult::timed_out",
        ],
        || {
            let (kept, condvar) = condition();
            let (_, result) = condvar.wait_timeout(kept.lock().unwrap(), Duration::ZERO).unwrap();
            calls(move || {
                let mut mutex = Mutex::new(1);
                let held = mutex.lock().unwrap();
                assert!(mutex.try_lock().is_err());
                drop(held);
                let _ = (Mutex::named(1, "named").name(), mutex.is_poisoned());
                mutex.clear_poison();
                *mutex.get_mut().unwrap() += 1;
                assert_eq!(mutex.into_inner().unwrap(), 2);
                condvar.notify_one();
                condvar.notify_all();
                assert!(result.timed_out() && Condvar::named("named").name() == Some("named"));
            })
        },
    ),
    (&["sync::Notification::wait", "sync::Notification::wait_timeout"], || {
        calls(|| {
            static POSTED: Notification = Notification::new();
            let posts = task::spawn(|| {
                time::sleep(SHORT);
                POSTED.post();
            });
            POSTED.wait();
            posts.join().unwrap();
            assert!(!Notification::new().wait_timeout(SHORT));
        })
    }),
    (
        &[
            "sync::Notification::new",
            "sync::Notification::named",
            "sync::Notification::name",
            "sync::Notification::try_wait",
            "sync::Notification::post",
            "sync::Notification::post_all",
        ],
        || {
            calls(|| {
                let notification = Notification::named("named");
                assert_eq!(notification.name(), Some("named"));
                notification.post();
                notification.post_all();
                assert!(notification.try_wait());
            })
        },
    ),
];
