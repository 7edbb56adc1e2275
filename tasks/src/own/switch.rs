//! Into a task's block and back.
//!
//! Two things make a thread a task: the FS register, and libc's own thread-locals. Most of the latter (malloc's cache
//! and arena, the resolver) stay with the *thread*: they are copied into the block on the way in and back on the way
//! out. So a hundred thousand tasks do not have a hundred thousand malloc caches. A few of them are the task's: errno,
//! the locale, texts (`Facts::kept`). Some words of the descriptor go with the thread, too (`Facts::carried`).
//!
//! Between the two writes of the register, on the thread's side, there is nothing but the
//! switch of the stack: no thread-local, no panic, no user's code.

#![allow(unsafe_code)]

use std::arch::asm;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

use super::facts::Facts;
use crate::here::{self, thread_pointer};
use crate::util::forked::forked;

/// The words of libc's segment (and of the descriptor) that go with the thread, in bytes from the
/// thread pointer. Written once, before the first block.
///
/// They come eight at a time, the last of them again and again if there are fewer: a loop with as
/// many turns as there are words costs more than the copies themselves.
struct Carried<const MOST: usize, const TOGETHER: usize> {
    places: [[AtomicIsize; TOGETHER]; MOST],
    used: AtomicUsize,
}

/// Of 8 bytes each, and what is left over, of 4.
static WORDS: Carried<8, 8> = Carried::new();
static HALVES: Carried<8, 2> = Carried::new();

impl<const MOST: usize, const TOGETHER: usize> Carried<MOST, TOGETHER> {
    const fn new() -> Self {
        let places = [const { [const { AtomicIsize::new(0) }; TOGETHER] }; MOST];
        Carried { places, used: AtomicUsize::new(0) }
    }

    fn set(&self, places: &[isize]) -> Result<(), String> {
        let groups = places.chunks(TOGETHER);
        if groups.len() > MOST {
            return Err(format!("libc has more than {} words of its own thread-locals", MOST * TOGETHER));
        }
        self.used.store(groups.len(), Ordering::Relaxed);
        for (to, group) in self.places.iter().zip(groups) {
            for (index, place) in to.iter().enumerate() {
                place.store(group[index.min(group.len() - 1)], Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Copies them, each a `W`, from one block to another.
    ///
    /// # Safety
    /// Both are complete blocks; nobody but the caller uses these parts of them.
    #[inline(always)]
    unsafe fn copy<W: Copy>(&self, from: usize, to: usize) {
        for group in &self.places[..self.used.load(Ordering::Relaxed).min(MOST)] {
            for place in group {
                let at = place.load(Ordering::Relaxed);
                let (from, to) = (from.wrapping_add_signed(at), to.wrapping_add_signed(at));
                // SAFETY: the caller's promise; the places are aligned.
                unsafe { (to as *mut W).write((from as *const W).read()) };
            }
        }
    }
}

/// Whether user code may write the register (the kernel's `HWCAP2_FSGSBASE`).
static FSGSBASE: AtomicBool = AtomicBool::new(false);

/// Where the area for restartable sequences lies.
static RSEQ: AtomicIsize = AtomicIsize::new(NOWHERE);
/// Where the pointer to the text of `dlerror` lies.
static DLERROR: AtomicIsize = AtomicIsize::new(NOWHERE);
const NOWHERE: isize = isize::MAX;

pub(super) fn set_layout(facts: &Facts) -> Result<(), String> {
    RSEQ.store(facts.rseq.unwrap_or(NOWHERE), Ordering::Relaxed);
    DLERROR.store(facts.dlerror.unwrap_or(NOWHERE), Ordering::Relaxed);
    let is_kept = |half: isize| {
        facts.kept.iter().any(|&(start, size)| half + 4 > start && half < start + size as isize)
    };
    let (mut words, mut halves) = (Vec::new(), Vec::new());
    let mut at = facts.libc.0;
    while at + 4 <= facts.libc.1 {
        if is_kept(at) {
            at += 4;
        } else if at % 8 == 0 && at + 8 <= facts.libc.1 && !is_kept(at + 4) {
            words.push(at);
            at += 8;
        } else {
            halves.push(at);
            at += 4;
        }
    }
    words.extend(facts.carried.iter().map(|&at| at as isize));
    WORDS.set(&words)?;
    HALVES.set(&halves)?;
    // SAFETY: a question.
    let capabilities = unsafe { libc::getauxval(libc::AT_HWCAP2) };
    FSGSBASE.store(capabilities & 2 != 0, Ordering::Relaxed);
    Ok(())
}

/// # Safety
/// `thread_pointer` is that of a complete block, and the caller touches no thread-local whose address was
/// computed before.
#[inline(always)]
unsafe fn set_thread_pointer(thread_pointer: usize) {
    // SAFETY: the caller's promise; the instruction was asked for, and the system call does the same.
    unsafe {
        if FSGSBASE.load(Ordering::Relaxed) {
            asm!("wrfsbase {}", in(reg) thread_pointer, options(nostack, preserves_flags));
        } else {
            // (So the way out costs the other way nothing.)
            asm!(
                "syscall",
                "test rax, rax",
                "jnz {refused}",
                refused = sym no_thread_pointer,
                inlateout("rax") libc::SYS_arch_prctl => _,
                in("rdi") 0x1002, // ARCH_SET_FS
                in("rsi") thread_pointer,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
    }
}

/// Ends the process: the kernel does no more what it did when it was asked first, and whoever went on would be on memory of
/// another's.
#[cold]
#[inline(never)]
fn refused(what: &str) -> ! {
    for words in ["fatal runtime error: the kernel refuses ", what, "\n"] {
        // SAFETY: the pointer and length are those of a live string.
        unsafe { libc::write(2, words.as_ptr().cast(), words.len()) };
    }
    // SAFETY: abort may be called anywhere.
    unsafe { libc::abort() }
}

/// Jumped to, from wherever the stack is.
#[unsafe(naked)]
unsafe extern "C" fn no_thread_pointer() -> ! {
    extern "C" fn end() -> ! {
        refused("arch_prctl, which gives a task its thread-locals")
    }
    std::arch::naked_asm!("and rsp, -16", "call {end}", "ud2", end = sym end)
}

/// Copies what goes with the thread from one block to another.
///
/// # Safety
/// Both are complete blocks; nobody but the caller uses these parts of them.
#[inline(always)]
unsafe fn carry(from: usize, to: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        WORDS.copy::<u64>(from, to);
        HALVES.copy::<u32>(from, to);
    }
}

/// Makes the thread the task of `thread_pointer`. Gives the thread's own for [`leave`].
///
/// # Safety
/// The block is complete and no other thread is in it. Until `leave`, the caller's frame does nothing
/// but switch to the task's stack and come back.
#[inline(always)]
pub(crate) unsafe fn enter(task: usize) -> usize {
    let thread = thread_pointer();
    // SAFETY: the caller's promise; the thread's own block is complete.
    unsafe {
        carry(thread, task);
        set_thread_pointer(task);
    }
    thread
}

/// The way back.
///
/// # Safety
/// `thread` is what `enter(task)` gave, on this very thread.
#[inline(always)]
pub(crate) unsafe fn leave(task: usize, thread: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        set_thread_pointer(thread);
        carry(task, thread);
    }
}

/// In a forked child, on a task: what the kernel keeps writing to is in the block of a thread that is not
/// there any more, whose memory libc may return. (It would register the area of a new thread itself.)
pub(crate) fn after_fork() {
    let (thread, at) = (here::thread_of_task(), RSEQ.load(Ordering::Relaxed));
    if thread != 0 && at != NOWHERE {
        const UNREGISTER: i32 = 1;
        const SIGNATURE: u32 = 0x5305_3053;
        let area = thread.wrapping_add_signed(at);
        // The size is the one that libc registered; a wrong one is refused.
        for size in (32..=512).step_by(4) {
            // SAFETY: withdraws an area; the kernel writes there no more.
            if unsafe { libc::syscall(libc::SYS_rseq, area, size, UNREGISTER, SIGNATURE) } == 0 {
                break;
            }
            // SAFETY: this thread's errno. (EINVAL is the wrong size, or that there is none.)
            if unsafe { *libc::__errno_location() } != libc::EINVAL {
                refused("rseq in a forked child, whose memory it would go on writing to");
            }
        }
    }
}

/// Runs `f` on the thread's own thread-locals if the caller is a task with other ones. See
/// [`crate::on_thread`].
pub(crate) fn on_thread<R>(f: impl FnOnce() -> R) -> R {
    if thread_below() == 0 {
        return f();
    }
    // The signal stack that the task has set is not the thread's: what `f` finds, and sets, is.
    let of_task = here::take_signal_stack_back();
    // A panic must not run through the change of the register.
    let task = here::task();
    let outside = || {
        here::set_stepped_out(task);
        let result = catch_unwind(AssertUnwindSafe(f));
        here::set_stepped_out(std::ptr::null());
        result
    };
    let result = step_out(outside, true);
    if let Some(of_task) = of_task {
        here::set_signal_stack(&of_task);
    }
    match result {
        Ok(value) => value,
        Err(panic) => resume_unwind(panic),
    }
}

/// As [`on_thread`], for what loads libraries: the error that `dlerror` tells is the caller's.
pub(super) fn load_on_thread<R>(f: impl FnOnce() -> R) -> R {
    let swap = || {
        let (thread, at) = (thread_below(), DLERROR.load(Ordering::Relaxed));
        if thread != 0 && at != NOWHERE {
            let mine = thread_pointer().wrapping_add_signed(at) as *mut usize;
            let threads = thread.wrapping_add_signed(at) as *mut usize;
            // SAFETY: the same word of two blocks that only this thread uses.
            unsafe { ptr::swap(mine, threads) };
        }
    };
    // (Also if `f` unwinds: each would go on with the other's text.)
    struct Back<F: Fn()>(F);
    impl<F: Fn()> Drop for Back<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    swap();
    let _back = Back(swap);
    on_thread(f)
}

/// At the end of a task: frees the text of `dlerror`.
pub(super) fn forget_dlerror() {
    let at = DLERROR.load(Ordering::Relaxed);
    // SAFETY: a word of this task's block; the first call gives the text, the second frees it.
    unsafe {
        if at != NOWHERE && super::facts::word(thread_pointer().wrapping_add_signed(at)) != 0 {
            libc::dlerror();
            libc::dlerror();
        }
    }
}

/// The thread pointer of the thread that runs this task, if it has a block of its own (and the thread
/// still exists: not in a forked child).
#[inline]
fn thread_below() -> usize {
    if forked() { 0 } else { here::thread_of_task() }
}

/// As [`on_thread`], for an `f` that does not unwind. With `carried`, libc's part comes along, so that `f` may
/// call malloc.
#[inline]
pub(crate) fn step_out<R>(f: impl FnOnce() -> R, carried: bool) -> R {
    let thread = thread_below();
    if thread == 0 {
        return f();
    }
    let mut f = Some(f);
    let mut result = None;
    let mut call = || result = f.take().map(|f| f());
    // SAFETY: the thread's block is complete, and only this thread uses it.
    unsafe { outside(thread, carried, &mut call) };
    result.expect("called once")
}

/// Not inlined, nor is what it calls: the compiler may have computed addresses of thread-locals on either side.
///
/// # Safety
/// `thread` is this thread's own thread pointer; `f` does not unwind.
#[inline(never)]
unsafe fn outside(thread: usize, carried: bool, f: &mut dyn FnMut()) {
    let task = thread_pointer();
    // SAFETY: the caller's promise, and the block that we come from.
    unsafe {
        if carried {
            carry(task, thread);
        }
        set_thread_pointer(thread);
        call(f);
        set_thread_pointer(task);
        if carried {
            carry(thread, task);
        }
    }
}

#[inline(never)]
fn call(f: &mut dyn FnMut()) {
    f();
}
