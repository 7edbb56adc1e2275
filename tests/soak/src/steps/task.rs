//! Steps that start tasks, and what may become of these.

use std::io;
use std::net::SocketAddr;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use event_channel::net::UdpSocket;
use event_channel::{Cancelled, task, time};

use super::net::ANY;
use crate::actor::{Actor, joined};
use crate::random::mix;
use crate::tally;
use crate::watch::{Planned, check, fail};
use crate::world::World;

/// Below these there are no more.
const DEEPEST: u32 = 2;

pub fn family(actor: &mut Actor) -> io::Result<()> {
    if actor.depth == DEEPEST {
        return Ok(());
    }
    let children: Vec<_> = (0..actor.random.between(1, 5))
        .map(|_| {
            let (seed, child) = actor.child();
            (seed, task::spawn(move || child.live()))
        })
        .collect();
    let numbers = [actor.random.number(), actor.random.number()];
    // It borrows.
    let sum = event_channel::run(|| numbers.iter().fold(0u64, |sum, number| sum.wrapping_add(*number)));
    check!(sum == numbers[0].wrapping_add(numbers[1]), "a sum");
    children.into_iter().for_each(|(seed, child)| joined(child, seed, false));
    Ok(())
}

pub fn detached(actor: &mut Actor) -> io::Result<()> {
    if actor.depth == DEEPEST {
        return Ok(());
    }
    struct Gone(Arc<World>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.detached.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let (_, child) = actor.child();
    actor.world.detached.fetch_add(1, Ordering::SeqCst);
    let gone = Gone(actor.world.clone());
    drop(task::spawn(move || {
        child.live();
        drop(gone);
    }));
    Ok(())
}

/// With a core, and on a thread that has lost it.
pub fn panics(actor: &mut Actor) -> io::Result<()> {
    let (number, blocks) = (actor.random.number(), actor.random.one_in(2));
    let body = move || {
        if blocks {
            tally::BLOCKS.add(1);
            thread::sleep(Duration::from_millis(5));
        }
        panic_any(Planned(number))
    };
    // By its name tests/soak.sh knows that its words are not worth showing.
    let child = task::Builder::new().name(String::from("planned")).spawn::<_, ()>(body)?;
    let payload = child.join().map(|()| fail!("it has not panicked")).unwrap_or_else(|payload| payload);
    let same = payload.downcast_ref().is_some_and(|Planned(other)| *other == number);
    check!(same, "somebody else's panic");
    tally::PANICS.add(1);
    Ok(())
}

/// The wait is broken off, and what comes after it is not.
pub fn cancelled(actor: &mut Actor) -> io::Result<()> {
    let child = task::spawn(|| {
        let socket = UdpSocket::bind(SocketAddr::from(ANY))?;
        let first = socket.recv(&mut [0; 16]);
        let second = time::timeout(Duration::from_millis(1), || socket.recv(&mut [0; 16]));
        let kind = |result: io::Result<usize>| result.map_err(|error| (Cancelled::is(&error), error.kind()));
        Ok::<_, io::Error>((kind(first), kind(second)))
    });
    time::sleep(actor.random.milliseconds(0, 8));
    child.cancel();
    let outcome = child.join().unwrap_or_else(|_| fail!("a task has panicked"));
    // So early that the socket was not there yet: then that call has failed.
    match outcome {
        Err(error) => check!(Cancelled::is(&error), "{error}"),
        Ok(both) => check!(
            matches!(both, (Err((true, _)), Err((false, io::ErrorKind::TimedOut)))),
            "cancelled and then timed out: {both:?}"
        ),
    }
    tally::CANCELS.add(1);
    Ok(())
}

/// The call goes on to its end; the next one tells.
pub fn cancelled_while_blocked(actor: &mut Actor) -> io::Result<()> {
    let span = actor.random.milliseconds(2, 10);
    let child = task::spawn(move || {
        tally::BLOCKS.add(1);
        thread::sleep(span);
        UdpSocket::bind(SocketAddr::from(ANY)).and_then(|socket| socket.recv(&mut [0; 16]))
    });
    time::sleep(actor.random.milliseconds(0, 4));
    child.cancel();
    let result = child.join().unwrap_or_else(|_| fail!("a task has panicked"));
    check!(matches!(&result, Err(error) if Cancelled::is(error)), "cancelled: {result:?}");
    tally::CANCELS.add(1);
    Ok(())
}

pub fn yields(actor: &mut Actor) -> io::Result<()> {
    (0..actor.random.between(10, 1000)).for_each(|_| task::yield_now());
    Ok(())
}

pub fn borrows(actor: &mut Actor) -> io::Result<()> {
    actor.borrow();
    Ok(())
}

/// A task with a thread of its own.
pub fn dedicated(actor: &mut Actor) -> io::Result<()> {
    if actor.depth == DEEPEST {
        return Ok(());
    }
    let (seed, child) = actor.child();
    joined(task::Builder::new().dedicated().spawn(move || child.live())?, seed, false);
    Ok(())
}

/// A task that has nothing of its own but a stack.
pub fn lean(actor: &mut Actor) -> io::Result<()> {
    let (number, span) = (actor.random.number(), actor.random.milliseconds(0, 5));
    let body = move || {
        time::sleep(span);
        thread::sleep(span);
        task::yield_now();
        mix(number)
    };
    tally::BLOCKS.add(1);
    // SAFETY: it holds numbers only, and uses no thread-local.
    let child = unsafe { task::Builder::new().spawn_lean(body) }?;
    let value = child.join().unwrap_or_else(|_| fail!("a task has panicked"));
    check!(value == mix(number), "a lean task has returned {value}");
    Ok(())
}
