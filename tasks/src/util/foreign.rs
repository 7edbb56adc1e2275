//! Calling a user's code where no panic may come out of it.
//!
//! The payload of a panic is a user's value too: its destructor may panic in turn. So nobody drops a payload that
//! `catch_unwind` gave: it goes through here.

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

/// As a macro of `log`'s (`quietly_log!(warn, "..")`): a logger is a user's code, so a panic of its does not come out. It may also spawn,
/// suspend or block: not to be used with a lock held, nor where a task must not go on elsewhere.
#[doc(hidden)]
#[macro_export]
macro_rules! quietly_log {
    ($level:ident, $($words:tt)+) => {
        _ = $crate::catch_quietly(|| $crate::log::$level!($($words)+))
    };
}

/// Drops a user's value; a panic of its destructor does not come out.
pub fn drop_quietly<V>(value: V) {
    let caught = catch_unwind(AssertUnwindSafe(move || drop(value)));
    // The payload's own destructor might panic in turn, and so on: here it ends.
    std::mem::forget(caught);
}
