//! The two faces of an event, before and after, and what all kinds have in common.

pub(crate) mod body;
pub(crate) mod event;
pub(crate) mod inside;
pub(crate) mod request;
pub(crate) mod source;
pub(crate) mod stream;
