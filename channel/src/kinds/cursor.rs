//! Who moves a file's cursor.
//!
//! A call that waits moves it at a moment of its own. So who looks by a position whether a read at the cursor will come to all that it asks
//! for, and then reads there, has to be alone with that: else the cursor is elsewhere by then. (Those who move it otherwise than by
//! requests, other processes among them, can make a read short. Nobody loses a byte.)

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Which of them is for a file depends on its inode, which is the same however often it is open.
static CURSORS: [RwLock<()>; 64] = [const { RwLock::new(()) }; 64];

fn of(inode: u64) -> &'static RwLock<()> {
    &CURSORS[(inode % CURSORS.len() as u64) as usize]
}

/// For a call that may wait: there may be others.
pub(super) fn moves(inode: u64) -> RwLockReadGuard<'static, ()> {
    of(inode).read().unwrap_or_else(PoisonError::into_inner)
}

/// For one that does not. `None`: others are at it.
pub(super) fn moves_alone(inode: u64) -> Option<RwLockWriteGuard<'static, ()>> {
    of(inode).try_write().ok()
}
