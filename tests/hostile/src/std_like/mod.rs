//! What std promises to a thread, asked of a task.

use crate::check::Check;

mod destructors;
mod hops;
mod leaks;
mod locals;
mod memory;
mod on_thread;
mod panics;
mod processes;
mod registers;
mod threads;

/// Every check of this part.
pub const CHECKS: &[&[Check]] = &[
    hops::CHECKS,
    locals::CHECKS,
    destructors::CHECKS,
    panics::CHECKS,
    threads::CHECKS,
    processes::CHECKS,
    registers::CHECKS,
    leaks::CHECKS,
    on_thread::CHECKS,
    memory::CHECKS,
];
