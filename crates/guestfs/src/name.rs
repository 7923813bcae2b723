//! Names in file systems: bytes that are mostly, but never surely, UTF-8.

use std::fmt;

/// A name, or the target of a symbolic link, as bytes.
///
/// File systems of Unix store bytes, and these are they. Those of Windows store 16-bit units that need
/// not be well-formed UTF-16; they become WTF-8, which is UTF-8 but for units that pair with nothing, and
/// goes back to the same units. Order is by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name(Vec<u8>);

impl Name {
    /// A name of bytes as they are stored.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// A name of 16-bit units, well-formed or not.
    pub fn from_utf16(units: &[u16]) -> Self {
        let mut bytes = Vec::with_capacity(units.len());
        for unit in char::decode_utf16(units.iter().copied()) {
            match unit {
                Ok(char) => {
                    let mut buffer = [0; 4];
                    bytes.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes());
                }
                Err(error) => {
                    let unit = u32::from(error.unpaired_surrogate());
                    bytes.push(0xe0 | (unit >> 12) as u8);
                    bytes.push(0x80 | (unit >> 6 & 0x3f) as u8);
                    bytes.push(0x80 | (unit & 0x3f) as u8);
                }
            }
        }
        Self(bytes)
    }

    /// The 16-bit units; `None` if the bytes are no WTF-8.
    pub fn to_utf16(&self) -> Option<Vec<u16>> {
        let mut units = Vec::with_capacity(self.0.len());
        let mut rest = self.0.as_slice();
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    units.extend(text.encode_utf16());
                    break;
                }
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    units.extend(std::str::from_utf8(good).ok()?.encode_utf16());
                    let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] = bad else {
                        return None;
                    };
                    units.push(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
                    rest = after;
                }
            }
        }
        Some(units)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name if it is UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

/// For people: what is no UTF-8 is shown as U+FFFD.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_that_pair_with_nothing_are_kept() {
        for units in [
            &[0xd800][..],
            &[0x41, 0xdc00, 0xd83d, 0xde00],
            &[0xd83d, 0xd83d, 0xde00],
        ] {
            assert_eq!(Name::from_utf16(units).to_utf16().unwrap(), units);
        }
        assert_eq!(Name::from_utf16(&[0xd83d, 0xde00]).to_str(), Some("😀"));
        assert_eq!(Name::new(*b"\xff").to_utf16(), None);
    }

    proptest! {
        #[test]
        fn any_units_come_back(units in prop::collection::vec(any::<u16>(), 0..40)) {
            prop_assert_eq!(Name::from_utf16(&units).to_utf16(), Some(units));
        }
    }
}
