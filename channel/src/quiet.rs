//! Log lines that cannot hurt who writes them. A logger is code of the program's: it may panic. It may also block, and call this channel,
//! so it is called with no lock held, as all foreign code.

/// `quietly!(warn, "..", ..)` is `log::warn!("..", ..)`, and a panic of the logger does not come out.
macro_rules! quietly {
    ($level:ident, $($line:tt)+) => {
        $crate::quiet::call(|| log::$level!($($line)+))
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
