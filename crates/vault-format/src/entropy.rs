//! Randomness, passed in by the caller.

/// A source of cryptographically secure random bytes.
///
/// Every closure that fills a slice is one. In production it must be the operating system's
/// generator; tests and golden files use a counter so that they come out the same every time.
/// There is no error: without randomness nothing may be written, so an implementation that has
/// none must not return.
pub trait Entropy {
    /// Fills `out` with random bytes.
    fn fill(&mut self, out: &mut [u8]);
}

impl<F: FnMut(&mut [u8])> Entropy for F {
    fn fill(&mut self, out: &mut [u8]) {
        self(out);
    }
}

/// `N` random bytes.
pub fn random<const N: usize>(rng: &mut dyn Entropy) -> [u8; N] {
    let mut out = [0; N];
    rng.fill(&mut out);
    out
}

/// Lends an [`Entropy`] to libraries that ask for `rand_core`'s traits.
pub(crate) struct RandCore<'a>(pub(crate) &'a mut dyn Entropy);

impl hpke::rand_core::RngCore for RandCore<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(random(self.0))
    }
    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(random(self.0))
    }
    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

impl hpke::rand_core::CryptoRng for RandCore<'_> {}
