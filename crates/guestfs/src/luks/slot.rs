//! A key slot: the volume key, split over many stripes and encrypted with a key from a passphrase.

use disk::BlockRead;
use zeroize::Zeroizing;

use crate::cipher::{Cipher, Effort, Hash, Kdf, NoKey};
use crate::error::Error;

/// Stripes that are not refused: all tools make 4000.
const MOST_STRIPES: u32 = 16_384;
/// Sectors of key slots always have these many bytes.
const SECTOR: usize = 512;

/// A key slot.
pub(super) struct Slot {
    pub(super) number: u32,
    pub(super) kdf: Kdf,
    pub(super) salt: Vec<u8>,
    /// Bytes of the key that the passphrase makes.
    pub(super) slot_key_len: usize,
    /// Bytes of the volume key in it.
    pub(super) key_len: usize,
    pub(super) cipher: String,
    /// Where its stripes are on the device.
    pub(super) start: u64,
    pub(super) splitter: Splitter,
}

/// How a key was split.
#[derive(Clone, Copy)]
pub(super) struct Splitter {
    pub(super) stripes: u32,
    pub(super) hash: Hash,
}

/// Why a slot was not tried.
pub(super) enum NotTried {
    /// It takes more work than may be done, or than is left of it.
    TooMuch(String),
    /// It is not understood.
    Unknown(String),
    /// It cannot be read.
    Failed(Error),
}

impl Slot {
    /// What would be the volume key if `secret` is right.
    pub(super) fn open(
        &self,
        device: &dyn BlockRead,
        secret: &[u8],
        effort: &mut Effort,
    ) -> Result<Zeroizing<Vec<u8>>, NotTried> {
        let unsupported = |why: String| NotTried::Unknown(self.named(&why));
        let stripes = self.splitter.stripes;
        if !(1..=MOST_STRIPES).contains(&stripes) {
            return Err(unsupported(format!("{stripes} stripes")));
        }
        let key = self
            .kdf
            .key(secret, &self.salt, self.slot_key_len, effort)
            .map_err(|why| self.no_key(why))?;
        let cipher = Cipher::named(&self.cipher, &key).map_err(unsupported)?;
        // Both were checked when the header was read: this is 8 MiB at most.
        let len = self.key_len * stripes as usize;
        let mut split = Zeroizing::new(vec![0; len.next_multiple_of(SECTOR)]);
        let read = device.read_at(self.start, &mut split);
        read.map_err(|error| NotTried::Failed(error.into()))?;
        for (number, sector) in split.chunks_mut(SECTOR).enumerate() {
            cipher.decrypt(number as u64, sector);
        }
        split.truncate(len);
        Ok(self.splitter.join(&split, self.key_len))
    }

    /// Why a key that has to do with it was not made.
    pub(super) fn no_key(&self, why: NoKey) -> NotTried {
        match why {
            NoKey::TooMuch(why) => NotTried::TooMuch(self.named(&why)),
            NoKey::Failed(why) => NotTried::Unknown(self.named(&why)),
        }
    }

    fn named(&self, why: &str) -> String {
        format!("key slot {}: {why}", self.number)
    }
}

impl Splitter {
    /// Joins stripes: each but the last is diffused into the next one.
    fn join(self, split: &[u8], key_len: usize) -> Zeroizing<Vec<u8>> {
        let mut key = Zeroizing::new(vec![0; key_len]);
        for (number, stripe) in split.chunks(key_len).enumerate() {
            for (to, from) in key.iter_mut().zip(stripe) {
                *to ^= from;
            }
            if number + 1 < self.stripes as usize {
                self.diffuse(&mut key);
            }
        }
        key
    }

    fn diffuse(self, key: &mut [u8]) {
        for (number, part) in key.chunks_mut(self.hash.len()).enumerate() {
            let hash = self.hash.of(&[&(number as u32).to_be_bytes(), part]);
            part.copy_from_slice(&hash[..part.len()]);
        }
    }
}
