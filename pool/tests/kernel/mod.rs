//! The kernel's barrier (`src/fence.rs`) for loom: what `membarrier` does, and that it may refuse.
//!
//! A barrier is a full fence of each other thread at some point of *its* program between the beginning and the end of the call.
//! So here it is one: the holder of a lease looks for it at each of its steps, and whoever asks for one waits until it has come to
//! pass. Nothing of that orders the holder's steps if no barrier is asked for, or if it is refused: it looks with a relaxed read, and
//! its plain form is a write and a read that loom may exchange. Whoever is not on a CPU passes no barrier, and needs none: it has
//! passed one when it left the CPU, and passes one when it is back.

use crate::model;
use loom::sync::Condvar;
use loom::sync::atomic::{AtomicUsize, Ordering, fence};
use loom::thread;
use std::cell::Cell;

pub(crate) const PLAIN: u8 = 1;
pub(crate) const FENCED: u8 = 2;

/// What the kernel says to the calls for a barrier, one after the other; then always the last.
pub(crate) type Answers = &'static [bool];

struct Kernel {
    /// As in `src/fence.rs`.
    form: loom::sync::atomic::AtomicU8,
    answers: Cell<Answers>,
    /// Barriers that were asked for.
    asked: AtomicUsize,
    count: Cell<usize>,
    holder: model::Mutex<Holder>,
    bell: Condvar,
}

#[derive(Default)]
struct Holder {
    /// Barriers that it has passed.
    passed: usize,
    off_cpu: bool,
}

// SAFETY: loom runs one thread at a time, and the cells are used under the lock of the lease, or before there are other threads.
unsafe impl Sync for Kernel {}

loom::lazy_static! {
    static ref KERNEL: Kernel = Kernel {
        form: loom::sync::atomic::AtomicU8::new(FENCED),
        answers: Cell::new(&[true]),
        asked: AtomicUsize::new(0),
        count: Cell::new(0),
        holder: model::Mutex::new(Holder::default()),
        bell: Condvar::new(),
    };
}

loom::thread_local! {
    static TAKES: Cell<bool> = Cell::new(false);
    /// As the holder knows it itself.
    static PASSED: Cell<usize> = Cell::new(0);
}

/// Explores `model` in the fenced form, and in the plain one while the kernel grants all barriers: no difference is to be seen.
/// `bounds` are for the one and the other, whose barriers are more steps to exchange.
pub(crate) fn each_form<R>(
    bounds: [usize; 2],
    model: impl Fn() -> R + Send + Sync + Clone + 'static,
) -> Vec<R>
where
    R: Ord + Send + std::fmt::Debug + 'static,
{
    let ends = fenced(bounds[0], model.clone());
    assert_eq!(plainly(&[true], bounds[1], model), ends, "each form allows the same");
    ends
}

/// Explores `model` in the fenced form.
pub(crate) fn fenced<R>(bound: usize, model: impl Fn() -> R + Send + Sync + 'static) -> Vec<R>
where
    R: Ord + Send + 'static,
{
    from(FENCED, &[true], bound, model)
}

/// Explores `model` from the plain form on, with these answers.
pub(crate) fn plainly<R>(
    answers: Answers,
    bound: usize,
    model: impl Fn() -> R + Send + Sync + 'static,
) -> Vec<R>
where
    R: Ord + Send + 'static,
{
    from(PLAIN, answers, bound, model)
}

fn from<R>(form: u8, answers: Answers, bound: usize, model: impl Fn() -> R + Send + Sync + 'static) -> Vec<R>
where
    R: Ord + Send + 'static,
{
    model::explore(bound, move || {
        KERNEL.form.store(form, Ordering::SeqCst);
        KERNEL.answers.set(answers);
        model()
    })
}

/// A thread that holds no lease.
pub(crate) fn spawn<R: 'static>(f: impl FnOnce() -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(move || {
        TAKES.with(|takes| takes.set(true));
        f()
    })
}

/// Waits for its end.
pub(crate) fn join<R>(thread: thread::JoinHandle<R>) -> R {
    off_cpu(|| thread.join().unwrap())
}

fn holds() -> bool {
    TAKES.with(|takes| !takes.get())
}

/// Between two steps of the holder: passes a barrier that was asked for.
fn step() {
    if holds() {
        let asked = KERNEL.asked.load(Ordering::Relaxed);
        if asked != PASSED.with(|passed| passed.replace(asked)) {
            fence(Ordering::SeqCst);
            tell(|holder| holder.passed = asked);
        }
    }
}

fn tell(what: impl FnOnce(&mut Holder)) {
    what(&mut KERNEL.holder.lock());
    KERNEL.bell.notify_all();
}

/// Lets the calling thread wait in `f`.
fn off_cpu<R>(f: impl FnOnce() -> R) -> R {
    if !holds() {
        return f();
    }
    fence(Ordering::SeqCst);
    tell(|holder| holder.off_cpu = true);
    let result = f();
    tell(|holder| holder.off_cpu = false);
    fence(Ordering::SeqCst);
    result
}

pub(crate) fn form() -> u8 {
    KERNEL.form.load(Ordering::Relaxed)
}

pub(crate) fn light_fence(form: u8) {
    if form == PLAIN {
        step();
    } else {
        fence(Ordering::SeqCst);
    }
}

pub(crate) fn barrier() -> bool {
    let (granted, later) = KERNEL.answers.get().split_first().expect("an answer");
    if !later.is_empty() {
        KERNEL.answers.set(later);
    }
    if !granted {
        KERNEL.form.store(FENCED, Ordering::SeqCst);
        return false;
    }
    fence(Ordering::SeqCst);
    if !holds() {
        // (Not read from `asked`: of a thread that reads a word first, loom does not try its write in all places.)
        let asked = KERNEL.count.get() + 1;
        KERNEL.count.set(asked);
        KERNEL.asked.store(asked, Ordering::Relaxed);
        let mut holder = KERNEL.holder.lock();
        while holder.passed != asked && !holder.off_cpu {
            holder = KERNEL.bell.wait(holder).unwrap();
        }
        drop(holder);
        fence(Ordering::SeqCst);
    }
    true
}

/// The word that the holder writes: before each write a barrier may come to pass.
pub(crate) struct AtomicU8(loom::sync::atomic::AtomicU8);

impl AtomicU8 {
    pub(crate) fn new(value: u8) -> AtomicU8 {
        AtomicU8(loom::sync::atomic::AtomicU8::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u8 {
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u8, order: Ordering) {
        step();
        self.0.store(value, order);
    }
}

/// Who waits for it is not on a CPU.
pub(crate) struct Mutex<T>(model::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(model::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        off_cpu(|| self.0.lock())
    }
}
