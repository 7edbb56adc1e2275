//! Collections under a lock. Nothing is allocated under the lock when something is put in: an allocator is the
//! program's code. Room is made outside and swapped in under the lock. What it replaces is dropped outside.

use super::lock::{ForkMutex, Forked, Mutex, MutexGuard};
use std::collections::{HashMap, TryReserveError, VecDeque};
use std::hash::Hash;
use std::mem;

/// A collection that [`lock_with_room`] can make room in.
#[doc(hidden)]
pub trait Room: Sized {
    /// Empty, with room for so many.
    ///
    /// # Errors
    /// Without memory.
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError>;
    /// How many are in it, and for how many there is room.
    fn filled(&self) -> (usize, usize);
    /// Takes over what is in `other`, for which there is room.
    fn take_over(&mut self, other: &mut Self);
}

impl<T> Room for Vec<T> {
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        let mut empty = Vec::new();
        empty.try_reserve(count)?;
        Ok(empty)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.append(other);
    }
}

impl<T> Room for VecDeque<T> {
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        let mut empty = VecDeque::new();
        empty.try_reserve(count)?;
        Ok(empty)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.append(other);
    }
}

impl<K: Eq + Hash, V> Room for HashMap<K, V> {
    fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        let mut empty = HashMap::new();
        empty.try_reserve(count)?;
        Ok(empty)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.extend(other.drain());
    }
}

/// Empty, with room for so many.
///
/// # Panics
/// Without memory.
#[doc(hidden)]
pub fn empty<C: Room>(count: usize) -> C {
    C::try_with_room_for(count).expect("no memory for a list")
}

/// Puts what is in `small` into `larger`, if that has more room, and that in its place. What is left in `larger` has no elements: to
/// be dropped without the lock.
#[doc(hidden)]
pub fn replace<C: Room>(small: &mut C, larger: &mut C) {
    if small.filled().1 < larger.filled().1 {
        larger.take_over(small);
        mem::swap(small, larger);
    }
}

/// A lock of either kind.
#[doc(hidden)]
pub trait Locks {
    /// What is in it.
    type Inside;

    /// Waits for it.
    fn locked(&self) -> MutexGuard<'_, Self::Inside>;
}

impl<T> Locks for Mutex<T> {
    type Inside = T;

    #[inline]
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock()
    }
}

impl<T: Forked> Locks for ForkMutex<T> {
    type Inside = T;

    #[inline]
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock()
    }
}

/// Locks `mutex` at a moment when the collection that `of` finds in it has room for one more at least.
///
/// # Panics
/// Without memory.
#[doc(hidden)]
#[inline]
pub fn lock_with_room<M: Locks, C: Room>(
    mutex: &M,
    of: impl Fn(&mut M::Inside) -> &mut C,
) -> MutexGuard<'_, M::Inside> {
    loop {
        let mut guard = mutex.locked();
        let (len, room) = of(&mut guard).filled();
        if len < room {
            return guard;
        }
        drop(guard);
        enlarge(mutex, &of, len);
    }
}

#[cold]
fn enlarge<M: Locks, C: Room>(mutex: &M, of: impl Fn(&mut M::Inside) -> &mut C, len: usize) {
    let mut larger: C = empty(2 * len.max(4));
    // (Others may have been here meanwhile.)
    replace(of(&mut mutex.locked()), &mut larger);
}

/// What `each` makes of all that `mutex` holds in the collection that `of` finds, as a list: its memory is allocated without the
/// lock.
#[doc(hidden)]
pub fn list_of<M: Locks, I, R>(
    mutex: &M,
    of: impl Fn(&mut M::Inside) -> &mut Vec<I>,
    each: impl Fn(&mut I) -> Option<R>,
) -> Vec<R> {
    let mut list = Vec::new();
    loop {
        let mut guard = mutex.locked();
        let all = of(&mut guard);
        if all.len() <= list.capacity() {
            list.extend(all.iter_mut().filter_map(&each));
            return list;
        }
        let wanted = all.len() + 4;
        drop(guard);
        list = Vec::with_capacity(wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill<C: Room>(put: impl Fn(&mut C, usize)) -> C {
        let mutex = Mutex::new(empty::<C>(0));
        for number in 0..1000 {
            let mut guard = lock_with_room(&mutex, |all| all);
            let (len, room) = guard.filled();
            assert!(len == number && room > len);
            put(&mut guard, number);
            assert_eq!(guard.filled().1, room, "it has grown under the lock");
        }
        mutex.into_inner()
    }

    #[test]
    fn what_is_put_in_stays_in_and_finds_room() {
        assert!(fill::<Vec<usize>>(|all, number| all.push(number)).into_iter().eq(0..1000));
        assert!(fill::<VecDeque<usize>>(|all, number| all.push_back(number)).into_iter().eq(0..1000));
        let map = fill::<HashMap<usize, usize>>(|all, number| assert!(all.insert(number, number).is_none()));
        assert!((0..1000).all(|number| map[&number] == number));
    }

    /// Entries that are removed leave marks behind, which count as room that is taken.
    #[test]
    fn a_map_has_room_also_when_entries_come_and_go() {
        let mutex = Mutex::new(HashMap::new());
        for number in 0..10_000usize {
            let mut guard = lock_with_room(&mutex, |all: &mut HashMap<_, _>| all);
            let (_, room) = guard.filled();
            guard.insert(number, ());
            // (One more where an entry was removed. A larger map would have room for twice as many.)
            assert!(guard.filled().1 <= room + 1, "it has grown under the lock");
            if number >= 50 {
                guard.remove(&(number - 50));
            }
        }
        assert_eq!(mutex.into_inner().len(), 50);
    }

    #[test]
    fn a_list_is_not_replaced_by_a_smaller_one() {
        let mut list = Vec::with_capacity(100);
        list.push(7);
        replace(&mut list, &mut empty(10));
        assert_eq!((list.capacity(), &list[..]), (100, &[7][..]));
    }

    #[test]
    fn a_list_holds_what_was_wanted() {
        let mutex = Mutex::new((0..10).collect());
        assert_eq!(list_of(&mutex, |all| all, |n: &mut u32| n.is_multiple_of(3).then_some(*n)), [0, 3, 6, 9]);
    }
}
