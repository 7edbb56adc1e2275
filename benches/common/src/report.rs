//! The line of JSON, and what is computed for it.

use std::fmt::Write as _;
use std::time::Instant;

/// Prints `{"k":v,...}`.
pub fn out(pairs: &[(&str, f64)]) {
    let mut line = String::from("{");
    for (i, (k, v)) in pairs.iter().enumerate() {
        let comma = if i > 0 { "," } else { "" };
        // JSON knows no NaN: a quantile of nothing.
        let _ = if v.is_finite() {
            write!(line, "{comma}\"{k}\":{v}")
        } else {
            write!(line, "{comma}\"{k}\":null")
        };
    }
    println!("{line}}}");
}

/// Says that this peer cannot do this, and why, and ends the process.
pub fn na(reason: &str) -> ! {
    println!("{{\"na\":\"{reason}\"}}");
    std::process::exit(0)
}

/// The nanoseconds since `t`.
pub fn ns(t: Instant) -> u64 {
    t.elapsed().as_nanos() as u64
}

/// The value at quantile `q`; sorts `v`.
pub fn pct(v: &mut [u32], q: f64) -> f64 {
    v.sort_unstable();
    v.len().checked_sub(1).map_or(f64::NAN, |last| f64::from(v[(last as f64 * q) as usize]))
}
