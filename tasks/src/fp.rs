//! What the ABI has a thread keep in the floating-point unit: rounding, and which exceptions trap. It
//! belongs to the task: its runner puts the task's in before the switch, and its own back after it,
//! where they differ. As with a thread, a task begins with what its spawner had.

/// Control bits.
#[derive(Clone, Copy)]
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
    #[inline(always)]
    pub(crate) fn in_force() -> Control {
        let mut control = Control { mxcsr: 0, x87: 0 };
        // SAFETY: stores both registers.
        unsafe {
            std::arch::asm!(
                "stmxcsr [{mxcsr}]",
                "fnstcw [{x87}]",
                mxcsr = in(reg) &raw mut control.mxcsr,
                x87 = in(reg) &raw mut control.x87,
                options(nostack, preserves_flags),
            );
        }
        control
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
    #[inline(always)]
    pub(crate) fn in_force() -> Control {
        let fpcr: u64;
        // SAFETY: reads the register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        Control { fpcr }
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

    pub(crate) fn change_to(self, _: Control) {}
}
