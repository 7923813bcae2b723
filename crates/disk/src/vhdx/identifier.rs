//! The file type identifier: the first 64 KiB, written once (MS-VHDX 2.2.1).

use crate::error::{Error, Result};
use crate::vhdx::bytes::{put, to_utf16, utf16};

/// Bytes that carry information; the rest of the 64 KiB is zero.
pub const IDENTIFIER_LEN: usize = 520;

/// What every VHDX file begins with.
pub const SIGNATURE: &[u8; 8] = b"vhdxfile";

/// The file type identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The program that made the file; for people only. At most 256 units of UTF-16.
    pub creator: String,
}

impl Identifier {
    /// Reads it.
    ///
    /// # Errors
    /// [`Error::NotThisFormat`] when the signature is another.
    pub fn decode(bytes: &[u8; IDENTIFIER_LEN]) -> Result<Self> {
        if !bytes.starts_with(SIGNATURE) {
            return Err(Error::NotThisFormat {
                format: "VHDX",
                why: "the file does not begin with \"vhdxfile\"".into(),
            });
        }
        let text = utf16(&bytes[8..]);
        Ok(Self {
            creator: text.split('\0').next().unwrap_or_default().to_owned(),
        })
    }

    /// Writes it; a creator that is too long is cut.
    pub fn encode(&self) -> [u8; IDENTIFIER_LEN] {
        let mut out = [0; IDENTIFIER_LEN];
        put(&mut out, 0, SIGNATURE);
        let mut at = 8;
        for c in self.creator.chars() {
            let unit = to_utf16(c.encode_utf8(&mut [0; 4]));
            if at + unit.len() > IDENTIFIER_LEN {
                break;
            }
            put(&mut out, at, &unit);
            at += unit.len();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_creator_survives_and_is_cut_between_characters() {
        let id = Identifier {
            creator: "Ünïcode 💾".into(),
        };
        assert_eq!(Identifier::decode(&id.encode()).unwrap(), id);
        let long = Identifier {
            creator: format!("x{}", "💾".repeat(200)),
        };
        let back = Identifier::decode(&long.encode()).unwrap();
        assert_eq!(back.creator, format!("x{}", "💾".repeat(127)));
    }

    #[test]
    fn another_signature_is_another_format() {
        let error = Identifier::decode(&[0; IDENTIFIER_LEN]).unwrap_err();
        assert!(matches!(error, Error::NotThisFormat { .. }), "{error}");
    }
}
