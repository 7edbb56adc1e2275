//! What the ABI has a thread keep in the floating-point unit: rounding, and which exceptions trap. It
//! belongs to the task, so it is put back on both sides of a switch if the other side has
//! changed it.

/// The control bits in force.
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
    #[inline(always)]
    pub(crate) fn of_thread() -> Control {
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

    #[inline(always)]
    pub(crate) fn restore(self) {
        let now = Control::of_thread();
        if (now.mxcsr ^ self.mxcsr) & !FLAGS != 0 {
            let wanted = (self.mxcsr & !FLAGS) | (now.mxcsr & FLAGS);
            // SAFETY: control bits that were in force before.
            unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const wanted, options(nostack, readonly)) };
        }
        if now.x87 != self.x87 {
            // SAFETY: as above.
            unsafe { std::arch::asm!("fldcw [{}]", in(reg) &raw const self.x87, options(nostack, readonly)) };
        }
    }
}

#[cfg(target_arch = "aarch64")]
impl Control {
    #[inline(always)]
    pub(crate) fn of_thread() -> Control {
        let fpcr: u64;
        // SAFETY: reads the register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) };
        Control { fpcr }
    }

    #[inline(always)]
    pub(crate) fn restore(self) {
        if Control::of_thread().fpcr != self.fpcr {
            // SAFETY: control bits that were in force before.
            unsafe { std::arch::asm!("msr fpcr, {}", in(reg) self.fpcr, options(nostack, preserves_flags)) };
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
impl Control {
    pub(crate) fn of_thread() -> Control {
        Control {}
    }

    pub(crate) fn restore(self) {}
}
