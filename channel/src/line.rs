//! A queue that one leaves from anywhere.
//!
//! Each step takes the same time, however many wait. Memory is allocated in [`Line::try_with_room_for`] only. It is called without
//! the lock that the queue lies under, and [`Line::take_over`] brings over, under the lock, who waits.

use crate::lock::Room;
use std::collections::TryReserveError;

/// Where one stands, from [`Line::join`] to [`Line::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

const NONE: u32 = u32::MAX;

struct Node<T> {
    /// `None`: the place is free.
    item: Option<T>,
    queued: bool,
    before: u32,
    /// In a free place: the next free one.
    behind: u32,
}

/// See the module. One who is [called](Self::call) stands in the queue no longer, and has a place until he leaves.
pub struct Line<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    first: u32,
    last: u32,
    queued: usize,
    called: usize,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Line::new()
    }
}

impl<T> Line<T> {
    /// Empty, without room.
    pub const fn new() -> Self {
        Line { nodes: Vec::new(), free: NONE, first: NONE, last: NONE, queued: 0, called: 0 }
    }

    /// How many stand in the queue.
    #[inline]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// How many were called, and have not left yet.
    #[inline]
    pub fn called(&self) -> usize {
        self.called
    }

    /// The first in the queue.
    #[inline]
    pub fn first(&self) -> Option<(Place, &T)> {
        let item = self.nodes.get(self.first as usize)?.item.as_ref()?;
        Some((Place(self.first), item))
    }

    /// Who has this place.
    pub fn get(&self, place: Place) -> Option<&T> {
        self.nodes.get(place.0 as usize)?.item.as_ref()
    }

    /// Those in the queue, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            next = node.behind;
            node.item.as_ref()
        })
    }

    /// Who has this place.
    pub fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.nodes.get_mut(place.0 as usize)?.item.as_mut()
    }

    /// For each of those in the queue, in their order.
    pub fn for_each_mut(&mut self, mut f: impl FnMut(&mut T)) {
        let mut next = self.first;
        while let Some(node) = self.nodes.get_mut(next as usize) {
            next = node.behind;
            node.item.iter_mut().for_each(&mut f);
        }
    }

    /// The first in the queue who is as `wanted` says.
    pub fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<Place> {
        let mut next = self.first;
        while let Some(node) = self.nodes.get(next as usize) {
            if node.item.as_ref().is_some_and(&wanted) {
                return Some(Place(next));
            }
            next = node.behind;
        }
        None
    }

    /// The first, in the order of places, who was called, has not left yet, and is as `wanted` says; but for those up to the place
    /// `after`.
    pub fn find_called(&self, after: Option<Place>, wanted: impl Fn(&T) -> bool) -> Option<Place> {
        let is_wanted = |node: &Node<T>| !node.queued && node.item.as_ref().is_some_and(&wanted);
        let begin = after.map_or(0, |place| place.0 as usize + 1);
        let found = self.nodes.get(begin..)?.iter().position(is_wanted)?;
        Some(Place((begin + found) as u32))
    }

    /// Joins the queue at its end. There must be room.
    pub fn join(&mut self, item: T) -> Place {
        let node = Node { item: Some(item), queued: true, before: self.last, behind: NONE };
        let place = match self.nodes.get_mut(self.free as usize) {
            Some(free) => {
                let place = self.free;
                self.free = free.behind;
                *free = node;
                place
            }
            None => {
                debug_assert!(self.nodes.len() < self.nodes.capacity(), "there is room");
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.behind = place,
            None => self.first = place,
        }
        self.last = place;
        self.queued += 1;
        Place(place)
    }

    /// He who stands there leaves the queue, and keeps the place.
    pub fn call(&mut self, place: Place) {
        let Some(node) = self.nodes.get_mut(place.0 as usize) else { return };
        if node.queued {
            node.queued = false;
            let (before, behind) = (node.before, node.behind);
            self.unlink(before, behind);
            self.called += 1;
        }
    }

    /// He who has this place leaves. The place is another's from then on.
    pub fn leave(&mut self, place: Place) -> Option<T> {
        let free = self.free;
        let node = self.nodes.get_mut(place.0 as usize)?;
        let item = node.item.take()?;
        let (queued, before, behind) = (node.queued, node.before, node.behind);
        node.behind = free;
        self.free = place.0;
        if queued {
            self.unlink(before, behind);
        } else {
            self.called -= 1;
        }
        Some(item)
    }

    /// As [`leave`](Self::leave), if it `is_it` who has this place. (He may have left, and the place may be another's.)
    pub fn leave_if(&mut self, place: Place, is_it: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.get(place).is_some_and(is_it) { self.leave(place) } else { None }
    }

    /// The first in the queue leaves.
    pub fn pop(&mut self) -> Option<T> {
        let (first, _) = self.first()?;
        self.leave(first)
    }

    #[inline]
    fn unlink(&mut self, before: u32, behind: u32) {
        match self.nodes.get_mut(before as usize) {
            Some(before) => before.behind = behind,
            None => self.first = behind,
        }
        match self.nodes.get_mut(behind as usize) {
            Some(behind) => behind.before = before,
            None => self.last = before,
        }
        self.queued -= 1;
    }

    /// Empty, with room for so many.
    ///
    /// # Errors
    /// Without memory.
    pub fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        let mut line = Line::new();
        line.nodes.try_reserve_exact(count)?;
        Ok(line)
    }

    /// How many places are taken, and how many there are.
    pub fn filled(&self) -> (usize, usize) {
        (self.queued + self.called, self.nodes.capacity())
    }

    /// Takes over all who have a place in `other`, for whom there is room, each with its place. This one is empty before, and `other`
    /// afterwards.
    pub fn take_over(&mut self, other: &mut Self) {
        debug_assert!(self.nodes.is_empty(), "the places are those of the other one");
        std::mem::swap(self, other);
        // (The memory is to stay this one's.)
        std::mem::swap(&mut self.nodes, &mut other.nodes);
        self.nodes.append(&mut other.nodes);
    }
}

impl<T> Room for Line<T> {
    fn with_room_for(count: usize) -> Self {
        Line::try_with_room_for(count).expect("no memory for those who wait")
    }

    fn filled(&self) -> (usize, usize) {
        Line::filled(self)
    }

    fn take_over(&mut self, other: &mut Self) {
        Line::take_over(self, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same steps, at random, as with a plain queue.
    #[test]
    fn it_is_as_a_plain_queue() {
        let mut seed = 7u32;
        let mut random = move |bound: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % bound
        };
        let mut line: Line<u32> = Line::with_room_for(4);
        let mut queued: Vec<(u32, Place)> = Vec::new();
        let mut called: Vec<(u32, Place)> = Vec::new();
        for number in 0..5_000 {
            match random(4) {
                0 if queued.len() + called.len() < 40 => {
                    let (used, room) = line.filled();
                    if used == room {
                        let mut larger = Line::with_room_for(2 * room);
                        larger.take_over(&mut line);
                        line = larger;
                    }
                    queued.push((number, line.join(number)));
                }
                1 if !queued.is_empty() => {
                    let (item, place) = queued.remove(random(queued.len()));
                    assert_eq!(line.leave(place), Some(item));
                    assert_eq!(line.leave(place), None);
                }
                2 if !queued.is_empty() => {
                    let moved = queued.remove(random(queued.len()));
                    line.call(moved.1);
                    line.call(moved.1);
                    called.push(moved);
                }
                _ if !called.is_empty() => {
                    let (item, place) = called.remove(random(called.len()));
                    assert_eq!(line.find_called(None, |it| *it == item), Some(place));
                    assert_eq!(line.leave(place), Some(item));
                    assert_eq!(line.find_called(None, |it| *it == item), None);
                }
                _ => {}
            }
            assert!(line.iter().eq(queued.iter().map(|(item, _)| item)));
            let mut each = Vec::new();
            line.for_each_mut(|item| each.push(*item));
            assert!(each.iter().eq(line.iter()));
            for (item, place) in &queued {
                assert_eq!(line.find(|it| it == item), Some(*place));
                assert_eq!(line.get_mut(*place).copied(), Some(*item));
            }
            assert_eq!(line.find(|it| *it == u32::MAX), None);
            assert_eq!((line.queued(), line.called()), (queued.len(), called.len()));
            assert_eq!(line.first().map(|(place, item)| (*item, place)), queued.first().copied());
        }
    }
}
