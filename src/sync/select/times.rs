//! Times.

use super::super::base::first::Arm;
use super::super::base::said::{Kind, What};
use super::Operation;
use crate::time::Interval;
use crate::twins::after;
use std::time::{Duration, Instant};

/// Comes when `duration` is over, from the moment on at which the select begins. One that no clock can show never comes.
///
/// ```
/// use event_channel::time::Duration;
/// use event_channel::sync::{Notification, select};
///
/// let never = Notification::new();
/// select! {
///     wait(&never) => unreachable!(),
///     sleep(Duration::from_millis(5)) => (),
/// }?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn sleep(duration: Duration) -> impl Operation<Output = ()> {
    Sleep { at: after(duration), what: What::sleep(duration) }
}

/// Comes at this time: made before a loop, one that limits all of it.
pub fn sleep_until(deadline: Instant) -> impl Operation<Output = ()> {
    Sleep { at: Some(deadline), what: What::new(Kind::SleepUntil, 0) }
}

struct Sleep {
    /// `None`: it never comes.
    at: Option<Instant>,
    what: What,
}

impl Arm for Sleep {
    fn attempt(&mut self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    fn deadline(&self) -> Option<Instant> {
        self.at
    }

    fn what(&self) -> Option<What> {
        Some(self.what)
    }
}

impl Operation for Sleep {
    type Output = ();

    fn output(&mut self) -> Option<()> {
        Some(())
    }
}

/// Comes with the next tick, and gives the time that it was due at, as [`Interval::tick`]. (Of one that is due already a select
/// makes no more than of anything else that has come: others run at times, not each time.)
///
/// ```
/// use event_channel::sync::{channel, select};
/// use event_channel::time::{Duration, interval};
///
/// let (_sender, receiver) = channel::unbounded::<u32>();
/// let mut ticks = interval(Duration::from_millis(2));
/// for _ in 0..3 {
///     select! {
///         recv(&receiver) -> value => unreachable!("{value:?}"),
///         tick(&mut ticks) -> _due => (),
///     }?;
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn tick(interval: &mut Interval) -> impl Operation<Output = Instant> + '_ {
    Tick { interval, asked: Instant::now(), came: None }
}

struct Tick<'a> {
    interval: &'a mut Interval,
    asked: Instant,
    came: Option<Instant>,
}

impl Arm for Tick<'_> {
    fn attempt(&mut self) -> bool {
        self.came = self.interval.try_tick(self.asked);
        self.came.is_some()
    }

    fn deadline(&self) -> Option<Instant> {
        self.interval.due()
    }

    fn what(&self) -> Option<What> {
        Some(What::new(Kind::Tick, 0))
    }
}

impl Operation for Tick<'_> {
    type Output = Instant;

    fn output(&mut self) -> Option<Instant> {
        self.came.take()
    }
}
