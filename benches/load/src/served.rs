//! The server's CPU time, `pid=N`: from the end of the warm-up on, so that connecting is not in it.

use common::Args;
use std::time::Duration;

pub struct Served {
    /// The CPU clock of the server's process; none if it was not named.
    clock: Option<i32>,
    began: Option<Duration>,
}

impl Served {
    pub fn new(a: &Args) -> Served {
        let pid = a.num("pid", 0) as i32;
        // As clock_getcpuclockid makes it: the process's number, and 2 for "all of its time, to the nanosecond".
        Served { clock: (pid > 0).then_some((!pid << 3) | 2), began: None }
    }

    /// The warm-up is over. May be told again.
    pub fn warm(&mut self) {
        if self.began.is_none() {
            self.began = self.clock.and_then(time);
        }
    }

    /// Microseconds for each of `n` since then; no number if there is none.
    pub fn micros_each(&self, n: usize) -> f64 {
        match (self.began, self.clock.and_then(time)) {
            (Some(began), Some(end)) if n > 0 => (end - began).as_secs_f64() * 1e6 / n as f64,
            _ => f64::NAN,
        }
    }
}

fn time(clock: i32) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in a timespec of ours.
    let done = unsafe { libc::clock_gettime(clock, &mut time) };
    (done == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
