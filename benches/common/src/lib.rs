//! What every Rust program of the benches shares: arguments, the line of JSON, counters of the process, sockets.
//!
//! The workloads themselves are in `sync/` (stackful runtimes and threads) and `async/` (stackless ones). A peer has a
//! `mod rt`, which names its runtime's own calls, and takes one of the two in by `#[path]`: so all peers run the same
//! text.

mod args;
mod blocking;
mod buf;
mod gate;
mod http;
mod memory;
mod process;
mod report;
mod rng;
mod sockets;
mod switching;
mod waiting;

pub use args::{Args, args, depth};
pub use blocking::{StdLock, Ticks, block_report, compute, connect_after, file_plan, hogs_report, watchdog};
pub use buf::Buf;
pub use gate::{Gate, LastOf};
pub use http::{Http, RESPONSE};
pub use memory::Memory;
pub use process::{cpu_secs, die_after, most_mappings, pin, raise_descriptors};
pub use report::{na, ns, out, pct};
pub use rng::Rng;
pub use sockets::{listen, listeners, udp, udps};
pub use switching::{alternates, alternations, yield_self};
pub use waiting::{Line, Sections, over_after, report_shares, work};
