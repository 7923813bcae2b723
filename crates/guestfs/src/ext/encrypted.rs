//! Names that fscrypt has encrypted: any bytes, also ones that no name may have. They are shown in the
//! alphabet that the kernel uses without a key, base64 for URLs, of all of their bytes.

use crate::name::Name;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How a name is shown.
pub(super) fn shown(stored: &[u8]) -> Name {
    let mut text = Vec::with_capacity(stored.len().div_ceil(3) * 4);
    for part in stored.chunks(3) {
        let bits = part
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (24 - 8 * part.len());
        for at in 0..=part.len() {
            text.push(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]);
        }
    }
    Name::new(text)
}

/// The bytes of a name that is shown so; `None` if it is no such name.
pub(super) fn stored(shown: &Name) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(shown.as_bytes().len());
    for part in shown.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for letter in part {
            let value = ALPHABET.iter().position(|other| other == letter)?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 32 - 6 * part.len();
        bytes.extend_from_slice(&bits.to_be_bytes()[..(part.len() * 6) / 8]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        assert_eq!(shown(b"\xfb\xff\xfe\x00").as_bytes(), b"-__-AA");
        for len in 0..=255_u8 {
            let bytes: Vec<u8> = (0..len).map(|at| at.wrapping_mul(151) ^ len).collect();
            assert_eq!(stored(&shown(&bytes)), Some(bytes));
        }
        assert_eq!(stored(&Name::from("a/b")), None);
    }
}
