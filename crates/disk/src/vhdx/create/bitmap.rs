//! One chunk's sector bitmap in memory.

use crate::vhdx::MIB;

/// A bitmap block of 1 MiB: bit n (least significant first) is the chunk's sector n.
#[derive(Debug)]
pub(crate) struct OpenBitmap {
    /// The chunk.
    pub(crate) chunk: u64,
    /// Where the block is in the file.
    pub(crate) offset: u64,
    /// The bits.
    pub(crate) bits: Vec<u8>,
}

impl OpenBitmap {
    pub(crate) fn new(chunk: u64, offset: u64) -> Self {
        Self {
            chunk,
            offset,
            bits: vec![0; MIB as usize],
        }
    }

    pub(crate) fn set(&mut self, first: u64, count: u64) {
        set_bits(&mut self.bits, first, count);
    }

    pub(crate) fn all_set(&self, first: u64, count: u64) -> bool {
        all_set(&self.bits, first, count)
    }
}

/// Sets `count` bits from `first`, least significant bit of a byte first.
pub(crate) fn set_bits(bits: &mut [u8], first: u64, count: u64) {
    let mut n = first;
    let end = first + count;
    while n < end {
        let byte = (n / 8) as usize;
        if n.is_multiple_of(8) && end - n >= 8 {
            bits[byte] = 0xFF;
            n += 8;
        } else {
            bits[byte] |= 1 << (n % 8);
            n += 1;
        }
    }
}

/// Whether `count` bits from `first` are all set.
pub(crate) fn all_set(bits: &[u8], first: u64, count: u64) -> bool {
    let mut n = first;
    let end = first + count;
    while n < end {
        let byte = bits[(n / 8) as usize];
        if n.is_multiple_of(8) && end - n >= 8 {
            if byte != 0xFF {
                return false;
            }
            n += 8;
        } else if byte >> (n % 8) & 1 == 0 {
            return false;
        } else {
            n += 1;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn bits_are_where_a_loop_would_put_them(first in 0u64..200, count in 0u64..200, hole in 0u64..400) {
            let mut bits = vec![0; 64];
            set_bits(&mut bits, first, count);
            for n in 0..512 {
                let set = bits[n as usize / 8] >> (n % 8) & 1 == 1;
                prop_assert_eq!(set, (first..first + count).contains(&n));
            }
            prop_assert!(all_set(&bits, first, count));
            prop_assert!(!all_set(&bits, first, count + 1));
            bits[hole as usize / 8] &= !(1 << (hole % 8));
            prop_assert_eq!(all_set(&bits, first, count), !(first..first + count).contains(&hole));
        }
    }
}
