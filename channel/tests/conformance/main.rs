//! What every driver promises: the same suite on each.
//!
//! Each kind of event has a module of its own. What belongs to no kind stands in the others.

#[path = "../common/mod.rs"]
mod common;

mod accept;
mod cancel;
mod connect;
mod errors;
mod getting;
mod handlers;
mod notification;
mod posting;
mod readiness;
mod recv;
mod recv_from;
mod send;
mod shutdown;
mod timer;

use ec_unkind as _;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
