//! Log lines that cannot hurt who writes them. A logger is code of the program's: it may panic.

/// `quietly!(warn, "..", ..)` is `log::warn!("..", ..)`, and a panic of the logger does not come out. With no lock held, as every
/// call of foreign code. It may block and suspend: what must not goes to the pool's notifier.
#[doc(hidden)]
pub use ec_tasks::quietly_log as quietly;
