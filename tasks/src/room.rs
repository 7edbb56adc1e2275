//! Lists under a lock that never grow under it: memory is asked for, and given back, by an allocator, which is somebody's code and
//! may spawn and wake tasks.

use std::collections::TryReserveError;
use std::mem;

use crate::lock::{Mutex, MutexGuard};

/// An empty list with room for at least so many.
pub(crate) fn empty<T>(count: usize) -> Result<Vec<T>, TryReserveError> {
    let mut list = Vec::new();
    list.try_reserve_exact(count.next_power_of_two().max(16))?;
    Ok(list)
}

/// Puts what is in `list` into `larger`, if that is larger, and that in its place. What is left in `larger` has no elements: to be dropped
/// without the lock.
pub(crate) fn replace<T>(list: &mut Vec<T>, larger: &mut Vec<T>) {
    if larger.capacity() > list.capacity() {
        larger.append(list);
        mem::swap(list, larger);
    }
}

/// Locks the list at a moment when there is room for one more.
///
/// # Panics
/// Without memory.
pub(crate) fn lock_with_room<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    loop {
        let locked = list.lock();
        let length = locked.len();
        if length < locked.capacity() {
            return locked;
        }
        drop(locked);
        let mut larger = empty(length + 1).expect("no memory for a list");
        replace(&mut list.lock(), &mut larger);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_stays_in_and_finds_room() {
        let list = Mutex::new(Vec::new());
        for number in 0..1000 {
            let mut locked = lock_with_room(&list);
            let room = locked.capacity();
            locked.push(number);
            assert_eq!(locked.capacity(), room, "it has grown under the lock");
        }
        assert!(list.into_inner().into_iter().eq(0..1000));
    }

    #[test]
    fn a_list_is_not_replaced_by_a_smaller_one() {
        let mut list = Vec::with_capacity(100);
        list.push(7);
        let mut smaller = empty(10).unwrap();
        replace(&mut list, &mut smaller);
        assert_eq!((list.capacity(), &list[..]), (100, &[7][..]));
    }
}
