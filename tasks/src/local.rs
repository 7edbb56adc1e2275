//! Task-locals: values that belong to the task, wherever it runs.
//!
//! Each task (and each plain thread) has a short list of the values it has made. The list is searched by the key's
//! address and type.
//!
//! At the end the values are dropped on the task itself, latest first. Among its thread-locals they stand where the
//! task first used a task-local:
//!
//! ```text
//!  first used:   thread-local A  ->  a task-local   ->  thread-local B
//!  dropped:      thread-local B  ->  all task-locals -> thread-local A
//! ```

#![allow(unsafe_code)]

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::ptr;

use crate::task::locals::{AccessError, Locals};
use crate::wait::running;

/// Declares task-locals, as [`std::thread_local!`] declares thread-locals.
///
/// In a task a key refers to the task's own value, in a plain thread to the thread's. It is made
/// when first used and dropped when the task ends, on the task, latest first.
///
/// ```
/// use std::cell::Cell;
/// ec_tasks::task_local! {
///     static DEPTH: Cell<u32> = const { Cell::new(0) };
///     /// Attributes and visibility are allowed.
///     pub static NAME: String = "nobody".to_owned();
/// }
/// DEPTH.set(DEPTH.get() + 1);
/// assert_eq!(DEPTH.get(), 1);
/// assert_eq!(NAME.with(|name| name.len()), 6);
/// ```
#[macro_export]
macro_rules! task_local {
    () => {};
    ($(#[$attr:meta])* $vis:vis static $name:ident : $t:ty = $init:expr; $($rest:tt)*) => {
        $(#[$attr])* $vis static $name: $crate::LocalKey<$t> = {
            fn init() -> $t { $init }
            $crate::LocalKey::new(init)
        };
        $crate::task_local!($($rest)*);
    };
    ($(#[$attr:meta])* $vis:vis static $name:ident : $t:ty = $init:expr) => {
        $crate::task_local!($(#[$attr])* $vis static $name: $t = $init;);
    };
}

/// A key of [`task_local!`]: [`std::thread::LocalKey`] for tasks.
pub struct LocalKey<T: 'static> {
    init: fn() -> T,
}

impl<T: 'static> LocalKey<T> {
    /// For `task_local!` alone.
    #[doc(hidden)]
    pub const fn new(init: fn() -> T) -> Self {
        LocalKey { init }
    }

    /// Calls `f` with the current task's value, which is made if there is none yet.
    ///
    /// # Panics
    /// If the value is just being dropped, or the task (or thread) is past dropping its own. (In a destructor of a thread-local that
    /// was used first earlier a task's begins anew.)
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.try_with(f).expect("a task-local was used after it had been dropped")
    }

    /// As [`LocalKey::with`], with an error if the value has been dropped already.
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, AccessError> {
        let locals = locals().ok_or(AccessError)?;
        // SAFETY: the current task's list, or this plain thread's: it outlives this call, which
        // runs on that task, also if `f` or `init` suspends. The value has its own place on the
        // heap and stays there until the end of the task: its closure has returned then, and what was first used later has been
        // dropped (as with a thread-local); the one being dropped is not found any more. Key and type together say that it is a `T`.
        unsafe {
            let locals = &*locals;
            let key = (ptr::from_ref(self).cast::<()>(), TypeId::of::<T>());
            let value = match locals.find(key)? {
                Some(value) => value,
                None => {
                    let made = Box::new((self.init)());
                    locals.make_room();
                    go_with_thread_locals();
                    // It may have been made meanwhile, by `init` itself or by an allocator: that one is in use.
                    match locals.find(key)? {
                        Some(value) => value,
                        None => locals.add(key, made),
                    }
                }
            };
            Ok(f(&*value.cast::<T>()))
        }
    }
}

impl<T: 'static> LocalKey<Cell<T>> {
    /// Sets the value.
    pub fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    /// A copy of the value.
    pub fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    /// Takes the value and leaves the default.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(Cell::take)
    }

    /// Sets the value and gives the old one.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> LocalKey<RefCell<T>> {
    /// Calls `f` with the borrowed value. Panics if it is mutably borrowed.
    pub fn with_borrow<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        self.with(|cell| f(&cell.borrow()))
    }

    /// Calls `f` with the mutably borrowed value. Panics if it is borrowed.
    pub fn with_borrow_mut<R>(&'static self, f: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| f(&mut cell.borrow_mut()))
    }

    /// Sets the value. Panics if it is borrowed.
    pub fn set(&'static self, value: T) {
        self.replace(value);
    }

    /// Takes the value and leaves the default. Panics if it is borrowed.
    pub fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    /// Sets the value and gives the old one. Panics if it is borrowed.
    pub fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKey").finish_non_exhaustive()
    }
}

fn locals() -> Option<*const Locals> {
    match running() {
        // SAFETY: the task that runs here.
        Some(header) => Some(unsafe { &raw const (*header.as_ptr()).continuation.locals }),
        None => of_thread(),
    }
}

thread_local! {
    static WITH_THREAD_LOCALS: WithThreadLocals = const { WithThreadLocals };
}

/// Among the thread-locals of a task that has such of its own: drops its task-locals in turn.
struct WithThreadLocals;

impl Drop for WithThreadLocals {
    fn drop(&mut self) {
        if let Some(header) = running() {
            // SAFETY: the task that runs here.
            unsafe { header.as_ref() }.continuation.locals.drop_values();
        }
    }
}

/// The caller has task-locals: if it is a task with thread-locals of its own, or with a thread, they are dropped before what it has used
/// first earlier, and after what it uses first later, as its thread-locals are.
#[inline(never)]
fn go_with_thread_locals() {
    // SAFETY: the task that runs here.
    if running().is_some_and(|header| unsafe { header.as_ref() }.has_thread_locals()) {
        // (Not at the very end: then `clear` drops them.)
        let _ = WITH_THREAD_LOCALS.try_with(|_| ());
    }
}

thread_local! {
    /// The plain thread's list, reachable also while its destructors run.
    static PLAIN: Cell<*const Locals> = const { Cell::new(ptr::null()) };
    static END: End = const { End };
}

struct End;

impl Drop for End {
    fn drop(&mut self) {
        let list = PLAIN.get();
        if !list.is_null() {
            // SAFETY: made below by `Box::into_raw`; the thread ends, and nobody finds the list
            // after this but through `PLAIN`.
            unsafe {
                (*list).clear();
                PLAIN.set(ptr::null());
                drop(Box::from_raw(list.cast_mut()));
            }
        }
    }
}

/// The list of this thread, unless the thread is past dropping it.
#[inline(never)]
fn of_thread() -> Option<*const Locals> {
    if PLAIN.get().is_null() {
        END.try_with(|_| {
            let list = Box::new(Locals::new());
            // (An allocator may have been here in between.)
            if PLAIN.get().is_null() {
                PLAIN.set(Box::into_raw(list));
            }
        })
        .ok()?;
    }
    Some(PLAIN.get())
}
