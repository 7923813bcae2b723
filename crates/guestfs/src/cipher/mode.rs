//! Modes: how the blocks of a sector hang together, and with its number.

use super::aes::{Aes, BLOCK};
use super::kdf::Hash;

/// Decrypts sectors.
pub(crate) struct Cipher {
    mode: Mode,
    vector: Vector,
}

enum Mode {
    Xts { data: Aes, tweak: Aes },
    Cbc(Aes),
}

/// What the number of a sector becomes.
enum Vector {
    /// Its lower 32 bits.
    Plain,
    /// All of them.
    Plain64,
    /// All of them, encrypted with a key that is a hash of the key.
    Essiv(Aes),
}

impl Cipher {
    /// By its name for dm-crypt (`aes-xts-plain64`); an error names what is not known of it.
    pub(crate) fn named(name: &str, key: &[u8]) -> Result<Self, String> {
        let unknown = || format!("the cipher {name} with a key of {} bits", key.len() * 8);
        let mut parts = name.split('-');
        let (aes, mode, vector) = (parts.next(), parts.next(), parts.next());
        if aes != Some("aes") || parts.next().is_some() {
            return Err(unknown());
        }
        let mode = match mode {
            Some("xts") => Self::xts_mode(key),
            Some("cbc") => Aes::new(key).map(Mode::Cbc),
            _ => None,
        };
        let vector = match vector.and_then(|vector| vector.split_once(':')) {
            None if vector == Some("plain") => Some(Vector::Plain),
            None if vector == Some("plain64") => Some(Vector::Plain64),
            Some(("essiv", hash)) => {
                let hash = Hash::named(hash).ok_or_else(unknown)?;
                Aes::new(&hash.of(&[key])).map(Vector::Essiv)
            }
            _ => None,
        };
        let (mode, vector) = mode.zip(vector).ok_or_else(unknown)?;
        Ok(Self { mode, vector })
    }

    /// XTS by the number of a sector, with a key for data and one for numbers behind it.
    pub(crate) fn xts(key: &[u8]) -> Option<Self> {
        let vector = Vector::Plain64;
        let mode = Self::xts_mode(key)?;
        Some(Self { mode, vector })
    }

    fn xts_mode(key: &[u8]) -> Option<Mode> {
        let (data, tweak) = key.split_at_checked(key.len() / 2)?;
        let (data, tweak) = Aes::new(data).zip(Aes::new(tweak))?;
        Some(Mode::Xts { data, tweak })
    }

    /// Decrypts the sector of this number.
    pub(crate) fn decrypt(&self, number: u64, sector: &mut [u8]) {
        let mut vector = [0; BLOCK];
        let number = match self.vector {
            Vector::Plain => number & 0xffff_ffff,
            _ => number,
        };
        for (to, from) in vector.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        if let Vector::Essiv(aes) = &self.vector {
            aes.encrypt(&mut vector);
        }
        match &self.mode {
            Mode::Xts { data, tweak } => {
                tweak.encrypt(&mut vector);
                xts(data, vector, sector);
            }
            Mode::Cbc(aes) => cbc(aes, vector, sector),
        }
    }
}

fn xor(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= from;
    }
}

fn xts(aes: &Aes, tweak: [u8; BLOCK], sector: &mut [u8]) {
    let mut tweaks = Vec::with_capacity(sector.len());
    let mut now = u128::from_le_bytes(tweak);
    for _ in sector.chunks_exact(BLOCK) {
        tweaks.extend_from_slice(&now.to_le_bytes());
        now = now << 1 ^ (0x87 & (now >> 127).wrapping_neg());
    }
    xor(sector, &tweaks);
    aes.decrypt(sector);
    xor(sector, &tweaks);
}

/// Decrypts blocks that are each bound to the encrypted one before.
pub(crate) fn cbc(aes: &Aes, vector: [u8; BLOCK], sector: &mut [u8]) {
    let mut before = Vec::with_capacity(BLOCK + sector.len());
    before.extend_from_slice(&vector);
    before.extend_from_slice(sector);
    aes.decrypt(sector);
    xor(sector, &before);
}
