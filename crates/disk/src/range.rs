//! Ranges of bytes, and sets of them.
//!
//! [`ByteRanges`] is the currency of change tracking: what a hypervisor reports as changed, what
//! a chain has allocated, what a backup must read. It is kept normal (ascending, disjoint, no two
//! ranges touching), so equal sets are equal values.

use std::fmt;

/// The bytes from `start` up to and not including `end`; `start <= end`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl ByteRange {
    /// The range from `start` to `end`.
    ///
    /// # Panics
    /// In debug builds, if `end < start`.
    pub fn new(start: u64, end: u64) -> Self {
        debug_assert!(start <= end, "{start}..{end} runs backwards");
        Self { start, end }
    }

    /// `len` bytes from `offset`, or `None` when they run past the end of 64 bits.
    pub fn at(offset: u64, len: u64) -> Option<Self> {
        Some(Self {
            start: offset,
            end: offset.checked_add(len)?,
        })
    }

    /// Number of bytes.
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The bytes in both ranges, or `None` when there are none.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        let start = self.start.max(other.start);
        let end = self.end.min(other.end);
        (start < end).then_some(Self { start, end })
    }

    /// The smallest range that contains this one and begins and ends on multiples of `unit`;
    /// it saturates at the end of 64 bits.
    pub fn align_out(&self, unit: u64) -> Self {
        let start = self.start / unit * unit;
        Self {
            start,
            end: self.end.div_ceil(unit).saturating_mul(unit).max(start),
        }
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A set of bytes, as ascending disjoint ranges of which no two touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByteRanges(Vec<ByteRange>);

impl ByteRanges {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// The ranges, ascending.
    pub fn as_slice(&self) -> &[ByteRange] {
        &self.0
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = ByteRange> + '_ {
        self.0.iter().copied()
    }

    /// Number of bytes in the set.
    pub fn total(&self) -> u64 {
        self.0.iter().map(ByteRange::len).sum()
    }

    /// Whether no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes in either set.
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// The bytes in both sets, in time linear in the two.
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.as_slice(), other.0.as_slice());
        let mut out = Vec::new();
        while let (Some(x), Some(y)) = (a.first(), b.first()) {
            out.extend(x.intersect(y));
            if x.end <= y.end {
                a = &a[1..];
            } else {
                b = &b[1..];
            }
        }
        Self(out)
    }

    /// The bytes of `whole` that are not in the set.
    pub fn complement(&self, whole: ByteRange) -> Self {
        let mut out = Vec::new();
        let mut from = whole.start;
        for range in self.within(whole) {
            if from < range.start {
                out.push(ByteRange::new(from, range.start));
            }
            from = range.end;
        }
        if from < whole.end {
            out.push(ByteRange::new(from, whole.end));
        }
        Self(out)
    }

    /// The set grown so that every range begins and ends on a multiple of `unit`.
    pub fn align_out(&self, unit: u64) -> Self {
        self.0.iter().map(|range| range.align_out(unit)).collect()
    }

    /// The parts of the set that lie in `window`, ascending. Finding the first is a binary
    /// search, so walking a disk window by window stays linear.
    pub fn within(&self, window: ByteRange) -> impl Iterator<Item = ByteRange> + '_ {
        let first = self.0.partition_point(|range| range.end <= window.start);
        self.0[first..]
            .iter()
            .map_while(move |range| range.intersect(&window))
    }
}

/// Any ranges, in any order, overlapping or not.
impl FromIterator<ByteRange> for ByteRanges {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let touches = next.start <= kept.end;
            if touches {
                kept.end = kept.end.max(next.end);
            }
            touches
        });
        Self(ranges)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPACE: u64 = 64;

    /// The model: one boolean for each byte of a small space.
    fn bits(set: &ByteRanges) -> Vec<bool> {
        (0..SPACE)
            .map(|byte| set.iter().any(|r| r.start <= byte && byte < r.end))
            .collect()
    }

    fn sets() -> impl Strategy<Value = ByteRanges> {
        prop::collection::vec((0..SPACE, 0..SPACE), 0..8).prop_map(|pairs| {
            pairs
                .into_iter()
                .map(|(a, b)| ByteRange::new(a.min(b), a.max(b)))
                .collect()
        })
    }

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn sets_behave_like_bits(a in sets(), b in sets(), w in (0..SPACE, 0..SPACE)) {
            let (x, y) = (bits(&a), bits(&b));
            let zip = |f: fn(bool, bool) -> bool| -> Vec<bool> {
                x.iter().zip(&y).map(|(p, q)| f(*p, *q)).collect()
            };
            prop_assert_eq!(bits(&a.union(&b)), zip(|p, q| p || q));
            prop_assert_eq!(bits(&a.intersect(&b)), zip(|p, q| p && q));
            prop_assert_eq!(a.total(), x.iter().filter(|p| **p).count() as u64);

            let window = ByteRange::new(w.0.min(w.1), w.0.max(w.1));
            let inside: ByteRanges = a.within(window).collect();
            let outside = a.complement(window);
            for byte in 0..SPACE {
                let i = byte as usize;
                let here = window.start <= byte && byte < window.end;
                prop_assert_eq!(bits(&inside)[i], here && x[i]);
                prop_assert_eq!(bits(&outside)[i], here && !x[i]);
            }
        }

        #[test]
        fn results_are_normal(a in sets(), b in sets()) {
            for set in [a.union(&b), a.intersect(&b), a.align_out(8)] {
                prop_assert!(set.iter().all(|range| !range.is_empty()));
                prop_assert!(set.as_slice().windows(2).all(|w| w[0].end < w[1].start));
            }
        }
    }

    #[test]
    fn aligning_saturates_instead_of_wrapping() {
        let range = ByteRange::new(u64::MAX - 1, u64::MAX);
        let aligned = range.align_out(4096);
        assert!(aligned.start <= range.start && aligned.end == u64::MAX);
    }
}
