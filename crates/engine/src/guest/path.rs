//! Paths in a guest, as people write them: `VOLUME/folder/file`.
//!
//! Names in file systems are bytes of any kind; a path is text. What is no UTF-8, control characters, a
//! slash, and a `%` before two hexadecimal digits are written as `%XX`. So each path is of one name, each
//! name has a path, and most look as they are.

use std::fmt;

use guestfs::Name;

/// Where something is in a guest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPath {
    /// The volume's name.
    pub volume: String,
    /// Names from its root on; empty for the root.
    pub names: Vec<Name>,
}

impl GuestPath {
    /// The root of a volume.
    pub fn root(volume: &str) -> Self {
        Self {
            volume: volume.to_owned(),
            names: Vec::new(),
        }
    }

    /// A path as somebody wrote it: slashes at its ends, and doubled ones, do not matter. `None` if it names
    /// no volume.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').filter(|part| !part.is_empty());
        Some(Self {
            volume: parts.next()?.to_owned(),
            names: parts.map(name).collect(),
        })
    }

    /// The path of something in it.
    pub fn join(&self, name: Name) -> Self {
        let mut path = self.clone();
        path.names.push(name);
        path
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.volume)?;
        for name in &self.names {
            write!(f, "/{}", text(name))?;
        }
        Ok(())
    }
}

/// A name as text.
pub fn text(name: &Name) -> String {
    let bytes = name.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, char) in valid.char_indices() {
            let rest = valid.as_bytes().get(at + 1..).unwrap_or_default();
            let looks_escaped = char == '%' && starts_with_hex(rest);
            if looks_escaped || char == '/' || char.is_control() {
                let mut buffer = [0; 4];
                for byte in char.encode_utf8(&mut buffer).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            } else {
                out.push(char);
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The name that a text is of.
pub fn name(text: &str) -> Name {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (*first == b'%').then(|| hex(after)).flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    Name::new(bytes)
}

fn starts_with_hex(bytes: &[u8]) -> bool {
    hex(bytes).is_some()
}

/// The byte that two digits are.
fn hex(bytes: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(0)? << 4 | digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn most_names_look_as_they_are() {
        for plain in ["a b", "100%", "ünï", "50%x", "C:\\x", "%", "%G1"] {
            assert_eq!(text(&Name::from(plain)), plain);
        }
        assert_eq!(text(&Name::from("%41\n")), "%2541%0A");
        assert_eq!(text(&Name::new(*b"\xff/")), "%FF%2F");
        assert_eq!(name("%ff").as_bytes(), b"\xff");
        let path = GuestPath::parse("/d0p1//a/%2F/").unwrap();
        assert_eq!(path.to_string(), "d0p1/a/%2F");
        assert_eq!(GuestPath::parse("//"), None);
    }

    proptest! {
        #[test]
        fn every_name_has_a_path_of_its_own(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let written = text(&Name::new(bytes.clone()));
            prop_assert!(!written.contains('/'));
            let back = name(&written);
            prop_assert_eq!(back.as_bytes(), bytes.as_slice());
        }

        #[test]
        fn digits_behind_a_percent_sign_too(text_in in "[%0-9a-fA-FxX]{0,12}") {
            let written = text(&Name::from(text_in.as_str()));
            let back = name(&written);
            prop_assert_eq!(back.to_str(), Some(text_in.as_str()));
        }
    }
}
