//! Two tasks wake each other by turns.

use super::begin;
use crate::rt;
use common::{Args, ns, out};
use std::sync::Arc;
use std::time::Instant;

/// What a peer has for "you may go on": given once, taken once.
pub trait Tokens: Send + Sync + 'static {
    fn new() -> Self;
    /// Called by the task that will take, before anybody gives.
    fn mine(&self) {}
    fn give(&self);
    fn take(&self);
}

/// Runs what the command line names, if it is this.
pub fn tokens<T: Tokens>() -> bool {
    let (a, workers) = begin();
    if a.workload == "token" {
        there_and_back::<T>(a, workers);
    }
    a.workload == "token"
}

fn there_and_back<T: Tokens>(a: &Args, workers: usize) {
    let n = a.num("n", 400_000);
    let t = rt::run(workers, move || {
        let both = Arc::new([T::new(), T::new()]);
        let ready = Arc::new(common::Gate::default());
        let start = |me: usize| {
            let (both, ready) = (both.clone(), ready.clone());
            rt::spawn(move || {
                let [mine, theirs] = [&both[me], &both[1 - me]];
                mine.mine();
                ready.enter();
                while ready.inside() < 2 {
                    rt::yield_now();
                }
                let t = Instant::now();
                if me == 0 {
                    theirs.give();
                }
                for _ in 0..n - 1 {
                    mine.take();
                    theirs.give();
                }
                mine.take();
                if me == 1 {
                    theirs.give();
                }
                ns(t)
            })
        };
        let (first, second) = (start(0), start(1));
        rt::join(first).max(rt::join(second))
    });
    out(&[("ns", t as f64 / n as f64)]);
}
