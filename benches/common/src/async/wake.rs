//! One task wakes many, each by a channel of its own.

use super::crowd::Crowd;
use super::slowest;
use crate::rt;
use common::{Args, out};

/// Rounds in which all of `tasks` are woken, each timed until the last has run; the first is not counted. With shards,
/// each wakes its own.
pub fn wake(a: &Args, workers: usize) {
    let tasks = a.num("tasks", 1000);
    let picoseconds = slowest(rt::run(workers, move |_, shards| async move {
        let mine = tasks / shards;
        let mut crowd = Crowd::new(mine);
        for _ in 0..mine {
            let mut seat = crowd.seat();
            rt::detach(rt::spawn(async move {
                while seat.called().await.is_some() {
                    seat.ran().await;
                }
            }));
        }
        crowd.call(0).await;
        let (mut time, mut woken) = (0, 0);
        while woken == 0 || (time < 1_000_000_000 && woken * shards < 1_000_000) {
            time += crowd.call(0).await;
            woken += mine;
        }
        crowd.end().await;
        time * 1000 / (woken * shards) as u64
    }));
    out(&[("ns", picoseconds / 1e3)]);
}
