//! Steps with timers, notifications, `park` and messages.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use event_channel::sync::Notification;
use event_channel::{task, time};

use crate::actor::Actor;
use crate::tally;
use crate::watch::{check, fail};

pub fn timers(actor: &mut Actor) -> io::Result<()> {
    for _ in 0..actor.random.between(1, 5) {
        let (start, span) = (Instant::now(), actor.random.milliseconds(0, 12));
        if actor.random.one_in(2) {
            time::sleep(span);
        } else {
            time::sleep_until(start + span);
        }
        check!(start.elapsed() >= span, "slept {:?} instead of {span:?}", start.elapsed());
    }
    Ok(())
}

/// Two tasks post for one another; one of them blocks its thread now and then.
pub fn notifications(actor: &mut Actor) -> io::Result<()> {
    let (rounds, salt) = (actor.random.between(1, 50), actor.random.number());
    let ends = Arc::new((Notification::new(), Notification::new(), AtomicU64::new(0)));
    let theirs = ends.clone();
    let other = task::spawn(move || {
        for round in 0..rounds {
            theirs.0.wait();
            check!(theirs.2.fetch_add(1, Ordering::Relaxed) == 2 * round, "the other's turn");
            if (salt >> (round % 60)) & 15 == 0 {
                tally::BLOCKS.add(1);
                thread::sleep(Duration::from_millis(2));
            }
            theirs.1.post();
        }
    });
    for round in 0..rounds {
        ends.0.post();
        ends.1.wait();
        check!(ends.2.fetch_add(1, Ordering::Relaxed) == 2 * round + 1, "this one's turn");
    }
    other.join().unwrap_or_else(|_| fail!("a task has panicked"));
    Ok(())
}

/// A wait that ends by its time takes no post with it.
pub fn nobody_posts(actor: &mut Actor) -> io::Result<()> {
    let (bell, span) = (Notification::new(), actor.random.milliseconds(0, 8));
    check!(!bell.wait_timeout(span), "a post from nobody");
    let posts = actor.random.between(1, 5);
    (0..posts).for_each(|_| bell.post());
    check!((0..posts).all(|_| bell.wait_timeout(Duration::ZERO)), "a post is lost");
    check!(!bell.try_wait(), "a post too many");
    Ok(())
}

pub fn parked(actor: &mut Actor) -> io::Result<()> {
    let (me, pause) = (task::current(), actor.random.milliseconds(0, 5));
    let flag = Arc::new(AtomicU64::new(0));
    let theirs = flag.clone();
    let other = task::spawn(move || {
        time::sleep(pause);
        theirs.store(1, Ordering::Release);
        me.unpark();
    });
    while flag.load(Ordering::Acquire) == 0 {
        task::park();
    }
    other.join().unwrap_or_else(|_| fail!("a task has panicked"));
    Ok(())
}

pub fn messages(actor: &mut Actor) -> io::Result<()> {
    for _ in 0..actor.random.between(1, 30) {
        actor.write();
        if actor.random.one_in(10) {
            task::yield_now();
        }
    }
    Ok(())
}
