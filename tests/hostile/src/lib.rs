//! The frame of the hostile suite: what its programs share.

pub mod check;
pub mod product;
pub mod support;
