//! Steps that block the thread, in one way or the other. The pool has to hand the core over.

use std::io::{self, Read, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use event_channel::channel::Request;
use event_channel::sync::Notification;
use event_channel::{task, time};

use super::net::{check_bytes, pattern};
use crate::actor::Actor;
use crate::tally;
use crate::watch::{check, fail};

pub fn sleeps(actor: &mut Actor) -> io::Result<()> {
    tally::BLOCKS.add(1);
    thread::sleep(actor.random.milliseconds(1, 20));
    Ok(())
}

/// With the hint that it will, and suspending in there as well.
pub fn hinted(actor: &mut Actor) -> io::Result<()> {
    let (random, span) = (&mut actor.random, Duration::from_millis(2));
    let (sleep, number, suspend) = (random.milliseconds(0, 15), random.number(), random.one_in(3));
    tally::BLOCKS.add(1);
    let same = task::blocking(|| {
        if suspend {
            time::sleep(span);
        }
        thread::sleep(sleep);
        number
    });
    check!(same == number, "the closure has returned {number}, `blocking` {same}");
    Ok(())
}

/// The value that it computes is known.
pub fn computes(actor: &mut Actor) -> io::Result<()> {
    const FACTOR: u64 = 6_364_136_223_846_793_005;
    let (start, span) = (Instant::now(), actor.random.milliseconds(1, 30));
    let mut value = actor.random.number() | 1;
    let (first, mut times) = (value, 0u32);
    while start.elapsed() < span {
        for _ in 0..1000 {
            value = std::hint::black_box(value.wrapping_mul(FACTOR));
        }
        times += 1000;
    }
    check!(value == first.wrapping_mul(FACTOR.wrapping_pow(times)), "computed wrongly");
    Ok(())
}

/// Two tasks take turns with a lock and a condition of std's.
pub fn condition(actor: &mut Actor) -> io::Result<()> {
    let Some(_permit) = actor.world.permit() else { return Ok(()) };
    let turns = actor.random.between(1, 20);
    let table = Arc::new((Mutex::new(0), Condvar::new()));
    let play = move |table: &(Mutex<u64>, Condvar), odd: u64| {
        for turn in (odd..2 * turns).step_by(2) {
            let at = table.0.lock().expect("nobody panics with it");
            let mut at = table.1.wait_while(at, |at| *at != turn).expect("nobody panics with it");
            *at += 1;
            table.1.notify_all();
        }
    };
    let theirs = table.clone();
    let other = task::spawn(move || play(&theirs, 1));
    tally::BLOCKS.add(2 * turns);
    play(&table, 0);
    other.join().unwrap_or_else(|_| fail!("a task has panicked"));
    check!(*table.0.lock().expect("nobody panics with it") == 2 * turns, "turns");
    Ok(())
}

/// A task sends with pauses that suspend, the other receives as std does.
pub fn channel(actor: &mut Actor) -> io::Result<()> {
    let Some(_permit) = actor.world.permit() else { return Ok(()) };
    let (count, pause) = (actor.random.between(1, 20), actor.random.milliseconds(0, 3));
    let (sender, receiver) = if actor.random.one_in(2) {
        let (sender, receiver) = mpsc::sync_channel(1);
        (sender, receiver)
    } else {
        mpsc::sync_channel(count as usize)
    };
    let sends = task::spawn(move || {
        for number in 0..count {
            time::sleep(pause);
            sender.send(number).unwrap_or_else(|_| fail!("the receiver has gone"));
        }
    });
    tally::BLOCKS.add(count);
    for number in 0..count {
        let got = receiver.recv();
        check!(got == Ok(number), "{got:?} instead of {number}");
    }
    check!(receiver.recv().is_err(), "one message more than were sent");
    sends.join().unwrap_or_else(|_| fail!("a task has panicked"));
    Ok(())
}

/// Reads from a pipe into which a task writes after a while.
pub fn pipe(actor: &mut Actor) -> io::Result<()> {
    let Some(_permit) = actor.world.permit() else { return Ok(()) };
    let (mut reader, mut writer) = io::pipe()?;
    let (pause, length, salt) =
        (actor.random.milliseconds(0, 10), actor.random.between(1, 5000) as usize, actor.random.number());
    let writes = task::spawn(move || {
        time::sleep(pause);
        writer.write_all(&pattern(salt, length))
    });
    tally::BLOCKS.add(1);
    let mut got = Vec::new();
    reader.read_to_end(&mut got)?;
    check_bytes(&got, salt, length);
    writes.join().unwrap_or_else(|_| fail!("a task has panicked"))
}

/// A lock that its holder keeps while it is suspended; the others block.
pub fn lock(actor: &mut Actor) -> io::Result<()> {
    let Some(_permit) = actor.world.permit() else { return Ok(()) };
    tally::BLOCKS.add(1);
    let mut held = actor.world.lock.lock().expect("nobody panics with it");
    let before = *held;
    match actor.random.between(0, 2) {
        0 => time::sleep(actor.random.milliseconds(0, 3)),
        1 => task::yield_now(),
        _ => thread::sleep(actor.random.milliseconds(0, 3)),
    }
    check!(*held == before, "somebody else has been in there");
    *held += 1;
    actor.world.locked.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

/// A stream of std's, which knows nothing of tasks, to a server of tasks.
pub fn std_stream(actor: &mut Actor) -> io::Result<()> {
    let Some(_permit) = actor.world.permit() else { return Ok(()) };
    let mut stream = std::net::TcpStream::connect(actor.world.echo)?;
    for _ in 0..actor.random.between(1, 5) {
        let (salt, length) = (actor.random.number(), actor.random.between(1, 2000) as usize);
        tally::BLOCKS.add(1);
        stream.write_all(&pattern(salt, length))?;
        let mut got = vec![0; length];
        stream.read_exact(&mut got)?;
        check_bytes(&got, salt, length);
    }
    Ok(())
}

/// The handler of an event blocks, on a worker.
pub fn handler(actor: &mut Actor) -> io::Result<()> {
    let (after, sleep) = (actor.random.milliseconds(0, 5), actor.random.milliseconds(0, 10));
    let (handled, done) = (Arc::new(Notification::new()), Arc::new(Mutex::new(0)));
    let theirs = (handled.clone(), done.clone());
    tally::BLOCKS.add(1);
    let request = Request::timer(after).on_complete(move |_, _| {
        thread::sleep(sleep);
        *theirs.1.lock().expect("nobody panics with it") += 1;
        theirs.0.post();
    });
    let channel = actor.world.runtime.channel();
    channel.post(request).unwrap_or_else(|error| fail!("post: {error}"));
    handled.wait();
    let times = *done.lock().expect("nobody panics with it");
    check!(times == 1, "a handler was called {times} times");
    Ok(())
}

/// The kernel does not say that it will wait.
pub fn file(_: &mut Actor) -> io::Result<()> {
    tally::BLOCKS.add(1);
    let read = std::fs::read("/proc/self/maps")?;
    check!(!read.is_empty(), "an empty file");
    Ok(())
}
