//! The files under test, under the paths that they have in the crate.

pub(crate) mod base;
pub(crate) mod channel;
pub(crate) mod oneshot;
