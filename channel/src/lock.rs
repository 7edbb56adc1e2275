//! The channel's locks: futexes, std's algorithm without its poison.
//!
//! They are not parking_lot's: those would call the allocator, which is the program's, with a table of theirs locked.
//!
//! A debug build counts the locks that are held, so that foreign code under one is found out: [`lock_held`].

use rustix_futex_sync as futex;

#[cfg(debug_assertions)]
thread_local! {
    static HELD: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// Which kind of place the caller is in where no foreign code may run: under a lock of the channel's. `None`: in none, or in a release
/// build.
#[doc(hidden)]
#[inline]
pub fn lock_held() -> Option<&'static str> {
    #[cfg(debug_assertions)]
    return (HELD.get() > 0).then_some("a lock of the channel's");
    #[cfg(not(debug_assertions))]
    None
}

/// While this lives the thread counts as one that holds a lock.
struct Held(std::marker::PhantomData<*mut ()>);

impl Held {
    #[inline]
    fn new() -> Held {
        #[cfg(debug_assertions)]
        HELD.set(HELD.get() + 1);
        Held(std::marker::PhantomData)
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
    }
}

/// A lock; see the module. A panic while it is held does not matter to the next one.
#[derive(Default)]
pub(crate) struct Mutex<T>(futex::Mutex<T>);

/// The lock is held as long as this lives.
#[must_use = "the lock is held as long as this lives"]
pub(crate) struct MutexGuard<'a, T> {
    // (In this order: the lock is free before the thread counts as holding none.)
    guard: futex::MutexGuard<'a, T>,
    _held: Held,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(futex::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { guard: self.0.lock(), _held: Held::new() }
    }
}

impl<T> std::ops::Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A [`TryLock`] is held as long as this lives.
pub(crate) type TryLockGuard<'a, T> = futex::MutexGuard<'a, T>;

/// A lock for which nobody ever waits, so that what runs under it holds up nobody: who finds it taken goes elsewhere.
pub(crate) struct TryLock<T>(futex::Mutex<T>);

impl<T> TryLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        TryLock(futex::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<TryLockGuard<'_, T>> {
        self.0.try_lock()
    }
}

/// A collection in which room is made without the lock that it lies under: an allocator is foreign code.
pub(crate) trait Room: Sized {
    fn with_room_for(count: usize) -> Self;
    /// How many are in it, and for how many there is room.
    fn filled(&self) -> (usize, usize);
    /// Takes over what is in `other`, for which there is room.
    fn take_over(&mut self, other: &mut Self);
}

impl<T> Room for Vec<T> {
    fn with_room_for(count: usize) -> Self {
        Vec::with_capacity(count)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.append(other);
    }
}

impl<T> Room for std::collections::VecDeque<T> {
    fn with_room_for(count: usize) -> Self {
        std::collections::VecDeque::with_capacity(count)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.append(other);
    }
}

/// Makes room for `more` in the collection that `of` finds under the lock, if there is not enough: enlarges it outside.
/// Another thread may take the room again meanwhile.
#[cold]
pub(crate) fn make_room<T, C: Room>(mutex: &Mutex<T>, of: impl Fn(&mut T) -> &mut C, more: usize) {
    let (len, room) = of(&mut mutex.lock()).filled();
    if room - len >= more {
        return;
    }
    let mut larger = C::with_room_for((2 * len).max(len + more).max(8));
    let mut guard = mutex.lock();
    let small = of(&mut guard);
    if small.filled().1 < larger.filled().1 {
        larger.take_over(small);
        std::mem::swap(small, &mut larger);
    }
    drop(guard);
}

/// Is there room for `more`?
#[inline]
pub(crate) fn has_room(collection: &impl Room, more: usize) -> bool {
    let (len, room) = collection.filled();
    room - len >= more
}
