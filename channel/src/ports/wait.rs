//! How long a pass may take.

use std::time::Duration;

/// How long [`Serving::drive`](crate::Serving::drive) may block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    No,
    /// At most so long.
    For(Duration),
    /// Until something happens.
    Forever,
}
