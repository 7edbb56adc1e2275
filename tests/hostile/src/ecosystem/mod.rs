//! Libraries of the Rust world that keep something in thread-locals, used as their manuals say.

use crate::check::Check;

mod caches;
mod epoch;
mod locks;
mod pools;
mod random;
mod spans;

/// Every check of this part.
pub const CHECKS: &[&[Check]] =
    &[random::CHECKS, spans::CHECKS, locks::CHECKS, epoch::CHECKS, pools::CHECKS, caches::CHECKS];
