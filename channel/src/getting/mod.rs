//! Who gets what is complete: those who wait, handlers, or a pool that drives the ports in their stead.

mod get;
pub(crate) mod handler;
pub(crate) mod internal;
mod lead;
pub(crate) mod listed;
pub(crate) mod seats;
pub(crate) mod serve;
pub(crate) mod shared;
pub(crate) mod tally;
pub(crate) mod user_data;
pub(crate) mod waiting;
