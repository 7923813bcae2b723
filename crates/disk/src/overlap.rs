//! Whether two structures of an image share bytes: then one of them is a lie.
//!
//! Memory is bounded by what the file can really hold, whatever offsets it invents: [`Claims`] has a
//! bit for each MiB of a VHDX, in words that exist only where something is, and can be asked while
//! the table is still being read; [`equal`] sorts the starts of a VHD's blocks, which lie anywhere
//! but are all of one length.

use std::collections::HashMap;

use crate::vhdx::MIB;

/// The end of the largest file that is believed: four times the largest disk.
const MAX_FILE_LEN: u64 = 256 << 40;

/// The MiB that are taken.
#[derive(Debug, Default)]
pub(crate) struct Claims(HashMap<u64, u64>);

impl Claims {
    /// Takes `len` bytes from `offset`, both whole MiB. False when a part is taken already or lies
    /// beyond any file; what was free before it is taken then all the same.
    pub(crate) fn take(&mut self, offset: u64, len: u64) -> bool {
        let Some(end) = offset.checked_add(len).filter(|end| *end <= MAX_FILE_LEN) else {
            return false;
        };
        let (mut mib, end) = (offset / MIB, end.div_ceil(MIB));
        while mib < end {
            let (word, bit) = (mib / 64, mib % 64);
            let count = (64 - bit).min(end - mib);
            let mask = (u64::MAX >> (64 - count)) << bit;
            let taken = self.0.entry(word).or_default();
            if *taken & mask != 0 {
                return false;
            }
            *taken |= mask;
            mib += count;
        }
        true
    }
}

/// Two of many pieces of one length that share bytes, by their starts, which are sorted here.
pub(crate) fn equal(starts: &mut [u32], len: u64) -> Option<(u32, u32)> {
    starts.sort_unstable();
    let mut pairs = starts.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.find(|(one, next)| u64::from(next - one) < len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn a_claim_succeeds_exactly_when_all_of_it_was_free(
            claims in prop::collection::vec((0..300u64, 1..80u64), 1..20)
        ) {
            let mut model = [false; 400];
            let mut real = Claims::default();
            for (start, count) in claims {
                let slots = &mut model[start as usize..(start + count) as usize];
                let free = slots.iter().all(|taken| !taken);
                prop_assert_eq!(real.take(start * MIB, count * MIB), free);
                if !free {
                    break;
                }
                slots.fill(true);
            }
        }

        #[test]
        fn pieces_of_one_length_overlap_exactly_when_two_share_a_byte(
            mut starts in prop::collection::vec(0..200u32, 0..12), len in 1..30u64
        ) {
            let shared = (0..starts.len()).any(|i| (0..i).any(|j| {
                u64::from(starts[i].abs_diff(starts[j])) < len
            }));
            let found = equal(&mut starts, len);
            prop_assert_eq!(found.is_some(), shared);
        }
    }

    #[test]
    fn places_beyond_any_file_cannot_be_taken() {
        let mut claims = Claims::default();
        assert!(!claims.take(u64::MAX / MIB * MIB, MIB));
        assert!(!claims.take(MAX_FILE_LEN, MIB));
        assert!(claims.take(MAX_FILE_LEN - MIB, MIB));
    }
}
