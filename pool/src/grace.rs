//! How long the end of a pool waits for somebody: until the grace is over, and then for a few more looks.
//!
//! The looks after the grace are for those who are on their way out. They are counted, not timed: on a machine that stands still, or has
//! no CPU to give, they take longer, as everything does. On an idle one they are over after [`LOOKS`] naps.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// After the end. A step of the shutdown has so many. All steps together stay below 20 ms, whatever is stuck.
const LOOKS: u32 = 3;
const LAST_NAP: Duration = Duration::from_millis(1);

/// Before it, a nap is an eighth of what was waited already.
const SHORTEST: Duration = Duration::from_micros(20);
const LONGEST: Duration = Duration::from_millis(20);

/// See the module. `end`: `None` if it never comes.
pub(crate) fn wait_until(end: Option<Instant>, mut settled: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    let mut looks = LOOKS;
    while !settled() {
        let now = Instant::now();
        let nap = match end.map(|end| end.saturating_duration_since(now)) {
            Some(left) if left.is_zero() => {
                if looks == 0 {
                    return false;
                }
                looks -= 1;
                LAST_NAP
            }
            left => {
                let nap = (now.duration_since(began) / 8).clamp(SHORTEST, LONGEST);
                left.map_or(nap, |left| nap.min(left))
            }
        };
        sleep(nap);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use ec_test_support::limit;

    #[test]
    fn after_the_end_there_are_some_more_looks() {
        limit(20, || {
            for end in [Some(Instant::now()), Some(Instant::now() + LONGEST)] {
                let mut late = 0;
                let settled = wait_until(end, || {
                    late += u32::from(end.is_some_and(|end| Instant::now() >= end));
                    false
                });
                // (One may come just before the end, and the nap that it takes ends after it.)
                assert!(!settled && (LOOKS..=LOOKS + 1).contains(&late), "{late}");
            }
        });
    }

    #[test]
    fn without_an_end_it_waits_as_long_as_it_takes() {
        limit(20, || {
            let began = Instant::now();
            assert!(wait_until(None, || began.elapsed() > 2 * LONGEST));
        });
    }
}
