//! Which MiB of a file or disk have been written to.

/// One MiB, the unit of [`Touched`].
pub(crate) const MIB: u64 = 1 << 20;

/// A growing set of small numbers, one bit each: 8 MiB of memory for 64 TiB counted in MiB.
#[derive(Debug, Default)]
pub(crate) struct Touched(Vec<u64>);

impl Touched {
    pub(crate) fn contains(&self, index: u64) -> bool {
        usize::try_from(index / 64)
            .ok()
            .and_then(|word| self.0.get(word))
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Adds `index` and tells whether it is new. The caller has bounded `index` by the size of
    /// a disk it accepted.
    pub(crate) fn insert(&mut self, index: u64) -> bool {
        let word = (index / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }
}
