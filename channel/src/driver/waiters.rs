//! Who waits for a descriptor: lines of requests, which each may leave from anywhere in constant time.
//!
//! Requests of one kind on one descriptor stand in one line, in the order of their coming. If the first would block, so
//! would those behind it: nobody asks for them. So what a readiness costs depends on how many it serves, not on how many
//! wait.

#![allow(unsafe_code)]

use crate::id::OpId;
use crate::raw::Action;

const NONE: u32 = u32::MAX;

/// What a line waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accept,
    Connect,
    Receive {
        flags: i32,
    },
    Send {
        flags: i32,
    },
    /// Whether there is room depends on whom each is for.
    SendToAny {
        flags: i32,
    },
    Poll {
        events: i16,
    },
}

impl Kind {
    /// `None`: it waits for no descriptor.
    ///
    /// # Safety
    /// The action's pointers are valid.
    pub(super) unsafe fn of(action: &Action) -> Option<Self> {
        Some(match *action {
            Action::Accept { .. } => Kind::Accept,
            Action::Connect { .. } => Kind::Connect,
            Action::Recv { flags, .. } | Action::RecvMsg { flags, .. } => Kind::Receive { flags },
            Action::Send { flags, .. } => Kind::Send { flags },
            Action::SendMsg { msg, flags, .. } => {
                // SAFETY: by contract, a name that is given is a socket address.
                let of_unix = unsafe {
                    let name = (*msg).msg_name.cast::<libc::sockaddr>();
                    let has_family = (*msg).msg_namelen as usize >= size_of::<libc::sa_family_t>();
                    !name.is_null()
                        && has_family
                        && i32::from((&raw const (*name).sa_family).read_unaligned()) == libc::AF_UNIX
                };
                if of_unix { Kind::SendToAny { flags } } else { Kind::Send { flags } }
            }
            Action::Poll { events, .. } => Kind::Poll { events },
            Action::Timer => return None,
        })
    }

    /// If one would block, so would the others.
    pub(super) fn is_alike(self) -> bool {
        !matches!(self, Kind::SendToAny { .. })
    }
}

struct Node {
    /// 0: nobody.
    id: u64,
    action: Action,
    kind: Kind,
    next: u32,
    previous: u32,
}

// SAFETY: the pointers inside may be used from any thread, by the contract of `submit_raw`.
unsafe impl Send for Node {}

/// One line of one descriptor. It is never empty.
pub(super) struct Line {
    kind: Kind,
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

    /// Does a request of this kind wait already, so that another one would?
    pub(super) fn wait_for(&self, kind: Kind) -> bool {
        kind.is_alike() && self.find(kind).is_some()
    }

    fn find(&self, kind: Kind) -> Option<usize> {
        self.0.iter().position(|line| line.kind == kind)
    }
}

/// All who wait in the lines of a port. Each has the place that its id names, so nothing is searched for.
#[derive(Default)]
pub(super) struct Waiters {
    nodes: Vec<Node>,
}

impl Waiters {
    /// Request `id` waits at the end of its line.
    pub(super) fn join(&mut self, lines: &mut Lines, kind: Kind, id: u64, action: Action) {
        let at = OpId::from_u64(id).slot();
        if self.nodes.len() <= at as usize {
            let vacant = || Node { id: 0, action: Action::Timer, kind, next: NONE, previous: NONE };
            self.nodes.resize_with(at as usize + 1, vacant);
        }
        let previous = match lines.find(kind) {
            Some(line) => std::mem::replace(&mut lines.0[line].last, at),
            None => {
                lines.0.push(Line { kind, interest: action.interest(), first: at, last: at });
                NONE
            }
        };
        if let Some(before) = self.nodes.get_mut(previous as usize) {
            before.next = at;
        }
        self.nodes[at as usize] = Node { id, action, kind, next: NONE, previous };
    }

    /// Request `id` waits no more: what it was to do, if it did wait.
    pub(super) fn leave(&mut self, lines: &mut Lines, id: u64) -> Option<Action> {
        let at = OpId::from_u64(id).slot();
        let node = self.nodes.get(at as usize).filter(|node| node.id == id)?;
        let (line, action) = (lines.find(node.kind)?, node.action);
        self.unlink(lines, line, at);
        Some(action)
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
        mut attempt: impl FnMut(&Action) -> Option<i32>,
        settled: &mut Vec<(u64, i32)>,
    ) -> Tried {
        let always = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let mut tried = Tried::Nobody;
        let mut line = 0;
        while let Some(&Line { kind, interest, first, .. }) = lines.0.get(line) {
            let (before, mut at) =
                (lines.0.len(), if revents & (interest | always) == 0 { NONE } else { first });
            while let Some(node) = self.nodes.get(at as usize) {
                let (id, next) = (node.id, node.next);
                match attempt(&node.action) {
                    Some(result) => {
                        settled.push((id, result));
                        self.unlink(lines, line, at);
                        tried = Tried::Progress;
                    }
                    None => {
                        tried = tried.max(Tried::InVain);
                        if kind.is_alike() {
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
