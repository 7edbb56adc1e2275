//! Queues that one leaves from anywhere: several of them over one store, so that to go from one to the other takes no memory.
//!
//! Each step takes the same time, however many wait. Memory is allocated in [`Lines::try_with_room_for`] only. It is called without
//! the lock that the queues lie under, and [`Lines::take_over`] brings over, under the lock, who waits.

use crate::lock::Room;
use std::collections::TryReserveError;

/// Where one stands, from [`Lines::join`] to [`Lines::leave`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u32);

const NONE: u32 = u32::MAX;

struct Node<T> {
    /// `None`: the place is free.
    item: Option<T>,
    line: usize,
    before: u32,
    /// In a free place: the next free one.
    behind: u32,
}

#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
    length: usize,
}

/// See the module.
pub struct Lines<T, const N: usize> {
    nodes: Vec<Node<T>>,
    free: u32,
    lines: [Ends; N],
}

impl<T, const N: usize> Default for Lines<T, N> {
    fn default() -> Self {
        Lines::new()
    }
}

impl<T, const N: usize> Lines<T, N> {
    /// Empty, without room.
    pub const fn new() -> Self {
        let empty = Ends { first: NONE, last: NONE, length: 0 };
        Lines { nodes: Vec::new(), free: NONE, lines: [empty; N] }
    }

    /// How many stand in `line`.
    pub fn len(&self, line: usize) -> usize {
        self.lines[line].length
    }

    /// The first in `line`.
    pub fn first(&self, line: usize) -> Option<(Place, &T)> {
        let first = self.lines[line].first;
        let item = self.nodes.get(first as usize)?.item.as_ref()?;
        Some((Place(first), item))
    }

    /// Who stands there.
    pub fn get(&self, place: Place) -> Option<&T> {
        self.nodes.get(place.0 as usize)?.item.as_ref()
    }

    /// Who stands behind `place` in its line.
    pub fn behind(&self, place: Place) -> Option<Place> {
        let behind = self.nodes.get(place.0 as usize)?.behind;
        (behind != NONE).then_some(Place(behind))
    }

    /// Those in `line`, in their order.
    pub fn iter(&self, line: usize) -> impl Iterator<Item = (Place, &T)> {
        let mut next = self.lines[line].first;
        std::iter::from_fn(move || {
            let node = self.nodes.get(next as usize)?;
            let place = Place(next);
            next = node.behind;
            Some((place, node.item.as_ref()?))
        })
    }

    /// Joins `line` at its end. There must be room.
    pub fn join(&mut self, line: usize, item: T) -> Place {
        let node = Node { item: Some(item), line, before: NONE, behind: NONE };
        let at = self.free;
        let place = match self.nodes.get_mut(at as usize) {
            Some(free) => {
                self.free = free.behind;
                *free = node;
                at
            }
            None => {
                debug_assert!(self.nodes.len() < self.nodes.capacity(), "there is room");
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        };
        self.link(place, line);
        Place(place)
    }

    /// Leaves its line, and goes to the end of `line`.
    pub fn change(&mut self, place: Place, line: usize) {
        self.unlink(place.0);
        self.link(place.0, line);
    }

    /// Leaves its line. The place is another's from then on.
    pub fn leave(&mut self, place: Place) -> Option<T> {
        let item = self.nodes.get_mut(place.0 as usize)?.item.take()?;
        self.unlink(place.0);
        self.nodes[place.0 as usize].behind = self.free;
        self.free = place.0;
        Some(item)
    }

    /// Empty, with room for so many.
    ///
    /// # Errors
    /// Without memory.
    pub fn try_with_room_for(count: usize) -> Result<Self, TryReserveError> {
        let mut lines = Lines::new();
        lines.nodes.try_reserve_exact(count)?;
        Ok(lines)
    }

    /// How many stand in them, and for how many there is room.
    pub fn filled(&self) -> (usize, usize) {
        (self.lines.iter().map(|line| line.length).sum(), self.nodes.capacity())
    }

    /// Takes over who stands in `other`, for whom there is room, each with its place. This one is empty before, and `other` afterwards.
    pub fn take_over(&mut self, other: &mut Self) {
        debug_assert!(self.nodes.is_empty(), "the places are those of the other one");
        self.nodes.append(&mut other.nodes);
        (self.free, self.lines) = (other.free, other.lines);
        *other = Lines { nodes: std::mem::take(&mut other.nodes), ..Lines::default() };
    }

    fn link(&mut self, place: u32, line: usize) {
        let ends = &mut self.lines[line];
        let last = std::mem::replace(&mut ends.last, place);
        ends.length += 1;
        let node = &mut self.nodes[place as usize];
        (node.line, node.before, node.behind) = (line, last, NONE);
        match self.nodes.get_mut(last as usize) {
            Some(last) => last.behind = place,
            None => self.lines[line].first = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let (line, before, behind) = {
            let node = &self.nodes[place as usize];
            (node.line, node.before, node.behind)
        };
        match self.nodes.get_mut(before as usize) {
            Some(before) => before.behind = behind,
            None => self.lines[line].first = behind,
        }
        match self.nodes.get_mut(behind as usize) {
            Some(behind) => behind.before = before,
            None => self.lines[line].last = before,
        }
        self.lines[line].length -= 1;
    }
}

impl<T, const N: usize> Room for Lines<T, N> {
    fn with_room_for(count: usize) -> Self {
        Lines::try_with_room_for(count).expect("no memory for those who wait")
    }

    fn filled(&self) -> (usize, usize) {
        Lines::filled(self)
    }

    fn take_over(&mut self, other: &mut Self) {
        Lines::take_over(self, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &Lines<u32, 2>, line: usize) -> Vec<u32> {
        lines.iter(line).map(|(_, item)| *item).collect()
    }

    /// The same steps, at random, as with two plain queues.
    #[test]
    fn they_are_as_two_plain_queues() {
        let mut seed = 7u32;
        let mut random = move |bound: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % bound
        };
        let mut lines: Lines<u32, 2> = Lines::with_room_for(4);
        let mut plain: [Vec<(u32, Place)>; 2] = Default::default();
        for number in 0..5_000 {
            let line = random(2);
            match random(3) {
                0 if plain[0].len() + plain[1].len() < 40 => {
                    let (used, room) = lines.filled();
                    if used == room {
                        let mut larger = Lines::with_room_for(2 * room);
                        larger.take_over(&mut lines);
                        lines = larger;
                    }
                    plain[line].push((number, lines.join(line, number)));
                }
                1 if !plain[line].is_empty() => {
                    let (item, place) = plain[line].remove(random(plain[line].len()));
                    assert_eq!(lines.leave(place), Some(item));
                    assert_eq!(lines.leave(place), None);
                }
                _ if !plain[line].is_empty() => {
                    let moved = plain[line].remove(random(plain[line].len()));
                    lines.change(moved.1, 1 - line);
                    plain[1 - line].push(moved);
                }
                _ => {}
            }
            for (line, plain) in plain.iter().enumerate() {
                let items: Vec<u32> = plain.iter().map(|(item, _)| *item).collect();
                assert_eq!(all(&lines, line), items);
                assert_eq!(lines.len(line), items.len());
                assert_eq!(lines.first(line).map(|(_, item)| *item), items.first().copied());
            }
        }
    }
}
