//! Calling a user's code where no panic may come out of it.
//!
//! The payload of a panic is a user's value too: its destructor may panic in turn. So nobody drops one that
//! `catch_unwind` gave him: it goes through here.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `f`; `None` if it has panicked. Nothing unwinds out of here, also not out of the payload's destructor.
///
/// ```
/// assert_eq!(ec_tasks::catch_quietly(|| 7), Some(7));
/// assert_eq!(ec_tasks::catch_quietly(|| -> u8 { panic!("on purpose") }), None);
/// ```
pub fn catch_quietly<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).map_err(drop_quietly::<Box<dyn Any + Send>>).ok()
}

/// Drops a user's value; a panic of its destructor does not come out.
pub fn drop_quietly<V>(value: V) {
    let caught = catch_unwind(AssertUnwindSafe(move || drop(value)));
    // The payload's own destructor might panic in turn, and so on: here it ends.
    std::mem::forget(caught);
}
