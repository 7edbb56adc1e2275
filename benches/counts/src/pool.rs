//! In a pool of one core on epoll, as users have it but for the number of cores. Two tasks take turns.

use crate::count;
use ec_tasks::Kind;
use event_channel::channel::{Driver, Request};
use event_channel::net::{TcpListener, TcpStream};
use event_channel::sync::Notification;
use event_channel::task::{self, JoinHandle};
use event_channel::{EventChannel, Runtime};
use std::io::{Read, Write};
use std::sync::Arc;

pub fn spawn<T: Send + 'static>(kind: Kind, f: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    match kind {
        Kind::Own => task::spawn(f),
        // SAFETY: the tasks keep nothing of a thread's across a suspension.
        _ => unsafe { task::Builder::new().spawn_lean(f) }.expect("a task"),
    }
}

/// Runs `f` in a task of that kind, the only one.
pub fn inside(kind: Kind, f: impl FnOnce(EventChannel) + Send + 'static) {
    let runtime = Runtime::builder().cores(1).driver(Driver::Epoll).build().expect("a runtime");
    let channel = runtime.channel().clone();
    runtime.run(move || spawn(kind, move || f(channel)).join().expect("it does not panic"));
    // It would wait by this program's clock, for ever.
    std::mem::forget(runtime);
}

/// A `yield_now`: the other task runs, whose turn it is.
pub fn yields(kind: Kind) {
    inside(kind, move |_| {
        count(10_000, |operations| {
            let half = move || (0..operations / 2).for_each(|_| task::yield_now());
            let other = spawn(kind, half);
            half();
            other.join().expect("it does not panic");
        });
    });
}

/// From the spawn until the result of the join.
pub fn spawns(kind: Kind) {
    inside(kind, move |_| {
        count(2_000, |operations| {
            for number in 0..operations {
                assert_eq!(spawn(kind, move || number).join().ok(), Some(number));
            }
        });
    });
}

/// One post of a notification to the other task, which waits for it.
pub fn notify(kind: Kind) {
    inside(kind, move |_| {
        count(10_000, |operations| {
            let both = Arc::new([Notification::new(), Notification::new()]);
            let theirs = both.clone();
            let other = spawn(kind, move || {
                for _ in 0..operations / 2 {
                    theirs[0].wait();
                    theirs[1].post();
                }
            });
            for _ in 0..operations / 2 {
                both[0].post();
                both[1].wait();
            }
            other.join().expect("it does not panic");
        });
    });
}

/// An event posted to the pool's channel by one task and got by the other, which waits for it.
pub fn event(kind: Kind) {
    inside(kind, move |channel| {
        count(4_000, |operations| {
            let theirs = channel.clone();
            let getter = spawn(kind, move || {
                for _ in 0..operations {
                    drop(theirs.get_event().expect("an event"));
                }
            });
            for _ in 0..operations {
                channel.post(Request::notification()).expect("posted");
                task::yield_now();
            }
            getter.join().expect("it does not panic");
        });
    });
}

/// 64 bytes there and back over a TCP connection.
pub fn echo(kind: Kind) {
    inside(kind, move |_| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut here = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (mut there, _) = listener.accept().expect("a connection");
        here.set_nodelay(true).and(there.set_nodelay(true)).expect("no delay");
        let other = spawn(kind, move || {
            let mut buffer = [0; 64];
            while there.read_exact(&mut buffer).is_ok() {
                there.write_all(&buffer).expect("sent");
            }
        });
        count(1_000, |operations| {
            let mut buffer = [7; 64];
            for _ in 0..operations {
                here.write_all(&buffer).expect("sent");
                here.read_exact(&mut buffer).expect("received");
            }
        });
        drop(here);
        other.join().expect("it does not panic");
    });
}
