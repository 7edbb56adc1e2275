//! The workloads for stackful runtimes and threads. A peer has a `mod rt` with
//!
//! - `run(workers, f) -> u64`: `f` as the first task, its value back
//! - `spawn(f) -> handle`, `join(handle) -> T`, `sleep`, `yield_now`
//! - `most() -> usize`: the most tasks that it can hold at once
//! - `Tx: Clone`, `Rx`, `chan() -> (Tx, Rx)` of capacity 1 or 0, `send(&Tx, u64)`, `recv(&Rx) -> u64`
//! - `listener(std)`, `accept(&l) -> Stream`, which reads and writes
//! - `udp(std, n)`: `n` handles of the socket, with `recv_from` and `send_to`
//! - `blocking(hand, f)`: `f` on this thread, or (hand) in the way that the runtime asks for
//! - `open(path, hand)`, `read_at(&f, offset, &mut buf)`
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

/// A peer that cannot hold so many tasks says so.
fn must_hold(tasks: usize) {
    if tasks > rt::most() {
        na(&format!("{tasks} tasks at once are beyond it: {} are the most", rt::most()));
    }
}
