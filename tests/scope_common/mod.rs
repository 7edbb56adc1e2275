//! What the tests of scopes share.
#![allow(dead_code)] // each test program uses a part

use crate::net_common::{build, each_runtime_of, until_waiting};
use ec_test_support::limit;
use event_channel::channel::Driver;
use event_channel::net::UdpSocket;
use event_channel::{Cancelled, Runtime, task};
use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

pub const SHORT: Duration = Duration::from_millis(10);
pub const LONG: Duration = Duration::from_secs(1000);

/// Runs `test` on a plain thread, in each kind of task, and as the main task of each kind of runtime.
pub fn everywhere(test: fn()) {
    limit(120, || {
        thread::spawn(test).join().unwrap();
        for driver in Driver::ALL {
            let Some(runtime) = build(driver, Runtime::builder().cores(2)) else { continue };
            runtime.spawn_with(task::Builder::new().dedicated(), test).unwrap().join().unwrap();
            // SAFETY: what runs there keeps nothing of a thread's across a suspension.
            let lean = runtime.run(|| unsafe { task::Builder::new().spawn_lean(test) });
            lean.unwrap().join().unwrap();
        }
        each_runtime_of(&[1, 2, 8], |runtime| runtime.run(test));
    });
}

/// In a task of its own, which is cancelled when `waits_for` is what one of the runtime's tasks waits for.
pub fn cancelled_when<T: Send + 'static>(waits_for: &str, f: impl FnOnce() -> T + Send + 'static) -> T {
    let runtime = Runtime::builder().cores(2).build().unwrap();
    let task = runtime.spawn(f);
    until_waiting(&runtime, waits_for);
    task.cancel();
    task.join().unwrap()
}

/// Is counted when it is dropped, after a while.
pub struct Counts<'a>(pub &'a AtomicUsize);

impl Drop for Counts<'_> {
    fn drop(&mut self) {
        task::yield_now();
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The words of the panic that `f` ends with.
pub fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("it should panic");
    words(&*payload).to_owned()
}

pub fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("?")
}

/// How a call ended that waits for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Cancelled,
    Deadline,
    /// By its own read timeout, if it has one.
    ByItself,
}

fn end_of(result: io::Result<usize>) -> End {
    let error = result.unwrap_err();
    match error.kind() {
        _ if Cancelled::is(&error) => End::Cancelled,
        ErrorKind::TimedOut => End::Deadline,
        ErrorKind::WouldBlock => End::ByItself,
        _ => panic!("{error}"),
    }
}

/// Waits in a call that nothing ends but a cancel or a deadline.
pub fn waits() -> End {
    end_of(UdpSocket::bind("127.0.0.1:0").unwrap().recv(&mut [0; 8]))
}

/// Waits in a call for [`SHORT`].
pub fn waits_shortly() -> End {
    waits_at_most(SHORT)
}

/// Waits in a call, so long.
pub fn waits_at_most(span: Duration) -> End {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(span)).unwrap();
    end_of(socket.recv(&mut [0; 8]))
}

/// What a task got that waited, once for good and once shortly, and whether it says that it was cancelled.
pub type Seen = ([End; 2], bool);

pub fn sees() -> Seen {
    let ends = [waits(), waits_shortly()];
    (ends, task::is_cancelled())
}

pub fn sees_nothing() -> bool {
    (waits_shortly(), task::is_cancelled()) == (End::ByItself, false)
}

pub const CANCELLED_ONCE: Seen = ([End::Cancelled, End::ByItself], true);
