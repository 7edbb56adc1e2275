//! Cancels against short sections of [`task::interruptible`]: whoever runs on the thread next sees no `EINTR`.
//!
//! `EC_STRESS_CANCELS` says how many cancels there are.

use ec_test_support::limit;
use ec_unkind as _;
use event_channel::{Runtime, task};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const AT_ONCE: usize = 8;
/// Of a section's length, and of the times between cancels, in microseconds.
const LONGEST: u64 = 50;

/// Sleeps for that long, unless a signal comes. False: one has.
fn sleeps(span: Duration) -> bool {
    let time = libc::timespec { tv_sec: 0, tv_nsec: span.as_nanos() as i64 };
    // SAFETY: a time that lives.
    if unsafe { libc::nanosleep(&time, ptr::null_mut()) } == 0 {
        return true;
    }
    assert_eq!(io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
    false
}

fn computes(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Numbers that look random, from 0 to 50.
struct Random(u64);

impl Random {
    fn micros(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_micros(self.0 % (LONGEST + 1))
    }
}

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);

/// Sections of all lengths, in which the task computes or blocks, and around each of them a call that a signal would end.
fn in_and_out(seed: u64) {
    let mut random = Random(seed | 1);
    let outside = || _ = OUTSIDE.fetch_add(usize::from(!sleeps(Duration::from_nanos(1))), Ordering::Relaxed);
    outside();
    task::interruptible(|| {
        let span = random.micros();
        match span.as_micros() % 3 {
            0 => computes(span),
            1 => _ = INSIDE.fetch_add(usize::from(!sleeps(span)), Ordering::Relaxed),
            _ => {
                computes(span / 2);
                task::yield_now();
                INSIDE.fetch_add(usize::from(!sleeps(span / 2)), Ordering::Relaxed);
            }
        }
    });
    outside();
}

#[test]
fn the_next_task_on_the_thread_sees_no_interruption() {
    let cancels: u64 = std::env::var("EC_STRESS_CANCELS").map_or(20_000, |text| text.parse().unwrap());
    limit(60 + cancels / 1_000, || {
        let seeds = AtomicU64::new(1);
        // Both ways: workers whose tasks are alone, and those that share CPUs with who cancels and who sends.
        std::thread::scope(|scope| {
            for cores in [1, 2] {
                let seeds = &seeds;
                scope.spawn(move || {
                    let runtime = Runtime::builder().cores(cores).build().unwrap();
                    let mut random = Random(cores as u64);
                    for _ in 0..cancels / 2 / AT_ONCE as u64 {
                        let tasks: [_; AT_ONCE] = std::array::from_fn(|_| {
                            let seed =
                                seeds.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                            runtime.spawn(move || in_and_out(seed))
                        });
                        for task in &tasks {
                            computes(random.micros());
                            task.cancel();
                        }
                        tasks.into_iter().for_each(|task| task.join().unwrap());
                    }
                    // Whoever is asked next, on each thread there is.
                    let last: Vec<_> = (0..AT_ONCE).map(|_| runtime.spawn(|| sleeps(LAST))).collect();
                    assert!(last.into_iter().all(|task| task.join().unwrap()));
                });
            }
        });
        let (inside, outside) = (INSIDE.load(Ordering::Relaxed), OUTSIDE.load(Ordering::Relaxed));
        println!("of {cancels} cancels {inside} ended a call in their sections");
        assert!(inside > 0, "nothing was tried");
        assert_eq!(outside, 0, "so many calls outside of sections were interrupted");
    });
}

const LAST: Duration = Duration::from_millis(3);
