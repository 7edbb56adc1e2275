//! How a dedicated task waits, for a time or for an operation. It has its own thread, and goes on when its pool has stopped; but then nobody drives the
//! port any more that has the operation. So the task looks after the port itself, every now and then.
//!
//! A shutdown wakes all its dedicated tasks once it has stopped. So none misses that.

#![allow(unsafe_code)]

use crate::size::host::Host;
use crate::wait::Stop;
use crate::wait::scopes::Surroundings;
use crate::worker::current::{current_port, with_shared};
use ec_channel::Completions;
use ec_tasks::{Tokens, WaitKind};
use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(20);

/// [`until_token`](super::until_token), until `at`: the task's thread sleeps so long itself.
#[cold]
#[inline(never)]
pub(super) fn until(
    kind: &'static WaitKind,
    [says, detail]: [u64; 2],
    at: Instant,
    around: Surroundings,
    token: Tokens,
    mut ready: impl FnMut(Tokens) -> bool,
) -> Result<bool, Stop> {
    let accept = if around.can_be_cancelled() { token | Tokens::SYNC } else { token };
    ec_tasks::begin_wait(kind, says, detail);
    let mut got = Tokens::NONE;
    let verdict = loop {
        if ready(got) {
            break Ok(true);
        }
        if around.are_cancelled() {
            break Err(Stop::Cancel);
        }
        if Instant::now() >= at {
            break Ok(false);
        }
        // SAFETY: no `OP`: nothing is in flight.
        got = unsafe { ec_tasks::suspend_for_op_until(accept, at) };
    };
    ec_tasks::end_wait();
    verdict
}

/// [`ec_tasks::suspend_for_op`].
///
/// # Safety
/// As there.
#[cold]
pub(super) unsafe fn suspend_for_op(accept: Tokens) -> Tokens {
    let mut nap = SHORTEST;
    let mut out = Completions::new();
    loop {
        let got = if look_after_port(&mut out) {
            nap = (2 * nap).min(LONGEST);
            // SAFETY: the caller's promise.
            unsafe { ec_tasks::suspend_for_op_until(accept, Instant::now() + nap) }
        } else {
            // (SYNC: the pool stops, perhaps. Who does not wait for that token does not mind one less.)
            // SAFETY: the caller's promise.
            unsafe { ec_tasks::suspend_for_op(accept | Tokens::SYNC) }
        };
        if accept.contains(got) && !got.is_empty() || got.contains(Tokens::OP) {
            return got;
        }
    }
}

/// False: the pool runs, and its workers see to the ports.
fn look_after_port(out: &mut Completions) -> bool {
    with_shared(|shared| {
        let Some(shared) = shared.filter(|shared| shared.life.is_stopped()) else { return false };
        // (An error is the port's; it is tried again.)
        let _ = shared.look_after_port(current_port() % shared.queues.cores(), out);
        true
    })
}
