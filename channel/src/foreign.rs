//! Log lines that cannot hurt the code that writes them.
//!
//! A logger is the program's code. It may panic. It may also block, and it may call this channel. So it is called with
//! no lock held, like all foreign code. It may fork, too: the child goes on where its parent does, and lets go of nothing.

use crate::fork;

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

/// Drops these in turn, each of which may panic. If one forks, the child drops none of the rest: they are its parent's.
macro_rules! let_go {
    ($($held:expr),+) => {{
        let was_child = $crate::fork::is_child();
        $($crate::foreign::let_go_unless(was_child, $held);)+
    }};
}
pub(crate) use let_go;

/// See [`let_go!`].
pub(crate) fn let_go_unless<T>(was_child: bool, held: T) {
    if was_child == fork::is_child() {
        call(move || drop(held));
    } else {
        std::mem::forget(held);
    }
}
