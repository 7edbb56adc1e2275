//! What a storm is made of: panics on purpose, a limit of those in flight, bytes that are counted, cancels.

use super::super::Random;
use ec_channel::{EventChannel, EventId};
use std::any::Any;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// So many are in flight at the most: those who post wait for those who get.
pub const IN_FLIGHT: usize = 1_000;

/// Ends the program: a panic would be the handler's that finds it, and those who wait for what does not come would not end. (The words go
/// past the test harness, which would keep them.)
pub fn fatal(what: &str) -> ! {
    let _ = writeln!(io::stderr(), "\nin a storm came: {what}");
    std::process::abort();
}

/// The payload of a panic on purpose. (`resume_unwind` with it leaves out the message.)
pub struct OnPurpose;

pub fn panic_on_purpose() -> ! {
    resume_unwind(Box::new(OnPurpose))
}

/// Goes on with any other panic.
pub fn expect_purpose(payload: Box<dyn Any + Send>) {
    if !payload.is::<OnPurpose>() {
        resume_unwind(payload);
    }
}

/// A descriptor that panics each time when it is asked for in vain.
pub struct Brittle {
    pub stream: UnixStream,
    pub asked: AtomicUsize,
    pub every: usize,
}

impl AsFd for Brittle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        if self.asked.fetch_add(1, SeqCst) % self.every == self.every - 1 {
            panic_on_purpose();
        }
        self.stream.as_fd()
    }
}

/// What those in flight may come to.
pub struct Gate {
    pub room: Mutex<usize>,
    pub more: Condvar,
}

impl Gate {
    pub fn take(&self, n: usize) {
        let mut room = self.more.wait_while(self.room.lock().unwrap(), |room| *room < n).unwrap();
        *room -= n;
    }

    pub fn give(&self, n: usize) {
        let mut room = self.room.lock().unwrap();
        *room += n;
        if *room >= IN_FLIGHT / 4 {
            self.more.notify_all();
        }
    }

    pub fn until_all_are_back(&self) {
        drop(self.more.wait_while(self.room.lock().unwrap(), |room| *room < IN_FLIGHT).unwrap());
    }
}

/// Bytes that went in or came out somewhere, and their sum.
#[derive(Default)]
pub struct Bytes {
    number: AtomicU64,
    sum: AtomicU64,
}

impl Bytes {
    pub fn count(&self, bytes: &[u8]) {
        self.number.fetch_add(bytes.len() as u64, SeqCst);
        self.sum.fetch_add(bytes.iter().map(|byte| u64::from(*byte)).sum(), SeqCst);
    }

    pub fn get(&self) -> (u64, u64) {
        (self.number.load(SeqCst), self.sum.load(SeqCst))
    }
}

/// Those that are to be cancelled, a little later.
#[derive(Default)]
pub struct Cancels {
    pub ids: Mutex<Vec<EventId>>,
    pub no_more: AtomicBool,
}

impl Cancels {
    pub fn go_on(&self, channel: &EventChannel) {
        let mut random = Random(5);
        loop {
            let last = self.no_more.load(SeqCst);
            for id in std::mem::take(&mut *self.ids.lock().unwrap()) {
                if random.below(8) == 0 {
                    thread::yield_now();
                }
                channel.cancel(id);
            }
            if last {
                return;
            }
            thread::sleep(Duration::from_micros(random.below(200)));
        }
    }
}
