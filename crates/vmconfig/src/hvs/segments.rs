//! Bytes that lie over a file: what a log changes.
//!
//! Invariant: segments are not empty and do not overlap. So a read meets only what it needs, however
//! many changes a log has and however often they change one place. They are ranges of the log, so
//! that cutting one copies nothing.

use std::collections::BTreeMap;
use std::ops::Range;

/// Parts of a log, by the offset in the file that they are for.
#[derive(Debug, Default)]
pub(super) struct Segments {
    log: Vec<u8>,
    parts: BTreeMap<u64, Range<usize>>,
}

impl Segments {
    /// No segments yet of this log.
    pub(super) fn of(log: Vec<u8>) -> Self {
        Segments {
            log,
            parts: BTreeMap::new(),
        }
    }

    /// The whole log.
    pub(super) fn log(&self) -> &[u8] {
        &self.log
    }

    /// Lays a part of the log over what is there; whether it is one, and its place ends within 64
    /// bits.
    #[must_use]
    pub(super) fn put(&mut self, at: u64, part: Range<usize>) -> bool {
        let len = self.log.get(part.clone()).map_or(0, <[u8]>::len) as u64;
        let Some(end) = at.checked_add(len) else {
            return false;
        };
        if len == 0 {
            return part.end <= self.log.len();
        }
        // Of what begins before the end, only the last two can reach out of the place.
        while let Some((&start, old)) = self.parts.range(..end).next_back() {
            let old = old.clone();
            let old_end = start + old.len() as u64;
            if old_end <= at {
                break;
            }
            self.parts.remove(&start);
            if old_end > end {
                let rest = old.end - (old_end - end) as usize..old.end;
                self.parts.insert(end, rest);
            }
            if start < at {
                let kept = old.start..old.start + (at - start) as usize;
                self.parts.insert(start, kept);
                break;
            }
        }
        self.parts.insert(at, part);
        true
    }

    /// The segments that have a byte of `range`, in order.
    pub(super) fn within(&self, range: Range<u64>) -> impl Iterator<Item = (u64, &[u8])> {
        // `BTreeMap` takes no range that ends before it begins.
        let end = range.end.max(range.start);
        let before = self.parts.range(..range.start).next_back();
        let before = before
            .filter(move |(at, part)| range.start < end && **at + part.len() as u64 > range.start);
        before
            .into_iter()
            .chain(self.parts.range(range.start..end))
            .filter_map(|(at, part)| Some((*at, self.log.get(part.clone())?)))
    }

    /// Where the last one ends.
    pub(super) fn end(&self) -> u64 {
        let last = self.parts.last_key_value();
        last.map_or(0, |(at, part)| at + part.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn the_last_change_of_a_byte_counts(
            changes in prop::collection::vec((0..200usize, 0..60usize, 0..190usize), 0..40),
            reads in prop::collection::vec((0..300u64, 0..300u64), 20),
        ) {
            let log: Vec<u8> = (1..=250).collect();
            let mut model = [0u8; 300];
            let mut segments = Segments::of(log.clone());
            for (at, len, from) in changes {
                model[at..at + len].copy_from_slice(&log[from..from + len]);
                prop_assert!(segments.put(at as u64, from..from + len));
            }
            for (from, to) in reads {
                let mut met = segments.within(from..to);
                let (from, to) = (from as usize, to.max(from) as usize);
                let mut seen = vec![0u8; 300];
                prop_assert!(met.all(|(at, data)| {
                    let (start, end) = (at as usize, at as usize + data.len());
                    seen[start..end].copy_from_slice(data);
                    !data.is_empty() && start < to && end > from
                }), "only what the range needs");
                prop_assert_eq!(&seen[from..to.min(300)], &model[from..to.min(300)]);
            }
            let end = model.iter().rposition(|byte| *byte > 0).map_or(0, |last| last + 1);
            prop_assert_eq!(segments.end(), end as u64);
        }
    }

    /// A log of 16384 changes costs a read no more than the bytes that it asks for.
    #[test]
    fn many_changes_of_one_place_are_one_segment() {
        let mut segments = Segments::of(vec![7; 100]);
        for n in 0..16_384u64 {
            assert!(segments.put(1000, 3..4));
            assert!(segments.put(n % 7, 9..9));
        }
        assert_eq!(segments.parts.len(), 1);
        for n in 0..16_384u64 {
            assert!(segments.put(5000 + 2 * n, 0..1));
        }
        assert_eq!(segments.within(5100..5104).count(), 2);
    }

    #[test]
    fn a_part_outside_the_log_or_a_place_outside_any_file() {
        let mut segments = Segments::of(vec![7; 100]);
        assert!(!segments.put(0, 99..101));
        assert!(!segments.put(u64::MAX - 1, 0..2 + 1));
        assert!(segments.put(u64::MAX - 3, 0..3));
        assert_eq!(segments.within(0..u64::MAX).count(), 1);
    }
}
