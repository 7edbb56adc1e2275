//! Collections under a lock, into which something is put without an allocation under the lock: an allocator is code of the
//! program's. Room is made outside, swapped in under the lock, and what it replaces is dropped outside.

use ec_tasks::lock::{Mutex, MutexGuard};
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A collection that [`lock_with_room`] can make room in.
#[doc(hidden)]
pub trait Room: Sized {
    /// Empty, with room for so many.
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

impl<T> Room for VecDeque<T> {
    fn with_room_for(count: usize) -> Self {
        VecDeque::with_capacity(count)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.append(other);
    }
}

impl<K: Eq + Hash, V> Room for HashMap<K, V> {
    fn with_room_for(count: usize) -> Self {
        HashMap::with_capacity(count)
    }

    fn filled(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn take_over(&mut self, other: &mut Self) {
        self.extend(other.drain());
    }
}

/// Locks `mutex` at a moment when the collection that `of` finds in it has room for one more at least.
#[doc(hidden)]
pub fn lock_with_room<T, C: Room>(mutex: &Mutex<T>, of: impl Fn(&mut T) -> &mut C) -> MutexGuard<'_, T> {
    let mut guard = mutex.lock();
    loop {
        let (len, room) = of(&mut guard).filled();
        if len < room {
            return guard;
        }
        drop(guard);
        let mut other = C::with_room_for(2 * len.max(4));
        guard = mutex.lock();
        let small = of(&mut guard);
        // (Others may have been here meanwhile.)
        if small.filled().0 < other.filled().1 {
            other.take_over(small);
            std::mem::swap(small, &mut other);
        }
        drop(guard);
        drop(other);
        guard = mutex.lock();
    }
}

/// What `each` makes of all that `mutex` holds in the collection that `of` finds, as a list: its memory is allocated without the
/// lock.
#[doc(hidden)]
pub fn list_of<T, I, R>(
    mutex: &Mutex<T>,
    of: impl Fn(&mut T) -> &mut Vec<I>,
    each: impl Fn(&mut I) -> Option<R>,
) -> Vec<R> {
    let mut list = Vec::new();
    loop {
        let mut guard = mutex.lock();
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
        let mutex = Mutex::new(C::with_room_for(0));
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
        let mutex = Mutex::new(HashMap::with_room_for(0));
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
    fn a_list_holds_what_was_wanted() {
        let mutex = Mutex::new((0..10).collect());
        assert_eq!(list_of(&mutex, |all| all, |n: &mut u32| n.is_multiple_of(3).then_some(*n)), [0, 3, 6, 9]);
    }
}
