//! A step with a runtime of its own, which is built, used and ended in the middle of all else.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use event_channel::net::UdpSocket;
use event_channel::{Cancelled, Runtime, task, time};

use super::net::ANY;
use crate::actor::Actor;
use crate::random::{Random, mix};
use crate::tally;
use crate::watch::{check, fail};

/// On this task, or on a plain thread for which it waits.
pub fn another(actor: &mut Actor) -> io::Result<()> {
    if actor.world.other_pool.swap(true, Ordering::Acquire) {
        return Ok(());
    }
    let mut random = Random::new(actor.random.number());
    if actor.random.one_in(2) {
        a_life(&mut random);
    } else {
        tally::BLOCKS.add(1);
        thread::spawn(move || a_life(&mut random)).join().unwrap_or_else(|_| fail!("a thread has panicked"));
    }
    // Every few seconds is enough.
    let world = actor.world.clone();
    world.detached.fetch_add(1, Ordering::SeqCst);
    task::spawn(move || {
        time::sleep(world.end.saturating_duration_since(Instant::now()).min(Duration::from_secs(1)));
        world.other_pool.store(false, Ordering::Release);
        world.detached.fetch_sub(1, Ordering::SeqCst);
    });
    Ok(())
}

fn a_life(random: &mut Random) {
    let keep = random.milliseconds(1, 50);
    let builder = Runtime::builder().cores(random.between(1, 3) as usize).max_threads(16).keep_alive(keep);
    let runtime = builder.build().unwrap_or_else(|error| fail!("a runtime: {error}"));
    let tasks: Vec<_> = (0..random.between(1, 40))
        .map(|_| {
            let (number, span) = (random.number(), random.milliseconds(0, 10));
            runtime.spawn(move || {
                time::sleep(span);
                thread::sleep(span);
                mix(number) ^ number
            });
            (number, runtime.spawn(move || if number % 3 > 0 { blocks(number, span) } else { mix(number) }))
        })
        .collect();
    tally::BLOCKS.add(2 * tasks.len() as u64);
    // Some of it is under way at the end, and some has not begun.
    let waits =
        runtime.spawn(|| UdpSocket::bind(SocketAddr::from(ANY)).and_then(|socket| socket.recv(&mut [0; 16])));
    for (number, task) in tasks {
        let value = task.join().unwrap_or_else(|_| fail!("a task has panicked"));
        check!(value == mix(number), "a task has returned {value}");
    }
    (0..random.between(0, 10)).for_each(|_| {
        let span = random.milliseconds(0, 10);
        drop(runtime.spawn(move || thread::sleep(span)));
    });
    if let Err(error) = runtime.shutdown(Duration::from_secs(30)) {
        fail!("{error}");
    }
    let result = waits.join().unwrap_or_else(|_| fail!("a task has panicked"));
    check!(matches!(&result, Err(error) if Cancelled::is(error)), "cancelled at the end: {result:?}");
    let metrics = runtime.metrics();
    check!(metrics.tasks_live == 0 && metrics.events_lost == 0, "after a shutdown: {metrics:?}");
    tally::add(&metrics);
}

fn blocks(number: u64, span: Duration) -> u64 {
    thread::sleep(span);
    mix(number)
}
