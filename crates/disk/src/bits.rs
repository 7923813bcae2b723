//! Runs of equal bits in a bitmap.

/// The value of bit `first` and the first bit at or before `limit` that differs. `mask` tells which
/// bit of its byte one is: the formats count from different ends.
pub(crate) fn run(bits: &[u8], first: u64, limit: u64, mask: impl Fn(u64) -> u8) -> (bool, u64) {
    let bit = |n: u64| bits[(n / 8) as usize] & mask(n) != 0;
    let value = bit(first);
    let whole = if value { 0xFF } else { 0 };
    let mut n = first + 1;
    while n < limit {
        if n.is_multiple_of(8) && bits[(n / 8) as usize] == whole {
            n += 8;
        } else if bit(n) == value {
            n += 1;
        } else {
            break;
        }
    }
    (value, n.min(limit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(testkit::vary::config(256))]
        #[test]
        fn a_run_ends_at_the_first_bit_that_differs(
            bits in prop::collection::vec(prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 1..12),
            first in any::<prop::sample::Index>(), limit in any::<prop::sample::Index>(),
        ) {
            let count = bits.len() * 8;
            let first = first.index(count);
            let limit = first + 1 + limit.index(count - first);
            let masks: [fn(u64) -> u8; 2] = [|n| 1 << (n % 8), |n| 0x80 >> (n % 8)];
            for mask in masks {
                let bit = |n: usize| bits[n / 8] & mask(n as u64) != 0;
                let end = (first..limit).find(|n| bit(*n) != bit(first)).unwrap_or(limit);
                let found = run(&bits, first as u64, limit as u64, mask);
                prop_assert_eq!(found, (bit(first), end as u64));
            }
        }
    }
}
