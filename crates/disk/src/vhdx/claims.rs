//! Who owns which MiB of the file: no two structures may share one.
//!
//! A bit for each MiB, in words that exist only where something is: proportional to what a file
//! really refers to, whatever offsets it invents.

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
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
    }

    #[test]
    fn places_beyond_any_file_cannot_be_taken() {
        let mut claims = Claims::default();
        assert!(!claims.take(u64::MAX / MIB * MIB, MIB));
        assert!(!claims.take(MAX_FILE_LEN, MIB));
        assert!(claims.take(MAX_FILE_LEN - MIB, MIB));
    }
}
