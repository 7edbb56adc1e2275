//! Of the other locks, and of what is done once.

use super::*;

/// Somebody is at it, until the first call is over: `begin` tells by its receiver that it is.
struct Held {
    task: Option<JoinHandle<()>>,
    ends: Option<mpsc::Sender<()>>,
}

impl Held {
    fn by(begin: impl FnOnce(mpsc::Sender<()>, mpsc::Receiver<()>) + Send + 'static) -> Held {
        let ((begun, begins), (ends, over)) = (mpsc::channel(), mpsc::channel());
        let task = task::spawn(move || begin(begun, over));
        begins.recv().unwrap();
        Held { task: Some(task), ends: Some(ends) }
    }

    fn end(&mut self) {
        drop(self.ends.take());
        self.task.take().into_iter().for_each(|task| task.join().unwrap());
    }
}

fn waits(begun: &mpsc::Sender<()>, over: &mpsc::Receiver<()>) {
    begun.send(()).unwrap();
    let _ = over.recv();
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// A point that has to wait the first time.
fn once_held(mut held: Held, mut point: impl FnMut() -> io::Result<()> + 'static) -> Call {
    call(move || {
        let result = point();
        held.end();
        result
    })
}

fn written() -> (&'static RwLock<()>, Held) {
    let lock = leaked(RwLock::new(()));
    let held = Held::by(move |begun, over| {
        let _held = lock.write().unwrap();
        waits(&begun, &over);
    });
    (lock, held)
}

fn taken() -> (&'static Arc<Semaphore>, Held) {
    let semaphore = leaked(Arc::new(Semaphore::new(1)));
    let held = Held::by(move |begun, over| {
        let _held = semaphore.acquire();
        waits(&begun, &over);
    });
    (semaphore, held)
}

fn begun() -> (&'static Once, Held) {
    let once = leaked(Once::new());
    let held = Held::by(move |begun, over| once.call_once(|| waits(&begun, &over)));
    (once, held)
}

fn made() -> (&'static OnceLock<u8>, Held) {
    let cell = leaked(OnceLock::new());
    let held = Held::by(move |begun, over| {
        cell.get_or_init(|| {
            waits(&begun, &over);
            1
        });
    });
    (cell, held)
}

/// Nobody comes, the first time.
fn meets(mut point: impl FnMut(&Barrier) -> io::Result<()> + 'static) -> Call {
    let barrier = leaked(Barrier::new(2));
    let mut comes = None;
    call(move || {
        let other = comes.map(|()| task::spawn(|| _ = barrier.wait()));
        comes = Some(());
        let result = point(barrier);
        other.into_iter().for_each(|other| other.join().unwrap());
        result
    })
}

pub const CALLS: &[Row] = &[
    (&["sync::RwLock::read_cancellable"], || {
        let (lock, held) = written();
        once_held(held, || lock.read_cancellable().map(drop))
    }),
    (&["sync::RwLock::write_cancellable"], || {
        let (lock, held) = written();
        once_held(held, || lock.write_cancellable().map(drop))
    }),
    (&["sync::RwLock::read_timeout_cancellable"], || {
        let (lock, held) = written();
        once_held(held, || lock.read_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::RwLock::write_timeout_cancellable"], || {
        let (lock, held) = written();
        once_held(held, || lock.write_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::Semaphore::acquire_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_cancellable().map(drop))
    }),
    (&["sync::Semaphore::acquire_many_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_many_cancellable(1).map(drop))
    }),
    (&["sync::Semaphore::acquire_owned_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_owned_cancellable().map(drop))
    }),
    (&["sync::Semaphore::acquire_many_owned_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_many_owned_cancellable(1).map(drop))
    }),
    (&["sync::Semaphore::acquire_timeout_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::Semaphore::acquire_many_timeout_cancellable"], || {
        let (semaphore, held) = taken();
        once_held(held, || semaphore.acquire_many_timeout_cancellable(1, LONG).map(drop))
    }),
    (&["sync::Barrier::wait_cancellable"], || meets(|barrier| barrier.wait_cancellable().map(drop))),
    (&["sync::Barrier::wait_timeout_cancellable"], || {
        meets(|barrier| barrier.wait_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::Once::call_once_cancellable"], || {
        let (once, held) = begun();
        once_held(held, || once.call_once_cancellable(|| unreachable!()))
    }),
    (&["sync::Once::call_once_force_cancellable"], || {
        let (once, held) = begun();
        once_held(held, || once.call_once_force_cancellable(|_| unreachable!()))
    }),
    (&["sync::Once::wait_cancellable"], || {
        let (once, held) = begun();
        once_held(held, || once.wait_cancellable())
    }),
    (&["sync::Once::wait_force_cancellable"], || {
        let (once, held) = begun();
        once_held(held, || once.wait_force_cancellable())
    }),
    (&["sync::Once::wait_timeout_cancellable"], || {
        let (once, held) = begun();
        once_held(held, || once.wait_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::OnceLock::get_or_init_cancellable"], || {
        let (cell, held) = made();
        once_held(held, || cell.get_or_init_cancellable(|| unreachable!()).map(drop))
    }),
    (&["sync::OnceLock::wait_cancellable"], || {
        let (cell, held) = made();
        once_held(held, || cell.wait_cancellable().map(drop))
    }),
    (&["sync::OnceLock::wait_timeout_cancellable"], || {
        let (cell, held) = made();
        once_held(held, || cell.wait_timeout_cancellable(LONG).map(drop))
    }),
    (&["sync::OnceLock::set_cancellable"], || {
        let (cell, held) = made();
        once_held(held, || cell.set_cancellable(2).map(drop))
    }),
    (&["sync::LazyLock::force_cancellable"], || {
        let (begun, begins) = mpsc::channel();
        let (ends, over) = mpsc::channel();
        let lazy = leaked(LazyLock::new(move || waits(&begun, &over)));
        let task = task::spawn(|| _ = LazyLock::force(lazy));
        begins.recv().unwrap();
        once_held(Held { task: Some(task), ends: Some(ends) }, || LazyLock::force_cancellable(lazy).map(drop))
    }),
    (
        &[
            "sync::RwLock::read",
            "sync::RwLock::read_timeout",
            "sync::RwLock::write",
            "sync::RwLock::write_timeout",
        ],
        || {
            calls(|| {
                let (lock, mut held) = written();
                assert!(lock.read_timeout(SHORT).is_err() && lock.write_timeout(SHORT).is_err());
                drop(held.ends.take());
                drop(lock.read().unwrap());
                drop(lock.write().unwrap());
                held.end();
            })
        },
    ),
    (
        &[
            "sync::Semaphore::acquire",
            "sync::Semaphore::acquire_many",
            "sync::Semaphore::acquire_timeout",
            "sync::Semaphore::acquire_many_timeout",
            "sync::Semaphore::acquire_owned",
            "sync::Semaphore::acquire_many_owned",
        ],
        || {
            calls(|| {
                let (semaphore, mut held) = taken();
                assert!(semaphore.acquire_timeout(SHORT).is_none());
                assert!(semaphore.acquire_many_timeout(1, SHORT).is_none());
                drop(held.ends.take());
                drop(semaphore.acquire());
                drop(semaphore.acquire_many(1));
                drop(semaphore.acquire_owned());
                drop(semaphore.acquire_many_owned(1));
                held.end();
            })
        },
    ),
    (&["sync::Barrier::wait", "sync::Barrier::wait_timeout"], || {
        calls(|| {
            let barrier = leaked(Barrier::new(2));
            assert!(barrier.wait_timeout(SHORT).is_none());
            let other = task::spawn(|| _ = barrier.wait());
            barrier.wait();
            other.join().unwrap();
        })
    }),
    (
        &[
            "sync::Once::call_once",
            "sync::Once::call_once_force",
            "sync::Once::wait",
            "sync::Once::wait_force",
            "sync::Once::wait_timeout",
        ],
        || {
            calls(|| {
                let (once, mut held) = begun();
                assert!(!once.wait_timeout(SHORT));
                drop(held.ends.take());
                once.wait();
                once.wait_force();
                once.call_once(|| unreachable!());
                once.call_once_force(|_| unreachable!());
                held.end();
            })
        },
    ),
    (
        &[
            "sync::OnceLock::get_or_init",
            "sync::OnceLock::set",
            "sync::OnceLock::wait",
            "sync::OnceLock::wait_timeout",
        ],
        || {
            calls(|| {
                let (cell, mut held) = made();
                assert!(cell.wait_timeout(SHORT).is_none());
                drop(held.ends.take());
                assert_eq!((cell.wait(), cell.get_or_init(|| 2), cell.set(3)), (&1, &1, Err(3)));
                held.end();
            })
        },
    ),
    (&["sync::LazyLock::force"], || calls(|| assert_eq!(LazyLock::force(&LazyLock::new(|| 1)), &1))),
    (
        &[
            "sync::RwLock::new",
            "sync::RwLock::named",
            "sync::RwLock::name",
            "sync::RwLock::try_read",
            "sync::RwLock::try_write",
            "sync::RwLock::get_mut",
            "sync::RwLock::into_inner",
            "sync::RwLock::is_poisoned",
            "sync::RwLock::clear_poison",
            "sync::RwLockWriteGuard::downgrade",
        ],
        || {
            calls(|| {
                let mut lock = RwLock::new(1);
                let held = RwLockWriteGuard::downgrade(lock.write().unwrap());
                assert!(lock.try_read().is_ok() && lock.try_write().is_err());
                drop(held);
                let _ = (RwLock::named(1, "named").name(), lock.is_poisoned());
                lock.clear_poison();
                *lock.get_mut().unwrap() += 1;
                assert_eq!(lock.into_inner().unwrap(), 2);
            })
        },
    ),
    (
        &[
            "sync::Semaphore::new",
            "sync::Semaphore::named",
            "sync::Semaphore::name",
            "sync::Semaphore::try_acquire",
            "sync::Semaphore::try_acquire_many",
            "sync::Semaphore::try_acquire_owned",
            "sync::Semaphore::available_permits",
            "sync::Semaphore::add_permits",
            "sync::SemaphorePermit::permits",
            "sync::SemaphorePermit::forget",
            "sync::OwnedSemaphorePermit::permits",
            "sync::OwnedSemaphorePermit::forget",
            "sync::OwnedSemaphorePermit::semaphore",
        ],
        || {
            calls(|| {
                let semaphore = Arc::new(Semaphore::new(1));
                semaphore.add_permits(2);
                let (one, two) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire_many(2).unwrap());
                assert!(semaphore.try_acquire_owned().is_none() && two.permits() == 2);
                drop(one);
                two.forget();
                let owned = semaphore.try_acquire_owned().unwrap();
                assert_eq!((owned.permits(), owned.semaphore().available_permits()), (1, 0));
                owned.forget();
                assert_eq!(Semaphore::named(1, "named").name(), Some("named"));
            })
        },
    ),
    (
        &[
            "sync::Barrier::new",
            "sync::Barrier::named",
            "sync::Barrier::name",
            "sync::BarrierWaitResult::is_leader",
            "sync::Once::new",
            "sync::Once::named",
            "sync::Once::name",
            "sync::Once::is_completed",
            "sync::OnceState::is_poisoned",
        ],
        || {
            calls(|| {
                assert!(Barrier::new(1).wait().is_leader());
                assert_eq!(Barrier::named(1, "named").name(), Some("named"));
                let once = Once::new();
                once.call_once_force(|state| assert!(!state.is_poisoned()));
                assert!(once.is_completed() && Once::named("named").name() == Some("named"));
            })
        },
    ),
    (
        &[
            "sync::OnceLock::new",
            "sync::OnceLock::named",
            "sync::OnceLock::name",
            "sync::OnceLock::get",
            "sync::OnceLock::get_mut",
            "sync::OnceLock::into_inner",
            "sync::OnceLock::take",
            "sync::LazyLock::new",
            "sync::LazyLock::named",
            "sync::LazyLock::name",
        ],
        || {
            calls(|| {
                let mut cell = OnceLock::new();
                assert!(cell.get().is_none());
                cell.set(1).unwrap();
                *cell.get_mut().unwrap() += 1;
                assert_eq!((cell.take(), cell.into_inner()), (Some(2), None));
                assert_eq!(OnceLock::<u8>::named("named").name(), Some("named"));
                assert_eq!(*LazyLock::new(|| 1), 1);
                assert_eq!(LazyLock::name(&LazyLock::named(|| 1, "named")), Some("named"));
            })
        },
    ),
];
