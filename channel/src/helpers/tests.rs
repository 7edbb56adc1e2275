//! Helpers of a test's own, with another bound than those of the process.

#![allow(unsafe_code)]

use super::*;
use ec_test_support::limit;
use std::sync::Barrier;
use std::sync::atomic::AtomicUsize;

/// Waits for its end at length, and counts. It may be known that it does.
struct AtLength(Arc<(AtomicBool, AtomicUsize)>, bool);

impl Job for AtLength {
    fn run(&self, here: &Here) {
        here.at_length(|| {
            self.0.1.fetch_add(1, Ordering::SeqCst);
            while !self.0.0.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        self.0.1.fetch_sub(1, Ordering::SeqCst);
    }

    fn lasts(&self) -> bool {
        self.1
    }

    fn refused(&self, why: &io::Error) {
        panic!("{why}");
    }
}

struct Meets(Arc<Barrier>);

impl Job for Meets {
    fn run(&self, _here: &Here) {
        self.0.wait();
    }

    fn refused(&self, why: &io::Error) {
        panic!("{why}");
    }
}

fn eventually(mut condition: impl FnMut() -> bool) {
    while !condition() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn what_lasts_holds_up_nobody_and_those_too_many_leave() {
    limit(60, || {
        static FEW: Helpers = Helpers::new(2, Duration::from_secs(3600));
        let ends = Arc::<(AtomicBool, AtomicUsize)>::default();
        (0..20).for_each(|_| _ = FEW.submit(Arc::new(AtLength(ends.clone(), false))));
        eventually(|| ends.1.load(Ordering::SeqCst) == 20);
        assert_eq!(FEW.queued(), 0);
        // Two at a time still run.
        let meeting = Arc::new(Barrier::new(2));
        (0..6).for_each(|_| _ = FEW.submit(Arc::new(Meets(meeting.clone()))));
        eventually(|| FEW.queued() == 0 && FEW.threads() <= 2);
        ends.0.store(true, Ordering::SeqCst);
        // (An idle one would stay for an hour.)
        eventually(|| ends.1.load(Ordering::SeqCst) == 0 && FEW.threads() <= 2);
    });
}

/// Is busy until it may end, and notes how many are at a time.
#[derive(Default)]
struct Busy {
    now: AtomicUsize,
    most: AtomicUsize,
    run: AtomicUsize,
    may_end: AtomicBool,
}

struct Work(Arc<Busy>);

impl Job for Work {
    fn run(&self, _here: &Here) {
        let busy = &self.0;
        busy.most.fetch_max(busy.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        eventually(|| busy.may_end.load(Ordering::SeqCst));
        busy.now.fetch_sub(1, Ordering::SeqCst);
        busy.run.fetch_add(1, Ordering::SeqCst);
    }

    fn refused(&self, why: &io::Error) {
        panic!("{why}");
    }
}

/// And takes no place of what is busy, or waits to be: neither as it begins nor as it ends.
#[test]
fn what_is_known_to_last_waits_for_nobody_who_is_busy() {
    limit(60, || {
        static FEW: Helpers = Helpers::new(2, Duration::from_secs(3600));
        let (busy, ends) = (Arc::<Busy>::default(), Arc::<(AtomicBool, AtomicUsize)>::default());
        (0..5).for_each(|_| _ = FEW.submit(Arc::new(Work(busy.clone()))));
        eventually(|| busy.now.load(Ordering::SeqCst) == 2);
        for round in 1..20 {
            ends.0.store(false, Ordering::SeqCst);
            (0..round).for_each(|_| _ = FEW.submit(Arc::new(AtLength(ends.clone(), true))));
            eventually(|| ends.1.load(Ordering::SeqCst) == round);
            assert_eq!(FEW.queued(), 3);
            ends.0.store(true, Ordering::SeqCst);
            eventually(|| ends.1.load(Ordering::SeqCst) == 0);
        }
        // Those that were more have left.
        eventually(|| FEW.threads() == 2);
        busy.may_end.store(true, Ordering::SeqCst);
        eventually(|| busy.run.load(Ordering::SeqCst) == 5);
        assert_eq!(busy.most.load(Ordering::SeqCst), 2);
        eventually(|| FEW.threads() <= 2 && FEW.queued() == 0);
    });
}

/// Forks, or notes that it has run.
enum Forks {
    Here(Arc<Barrier>, Arc<std::sync::atomic::AtomicI32>),
    Notes(std::io::PipeWriter),
}

impl Job for Forks {
    fn run(&self, _here: &Here) {
        match self {
            Forks::Here(meeting, child) => {
                meeting.wait();
                // SAFETY: the child returns from here, and does nothing else.
                let pid = unsafe { libc::fork() };
                child.store(pid, Ordering::SeqCst);
            }
            Forks::Notes(to) => drop(io::Write::write(&mut &*to, b"x")),
        }
    }

    fn refused(&self, why: &io::Error) {
        panic!("{why}");
    }
}

/// What waits behind it is the parent's.
#[test]
fn a_child_of_a_job_runs_no_other() {
    ec_test_support::alone(60, || {
        static ONE: Helpers = Helpers::new(1, Duration::from_millis(50));
        fork::watch().unwrap();
        let (mut notes, to) = io::pipe().unwrap();
        let (meeting, child) = (Arc::new(Barrier::new(2)), Arc::default());
        ONE.submit(Arc::new(Forks::Here(meeting.clone(), Arc::clone(&child))));
        ONE.submit(Arc::new(Forks::Notes(to)));
        meeting.wait();
        eventually(|| child.load(Ordering::SeqCst) > 0 && ONE.queued() == 0);
        let mut status = -1;
        // SAFETY: a live int.
        unsafe { libc::waitpid(child.load(Ordering::SeqCst), &mut status, 0) };
        assert_eq!(status, 0);
        // (Its other ends have gone, with the job and with the child.)
        let mut all = Vec::new();
        io::Read::read_to_end(&mut notes, &mut all).unwrap();
        assert_eq!(all, b"x");
    });
}
