//! Tells callgrind where what is counted begins and ends. Its requests are instructions that do nothing on a processor,
//! so the program also runs by itself.

use std::ffi::CStr;

/// Lets callgrind write what it has counted since the last time, by this name.
pub fn dump(name: &CStr) {
    request([0x4354_0003, name.as_ptr() as usize, 0, 0, 0, 0]); // CALLGRIND_DUMP_STATS_AT
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
