//! The one seeded generator: PCG XSH-RR 64/32 (O'Neill, 2014), in integers only.
//!
//! A world owns one. Each machine is handed its own stream when it starts, so that what one machine draws never shifts
//! what another draws.

/// A seeded stream of numbers. Two generators with the same seed and stream draw the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    increment: u64,
}

impl Rng {
    /// The generator of `stream` under `seed`; different streams of one seed are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self { state: 0, increment: (stream << 1) | 1 };
        rng.next_u32();
        rng.state = rng.state.wrapping_add(seed);
        rng.next_u32();
        rng
    }

    pub fn next_u32(&mut self) -> u32 {
        let old = self.state;
        self.state = old.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(self.increment);
        let xorshifted = (((old >> 18) ^ old) >> 27) as u32;
        xorshifted.rotate_right((old >> 59) as u32)
    }

    pub fn next_u64(&mut self) -> u64 {
        (u64::from(self.next_u32()) << 32) | u64::from(self.next_u32())
    }

    /// A number in `0..bound`, every one as likely as the other. `bound` must not be zero.
    pub fn below(&mut self, bound: u32) -> u32 {
        assert!(bound > 0, "a draw from an empty range");
        // Draws from the incomplete last round are thrown away, or small numbers would come up more often.
        let threshold = bound.wrapping_neg() % bound;
        loop {
            let drawn = self.next_u32();
            if drawn >= threshold {
                return drawn % bound;
            }
        }
    }

    /// A number in `from..=to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        let span = to.saturating_sub(from).saturating_add(1).min(u64::from(u32::MAX));
        from + u64::from(self.below(span as u32))
    }

    /// True `numerator` times in `denominator`.
    pub fn chance(&mut self, numerator: u32, denominator: u32) -> bool {
        self.below(denominator) < numerator
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of PCG's own demonstration program (`pcg32-demo`, seed 42, stream 54).
    #[test]
    fn draws_what_the_reference_implementation_draws() {
        let mut rng = Rng::new(42, 54);
        let drawn: Vec<u32> = (0..6).map(|_| rng.next_u32()).collect();
        assert_eq!(drawn, [0xa15c_02b7, 0x7b47_f409, 0xba1d_3330, 0x83d2_f293, 0xbfa4_784b, 0xcbed_606e]);
    }
}
