//! Tasks that wait for one another: a translation of `common/src/sync/waiting` for tokio's own primitives. It has no channel
//! with many receivers: that is async-channel's.

mod channels;
mod chat;
mod fair;
mod locks;

use crate::rt;
use common::{args, die_after, na, raise_descriptors};
use std::future::Future;

/// Runs what the command line names, if it is of these.
pub fn main() -> bool {
    let (a, workers) = (args(), args().num("workers", 2));
    die_after(a.num("limit", if a.workload == "chat" { 600 } else { 120 }));
    raise_descriptors();
    match a.workload.as_str() {
        "lock" => locks::uncontended(a, workers),
        "contended" => locks::contended(a, workers),
        "token" => locks::token(a, workers),
        "chan" => channels::chan(a, workers),
        "fair" => fair::fair(a, workers),
        "chat" => chat::serve(workers),
        _ => return false,
    }
    true
}

/// The first task's value.
fn run<T: Future<Output = u64> + Send + 'static>(workers: usize, f: T) -> f64 {
    let f = std::cell::Cell::new(Some(f));
    let found = rt::run(workers, |_, shards| match f.take() {
        Some(f) if shards == 1 => f,
        _ => na("it has one set of tasks"),
    });
    found[0] as f64
}
