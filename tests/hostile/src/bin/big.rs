//! A program with large and strongly aligned thread-locals: they are in each task's block.

use ec_hostile::check::{self, Check, skip};
use ec_hostile::support::{hop, many, tasks};
use std::cell::{Cell, RefCell, UnsafeCell};

const CHECKS: &[Check] = &[
    Check::new("a_thread_local_aligned_to_a_page", aligned_to_a_page),
    Check::new("a_thread_local_aligned_to_two_cache_lines", aligned_to_two_cache_lines),
    Check::new("a_thread_local_of_100_kib", of_100_kib),
    Check::new("a_module_in_the_room_that_alignment_leaves", a_module_in_what_alignment_leaves),
];

fn main() -> std::process::ExitCode {
    check::main(&[&[CHECKS]])
}

#[repr(align(4096))]
struct Page(UnsafeCell<[u64; 512]>);

#[repr(align(128))]
struct Padded(RefCell<Vec<usize>>, Cell<usize>);

thread_local! {
    static PAGE: Page = const { Page(UnsafeCell::new([0xfeed; 512])) };
    static PADDED: Padded = const { Padded(RefCell::new(Vec::new()), Cell::new(3)) };
    static LARGE: RefCell<[u8; 100 << 10]> = const { RefCell::new([0; 100 << 10]) };
    static SMALL: Cell<u8> = const { Cell::new(9) };
}

fn aligned_to_a_page() {
    for _ in 0..3 {
        tasks(many(300), |me| {
            PAGE.with(|page| {
                // SAFETY: only this task has it, and nothing else borrows it in here.
                let words = unsafe { &mut *page.0.get() };
                assert_eq!(words.as_ptr() as usize % 4096, 0);
                assert!(words.iter().all(|&word| word == 0xfeed), "the words of an earlier task");
                for n in 0..10 {
                    words.fill((me + n) as u64);
                    hop();
                    assert!(words.iter().all(|&word| word == (me + n) as u64));
                }
            });
        });
    }
}

fn aligned_to_two_cache_lines() {
    for _ in 0..3 {
        tasks(many(500), |me| {
            PADDED.with(|padded| {
                assert_eq!(std::ptr::from_ref(padded) as usize % 128, 0);
                assert_eq!(padded.1.replace(me), 3);
                let mut held = padded.0.borrow_mut();
                for n in 0..10 {
                    held.push(n);
                    hop();
                    assert_eq!((padded.1.get(), held.len()), (me, n + 1));
                }
            });
        });
    }
}

/// Each is equal to the next, and the first to `byte`: fast in a debug build too.
fn all(bytes: &[u8], byte: u8) -> bool {
    bytes[0] == byte && bytes[1..] == bytes[..bytes.len() - 1]
}

fn of_100_kib() {
    for _ in 0..3 {
        tasks(many(300), |me| {
            assert_eq!(SMALL.replace(me as u8), 9);
            LARGE.with_borrow_mut(|large| {
                assert!(all(large, 0), "the bytes of an earlier task");
                for n in 0..5 {
                    let byte = (me + n) as u8 | 1;
                    large.fill(byte);
                    hop();
                    assert!(all(large, byte));
                }
            });
            assert_eq!(SMALL.get(), me as u8);
        });
    }
}

/// Where thread-locals are aligned to a page, libc has more to spare for libraries than it says.
fn a_module_in_what_alignment_leaves() {
    tasks(2, |_| PAGE.with(|_| ()));
    // SAFETY: our own module, without constructors; the functions have these types.
    let (fresh, set, have) = unsafe {
        let library = match libloading::Library::new(env!("EC_STATIC_HUGE")) {
            Ok(library) => std::mem::ManuallyDrop::new(library),
            Err(why) => skip(&format!("this libc has no room for it: {why}")),
        };
        (
            *library.get::<extern "C" fn() -> i32>(b"fresh").expect("fresh"),
            *library.get::<extern "C" fn(i64)>(b"set").expect("set"),
            *library.get::<extern "C" fn(i64) -> i32>(b"have").expect("have"),
        )
    };
    for _ in 0..2 {
        tasks(many(100), move |me| {
            assert_ne!(fresh(), 0, "the module's thread-locals are not as it initialises them");
            set(me as i64 + 1);
            for _ in 0..5 {
                hop();
                assert_ne!(have(me as i64 + 1), 0, "values were lost or exchanged");
            }
        });
    }
}
