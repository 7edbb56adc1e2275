//! The load, and servers and floors without a runtime: `load WHAT key=value ...`.
//!
//! | what | keys | does |
//! | --- | --- | --- |
//! | `echo` | `port conns secs size` | closed loop: each connection sends, waits for the echo, sends again |
//! | `open` | `port conns rate secs` | open loop: sends on schedule, whatever comes back |
//! | `udp` | `port conns secs` | closed loop with a datagram socket for each of `conns` |
//! | `chat` | `port conns room rate secs` | talkers in rooms: what one says comes to all in its room |
//! | `accept` | `port conns secs` | connects, exchanges one message, closes; `conns` at a time |
//! | `hold` | `port conns` | holds connections open until its standard input ends |
//! | `raw-echo`, `raw-http`, `raw-udp` | `buf` | the least a server can do: one thread, no runtime |
//! | `floor` | `cpus` | two blocking threads of one process over loopback |
//! | `syscalls` | | what a send, a receive and an empty system call cost |
//!
//! `echo`, `open`, `udp`, `chat` and `accept` with `pid=N` print the CPU time of that process for each message, as `cpu_us`.
//!
//! One thread each, with epoll, so that the load takes as little of the machine as can be.

mod accept;
mod chat;
mod connections;
mod echo;
mod floor;
mod hold;
mod open;
mod poll;
mod raw;
mod served;
mod udp;

use common::{args, die_after, raise_descriptors};

/// Messages and datagrams, where nothing else is asked for.
const MESSAGE: usize = 64;

fn main() {
    let a = args();
    let serves = matches!(a.workload.as_str(), "hold" | "raw-echo" | "raw-http" | "raw-udp");
    let secs = if serves { 600 } else { a.real("secs", 2.0) as usize + 20 };
    die_after(a.num("limit", secs));
    raise_descriptors();
    match a.workload.as_str() {
        "echo" => echo::run(a),
        "open" => open::run(a),
        "udp" => udp::run(a),
        "accept" => accept::run(a),
        "chat" => chat::run(a),
        "hold" => hold::run(a),
        "raw-echo" => raw::streams(a, false),
        "raw-http" => raw::streams(a, true),
        "raw-udp" => raw::datagrams(),
        "floor" => floor::round_trip(a),
        "syscalls" => floor::syscalls(),
        other => panic!("there is no {other}"),
    }
}

/// A latency as it is kept: nanoseconds, as many as fit.
fn nanos(d: std::time::Duration) -> u32 {
    d.as_nanos().try_into().unwrap_or(u32::MAX)
}
