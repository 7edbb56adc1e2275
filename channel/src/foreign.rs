//! Log lines that cannot hurt the code that writes them.
//!
//! A logger is the program's code. It may panic. It may also block, and it may call this channel. So it is called with
//! no lock held, like all foreign code.

/// `quietly!(warn, "..", ..)` is `log::warn!("..", ..)`, and a panic of the logger does not come out.
macro_rules! quietly {
    ($level:ident, $($line:tt)+) => {
        $crate::foreign::call(|| log::$level!($($line)+))
    };
}
pub(crate) use quietly;

/// Calls foreign code. False: it has panicked.
pub(crate) fn call(f: impl FnOnce()) -> bool {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)) {
        Ok(()) => true,
        Err(payload) => {
            // Its destructor might panic in turn.
            std::mem::forget(payload);
            false
        }
    }
}
