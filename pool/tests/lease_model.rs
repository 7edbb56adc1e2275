//! The lease of a core, model-checked by loom against the production source.
//!
//! Two threads that use a core at once, or one that does not see what the other has done with it, loom reports by itself;
//! a core that two have, or nobody, shows in the count.
#![cfg(loom)]

// The file under test is the one the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/lease.rs"]
mod lease;

mod model;

mod kernel;

mod sync {
    pub(crate) use crate::kernel::{AtomicU8, FENCED, Mutex, PLAIN, barrier, form, light_fence};
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use ec_test_support::limit;
use kernel::{each_form, fenced, join, plainly};
use lease::{Holder, Taker, lease};
use loom::cell::Cell;
use loom::thread::JoinHandle;

/// What is leased. Loom watches who uses it, and when.
struct Core {
    number: usize,
    uses: Cell<usize>,
}

impl Core {
    fn new(number: usize) -> Core {
        Core { number, uses: Cell::new(0) }
    }

    fn work(&self) {
        self.uses.set(self.uses.get() + 1);
    }
}

/// A worker that holds core 1, has used it, and is inside user code.
fn out_with_a_core() -> (Holder<Core>, Taker<Core>) {
    let (mut holder, taker) = lease();
    holder.give(Core::new(1));
    assert_eq!(work(&holder), 1);
    holder.go_out();
    (holder, taker)
}

/// Uses the core, if there is one: how many times that was.
fn work(holder: &Holder<Core>) -> usize {
    holder.with(Core::work).map_or(0, |()| 1)
}

/// One who takes, once, and uses what it gets.
fn start(taker: &Taker<Core>) -> JoinHandle<Option<Core>> {
    let taker = taker.clone();
    kernel::spawn(move || taker.take().inspect(Core::work))
}

/// The one core that there is; nobody has another one.
fn only(cores: impl IntoIterator<Item = Option<Core>>) -> Core {
    let mut cores: Vec<Core> = cores.into_iter().flatten().collect();
    assert_eq!(cores.len(), 1, "one has the core");
    cores.remove(0)
}

#[test]
fn a_core_is_used_by_its_holder_or_by_its_taker() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let mut uses = 1;
            // It comes back and goes out again: a look of the taker may be an old one.
            for _ in 0..2 {
                if holder.come_back() {
                    uses += work(&holder);
                }
                holder.go_out();
            }
            let taken = join(taking);
            match &taken {
                Some(core) => assert_eq!(core.uses.get(), uses + 1, "what was done with it is not lost"),
                None => assert_eq!(uses, 3, "nobody has taken it"),
            }
            (taken.is_some(), uses)
        });
        assert_eq!(ends, [(false, 3), (true, 1), (true, 2), (true, 3)]);
    });
}

#[test]
fn holder_or_taker_has_the_core_in_the_end() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.come_back();
            assert_eq!(work(&holder) == 1, back, "it has what it was told to have");
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back, "nobody takes from a holder who is in the loop");
            let core = only([kept, join(taking)]);
            assert_eq!(core.uses.get(), 2);
            back
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn what_was_done_in_the_loop_is_seen_by_who_takes() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = lease();
            let taking = start(&taker);
            holder.give(Core::new(1));
            // Nothing but the going out itself is between this and the taker.
            assert_eq!(work(&holder), 1, "nobody takes before it goes out");
            holder.go_out();
            let taken = join(taking);
            taken.iter().for_each(|core| assert_eq!(core.uses.get(), 2));
            assert_eq!(holder.come_back(), taken.is_none());
            taken.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_crossing_has_the_core_for_itself_or_not_at_all() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let first = work(&holder);
            let second = work(&holder);
            assert!(taker.is_out(), "a crossing ends inside user code");
            let back = holder.come_back();
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let taken = join(taking);
            let of_taker = usize::from(taken.is_some());
            assert_eq!(only([kept, taken]).uses.get(), 1 + first + second + of_taker);
            (first, second, back)
        });
        // What it has lost does not come back by itself.
        assert_eq!(ends, [(0, 0, false), (1, 0, false), (1, 1, false), (1, 1, true)]);
    });
}

#[test]
fn of_two_takers_and_the_holder_one_has_the_core() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let back = holder.come_back();
            assert_eq!(work(&holder) == 1, back);
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let [one, other] = takings.map(join);
            let end = (kept.is_some(), one.is_some(), other.is_some());
            assert_eq!(only([kept, one, other]).uses.get(), 2);
            end
        });
        assert_eq!(ends, [(false, false, true), (false, true, false), (true, false, false)]);
    });
}

#[test]
fn a_second_core_is_safe_from_late_takers_of_the_first() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let back = holder.come_back();
            if !back {
                holder.give(Core::new(2));
            }
            assert_eq!(work(&holder), 1, "it is in the loop, with a core");
            let kept = holder.leave().expect("nobody takes from a holder who is in the loop");
            assert_eq!(kept.number, if back { 1 } else { 2 });
            let [one, other] = takings.map(join);
            if back {
                assert!(one.is_none() && other.is_none());
            } else {
                assert_eq!(only([one, other]).number, 1, "the first one is taken once");
            }
            back
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_second_core_is_taken_only_while_the_holder_is_out() {
    limit(120, || {
        let model = || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let lost = !holder.come_back();
            if lost {
                holder.give(Core::new(2));
            }
            holder.go_out();
            let crossing = work(&holder) == 1;
            let back = holder.come_back();
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let [one, other] = takings.map(join);
            let mut numbers: Vec<_> = [kept, one, other].iter().flatten().map(|core| core.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, if lost { vec![1, 2] } else { vec![1] }, "each core has one owner");
            (lost, crossing, back)
        };
        let of_either = [(false, false), (true, false), (true, true)];
        let all = [false, true].map(|lost| of_either.map(|(crossing, back)| (lost, crossing, back)));
        let all = all.concat();
        assert_eq!(fenced(3, model), all);
        // (What takes more preemptions than these is left out.)
        let plain = plainly(&[true], 3, model);
        assert!(
            plain.iter().all(|end| all.contains(end)) && plain.iter().any(|(lost, ..)| *lost),
            "{plain:?}"
        );
    });
}

#[test]
fn who_came_in_vain_may_come_again() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.come_back();
            let first = join(taking);
            holder.go_out();
            let second = taker.take();
            assert_eq!((first.is_some(), second.is_some()), (!back, back));
            assert!(!holder.come_back() && holder.leave().is_none());
            back
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_core_is_given_away_or_taken() {
    limit(120, || {
        let ends = each_form([8, 4], || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let given = holder.give_away().inspect(Core::work);
            assert_eq!(work(&holder), 0, "it has it no more");
            assert!(!holder.come_back());
            assert!(holder.leave().is_none());
            let end = given.is_some();
            assert_eq!(only([given, join(taking)]).uses.get(), 2);
            end
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn what_went_out_plainly_is_not_taken_before_its_holder_has_come_back() {
    limit(120, || {
        let ends = plainly(&[false], 8, || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            // It is inside user code all the time.
            let taken = takings.map(|taking| join(taking).is_some());
            assert_eq!(taken, [false, false], "the kernel has refused");
            // A crossing is enough: it goes out in the other form.
            assert_eq!(work(&holder), 1);
            let taken = join(start(&taker));
            assert!(!holder.come_back() && holder.leave().is_none());
            only([taken]).uses.get()
        });
        assert_eq!(ends, [3]);
    });
}

/// A holder that comes back and goes out again twice, and `takers` that take once each: how many of them took something, and how often
/// it found its core until then.
fn refused(answers: kernel::Answers, bound: usize, takers: usize) -> Vec<(usize, usize)> {
    plainly(answers, bound, move || {
        let (mut holder, taker) = out_with_a_core();
        let takings: Vec<_> = (0..takers).map(|_| start(&taker)).collect();
        let mut uses = 1;
        for _ in 0..2 {
            if holder.come_back() {
                uses += work(&holder);
            }
            holder.go_out();
        }
        let back = holder.come_back();
        let kept = holder.leave();
        assert_eq!(kept.is_some(), back);
        let taken: Vec<_> = takings.into_iter().map(join).collect();
        let count = taken.iter().flatten().count();
        assert_eq!(only(taken.into_iter().chain([kept])).uses.get(), uses + count, "nothing is lost");
        (count, uses)
    })
}

#[test]
fn where_the_kernel_refuses_one_has_the_core_all_the_same() {
    limit(300, || {
        // It is taken only after it has been back once, that is, used: by a taker that comes after another one was refused, or
        // was itself refused and finds it out in the other form.
        let ends = refused(&[false], 5, 1);
        assert_eq!(ends, [(0, 3), (1, 2), (1, 3)]);
        let ends = refused(&[false], 3, 2);
        assert_eq!(ends, [(0, 3), (1, 2), (1, 3)]);
    });
}

#[test]
fn where_the_kernel_refuses_later_or_grants_again_one_has_the_core_all_the_same() {
    limit(300, || {
        for answers in [&[true, false] as kernel::Answers, &[false, true]] {
            let ends = refused(answers, 2, 2);
            assert_eq!(ends, [(0, 3), (1, 1), (1, 2), (1, 3)]);
        }
    });
}
