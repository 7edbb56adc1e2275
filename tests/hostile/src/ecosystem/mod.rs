//! Libraries of the Rust world that keep something in thread-locals, used as their manuals say.

use crate::check::Check;

/// Every check of this part.
pub const CHECKS: &[&[Check]] = &[];
