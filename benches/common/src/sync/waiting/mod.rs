//! Tasks that wait for one another, for stackful runtimes and threads: locks, channels, tokens, a chat. A peer says by the
//! traits here which of these it has, and includes this module by its path; of its `mod rt` it needs what the other
//! workloads do, and of a chat `another(&Stream) -> Stream`.

mod channels;
mod chat;
mod fair;
mod locks;
mod tokens;

pub use channels::{Channels, channels};
pub use chat::chat;
pub use locks::{Locks, locks};
pub use tokens::{Tokens, tokens};

use common::{Args, args, die_after, raise_descriptors};

/// The command line, and the number of workers.
fn begin() -> (&'static Args, usize) {
    let a = args();
    die_after(a.num("limit", if a.workload == "chat" { 600 } else { 120 }));
    raise_descriptors();
    (a, a.num("workers", 2))
}
