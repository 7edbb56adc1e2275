//! What a task is: one record, in which each part has a file.
//!
//! ```text
//!   Header ---+-- ParkWord, Tokens     where the task and its wakers meet
//!             +-- WaitSlot, CancelFlags    what it waits for, and whether it is to stop
//!             +-- Continuation         its stack, its thread-locals, the switch
//!             +-- Scheduler            who runs it
//!             +-- JoinWord             its end, as its handle sees it
//!             +-- Links                its place among all tasks (registry)
//!             +-- Followers            the groups that are cancelled with it
//!   Member                             its place in its group, if it has one (group.rs)
//!   closure, or result                 (life/cell.rs)
//! ```

mod cancel_flags;
mod continuation;
mod followers;
mod group;
mod header;
mod id;
mod join_word;
mod kind;
pub(crate) mod locals;
mod memory;
mod park_word;
mod parker;
pub(crate) mod registry;
mod scheduler;
mod sync;
mod tokens;
mod wait_slot;

pub(crate) use continuation::Step;
pub(crate) use followers::{Chain, Follower};
pub use group::Group;
pub(crate) use group::{Member, Membership, Waiter as GroupWaiter, member_of};
pub(crate) use header::{FINISHED, Header, Joiner, READY, RUNNING, Vtable, drop_ref};
pub use header::{Task, Watcher};
pub(crate) use id::AT_A_TIME as IDS_AT_A_TIME;
pub use id::TaskId;
pub(crate) use join_word::JoinWord;
pub use kind::Kind;
pub(crate) use memory::{Memory, MemoryCache, Size};
pub(crate) use parker::Parker;
pub use scheduler::{Outcome, Runnable, Scheduler};
pub use tokens::Tokens;
pub use wait_slot::{CancelWait, WaitKind};
