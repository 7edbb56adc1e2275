//! malloc in one task, realloc and free in others: right contents, and no memory left behind.

use crate::check::Check;
use crate::support::{hop, resident, tasks};
use event_channel::task;
use std::ffi::{c_int, c_uchar};
use std::sync::{Arc, Mutex};

pub const CHECKS: &[Check] = &[
    Check::new("c_memory_passes_from_task_to_task", c_memory_passes_from_task_to_task),
    Check::new("what_libc_keeps_for_a_thread_ends_with_the_task", what_libc_keeps_ends),
];

unsafe extern "C" {
    fn ec_block_new(size: usize, pattern: c_uchar) -> *mut c_uchar;
    fn ec_block_grow(block: *mut c_uchar, size: usize, to: usize, pattern: c_uchar) -> *mut c_uchar;
    fn ec_block_end(block: *mut c_uchar, size: usize, pattern: c_uchar) -> c_int;
}

struct Block {
    memory: *mut c_uchar,
    size: usize,
    pattern: c_uchar,
}

// SAFETY: owned memory that malloc's contract lets any thread free.
unsafe impl Send for Block {}

impl Block {
    fn new(size: usize, pattern: c_uchar) -> Block {
        // SAFETY: makes what the type owns.
        Block { memory: unsafe { ec_block_new(size, pattern) }, size, pattern }
    }

    fn grow(&mut self, to: usize) {
        // SAFETY: owned, of that size.
        self.memory = unsafe { ec_block_grow(self.memory, self.size, to, self.pattern) };
        self.size = to;
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: owned, of that size, ended once.
        let right = unsafe { ec_block_end(self.memory, self.size, self.pattern) };
        assert_ne!(right, 0, "somebody else has written to this memory");
    }
}

/// 40 tasks with 400 blocks each, which mostly end in a task that did not make them.
fn round() {
    let pool = Arc::new(Mutex::new(Vec::<Block>::new()));
    tasks(40, move |i| {
        for n in 0..400 {
            // Of all the sizes that malloc treats differently, its per-thread caches' first of all.
            let size = match n % 20 {
                0 => 40_000 + 97 * i,
                1..5 => 1_200 + 13 * n,
                _ => 16 + (n * 7 + i) % 900,
            };
            let block = Block::new(size, (i + n) as c_uchar);
            let taken = {
                let mut pool = pool.lock().unwrap();
                pool.push(block);
                let any = (i * 31 + n * 17) % pool.len();
                (n % 3 != 0).then(|| pool.swap_remove(any))
            };
            if let Some(mut block) = taken {
                if n % 4 == 0 {
                    block.grow(block.size * 2 + 5);
                }
                if n % 10 == 0 {
                    hop();
                }
            }
        }
    });
}

fn c_memory_passes_from_task_to_task() {
    crate::support::with_a_fixed_number_of_threads();
    (0..3).for_each(|_| round());
    let before = resident();
    (0..30).for_each(|_| round());
    let grown = resident().saturating_sub(before) >> 20;
    // A round makes about 50 MiB. If each task had malloc's caches for itself, 48 MiB would be left in them.
    assert!(grown < 20, "{grown} MiB more than after the first rounds");
}

/// Texts of errors that libc makes on demand, the error of `dlerror`, the state of `getrandom` (since glibc 2.41).
fn what_libc_keeps_ends() {
    let one_after_another = |count: usize| {
        tasks(8, move |_| {
            for _ in 0..count {
                task::spawn(use_all).join().expect("a task");
            }
        });
    };
    one_after_another(100);
    let before = resident();
    // At least 24 MiB, if each left only one text behind.
    one_after_another(if task::migrates() { 50_000 } else { 500 });
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{} KiB were left behind", grown >> 10);
}

fn use_all() {
    let mut byte = 0u8;
    // SAFETY: texts that are only looked at; a name that ends; a place for a byte.
    unsafe {
        assert!(!libc::strerror(123_456).is_null() && !libc::strsignal(123_456).is_null());
        assert!(
            libc::dlsym(libc::RTLD_DEFAULT, c"no_such_symbol_anywhere_in_this_program".as_ptr()).is_null()
        );
        assert_eq!(libc::getrandom((&raw mut byte).cast(), 1, 0), 1);
    }
}
