//! The two forms of a lease over all states, with the kernel's barrier as it is: it empties the store buffers of all others, or it is
//! refused, each time as it likes. (`lease_model.rs` has loom look at the very source; but loom knows no barrier of one side.)
//!
//! Two threads on a machine whose processors buffer their writes: the holder goes out and comes back, the taker takes. Each step is one
//! access to memory. What is written down here is `lease.rs`, line by line; each of its guards can be left out, and is then
//! shown to be needed.

use ec_unkind as _;
use std::collections::{HashSet, VecDeque};

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Out {
    In,
    Plain,
    Fenced,
}

/// What is left out.
#[derive(Clone, Copy, PartialEq, Default)]
enum Without {
    #[default]
    Nothing,
    /// The taker looks at the barrier's answer.
    Answer,
    /// It looks a second time, after the order was made.
    SecondLook,
    /// At the second look it sees in which form the holder is out.
    FormAtSecondLook,
    /// The holder leaves behind in which form it is out; the taker would believe the one that is in force.
    FormLeftBehind,
    /// The taker's own fence.
    TakersFence,
    /// The holder's, in the fenced form.
    HoldersFence,
    /// The holder waits for the verdict when it sees a recall.
    Verdict,
}

const GUARDS: [Without; 7] = [
    Without::Answer,
    Without::SecondLook,
    Without::FormAtSecondLook,
    Without::FormLeftBehind,
    Without::TakersFence,
    Without::HoldersFence,
    Without::Verdict,
];

/// How often the holder goes out, and the taker tries to take.
const ROUNDS: u8 = 3;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    GoesOut,
    Outside,
    Fence,
    LooksForRecall,
    WaitsForVerdict,
    LooksForCore,
    /// The core is in use.
    Uses,
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Taker {
    Locks,
    Looks,
    Recalls,
    Fence,
    Barrier,
    LooksAgain,
    Takes,
    TakesBack,
    Over,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    // Memory.
    out: Out,
    recalled: bool,
    plain: bool,
    held: bool,
    locked: bool,
    // The holder, and its writes to `out` that nobody else has seen yet.
    holder: Holder,
    went_out: Out,
    unseen: VecDeque<Out>,
    rounds: u8,
    // The taker, and its writes to `recalled`.
    taker: Taker,
    seen: Out,
    ordered: bool,
    unseen_recalls: VecDeque<bool>,
    tries: u8,
    taken: bool,
}

/// Two use the core at once.
struct Clash;

impl State {
    fn first() -> State {
        State {
            out: Out::In,
            recalled: false,
            plain: true,
            held: true,
            locked: false,
            holder: Holder::GoesOut,
            went_out: Out::In,
            unseen: VecDeque::new(),
            rounds: ROUNDS,
            taker: Taker::Locks,
            seen: Out::In,
            ordered: false,
            unseen_recalls: VecDeque::new(),
            tries: ROUNDS,
            taken: false,
        }
    }

    fn form(&self) -> Out {
        if self.plain { Out::Plain } else { Out::Fenced }
    }

    fn out_as_seen(&self, without: Without) -> Out {
        match self.out {
            Out::Plain | Out::Fenced if without == Without::FormLeftBehind => self.form(),
            out => out,
        }
    }

    fn flush_holder(&mut self) {
        self.out = self.unseen.drain(..).next_back().unwrap_or(self.out);
    }

    fn flush_taker(&mut self) {
        self.recalled = self.unseen_recalls.drain(..).next_back().unwrap_or(self.recalled);
    }

    /// A processor lets the others see its oldest write, at any time.
    fn memory_steps(&self, next: &mut Vec<State>) {
        let mut state = self.clone();
        if let Some(out) = state.unseen.pop_front() {
            state.out = out;
            next.push(state);
        }
        let mut state = self.clone();
        if let Some(recalled) = state.unseen_recalls.pop_front() {
            state.recalled = recalled;
            next.push(state);
        }
    }

    fn holder_step(&self, without: Without) -> Option<State> {
        let mut s = self.clone();
        s.holder = match self.holder {
            Holder::GoesOut => {
                s.went_out = self.form();
                s.unseen.push_back(s.went_out);
                Holder::Outside
            }
            Holder::Outside => {
                s.unseen.push_back(Out::In);
                Holder::Fence
            }
            Holder::Fence => {
                if self.went_out == Out::Fenced && without != Without::HoldersFence {
                    s.flush_holder();
                }
                Holder::LooksForRecall
            }
            Holder::LooksForRecall if self.recalled && without != Without::Verdict => Holder::WaitsForVerdict,
            Holder::LooksForRecall => Holder::LooksForCore,
            Holder::WaitsForVerdict if self.locked => return None,
            Holder::WaitsForVerdict => {
                // (A lock is a fence.)
                s.flush_holder();
                Holder::LooksForCore
            }
            Holder::LooksForCore if self.held => Holder::Uses,
            Holder::LooksForCore => Holder::Over,
            Holder::Uses => {
                s.rounds -= 1;
                if s.rounds == 0 { Holder::Over } else { Holder::GoesOut }
            }
            Holder::Over => return None,
        };
        Some(s)
    }

    fn taker_steps(&self, without: Without, next: &mut Vec<State>) -> Result<(), Clash> {
        let mut s = self.clone();
        s.taker = match self.taker {
            Taker::Locks if self.tries == 0 || self.taken => Taker::Over,
            Taker::Locks if self.locked => return Ok(()),
            Taker::Locks => {
                s.tries -= 1;
                s.locked = true;
                Taker::Looks
            }
            Taker::Looks => {
                s.seen = self.out_as_seen(without);
                let refused_before = s.seen == Out::Plain && !self.plain;
                if s.seen == Out::In || self.recalled || refused_before {
                    s.locked = false;
                    Taker::Locks
                } else {
                    Taker::Recalls
                }
            }
            Taker::Recalls => {
                s.unseen_recalls.push_back(true);
                Taker::Fence
            }
            Taker::Fence => {
                if without != Without::TakersFence {
                    s.flush_taker();
                }
                s.ordered = false;
                if self.seen == Out::Plain { Taker::Barrier } else { Taker::LooksAgain }
            }
            Taker::Barrier => {
                let mut refused = self.clone();
                refused.plain = false;
                refused.ordered = without == Without::Answer;
                refused.taker = Taker::LooksAgain;
                next.push(refused);
                s.flush_holder();
                s.ordered = true;
                Taker::LooksAgain
            }
            Taker::LooksAgain => {
                let out = if without == Without::SecondLook { self.seen } else { self.out_as_seen(without) };
                match out {
                    Out::In => Taker::TakesBack,
                    Out::Fenced => Taker::Takes,
                    Out::Plain if self.ordered || without == Without::FormAtSecondLook => Taker::Takes,
                    Out::Plain => Taker::TakesBack,
                }
            }
            Taker::Takes => {
                if self.holder == Holder::Uses {
                    return Err(Clash);
                }
                s.held = false;
                s.taken = true;
                s.flush_taker();
                s.locked = false;
                Taker::Locks
            }
            Taker::TakesBack => {
                s.unseen_recalls.push_back(false);
                // (To release a lock is to let others see.)
                s.flush_taker();
                s.locked = false;
                Taker::Locks
            }
            Taker::Over => return Ok(()),
        };
        next.push(s);
        Ok(())
    }
}

/// Looks at all states that there can be: how many, in how many the core was taken, and whether there was a clash.
fn search(without: Without) -> (usize, usize, bool) {
    let mut seen = HashSet::from([State::first()]);
    let mut open = vec![State::first()];
    let mut clash = false;
    while let Some(state) = open.pop() {
        let mut next = Vec::new();
        state.memory_steps(&mut next);
        next.extend(state.holder_step(without));
        clash |= state.taker_steps(without, &mut next).is_err();
        open.extend(next.into_iter().filter(|state| seen.insert(state.clone())));
    }
    let taken = |form| seen.iter().filter(|state| state.taken && state.plain == form).count();
    assert!(taken(true) > 0 && taken(false) > 0, "it is taken in both forms");
    (seen.len(), taken(true) + taken(false), clash)
}

#[test]
fn a_core_is_never_used_by_two() {
    let (states, taken, clash) = search(Without::Nothing);
    assert!(!clash);
    assert!(states > 1_000 && taken > 100, "{states} states, taken in {taken}");
}

#[test]
fn each_guard_is_needed() {
    for (number, without) in GUARDS.into_iter().enumerate() {
        let (_, _, clash) = search(without);
        assert!(clash, "guard {number} is needed");
    }
}
