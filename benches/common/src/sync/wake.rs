//! One task wakes many, each by a channel of its own.

use super::crowd::Crowd;
use super::must_hold;
use crate::rt;
use common::{Args, out};

/// Rounds in which all of `tasks` are woken, each timed until the last has run; the first is not counted.
pub fn wake(a: &Args, workers: usize) {
    let tasks = a.num("tasks", 1000);
    must_hold(tasks);
    let picoseconds = rt::run(workers, move || {
        let mut crowd = Crowd::new(tasks);
        for _ in 0..tasks {
            let seat = crowd.seat();
            drop(rt::spawn(move || {
                while seat.called().is_some() {
                    seat.ran();
                }
            }));
        }
        crowd.call(0);
        let (mut time, mut woken) = (0, 0);
        while woken == 0 || (time < 1_000_000_000 && woken < 1_000_000) {
            time += crowd.call(0);
            woken += tasks as u64;
        }
        crowd.end();
        time * 1000 / woken
    });
    out(&[("ns", picoseconds as f64 / 1e3)]);
}
