//! The lease of a core, model-checked by loom against the production source.
//!
//! Two threads that use a core at once, or one that does not see what the other has done with it, loom reports by itself;
//! a core that two have, or nobody, shows in the count.
#![cfg(loom)]

// The file under test is the one the pool is built from; loom brings its primitives.
#[allow(dead_code)]
#[path = "../src/core/lease.rs"]
mod lease;

mod model;

mod sync {
    pub(crate) use crate::kernel::{barrier, form, heavy_fence, light_fence};
    pub(crate) use crate::model::{Crossing, Mutex as SpinLock};
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub(crate) enum Form {
        Plain,
        Fenced,
    }
}

/// What the kernel does, as far as loom can say it. (That a barrier succeeds and the next one is refused: `lease_forms.rs`.)
mod kernel {
    use super::sync::Form;
    use loom::sync::atomic::{AtomicBool, Ordering, fence};
    use std::cell::Cell;

    #[derive(Clone, Copy, PartialEq)]
    pub(crate) enum Kernel {
        /// It has no barrier.
        HasNone,
        /// Its barrier succeeds: together with what it orders it is as good as two full fences.
        Orders,
        /// It refuses its barrier, so that in the plain form nothing is ordered at all.
        Refuses,
    }

    thread_local!(static KERNEL: Cell<Kernel> = const { Cell::new(Kernel::HasNone) });

    loom::lazy_static! {
        static ref REFUSED: AtomicBool = AtomicBool::new(false);
    }

    /// For what this test explores. (Loom runs all threads of a model on the thread of its test.)
    pub(crate) fn set(kernel: Kernel) {
        KERNEL.set(kernel);
    }

    pub(crate) fn form() -> Form {
        match KERNEL.get() {
            Kernel::HasNone => Form::Fenced,
            Kernel::Orders => Form::Plain,
            Kernel::Refuses if REFUSED.load(Ordering::Relaxed) => Form::Fenced,
            Kernel::Refuses => Form::Plain,
        }
    }

    pub(crate) fn light_fence(form: Form) {
        if form == Form::Fenced || KERNEL.get() == Kernel::Orders {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy_fence() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn barrier() -> bool {
        if KERNEL.get() == Kernel::Refuses {
            REFUSED.store(true, Ordering::SeqCst);
            return false;
        }
        true
    }
}

use ec_test_support::limit;
use kernel::Kernel;
use lease::{Holder, Taker, lease};
use loom::cell::Cell;
use loom::thread::{self, JoinHandle};
use model::explore;

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
    holder.enter_user_code();
    (holder, taker)
}

/// Uses the core, if there is one: how many times that was.
fn work(holder: &Holder<Core>) -> usize {
    holder.with(Core::work).map_or(0, |()| 1)
}

/// One who takes, once, and uses what it gets.
fn start(taker: &Taker<Core>) -> JoinHandle<Option<Core>> {
    let taker = taker.clone();
    thread::spawn(move || taker.take().inspect(Core::work))
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
        let ends = explore(8, || {
            let (holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let mut uses = 1;
            // It comes back and goes out again: a look of the taker may be an old one.
            for _ in 0..2 {
                if holder.leave_user_code() {
                    uses += work(&holder);
                }
                holder.enter_user_code();
            }
            let taken = taking.join().unwrap();
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
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.leave_user_code();
            assert_eq!(work(&holder) == 1, back, "it has what it was told to have");
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back, "nobody takes from a holder who is in the loop");
            let core = only([kept, taking.join().unwrap()]);
            assert_eq!(core.uses.get(), 2);
            back
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn what_was_done_in_the_loop_is_seen_by_who_takes() {
    limit(120, || {
        let ends = explore(8, || {
            let (mut holder, taker) = lease();
            let taking = start(&taker);
            holder.give(Core::new(1));
            // Nothing but the going out itself is between this and the taker.
            assert_eq!(work(&holder), 1, "nobody takes before it goes out");
            holder.enter_user_code();
            let taken = taking.join().unwrap();
            taken.iter().for_each(|core| assert_eq!(core.uses.get(), 2));
            assert_eq!(holder.leave_user_code(), taken.is_none());
            taken.is_some()
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_crossing_has_the_core_for_itself_or_not_at_all() {
    limit(120, || {
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let first = work(&holder);
            let second = work(&holder);
            assert!(taker.is_in_user_code(), "a crossing ends inside user code");
            let back = holder.leave_user_code();
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let taken = taking.join().unwrap();
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
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let back = holder.leave_user_code();
            assert_eq!(work(&holder) == 1, back);
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let [one, other] = takings.map(|taking| taking.join().unwrap());
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
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let back = holder.leave_user_code();
            if !back {
                holder.give(Core::new(2));
            }
            assert_eq!(work(&holder), 1, "it is in the loop, with a core");
            let kept = holder.leave().expect("nobody takes from a holder who is in the loop");
            assert_eq!(kept.number, if back { 1 } else { 2 });
            let [one, other] = takings.map(|taking| taking.join().unwrap());
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
        let ends = explore(3, || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            let lost = !holder.leave_user_code();
            if lost {
                holder.give(Core::new(2));
            }
            holder.enter_user_code();
            let crossing = work(&holder) == 1;
            let back = holder.leave_user_code();
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            let [one, other] = takings.map(|taking| taking.join().unwrap());
            let mut numbers: Vec<_> = [kept, one, other].iter().flatten().map(|core| core.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, if lost { vec![1, 2] } else { vec![1] }, "each core has one owner");
            (lost, crossing, back)
        });
        let of_either = [(false, false), (true, false), (true, true)];
        let all = [false, true].map(|lost| of_either.map(|(crossing, back)| (lost, crossing, back)));
        assert_eq!(ends, all.concat());
    });
}

/// Its holder gives the first one up by itself, while somebody is about to take it.
#[test]
fn a_second_core_is_safe_from_who_came_for_one_that_was_given_up() {
    limit(120, || {
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.leave_user_code();
            let first = holder.leave();
            assert_eq!(first.is_some(), back);
            holder.give(Core::new(2));
            holder.enter_user_code();
            let kept = holder.leave_user_code();
            assert_eq!(work(&holder) == 1, kept);
            let taken = taking.join().unwrap();
            let number = taken.as_ref().map(|core| core.number);
            let mut numbers: Vec<_> =
                [first, holder.leave(), taken].iter().flatten().map(|core| core.number).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, [1, 2], "each core has one owner");
            (back, number)
        });
        assert_eq!(ends, [(false, Some(1)), (true, None), (true, Some(2))]);
    });
}

#[test]
fn who_came_in_vain_may_come_again() {
    limit(120, || {
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.leave_user_code();
            let first = taking.join().unwrap();
            holder.enter_user_code();
            let second = taker.take();
            assert_eq!((first.is_some(), second.is_some()), (!back, back));
            assert!(!holder.leave_user_code() && holder.leave().is_none());
            back
        });
        assert_eq!(ends, [false, true]);
    });
}

#[test]
fn a_core_is_given_away_or_taken() {
    limit(120, || {
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let given = holder.give_away().inspect(Core::work);
            assert_eq!(work(&holder), 0, "it has it no more");
            assert!(!holder.leave_user_code());
            assert!(holder.leave().is_none());
            let end = given.is_some();
            assert_eq!(only([given, taking.join().unwrap()]).uses.get(), 2);
            end
        });
        assert_eq!(ends, [false, true]);
    });
}

/// Who is refused the barrier takes nothing; who comes again takes what went out in the other form.
#[test]
fn what_nobody_has_ordered_is_not_taken() {
    limit(120, || {
        kernel::set(Kernel::Refuses);
        let ends = explore(5, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = thread::spawn(move || {
                let first = taker.take().inspect(Core::work);
                first.or_else(|| taker.take().inspect(Core::work))
            });
            let mut uses = 1;
            for _ in 0..2 {
                if holder.leave_user_code() {
                    uses += work(&holder);
                }
                holder.enter_user_code();
            }
            let taken = taking.join().unwrap();
            let back = holder.leave_user_code();
            assert_eq!(back, taken.is_none());
            let core = only([holder.leave(), taken]);
            assert_eq!(core.uses.get(), uses + usize::from(!back));
            (back, uses)
        });
        // Not before it has come back once.
        assert_eq!(ends, [(false, 2), (false, 3), (true, 3)]);
    });
}

#[test]
fn a_worker_that_went_out_before_the_refusal_keeps_its_core() {
    limit(120, || {
        kernel::set(Kernel::Refuses);
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let takings = [start(&taker), start(&taker)];
            assert!(holder.leave_user_code());
            assert_eq!(work(&holder), 1);
            assert!(holder.leave().is_some());
            takings.into_iter().for_each(|taking| assert!(taking.join().unwrap().is_none()));
        });
        assert_eq!(ends, [()]);
    });
}

#[test]
fn with_a_barrier_that_succeeds_holder_or_taker_has_the_core() {
    limit(120, || {
        kernel::set(Kernel::Orders);
        let ends = explore(8, || {
            let (mut holder, taker) = out_with_a_core();
            let taking = start(&taker);
            let back = holder.leave_user_code();
            let kept = holder.leave();
            assert_eq!(kept.is_some(), back);
            assert_eq!(only([kept, taking.join().unwrap()]).uses.get(), 1 + usize::from(!back));
            back
        });
        assert_eq!(ends, [false, true]);
    });
}
