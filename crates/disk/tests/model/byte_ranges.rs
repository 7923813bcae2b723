//! What must hold for any two sets of byte ranges over all 64 bits.
//!
//! Shared by the fuzz target `disk_byte_ranges` and the replay of its corpus.

use hyperkeep_disk::{ByteRange, ByteRanges};

/// Reads two sets and a window out of `data` and checks the laws that join them.
pub(crate) fn check(data: &[u8]) {
    let numbers: Vec<u64> = data
        .chunks_exact(8)
        .map(|eight| u64::from_le_bytes(eight.try_into().expect("eight bytes")))
        .collect();
    let ranges: Vec<ByteRange> = numbers
        .chunks_exact(2)
        .filter_map(|pair| ByteRange::at(pair[0], pair[1]))
        .collect();
    let Some((window, rest)) = ranges.split_first() else {
        return;
    };
    let (left, right) = rest.split_at(rest.len() / 2);
    let a: ByteRanges = left.iter().copied().collect();
    let b: ByteRanges = right.iter().copied().collect();

    let (both, either) = (a.intersect(&b), a.union(&b));
    assert_eq!(
        u128::from(both.total()) + u128::from(either.total()),
        u128::from(a.total()) + u128::from(b.total()),
        "what two sets share is counted once in their union"
    );
    let inside: ByteRanges = a.within(*window).collect();
    let outside = a.complement(*window);
    assert!(inside.intersect(&outside).is_empty());
    assert_eq!(
        inside.union(&outside),
        [*window].into_iter().collect::<ByteRanges>(),
        "a window is what a set has of it and what it has not"
    );
    assert_eq!(outside.complement(*window), inside);
    for set in [&a, &both, &either, &outside, &a.align_out(4096)] {
        assert!(set.iter().all(|range| range.start < range.end));
        assert!(set.as_slice().windows(2).all(|w| w[0].end < w[1].start));
    }
}
