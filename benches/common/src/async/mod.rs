//! The workloads for stackless runtimes. A peer has a `mod rt` with
//!
//! - `run(workers, |shard, shards| async -> u64) -> Vec<u64>`: one shard, or one per thread (thread per core)
//! - `SHARDED`, `BoxFut`, `spawn`, `join`, `detach`, `sleep`, `yield_now`
//! - `Tx: Clone`, `Rx`, `chan() -> (Tx, Rx)` of capacity 1, `send(&Tx, u64)`, `recv(&mut Rx) -> u64`
//! - `listener(std)`, `accept(&l) -> Stream`, `read(&mut s, &mut Buf)` (nothing filled: closed),
//!   `write(&mut s, &mut Buf) -> bool` (all that is filled)
//! - `udp(std, n)`: `n` handles of the socket; `recv_from(&u, &mut Buf) -> SocketAddr`, `send_to(&u, &mut Buf, to)`
//! - `blocking(hand, f)`: `f` on this thread, or (hand) in the way that the runtime asks for
//! - `open(path, hand)`, `read_at(&mut f, offset, Vec) -> Vec`
//!
//! and includes this module by its path.

mod blocking;
mod crowd;
mod memory;
mod servers;
mod tasks;
mod timers;
mod wake;

use crate::rt;
use common::{args, die_after, na, raise_descriptors};
use std::time::Duration;

/// Runs what the command line names.
pub fn main() {
    let (a, workers) = (args(), args().num("workers", 2));
    let serves = matches!(a.workload.as_str(), "echo" | "http" | "udp");
    die_after(a.num("limit", if serves { 600 } else { 120 }));
    raise_descriptors();
    match a.workload.as_str() {
        "switch" => tasks::switch(a, workers),
        "spawn" => tasks::spawn(a, workers),
        "pingpong" => tasks::pingpong(a, workers),
        "skynet" => tasks::skynet(workers),
        "wake" => wake::wake(a, workers),
        "idle" => memory::idle(a, workers),
        "deep" => memory::deep(a, workers),
        "timers" => timers::timers(a, workers),
        "echo" => servers::streams(a, workers, false),
        "http" => servers::streams(a, workers, true),
        "udp" => servers::udp(workers),
        "block" => blocking::block(a, workers),
        "hogs" => blocking::hogs(a, workers),
        "mutex" => blocking::mutex(a, workers),
        "file" => blocking::file(a, workers),
        _ => na("no such workload"),
    }
}

/// The shard that took longest says how long it took.
fn slowest(times: Vec<u64>) -> f64 {
    times.into_iter().max().unwrap_or_default() as f64
}

/// Looks every millisecond.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        rt::sleep(Duration::from_millis(1)).await;
    }
}
