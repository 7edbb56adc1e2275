//! The timer wheel of a port: deadlines of operations, by slot number.
//!
//! The wheel is hashed and hierarchical. Level 0 has 64 slots of one tick (2^16 ns, 65.5 us). The slots of each further
//! level are 64 times as long. Inserting and cancelling touch one list. A timer moves down at most once a level.
//! A node is found by the operation's own slot number. So nothing is allocated for a timer, once there are nodes for all slots.
//!
//! A deadline is rounded up to the next tick. So a timer is never early, and rounding makes it at most one tick late.

use std::time::Instant;

const TICK_SHIFT: u32 = 16;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 7;
/// Farthest a timer lies ahead (9 years); what is due later comes up, is not due yet, and goes in again.
const HORIZON: u64 = (1 << (LEVEL_BITS * LEVELS as u32)) - 1;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    next: u32,
    prev: u32,
    /// Level * SLOTS + slot, or NONE when the node is in no list.
    list: u32,
    due: u64,
}

const UNLINKED: Node = Node { next: NONE, prev: NONE, list: NONE, due: 0 };

pub(crate) struct Wheel {
    nodes: Vec<Node>,
    heads: [u32; LEVELS * SLOTS],
    occupied: [u64; LEVELS],
    /// The tick up to which everything has been fired.
    now: u64,
    len: usize,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), heads: [NONE; LEVELS * SLOTS], occupied: [0; LEVELS], now: 0, len: 0 }
    }

    /// Arms timer `key` for `deadline` (ns on the port's clock). It must not be armed.
    #[inline]
    pub(crate) fn insert(&mut self, key: u32, deadline: u64) {
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, UNLINKED);
        }
        debug_assert_eq!(self.nodes[key as usize].list, NONE);
        self.nodes[key as usize].due = deadline.div_ceil(1 << TICK_SHIFT);
        self.len += 1;
        self.link(key);
    }

    #[inline]
    pub(crate) fn is_armed(&self, key: u32) -> bool {
        self.nodes.get(key as usize).is_some_and(|node| node.list != NONE)
    }

    /// Disarms timer `key`; tells whether it was armed.
    #[inline]
    pub(crate) fn remove(&mut self, key: u32) -> bool {
        let is_armed = self.is_armed(key);
        if is_armed {
            self.unlink(key);
            self.len -= 1;
        }
        is_armed
    }

    /// Disarms every timer that is due at `now` (ns) and gives its key to `fire`.
    pub(crate) fn expire(&mut self, now: u64, mut fire: impl FnMut(u32)) {
        let now = now >> TICK_SHIFT;
        while let Some((level, slot, start)) = self.next_slot() {
            if start > now {
                break;
            }
            self.now = self.now.max(start);
            let list = level * SLOTS + slot;
            // The list is taken as it stands: what is linked again while it is walked lands in another one,
            // or (the horizon's) behind the end that was noted.
            let mut key = std::mem::replace(&mut self.heads[list], NONE);
            self.occupied[level] &= !(1 << slot);
            while key != NONE {
                let next = self.nodes[key as usize].next;
                self.nodes[key as usize].list = NONE;
                if self.nodes[key as usize].due <= now {
                    self.len -= 1;
                    fire(key);
                } else {
                    self.link(key);
                }
                key = next;
            }
        }
        self.now = self.now.max(now);
    }

    /// When the wheel wants to be looked at next (ns on the port's clock): no later than the next
    /// timer is due, perhaps earlier when one has to move down a level.
    pub(crate) fn next(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        self.next_slot().map(|(_, _, start)| start << TICK_SHIFT)
    }

    #[inline]
    fn link(&mut self, key: u32) {
        let due = self.nodes[key as usize].due.clamp(self.now, self.now + HORIZON);
        let level = ((63 - ((self.now ^ due) | (SLOTS as u64 - 1)).leading_zeros()) / LEVEL_BITS) as usize;
        let level = level.min(LEVELS - 1);
        let slot = (due >> (LEVEL_BITS * level as u32)) as usize % SLOTS;
        let list = level * SLOTS + slot;
        let head = std::mem::replace(&mut self.heads[list], key);
        if head != NONE {
            self.nodes[head as usize].prev = key;
        }
        let node = &mut self.nodes[key as usize];
        (node.next, node.prev, node.list) = (head, NONE, list as u32);
        self.occupied[level] |= 1 << slot;
    }

    #[inline]
    fn unlink(&mut self, key: u32) {
        let Node { next, prev, list, .. } = self.nodes[key as usize];
        if next != NONE {
            self.nodes[next as usize].prev = prev;
        }
        if prev != NONE {
            self.nodes[prev as usize].next = next;
        } else {
            self.heads[list as usize] = next;
            if next == NONE {
                self.occupied[list as usize / SLOTS] &= !(1 << (list as usize % SLOTS));
            }
        }
        self.nodes[key as usize].list = NONE;
    }

    /// The occupied slot that starts first: level, slot, the tick at which it starts.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let mut best = None;
        for level in 0..LEVELS {
            let bits = self.occupied[level];
            if bits == 0 {
                continue;
            }
            let shift = LEVEL_BITS * level as u32;
            let here = (self.now >> shift) as usize % SLOTS;
            let ahead = bits.rotate_right(here as u32).trailing_zeros() as u64;
            let slot = (here + ahead as usize) % SLOTS;
            // the current slot of an upper level can only hold what lies a whole turn ahead
            let turns = if level > 0 && ahead == 0 { SLOTS as u64 } else { ahead };
            let start = ((self.now >> shift) + turns) << shift;
            if best.is_none_or(|(_, _, s)| start < s) {
                best = Some((level, slot, start));
            }
        }
        best
    }
}

/// A point in time on the wheel's scale. What lies beyond it (500 years) never comes.
#[inline]
pub(crate) fn nanos(base: Instant, at: Instant) -> u64 {
    let span = at.saturating_duration_since(base);
    span.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(span.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    const TICK: u64 = 1 << TICK_SHIFT;

    fn fired(w: &mut Wheel, now: u64) -> Vec<u32> {
        let mut v = Vec::new();
        w.expire(now, |k| v.push(k));
        v.sort_unstable();
        v
    }

    #[test]
    fn a_timer_is_never_early_and_a_tick_late_at_most() {
        let mut w = Wheel::new();
        w.insert(3, 10 * TICK + 1);
        assert_eq!(fired(&mut w, 10 * TICK + 1), []);
        assert_eq!(w.next(), Some(11 * TICK));
        assert_eq!(fired(&mut w, 11 * TICK), [3]);
        assert_eq!(w.next(), None);
    }

    #[test]
    fn a_removed_timer_does_not_fire() {
        let mut w = Wheel::new();
        for k in 0..5 {
            w.insert(k, 100 * TICK);
        }
        assert!(w.remove(2) && w.remove(4) && w.remove(0));
        assert!(!w.remove(2));
        assert_eq!(fired(&mut w, 100 * TICK), [1, 3]);
        assert!(!w.remove(1));
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_once() {
        let mut w = Wheel::new();
        assert_eq!(fired(&mut w, 1_000_000 * TICK), []);
        w.insert(0, 5);
        assert_eq!(fired(&mut w, 1_000_000 * TICK), [0]);
    }

    #[test]
    fn the_far_future_comes_too() {
        let mut w = Wheel::new();
        let far = (HORIZON + 5) * TICK;
        w.insert(0, far);
        assert_eq!(fired(&mut w, far - TICK), []);
        assert_eq!(fired(&mut w, far), [0]);
    }

    /// Against a plain sorted model, with random steps over all levels.
    #[test]
    fn agrees_with_a_sorted_list() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for _ in 0..50 {
            let (mut w, mut model, mut now) = (Wheel::new(), std::collections::BTreeMap::new(), 0);
            for step in 0..2_000 {
                let reach = 1 << (4 + 6 * random(6));
                match random(4) {
                    0 | 1 => {
                        let due = now + random(reach * TICK);
                        model.insert(step, due.div_ceil(TICK));
                        w.insert(step, due);
                    }
                    2 => {
                        if let Some((&k, _)) = model.iter().nth(random(8) as usize) {
                            model.remove(&k);
                            assert!(w.remove(k));
                        }
                    }
                    _ => {
                        if let Some(next) = w.next() {
                            let first = *model.values().min().unwrap() * TICK;
                            assert!(next <= first, "wakes late: {next} for {first}");
                        }
                        now += random(reach * TICK);
                        let due: Vec<u32> =
                            model.iter().filter(|&(_, &d)| d <= now / TICK).map(|(&k, _)| k).collect();
                        model.retain(|k, _| !due.contains(k));
                        assert_eq!(fired(&mut w, now), due);
                    }
                }
            }
            assert_eq!(w.len, model.len());
        }
    }
}
