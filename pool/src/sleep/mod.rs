//! Who sleeps, who searches, and what a worker does before it sleeps.

pub(crate) mod conversation;
pub(crate) mod idle;
mod payoff;
pub(crate) mod policy;
mod poll_interval;
mod tuning;
