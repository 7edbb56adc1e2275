//! The task-locals of one task, or of one thread; `local.rs` has the keys.

#![allow(unsafe_code)]

use std::any::TypeId;
use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::ptr;

use crate::util::foreign::drop_quietly;
use crate::util::room;

/// The value has been dropped already, because the task is ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task-local has been dropped already")
    }
}

impl std::error::Error for AccessError {}

/// The address of a `LocalKey`, and its type.
pub(crate) type Key = (*const (), TypeId);

struct Entry {
    key: Key,
    /// Null: dropped already.
    value: *mut (),
    drop: unsafe fn(*mut ()),
}

/// The values of one task or thread, in the order in which they were made.
pub(crate) struct Locals {
    entries: UnsafeCell<Vec<Entry>>,
    closed: Cell<bool>,
}

impl Locals {
    pub(crate) const fn new() -> Self {
        Locals { entries: UnsafeCell::new(Vec::new()), closed: Cell::new(false) }
    }

    /// # Safety
    /// On the task (or thread) whose list it is.
    pub(crate) unsafe fn find(&self, key: Key) -> Result<Option<*mut ()>, AccessError> {
        // SAFETY: one task at a time, and no borrow of the list outlives these functions.
        match unsafe { &*self.entries.get() }.iter().find(|entry| entry.key == key) {
            Some(entry) if entry.value.is_null() => Err(AccessError),
            Some(entry) => Ok(Some(entry.value)),
            None if self.closed.get() => Err(AccessError),
            None => Ok(None),
        }
    }

    /// # Safety
    /// As for `find`.
    pub(crate) unsafe fn add<T>(&self, key: Key, value: Box<T>) -> *mut () {
        unsafe fn drop_value<T>(value: *mut ()) {
            // SAFETY: it came from this very `Box`, and is dropped once.
            drop_quietly(unsafe { Box::from_raw(value.cast::<T>()) });
        }
        let value = Box::into_raw(value).cast();
        // SAFETY: as in `find`. It does not grow: the caller has made room.
        unsafe { &mut *self.entries.get() }.push(Entry { key, value, drop: drop_value::<T> });
        value
    }

    /// Makes room for one more. The list is not borrowed while an allocator is called, which may use task-locals itself.
    ///
    /// # Safety
    /// As for `find`.
    pub(crate) unsafe fn make_room(&self) {
        loop {
            // SAFETY: as in `find`.
            let length = match unsafe { &*self.entries.get() } {
                entries if entries.len() < entries.capacity() => return,
                entries => entries.len(),
            };
            let mut larger = Vec::with_capacity((2 * length).max(4));
            // SAFETY: as in `find`. What has been replaced is dropped afterwards.
            room::replace(unsafe { &mut *self.entries.get() }, &mut larger);
        }
    }

    /// Drops the values, latest first, also those that their destructors make; there are no more afterwards. False: there was none. On
    /// the task.
    pub(crate) fn clear(&self) -> bool {
        let any = self.drop_values();
        self.closed.set(true);
        any
    }

    /// Drops the values, latest first, also those that their destructors make. On the task.
    pub(crate) fn drop_values(&self) -> bool {
        let mut any = false;
        // SAFETY: on the task; the list is not borrowed while a destructor runs.
        unsafe {
            while let Some((value, drop)) = (*self.entries.get())
                .iter_mut()
                .rfind(|entry| !entry.value.is_null())
                .map(|entry| (std::mem::replace(&mut entry.value, ptr::null_mut()), entry.drop))
            {
                drop(value);
                any = true;
            }
            let entries = std::mem::take(&mut *self.entries.get());
            // Not while the list is borrowed, as above.
            drop(entries);
        }
        any
    }
}
