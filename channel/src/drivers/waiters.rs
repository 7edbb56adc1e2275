//! Who waits for a descriptor: lines of requests, which each may leave from anywhere in constant time.
//!
//! Requests of one kind on one descriptor stand in one line, in the order of their coming. If the first would block, so
//! would those behind it: nobody asks for them. So what a readiness costs depends on how many it serves, not on how many
//! wait.

#![allow(unsafe_code)]

use crate::id::OpId;
use crate::operation::{self, RawOp, Readiness};
use crate::sys::with_errors;

const NONE: u32 = u32::MAX;

struct Node {
    /// 0: nobody.
    id: u64,
    what: What,
    line: operation::Line,
    next: u32,
    previous: u32,
}

// SAFETY: the operations may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Node {}

/// What one waits for a descriptor for.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// To attempt this.
    Operation(*const RawOp),
    /// To be told of one of these.
    Readiness(i16),
}

/// One line of one descriptor. It is never empty.
pub(super) struct Line {
    line: operation::Line,
    interest: i16,
    first: u32,
    last: u32,
}

/// The lines of one descriptor, the oldest first.
#[derive(Default)]
pub(super) struct Lines(Vec<Line>);

impl Lines {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What to poll for until one of them can go on.
    pub(super) fn interest(&self) -> i16 {
        self.0.iter().fold(0, |all, line| all | line.interest)
    }

    /// Does somebody wait in this line already, so that another one would?
    pub(super) fn wait_in(&self, line: operation::Line) -> bool {
        !line.each && self.find(line).is_some()
    }

    fn find(&self, line: operation::Line) -> Option<usize> {
        self.0.iter().position(|one| one.line == line)
    }
}

/// All who wait in the lines of a port. Each has the place that its id names, so nothing is searched for.
#[derive(Default)]
pub(super) struct Waiters {
    nodes: Vec<Node>,
}

impl Waiters {
    /// Request `id` waits at the end of its line.
    pub(super) fn join(&mut self, lines: &mut Lines, waits_for: Readiness, id: u64, what: What) {
        let Readiness { interest, line, .. } = waits_for;
        let at = OpId::from_u64(id).slot();
        if self.nodes.len() <= at as usize {
            let vacant = || Node { id: 0, what: What::Readiness(0), line, next: NONE, previous: NONE };
            self.nodes.resize_with(at as usize + 1, vacant);
        }
        let previous = match lines.find(line) {
            Some(line) => std::mem::replace(&mut lines.0[line].last, at),
            None => {
                lines.0.push(Line { line, interest, first: at, last: at });
                NONE
            }
        };
        if let Some(before) = self.nodes.get_mut(previous as usize) {
            before.next = at;
        }
        self.nodes[at as usize] = Node { id, what, line, next: NONE, previous };
    }

    /// Request `id` waits no more: what it was to do, if it did wait.
    pub(super) fn leave(&mut self, lines: &mut Lines, id: u64) -> Option<What> {
        let at = OpId::from_u64(id).slot();
        let node = self.nodes.get(at as usize).filter(|node| node.id == id)?;
        let (line, what) = (lines.find(node.line)?, node.what);
        self.unlink(lines, line, at);
        Some(what)
    }

    fn unlink(&mut self, lines: &mut Lines, line: usize, at: u32) {
        let node = &mut self.nodes[at as usize];
        let (next, previous) = (node.next, node.previous);
        node.id = 0;
        match self.nodes.get_mut(previous as usize) {
            Some(before) => before.next = next,
            None => lines.0[line].first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(after) => after.previous = previous,
            None => lines.0[line].last = previous,
        }
        if lines.0[line].first == NONE {
            match lines.0.len() {
                1 => lines.0.clear(),
                _ => drop(lines.0.remove(line)),
            }
            // An idle descriptor keeps no memory but its place and a few lines'.
            if lines.is_empty() && lines.0.capacity() > 4 {
                lines.0 = Vec::new();
            }
        }
    }

    /// Tries those whose interest is met: in each line in order, until one would block. What `attempt` has settled leaves.
    pub(super) fn try_all(
        &mut self,
        lines: &mut Lines,
        revents: i16,
        mut attempt: impl FnMut(What) -> Option<i32>,
        settled: &mut Vec<(u64, i32)>,
    ) -> Tried {
        let mut tried = Tried::Nobody;
        let mut line = 0;
        while let Some(&Line { line: operation::Line { each, .. }, interest, first, .. }) = lines.0.get(line)
        {
            let (before, mut at) =
                (lines.0.len(), if revents & with_errors(interest) == 0 { NONE } else { first });
            while let Some(node) = self.nodes.get(at as usize) {
                let (id, next) = (node.id, node.next);
                match attempt(node.what) {
                    Some(result) => {
                        settled.push((id, result));
                        self.unlink(lines, line, at);
                        tried = Tried::Progress;
                    }
                    None => {
                        tried = tried.max(Tried::InVain);
                        if !each {
                            break;
                        }
                    }
                }
                at = next;
            }
            // (One that is empty has gone.)
            line += usize::from(lines.0.len() == before);
        }
        tried
    }

    /// They all leave, with this result.
    pub(super) fn fail_all(&mut self, lines: &mut Lines, result: i32, settled: &mut Vec<(u64, i32)>) {
        while let Some(&Line { first, .. }) = lines.0.first() {
            settled.push((self.nodes[first as usize].id, result));
            self.unlink(lines, 0, first);
        }
    }
}

/// What came of a readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tried {
    /// It was for nobody who waits.
    Nobody,
    /// It helped nobody.
    InVain,
    /// At least one request is settled.
    Progress,
}
