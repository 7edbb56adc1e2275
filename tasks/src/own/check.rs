//! The self-test: this thread uses two blocks in turn, as two tasks would. No thread is left
//! behind and the process is not forked.

#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

use corosensei::stack::Stack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use super::plain::on_new_thread;
use super::{ending, plain, switch, template};
use crate::here;

/// A stack with a block of thread-locals above it: what the self-test needs of the stacks of tasks.
///
/// # Safety
/// `thread_pointer` is that of a complete block, which belongs to this stack and to nobody else.
pub(crate) unsafe trait BlockStack: Stack + Sized + 'static {
    /// One of the default size, with a block as a new thread finds it.
    fn with_block() -> io::Result<Self>;

    /// The thread pointer of the block.
    fn thread_pointer(&self) -> usize;

    /// Gives it back.
    ///
    /// # Safety
    /// No frame on it is live and nobody refers to it.
    unsafe fn release(self);
}

type Trial<S> = Coroutine<(), (), Result<(), &'static str>, S>;

struct WithDestructor(Cell<u32>);

impl Drop for WithDestructor {
    fn drop(&mut self) {
        // What it does is of no interest, that it is registered is.
        self.0.set(0);
    }
}

thread_local! {
    static PLAIN: Cell<u32> = const { Cell::new(7) };
    static REGISTERED: WithDestructor = const { WithDestructor(Cell::new(0)) };
}

/// An error-checking mutex: it knows its owner.
struct Owned(UnsafeCell<libc::pthread_mutex_t>);

impl Owned {
    fn lock(&self) -> i32 {
        // SAFETY: initialised in `run`, and there until both trials have ended.
        unsafe { libc::pthread_mutex_lock(self.0.get()) }
    }

    fn unlock(&self) -> i32 {
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(self.0.get()) }
    }
}

/// A block with its stack, ready to be entered, and where the trial in it is.
struct TrialBlock<S: BlockStack> {
    thread_pointer: usize,
    trial: Trial<S>,
}

pub(super) fn run<S: BlockStack>() -> Result<(), String> {
    // SAFETY: attributes and mutex are initialised before they are used.
    let mutex = unsafe {
        let mut attributes = MaybeUninit::uninit();
        let mut mutex = MaybeUninit::uninit();
        libc::pthread_mutexattr_init(attributes.as_mut_ptr());
        libc::pthread_mutexattr_settype(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ERRORCHECK);
        libc::pthread_mutex_init(mutex.as_mut_ptr(), attributes.as_ptr());
        Owned(UnsafeCell::new(mutex.assume_init()))
    };
    let guards = guards();
    let mut first = TrialBlock::<S>::new(|yielder| {
        fresh(guards)?;
        expect(mutex.lock() == 0 && mutex.lock() == libc::EDEADLK, "a mutex does not know its owner")?;
        set_errno(77);
        yielder.suspend(());
        expect(errno() == 77, "errno was lost over a suspension")?;
        expect(PLAIN.get() == 8, "a thread-local was lost over a suspension")?;
        expect(mutex.unlock() == 0, "a mutex is not its owner's over a suspension")
    })?;
    let mut second = TrialBlock::<S>::new(|yielder| {
        fresh(guards)?;
        expect(mutex.unlock() == libc::EPERM, "two tasks are one to a mutex")?;
        yielder.suspend(());
        let thread = on_new_thread(|| 1);
        expect(thread.is_ok_and(|ended| ended.is_ok_and(|one| one == 1)), "a thread cannot be started")
    })?;
    let before = PLAIN.get();
    // Both stacks are left to their end, whatever the result.
    let results = [first.go(), second.go(), first.go(), second.go()];
    let unchanged = PLAIN.get() == before;
    // SAFETY: nobody has it locked, or nobody will ever ask for it again.
    unsafe { libc::pthread_mutex_destroy(mutex.0.get()) };
    first.end();
    second.end();
    for result in results {
        result?;
    }
    expect(unchanged, "a task's thread-local is the thread's").map_err(String::from)
}

/// What each of the two finds at its start.
fn fresh(guards: [usize; 2]) -> Result<(), &'static str> {
    // SAFETY: asks for the own number.
    let me = unsafe { libc::pthread_self() } as usize;
    expect(me == here::thread_pointer(), "pthread_self is not the thread pointer")?;
    expect(self::guards() == guards, "stack and pointer guards are not the process's")?;
    expect(PLAIN.get() == 7, "a thread-local has not its initial value")?;
    PLAIN.set(8);
    REGISTERED.with(|value| value.0.set(1));
    expect(ending::any(), "std's destructors do not reach the runtime")?;
    // With `panic = "abort"` there is nothing to catch.
    let caught =
        cfg!(panic = "abort") || catch_unwind(AssertUnwindSafe(|| resume_unwind(Box::new(())))).is_err();
    expect(caught && !std::thread::panicking(), "a panic was not caught")
}

fn expect(holds: bool, else_: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(else_) }
}

/// The process's secrets that compiled code and libc compare with: they lie in each descriptor.
#[inline(never)]
fn guards() -> [usize; 2] {
    let block = here::thread_pointer();
    // SAFETY: both words are at their places by the ABI of compilers (0x28) and libc (0x30).
    unsafe { [super::facts::word(block + 0x28), super::facts::word(block + 0x30)] }
}

#[inline(never)]
fn errno() -> i32 {
    // SAFETY: the thread's errno.
    unsafe { *libc::__errno_location() }
}

#[inline(never)]
fn set_errno(value: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = value };
}

impl<S: BlockStack> TrialBlock<S> {
    fn new(f: impl FnOnce(&Yielder<(), ()>) -> Result<(), &'static str>) -> Result<TrialBlock<S>, String> {
        let stack = S::with_block().map_err(|why| why.to_string())?;
        let thread_pointer = stack.thread_pointer();
        // SAFETY: a block that was just built.
        unsafe { template::compare(thread_pointer)? };
        let body = move |yielder: &Yielder<(), ()>, ()| {
            plain::begin_within();
            // Nothing may unwind through the change of the thread pointer.
            let result =
                catch_unwind(AssertUnwindSafe(|| f(yielder))).unwrap_or(Err("the self-test panicked"));
            super::run_destructors();
            result
        };
        // SAFETY: `run` keeps what `f` borrows until it has ended.
        let trial = unsafe { Trial::with_stack_unchecked(stack, body) };
        Ok(TrialBlock { thread_pointer, trial })
    }

    /// Runs the trial to its next suspension or its end.
    fn go(&mut self) -> Result<(), &'static str> {
        if self.trial.done() {
            return Ok(());
        }
        // SAFETY: no task; a block that was just built, and is this trial's.
        unsafe { here::enter(ptr::null(), ptr::null(), self.thread_pointer) };
        let outcome = self.resume();
        here::leave(self.thread_pointer);
        outcome
    }

    #[inline(never)]
    fn resume(&mut self) -> Result<(), &'static str> {
        // SAFETY: the block is complete, and this thread alone is in it.
        let outcome = unsafe {
            let thread = switch::enter(self.thread_pointer);
            let outcome = self.trial.resume(());
            switch::leave(self.thread_pointer, thread);
            outcome
        };
        match outcome {
            CoroutineResult::Yield(()) => Ok(()),
            CoroutineResult::Return(result) => result,
        }
    }

    /// Gives the stack back, if the trial has ended; else it is given up, with its frames.
    fn end(mut self) {
        for _ in 0..2 {
            // A trial that has failed half-way ends here.
            let _ = self.go();
        }
        if self.trial.done() {
            // SAFETY: no frame is left.
            unsafe { self.trial.into_stack().release() };
        } else {
            std::mem::forget(self.trial);
        }
    }
}
