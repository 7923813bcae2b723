//! The hashes by which names of a folder are sorted: the old one, half of MD4, and TEA.
//!
//! Each is there for signed and unsigned characters, as it was once computed by the machine's own: they
//! differ for bytes of 128 and above. Source: the published descriptions of MD4 and TEA, and the kernel's
//! documentation of the folders' index; shown against `debugfs dx_hash` and folders that the kernel made.

/// Which hash it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    Legacy,
    HalfMd4,
    Tea,
}

impl Hash {
    /// By its number in the root of an index, with whether that says that characters are unsigned.
    pub(super) fn by_number(number: u8) -> Option<(Self, bool)> {
        let hash = match number % 3 {
            0 => Self::Legacy,
            1 => Self::HalfMd4,
            _ => Self::Tea,
        };
        (number < 6).then_some((hash, number >= 3))
    }

    /// The hash of a name, as it is stored: an even number.
    pub(super) fn of(self, name: &[u8], seed: [u32; 4], signed: bool) -> u32 {
        let mut state = match seed {
            [0, 0, 0, 0] => [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            seed => seed,
        };
        let hash = match self {
            Self::Legacy => legacy(name, signed),
            Self::HalfMd4 => {
                for at in (0..name.len()).step_by(32) {
                    half_md4(&mut state, &words(&name[at..], signed));
                }
                state[1]
            }
            Self::Tea => {
                for at in (0..name.len()).step_by(16) {
                    tea(&mut state, &words(&name[at..], signed));
                }
                state[0]
            }
        };
        // The last number means the end.
        match hash & !1 {
            0xffff_fffe => 0xffff_fffc,
            hash => hash,
        }
    }
}

fn number(byte: u8, signed: bool) -> u32 {
    match signed {
        true => i32::from(byte as i8) as u32,
        false => u32::from(byte),
    }
}

fn legacy(name: &[u8], signed: bool) -> u32 {
    let (mut one, mut two) = (0x12a3_fe2d_u32, 0x37ab_e8f9_u32);
    for byte in name {
        let mixed = number(*byte, signed).wrapping_mul(7_152_373);
        let mut next = two.wrapping_add(one ^ mixed);
        if next & 0x8000_0000 != 0 {
            next = next.wrapping_sub(0x7fff_ffff);
        }
        (two, one) = (one, next);
    }
    one << 1
}

/// The first bytes of a text as numbers, filled up with its length.
fn words<const N: usize>(text: &[u8], signed: bool) -> [u32; N] {
    let len = text.len() as u32 & 0xff;
    let filler = len * 0x0101_0101;
    let mut words = [filler; N];
    for (word, part) in words.iter_mut().zip(text.chunks(4)) {
        for byte in part {
            *word = number(*byte, signed).wrapping_add(*word << 8);
        }
    }
    words
}

fn tea(state: &mut [u32; 4], key: &[u32; 4]) {
    let [mut left, mut right] = [state[0], state[1]];
    let mut sum = 0_u32;
    let mix = |half: u32, sum: u32, one: u32, two: u32| {
        (half << 4).wrapping_add(one) ^ half.wrapping_add(sum) ^ (half >> 5).wrapping_add(two)
    };
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9e37_79b9);
        left = left.wrapping_add(mix(right, sum, key[0], key[1]));
        right = right.wrapping_add(mix(left, sum, key[2], key[3]));
    }
    state[0] = state[0].wrapping_add(left);
    state[1] = state[1].wrapping_add(right);
}

/// MD4 with eight words and two thirds of each round's steps.
fn half_md4(state: &mut [u32; 4], text: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    let rounds: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (
            |x, y, z| z ^ (x & (y ^ z)),
            0,
            [0, 1, 2, 3, 4, 5, 6, 7],
            [3, 7, 11, 19],
        ),
        (
            |x, y, z| (x & y).wrapping_add((x ^ y) & z),
            0x5a82_7999,
            [1, 3, 5, 7, 0, 2, 4, 6],
            [3, 5, 9, 13],
        ),
        (
            |x, y, z| x ^ y ^ z,
            0x6ed9_eba1,
            [3, 7, 2, 6, 1, 5, 0, 4],
            [3, 9, 11, 15],
        ),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, turns) in rounds {
        for (step, word) in order.into_iter().enumerate() {
            let sum = a
                .wrapping_add(mix(b, c, d))
                .wrapping_add(text[word])
                .wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(turns[step % 4]), b, c);
        }
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `debugfs dx_hash` tells them.
    #[test]
    fn hashes_are_those_of_debugfs() {
        let long = "0123456789abcdef0123456789abcdef012345";
        for (hash, name, right) in [
            (Hash::Legacy, "a", 0xe74b_53e2),
            (Hash::Legacy, "hello.txt", 0x65a0_5776),
            (Hash::Legacy, long, 0xb349_64ec),
            (Hash::HalfMd4, "a", 0xd5fa_7d7a),
            (Hash::HalfMd4, "hello.txt", 0xa26e_1d86),
            (Hash::HalfMd4, long, 0x264e_a6ec),
            (Hash::Tea, "a", 0x6d0e_a4c0),
            (Hash::Tea, "hello.txt", 0x5107_c3f2),
            (Hash::Tea, long, 0xc020_839e),
        ] {
            for signed in [true, false] {
                assert_eq!(
                    hash.of(name.as_bytes(), [0; 4], signed),
                    right,
                    "{hash:?} {name}"
                );
            }
        }
        let seed = [0x7856_3412, 0xf0de_bc9a, 0x7856_3412, 0xf0de_bc9a];
        let name = "grüße".as_bytes();
        assert_eq!(Hash::HalfMd4.of(name, seed, true), 0x6505_8dce);
        assert_ne!(Hash::HalfMd4.of(name, seed, false), 0x6505_8dce);
    }
}
