//! What people give to open encrypted volumes.
//!
//! Invariants: a key is wiped from memory when it goes, and is never shown, also not by `Debug`.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroizing;

/// A passphrase, a recovery password, or all the bytes of a key file.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// All of its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its bytes without the one line break that editors put at the end of a file, if there is one.
    pub(super) fn line(&self) -> &[u8] {
        let line = self.0.strip_suffix(b"\n").unwrap_or(&self.0);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// Keys, by the names of the volumes that they open.
#[derive(Debug, Default)]
pub struct Keys(BTreeMap<String, Vec<Key>>);

impl Keys {
    /// Takes in a key for a volume, which may have several.
    pub fn add(&mut self, volume: &str, key: Key) {
        self.0.entry(volume.to_owned()).or_default().push(key);
    }

    /// The keys that a volume has.
    pub fn of(&self, volume: &str) -> &[Key] {
        self.0.get(volume).map_or(&[], Vec::as_slice)
    }

    /// The volumes that have any.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(bytes: &[u8]) -> Key {
        Key::new(Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn a_key_is_never_shown() {
        let mut keys = Keys::default();
        keys.add("d0p1", key(b"secret"));
        assert!(!format!("{keys:?}").contains("secret"));
        assert!(!format!("{keys:?}").contains("115"));
        assert_eq!((keys.of("d0p1").len(), keys.of("d0p2").len()), (1, 0));
    }

    #[test]
    fn one_line_break_at_the_end_may_be_the_editor_s() {
        for (bytes, line) in [
            (&b"a"[..], &b"a"[..]),
            (b"a\n", b"a"),
            (b"a\r\n", b"a"),
            (b"a\n\n", b"a\n"),
            (b"\n", b""),
        ] {
            assert_eq!((key(bytes).bytes(), key(bytes).line()), (bytes, line));
        }
    }
}
