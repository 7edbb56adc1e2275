//! How a task waits, and how it is woken.
//!
//! 1. It announces what it waits for ([`begin_wait`]), so that others can see that, and cancel it.
//! 2. It says which tokens end the wait, and [suspends](suspend()).
//! 3. Its worker parks it (`task/park_word.rs`) when the switch is complete.
//! 4. A waker leaves a token (`wake.rs`), and schedules it again.

mod announce;
mod cancel;
mod current;
mod follow;
pub(crate) mod section;
mod suspend;
mod wake;

pub use announce::{begin_wait, end_wait};
pub use cancel::{cancel_pending, take_cancel, was_cancelled};
pub(crate) use current::running;
pub use current::{
    current, current_context, is_left_alone, is_on_thread_of_task, own_stack, with_current, with_scope_cell,
};
pub use follow::Follows;
pub use section::{GROUPS, Interrupter, Stay, enter_section, in_section, set_interrupter};
pub use suspend::{park, suspend, suspend_for_op, suspend_for_op_until, yield_now};
pub use wake::wake_raw;
