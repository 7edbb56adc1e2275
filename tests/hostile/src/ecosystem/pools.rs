//! Other runtimes inside a task: rayon's pools and tokio's reactor, which say "you are in me" by a thread-local.

use crate::check::Check;
use crate::support::{hop, many, tasks};
use rayon::prelude::*;
use std::cell::Cell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("rayon_computes_for_tasks", rayon_computes),
    Check::new("a_task_may_be_a_thread_of_a_rayon_pool", rayon_thread),
    Check::new("tokio_blocks_on_in_tasks_that_hop_in_a_poll", tokio_blocks_on),
    Check::new("a_tokio_context_is_its_tasks", tokio_context),
    Check::new("tokio_sockets_and_timers_work_in_tasks", tokio_sockets),
];

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(0) };
}

fn rayon_computes() {
    static POOL: LazyLock<rayon::ThreadPool> =
        LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool"));
    LazyLock::force(&POOL);
    tasks(many(200), |me| {
        MINE.set(me + 1);
        let numbers: Vec<usize> = (0..500).collect();
        for _ in 0..3 {
            assert_eq!(rayon::current_thread_index(), None, "a task is none of rayon's threads");
            let sum: usize = POOL.install(|| {
                assert!(rayon::current_thread_index().is_some());
                assert_ne!(MINE.get(), me + 1, "on a thread of the pool");
                numbers.par_iter().map(|number| number * me).sum()
            });
            hop();
            assert_eq!(sum, 124_750 * me);
            let count = AtomicUsize::new(0);
            POOL.scope(|scope| {
                (0..10).for_each(|_| scope.spawn(|_| drop(count.fetch_add(1, Ordering::Relaxed).to_string())))
            });
            hop();
            assert_eq!((count.into_inner(), MINE.get()), (10, me + 1));
        }
    });
}

fn rayon_thread() {
    tasks(24, |me| {
        if me % 2 == 0 {
            for _ in 0..20 {
                assert_eq!(rayon::current_thread_index(), None);
                hop();
            }
            return;
        }
        let pool =
            rayon::ThreadPoolBuilder::new().num_threads(2).use_current_thread().build().expect("a pool");
        for _ in 0..20 {
            hop();
            assert_eq!(pool.current_thread_index(), Some(0));
        }
        let sum: usize = pool.install(|| (0..1000_usize).into_par_iter().sum());
        assert_eq!(sum, 499_500);
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn tokio_blocks_on() {
    tasks(many(100), |me| {
        MINE.set(me + 1);
        let runtime = runtime();
        for round in 0..3 {
            let answer = runtime.block_on(async move {
                let (send, receive) = tokio::sync::oneshot::channel();
                let local = tokio::task::LocalSet::new();
                local
                    .run_until(async move {
                        tokio::task::spawn_local(async move {
                            for _ in 0..5 {
                                // The whole of tokio is suspended in this poll.
                                hop();
                                tokio::task::yield_now().await;
                            }
                            send.send(MINE.get()).expect("it is waited for");
                        });
                        receive.await.expect("it is sent")
                    })
                    .await
            });
            assert_eq!(answer, me + 1, "round {round}");
            hop();
        }
    });
}

fn tokio_context() {
    tasks(many(100), |me| {
        assert!(tokio::runtime::Handle::try_current().is_err(), "another task's runtime");
        if me % 3 == 0 {
            return (0..20).for_each(|_| {
                hop();
                assert!(tokio::runtime::Handle::try_current().is_err());
            });
        }
        let runtime = runtime();
        let entered = runtime.enter();
        for _ in 0..10 {
            hop();
            assert_eq!(tokio::runtime::Handle::current().id(), runtime.handle().id());
        }
        drop(entered);
        hop();
        assert!(tokio::runtime::Handle::try_current().is_err());
    });
}

fn tokio_sockets() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    tasks(many(24), |me| {
        let runtime = runtime();
        for _ in 0..3 {
            let echoed = runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                let address = listener.local_addr()?;
                let server = tokio::spawn(async move {
                    let (mut stream, _) = listener.accept().await?;
                    let number = stream.read_u64().await?;
                    hop();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    stream.write_u64(number + 1).await
                });
                let mut stream = tokio::net::TcpStream::connect(address).await?;
                hop();
                stream.write_u64(me as u64).await?;
                let answer = stream.read_u64().await?;
                server.await.expect("it ends")?;
                std::io::Result::Ok(answer)
            });
            assert_eq!(echoed.expect("loopback"), me as u64 + 1);
            hop();
        }
    });
}
