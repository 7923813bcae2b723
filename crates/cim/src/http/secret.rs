//! A password, and nothing that tells it by accident.

use std::fmt::{Debug, Formatter};
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

/// Bytes that a file with a password may have.
const MOST_BYTES: u64 = 4096;

/// A text that is wiped from memory when it is dropped, and that no message shows.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a text; the caller's own copies are the caller's to wipe.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reads the first line of a file.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        // Growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(MOST_BYTES as usize + 1));
        let file = std::fs::File::open(path)?;
        let len = file.take(MOST_BYTES + 1).read_to_string(&mut text)?;
        if len as u64 > MOST_BYTES {
            let problem = format!("{}: too long for a password", path.display());
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                problem,
            ));
        }
        let line = text.lines().next().unwrap_or("");
        Ok(Self(Zeroizing::new(line.to_owned())))
    }

    /// The text, for who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}
