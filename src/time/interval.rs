//! Ticks at regular times.
//!
//! There is no timer that goes on by itself: an interval is two times, and each tick a wait for the next. What it costs while
//! nobody waits is nothing, and nothing has to be stopped.

use super::sleep_until;
use ec_pool::wait;
use ec_tasks::WaitKind;
use std::io;
use std::iter::FusedIterator;
use std::time::{Duration, Instant};

static TICK: WaitKind = WaitKind { name: "tick", cancel: None, describe: |_, _| String::new() };

/// What an [`Interval`] does about ticks for whose time nobody waited: because what is done at each took longer than the period, say.
///
/// A tick is late if its time has passed when it is asked for, or if the next one's has, too, when the wait ends. (How long it takes
/// to wake up makes no tick late.) A late tick comes at once. The policy says when the one after it comes.
///
/// With a period of 100 ms, where what is done at the tick of 200 ms takes 250 ms, the next ticks are at these times:
///
/// | policy | ticks (ms) | tokio's `MissedTickBehavior` |
/// | --- | --- | --- |
/// | [`Burst`](Self::Burst) | 200, 450, 450, 500, 600 | `Burst` |
/// | [`Delay`](Self::Delay) | 200, 450, 550, 650, 750 | `Delay` |
/// | [`Skip`](Self::Skip) | 200, 450, 500, 600, 700 | `Skip` |
///
/// (tokio calls a tick late from 5 ms on.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// Each comes, those that were missed one after the other at once. So there are as many as there would have been.
    #[default]
    Burst,
    /// The next one comes a period after the late one, and so do those after it: between two ticks lies a period at least.
    Delay,
    /// Those that were missed are left out. The next one comes at the next time that it would have come at.
    Skip,
}

impl MissedTicks {
    /// When the next tick comes after one that was due at `due` and comes, late, at `now`.
    fn after_late(self, due: Instant, now: Instant, period: Duration) -> Option<Instant> {
        match self {
            MissedTicks::Burst => due.checked_add(period),
            MissedTicks::Delay => now.checked_add(period),
            MissedTicks::Skip => {
                // (A remainder is less than the period, which is not zero.)
                let into = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
                now.checked_add(period - from_nanos(into))
            }
        }
    }
}

/// As `Duration::from_nanos_u128`, for what came from a `Duration`.
fn from_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    Duration::new((nanos / SECOND) as u64, (nanos % SECOND) as u32)
}

/// Ticks every `period`, the first at once. As `interval_at(Instant::now(), period)`.
///
/// It neither suspends nor blocks; [`tick`](Interval::tick) does.
///
/// # Panics
/// If `period` is zero.
///
/// ```
/// use event_channel::time::{interval, Duration, Instant};
///
/// let start = Instant::now();
/// let mut ticks = interval(Duration::from_millis(2));
/// for _ in 0..4 {
///     ticks.tick(); // suspends the task, or blocks the thread
/// }
/// assert!(start.elapsed() >= Duration::from_millis(6));
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks every `period`, the first at `start`.
///
/// The ticks do not drift: the one of number n is due at `start` + n × `period`, exactly, whenever those before it came. (After one that was
/// late: as [`MissedTicks`] says.) A time that no clock can show never comes.
///
/// # Panics
/// If `period` is zero.
///
/// ```
/// use event_channel::time::{interval_at, Duration, Instant};
///
/// let (start, period) = (Instant::now() + Duration::from_millis(3), Duration::from_millis(2));
/// let due: Vec<Instant> = interval_at(start, period).take(3).collect();
/// assert_eq!(due, [start, start + period, start + 2 * period]);
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "the period of an interval must not be zero");
    Interval { next: Some(start), period, missed: MissedTicks::default() }
}

/// Ticks at regular times, for tasks and plain threads: see [`interval`] and [`interval_at`].
///
/// It is an [`Iterator`] without end, whose items are those of [`tick`](Self::tick).
///
/// ```
/// use event_channel::time::{interval, Duration};
///
/// let mut beats = 0;
/// for _tick in interval(Duration::from_millis(1)) {
///     beats += 1; // tell somebody that we live
///     if beats == 3 {
///         break;
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Interval {
    /// `None`: farther than any clock shows.
    next: Option<Instant>,
    period: Duration,
    missed: MissedTicks,
}

impl Interval {
    /// Waits for the next tick, and returns the time that it was due at, which is not later than now.
    ///
    /// A task suspends, and yields once if the tick is due already; a plain thread blocks. It cannot fail, so it is not a cancellation
    /// point, and a surrounding [`timeout`](super::timeout) does not shorten it: see [`tick_cancellable`](Self::tick_cancellable).
    pub fn tick(&mut self) -> Instant {
        let asked = Instant::now();
        match self.next {
            Some(due) => {
                sleep_until(due);
                self.came(due, asked)
            }
            None => loop {
                super::sleep(Duration::MAX);
            },
        }
    }

    /// As [`tick`](Self::tick), and a cancellation point. A tick that could not be waited for is not lost: the next call waits for it.
    ///
    /// A cancel, or a deadline of a [`timeout`](super::timeout), that is there already comes before a tick that is due. So a loop ends, also if it
    /// is always late. One that comes together with the tick that is waited for is left for the next cancellation point.
    ///
    /// # Errors
    /// The task was cancelled ([`Cancelled`](crate::Cancelled)), or the deadline of the surrounding `timeout` has come
    /// ([`TimedOut`](io::ErrorKind::TimedOut)). Nothing else.
    ///
    /// ```
    /// use event_channel::time::{interval, Duration};
    /// use event_channel::{run, task};
    ///
    /// run(|| {
    ///     let clock = task::spawn(|| {
    ///         let mut ticks = interval(Duration::from_millis(1));
    ///         while ticks.tick_cancellable().is_ok() {
    ///             // look after something
    ///         }
    ///     });
    ///     clock.cancel();
    ///     clock.join().unwrap();
    /// });
    /// ```
    pub fn tick_cancellable(&mut self) -> io::Result<Instant> {
        let asked = Instant::now();
        wait::checkpoint()?;
        let due = match self.next {
            Some(due) if due <= asked => {
                sleep_until(due); // (Others have their turn.)
                due
            }
            next => wait_until(next)?,
        };
        Ok(self.came(due, asked))
    }

    /// From here on: the next tick comes a period from now, and the others in step with it.
    ///
    /// ```
    /// use event_channel::time::{interval, Duration, Instant};
    ///
    /// let mut idle = interval(Duration::from_millis(5));
    /// let now = Instant::now();
    /// idle.reset(); // somebody has done something
    /// assert!(idle.tick() >= now + idle.period());
    /// ```
    pub fn reset(&mut self) {
        self.next = Instant::now().checked_add(self.period);
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What is done about ticks that come late; [`MissedTicks::Burst`] if nothing else was said.
    pub fn missed_ticks(&self) -> MissedTicks {
        self.missed
    }

    /// What is to be done about ticks that come late from now on.
    ///
    /// ```
    /// use event_channel::time::{interval, sleep, Duration, MissedTicks};
    ///
    /// let mut ticks = interval(Duration::from_millis(2));
    /// ticks.set_missed_ticks(MissedTicks::Skip);
    /// let first = ticks.tick();
    /// sleep(3 * ticks.period());
    /// ticks.tick(); // late: at once
    /// assert!(ticks.tick() >= first + 4 * ticks.period());
    /// ```
    pub fn set_missed_ticks(&mut self, missed: MissedTicks) {
        self.missed = missed;
    }

    /// When the next tick comes. `None`: never.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// The tick that was asked for at `asked`, if it is due.
    pub(crate) fn try_tick(&mut self, asked: Instant) -> Option<Instant> {
        let due = self.next.filter(|due| *due <= Instant::now())?;
        Some(self.came(due, asked))
    }

    /// The tick that is due at `due`, and that was asked for at `asked`, has come.
    fn came(&mut self, due: Instant, asked: Instant) -> Instant {
        let now = Instant::now();
        let following = due.checked_add(self.period);
        let late = asked > due || following.is_some_and(|following| following <= now);
        self.next = if late { self.missed.after_late(due, now, self.period) } else { following };
        due
    }
}

impl Iterator for Interval {
    type Item = Instant;

    fn next(&mut self) -> Option<Instant> {
        Some(self.tick())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Interval {}

/// Waits until `at`, or for ever, and gives that. A cancellation point: what stops it is delivered, unless the time has come as well.
fn wait_until(at: Option<Instant>) -> io::Result<Instant> {
    loop {
        let stopped = wait::sleep_until_stopped(at, &TICK);
        match (at.filter(|at| *at <= Instant::now()), stopped) {
            (Some(at), _) => return Ok(at),
            (None, Err(stop)) => return Err(stop.deliver()),
            (None, Ok(())) => {}
        }
    }
}
