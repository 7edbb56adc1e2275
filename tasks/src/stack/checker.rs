//! What a checker of memory has to know of stacks. Valgrind must be told two things:
//!
//! * Where stacks lie. Otherwise it takes a change of the stack pointer for a growing or shrinking frame.
//! * That a stack is fresh. When a task has ended, Valgrind remembers that what lay below its last frame may not be
//!   touched. The next task's first frame is put there.
//!
//! Its requests are instructions that do nothing on a processor. They take about a nanosecond.

#![allow(unsafe_code)]

/// `[low, top)` is a stack from now on.
pub(super) fn is_stack(low: usize, top: usize) {
    request([0x1501, low, top, 0, 0, 0]); // VALGRIND_STACK_REGISTER
}

/// Whatever was in `[low, top)` is over; it may be written again.
pub(super) fn is_fresh(low: usize, top: usize) {
    request([0x4d43_0001, low, top - low, 0, 0, 0]); // VALGRIND_MAKE_MEM_UNDEFINED
}

#[cfg(target_arch = "x86_64")]
fn request(words: [usize; 6]) {
    // SAFETY: four rotations by 128 bits in all leave rdi as it was, the exchange of a register with itself does
    // nothing, and valgrind, which knows the sequence, only reads the words and writes rdx.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inout("rdx") 0usize => _,
            options(nostack, readonly),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn request(_: [usize; 6]) {}
