//! The hostile suite: ordinary Rust, C and C++ that would go wrong if a task's thread-locals were not its own, with
//! tasks that move to another worker at each suspension. See `check.rs` for the arguments.

mod ecosystem;
mod foreign;
mod std_like;

use ec_hostile::{check, support};

fn main() -> std::process::ExitCode {
    check::main(&[std_like::CHECKS, ecosystem::CHECKS, foreign::CHECKS])
}
