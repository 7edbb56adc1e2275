//! What the ABI has a thread keep in the floating-point unit: rounding, and which exceptions trap.
//!
//! It belongs to the task. Where the task's and the runner's differ, the runner puts the task's in before the switch,
//! and its own back after it. As with a thread, a task begins with what its spawner had.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;

/// Where a task leaves its control bits when it switches away: to be read a little later, since a processor
/// takes its time to tell them.
pub(crate) struct Saved(UnsafeCell<Control>);

impl Saved {
    pub(crate) fn new() -> Saved {
        Saved(UnsafeCell::new(Control::default()))
    }

    /// Leaves those in force here.
    #[inline(always)]
    pub(crate) fn save(&self) {
        // SAFETY: of the task and its runner, one at a time; nobody refers into it.
        unsafe { Control::store(self.0.get()) };
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Control {
        // SAFETY: as above.
        unsafe { *self.0.get() }
    }
}

/// Control bits.
#[derive(Clone, Copy, Default)]
pub(crate) struct Control {
    #[cfg(target_arch = "x86_64")]
    mxcsr: u32,
    #[cfg(target_arch = "x86_64")]
    x87: u16,
    #[cfg(target_arch = "aarch64")]
    fpcr: u64,
}

/// The bits of MXCSR that tell what has happened: they are nobody's.
#[cfg(target_arch = "x86_64")]
const FLAGS: u32 = 0x3f;

#[cfg(target_arch = "x86_64")]
impl Control {
    /// Those in force.
    pub(crate) fn in_force() -> Control {
        let mut control = Control::default();
        // SAFETY: a place of ours.
        unsafe { Control::store(&mut control) };
        control
    }

    /// # Safety
    /// A place to write to.
    #[inline(always)]
    unsafe fn store(to: *mut Control) {
        // SAFETY: stores both registers there.
        unsafe {
            std::arch::asm!(
                "stmxcsr [{mxcsr}]",
                "fnstcw [{x87}]",
                mxcsr = in(reg) &raw mut (*to).mxcsr,
                x87 = in(reg) &raw mut (*to).x87,
                options(nostack, preserves_flags),
            );
        }
    }

    /// Puts `wanted` in force in place of these.
    #[inline(always)]
    pub(crate) fn change_to(self, wanted: Control) {
        if (self.mxcsr ^ wanted.mxcsr) & !FLAGS != 0 {
            let mxcsr = (wanted.mxcsr & !FLAGS) | (self.mxcsr & FLAGS);
            // SAFETY: control bits that were in force before.
            unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, readonly)) };
        }
        if self.x87 != wanted.x87 {
            // SAFETY: as above.
            unsafe {
                std::arch::asm!("fldcw [{}]", in(reg) &raw const wanted.x87, options(nostack, readonly))
            };
        }
    }
}

#[cfg(target_arch = "aarch64")]
impl Control {
    /// Those in force.
    pub(crate) fn in_force() -> Control {
        let fpcr: u64;
        // SAFETY: reads the register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        Control { fpcr }
    }

    /// # Safety
    /// A place to write to.
    #[inline(always)]
    unsafe fn store(to: *mut Control) {
        // SAFETY: the caller's promise.
        unsafe { to.write(Control::in_force()) };
    }

    /// Puts `wanted` in force in place of these.
    #[inline(always)]
    pub(crate) fn change_to(self, wanted: Control) {
        if self.fpcr != wanted.fpcr {
            // SAFETY: control bits that were in force before.
            unsafe {
                std::arch::asm!("msr fpcr, {}", in(reg) wanted.fpcr, options(nostack, preserves_flags))
            };
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl Control {
    pub(crate) fn in_force() -> Control {
        Control {}
    }

    unsafe fn store(_: *mut Control) {}

    pub(crate) fn change_to(self, _: Control) {}
}
