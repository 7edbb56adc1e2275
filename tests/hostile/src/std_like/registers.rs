//! What the processor and libc keep beside the thread-locals: rounding modes, and errno.

use crate::check::Check;
use crate::support::{hop, many, tasks, thread_number};
use event_channel::{task, task_local};
use std::arch::asm;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the suite counts.
pub const CHECKS: &[Check] = &[
    Check::new("the_rounding_mode_of_sse_is_the_tasks", mxcsr),
    Check::new("the_rounding_mode_of_the_x87_is_the_tasks", x87),
    Check::new("errno_is_kept_over_a_yield_and_is_the_tasks", errno),
    Check::new("task_locals_are_the_tasks", task_locals),
];

/// The bits of MXCSR that say what is to be done; the others say what has happened.
const MXCSR_CONTROL: u32 = 0xffc0;
const MXCSR_DEFAULT: u32 = 0x1f80;

fn mxcsr_now() -> u32 {
    let mut value = 0_u32;
    // SAFETY: stores the register into the variable.
    unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
    value & MXCSR_CONTROL
}

fn set_mxcsr(value: u32) {
    // SAFETY: all exceptions stay masked; the callers do no arithmetic with fractions outside of `third`, and
    // restore the register.
    unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
}

/// The bits of one third, or of minus one third, as rounded now.
fn third(of: f32) -> u32 {
    let (mut value, three) = (of.to_bits(), 3_f32.to_bits());
    // SAFETY: arithmetic on registers that the compiler is told of.
    unsafe {
        asm!("movd {x}, {value:e}", "movd {y}, {three:e}", "divss {x}, {y}", "movd {value:e}, {x}",
             x = out(xmm_reg) _, y = out(xmm_reg) _, value = inout(reg) value, three = in(reg) three,
             options(nostack, nomem));
    }
    value
}

/// The four modes: to nearest, down, up, towards zero; and what they make of one third and minus one third.
const THIRDS: [(u32, u32); 4] = [
    (0x3eaa_aaab, 0xbeaa_aaab),
    (0x3eaa_aaaa, 0xbeaa_aaab),
    (0x3eaa_aaab, 0xbeaa_aaaa),
    (0x3eaa_aaaa, 0xbeaa_aaaa),
];

fn mxcsr() {
    for _ in 0..2 {
        tasks(many(700), |me| {
            assert_eq!(mxcsr_now(), MXCSR_DEFAULT, "a task begins with the default");
            // Every other one leaves it alone. Flush to zero and denormals are zero go with it.
            let mode = if me % 2 == 0 { 0 } else { me / 2 % 4 };
            let mine = MXCSR_DEFAULT | (mode as u32) << 13 | if me % 16 == 1 { 0x8040 } else { 0 };
            if mine != MXCSR_DEFAULT {
                set_mxcsr(mine);
            }
            for _ in 0..20 {
                hop();
                assert_eq!(mxcsr_now(), mine);
                assert_eq!((third(1.0), third(-1.0)), THIRDS[mode]);
            }
            // Left as it is at the end of every fourth: the next task must not get it.
            if me % 4 != 3 {
                set_mxcsr(MXCSR_DEFAULT);
            }
        });
    }
}

const X87_DEFAULT: u16 = 0x037f;

fn x87_now() -> u16 {
    let mut value = 0_u16;
    // SAFETY: stores the register into the variable.
    unsafe { asm!("fnstcw [{}]", in(reg) &raw mut value, options(nostack)) };
    value
}

fn set_x87(value: u16) {
    // SAFETY: all exceptions stay masked; the callers do no arithmetic on the x87.
    unsafe { asm!("fldcw [{}]", in(reg) &raw const value, options(nostack)) };
}

fn x87() {
    for _ in 0..2 {
        tasks(many(700), |me| {
            assert_eq!(x87_now(), X87_DEFAULT, "a task begins with the default");
            // Rounding, and the precision of double or extended.
            let mine = if me % 2 == 0 {
                X87_DEFAULT
            } else {
                0x007f | ((me / 2 % 4) as u16) << 10 | if me % 3 == 0 { 0x0200 } else { 0x0300 }
            };
            if mine != X87_DEFAULT {
                set_x87(mine);
            }
            for _ in 0..20 {
                hop();
                assert_eq!(x87_now(), mine);
            }
            if me % 4 != 3 {
                set_x87(X87_DEFAULT);
            }
        });
    }
}

fn errno_now() -> i32 {
    // SAFETY: libc's own word for this thread, or task.
    unsafe { *libc::__errno_location() }
}

/// Only over suspensions in which the task itself makes no call that fails.
fn errno() {
    for _ in 0..2 {
        tasks(many(1000), |me| {
            for n in 0..30 {
                let mine = 1 + ((me + n) % 130) as i32;
                // SAFETY: as above.
                unsafe { *libc::__errno_location() = mine };
                let before = thread_number();
                task::yield_now();
                assert_eq!(errno_now(), mine);
                assert_eq!(thread_number() != before, task::migrates());
                assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(mine));
            }
        });
    }
}

fn task_locals() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    struct Counts(usize);
    impl Drop for Counts {
        fn drop(&mut self) {
            hop();
            NUMBER.with(|number| assert_eq!(number.get(), self.0));
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
    task_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        static COUNTS: RefCell<Vec<Counts>> = RefCell::new(Vec::new());
    }
    let n = many(700);
    tasks(n, |me| {
        assert_eq!(NUMBER.get(), usize::MAX);
        NUMBER.set(me);
        COUNTS.with(|counts| {
            let mut mine = counts.borrow_mut();
            for _ in 0..3 {
                mine.push(Counts(me));
                hop();
                assert_eq!(NUMBER.get(), me);
            }
        });
    });
    crate::support::eventually(|| DROPPED.load(Ordering::Relaxed) == n * 3);
}
