//! One small generator, the same in every program and language of the benches.

/// A xorshift with a fixed seed.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// From 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.word() >> 11) % n
    }

    /// Exponential with mean 1: the gaps between independent arrivals.
    pub fn exponential(&mut self) -> f64 {
        let unit = ((self.word() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        -unit.ln()
    }
}
