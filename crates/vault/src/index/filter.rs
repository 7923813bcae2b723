//! A small set of ids in memory that may err, but only by saying yes.
//!
//! Twelve bits for each id, four of which are set, all in one 64-bit word: about one no in forty
//! is answered with yes, and an answer touches one cache line.

const BITS_PER_ID: u64 = 12;

/// A Bloom filter over ids, whose bytes are uniform because they are keyed hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filter(Vec<u64>);

impl Filter {
    pub(super) fn for_count(count: u64) -> Self {
        let words = (count * BITS_PER_ID).div_ceil(64).max(1);
        Self(vec![0; words as usize])
    }

    pub(super) fn from_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    pub(super) fn words(&self) -> &[u64] {
        &self.0
    }

    pub(super) fn insert(&mut self, id: &[u8; 32]) {
        let (word, mask) = self.place(id);
        if let Some(word) = self.0.get_mut(word) {
            *word |= mask;
        }
    }

    pub(super) fn may_hold(&self, id: &[u8; 32]) -> bool {
        let (word, mask) = self.place(id);
        self.0.get(word).is_none_or(|word| word & mask == mask)
    }

    // The table sorts by the first bytes, so the filter takes others.
    fn place(&self, id: &[u8; 32]) -> (usize, u64) {
        let [a, b] = [8, 16].map(|at| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&id[at..at + 8]);
            u64::from_le_bytes(bytes)
        });
        let word = ((u128::from(a) * self.0.len() as u128) >> 64) as usize;
        let mask = (0..4).fold(0, |mask, i| mask | 1u64 << (b >> (6 * i) & 63));
        (word, mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> [u8; 32] {
        *blake3::hash(&n.to_le_bytes()).as_bytes()
    }

    #[test]
    fn never_a_false_no_and_seldom_a_false_yes() {
        let mut filter = Filter::for_count(10_000);
        (0..10_000).for_each(|n| filter.insert(&id(n)));
        assert!((0..10_000).all(|n| filter.may_hold(&id(n))));
        let wrong = (10_000..30_000)
            .filter(|n| filter.may_hold(&id(*n)))
            .count();
        assert!(wrong < 1000, "{wrong} of 20000");
        assert!(filter.words().len() * 8 <= 2 * 10_000);
    }
}
