//! The reasons for which a wait may end.

use std::ops::BitOr;

/// Why a wait may end: what a waker leaves at a task, and what the task accepts.
///
/// Several kinds of waker race safely on one word of the task: a token that the task does not
/// wait for now stays until it does.
///
/// ```
/// use ec_tasks::Tokens;
/// let accept = Tokens::OP | Tokens::SYNC;
/// assert!(accept.contains(Tokens::OP) && !accept.contains(Tokens::PARK));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tokens(u32);

impl Tokens {
    /// None at all.
    pub const NONE: Tokens = Tokens(0);
    /// An operation has completed. It has exactly one waker, and the task waits until it comes (by
    /// [`suspend_for_op`](crate::suspend_for_op)).
    pub const OP: Tokens = Tokens(1);
    /// The token of [`park`](crate::park) and [`Task::unpark`](crate::Task::unpark).
    pub const PARK: Tokens = Tokens(2);
    /// Look again: the waiter loops on a condition of its own and does not mind one too many.
    pub const SYNC: Tokens = Tokens(4);

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Self {
        Tokens(bits)
    }

    /// Whether all of `other` are among these.
    pub const fn contains(self, other: Tokens) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These but for `other`.
    pub const fn without(self, other: Tokens) -> Tokens {
        Tokens(self.0 & !other.0)
    }
}

impl BitOr for Tokens {
    type Output = Tokens;

    fn bitor(self, other: Tokens) -> Tokens {
        Tokens(self.0 | other.0)
    }
}
