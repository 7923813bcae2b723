//! LUKS, of version 1 and 2: what is encrypted for Linux, as a device again.
//!
//! ```text
//! passphrase ─► key of a slot ─► split key ─► volume key ─► sectors
//! ```
//!
//! [`Luks::read`] tells what the header says, [`Luks::unlock`] takes a passphrase, or the bytes of a key
//! file, and gives a [`BlockRead`](disk::BlockRead).
//!
//! Invariants: nothing is given that was decrypted with a key which the header's digest does not confirm;
//! a derivation that asks for more than 4 GiB of memory is refused.
//!
//! Sources: the LUKS1 and LUKS2 on-disk format specifications of the cryptsetup project.

mod header;
mod json;
mod slot;
mod two;
mod unlocked;

use zeroize::Zeroizing;

pub use self::unlocked::Unlocked;

use self::slot::Slot;
use crate::cipher::{Cipher, Kdf};
use crate::error::{Error, Result};
use crate::fs::Device;

/// A LUKS header on a device.
pub struct Luks {
    device: Device,
    header: Header,
}

/// What both versions have.
struct Header {
    version: u16,
    uuid: String,
    label: String,
    slots: Vec<Slot>,
    /// Slots that cannot be opened here, and why.
    unread: Vec<String>,
    digests: Vec<Digest>,
    data: Data,
    oddities: Vec<String>,
}

/// By what a volume key is known.
struct Digest {
    slots: Vec<u32>,
    kdf: Kdf,
    salt: Vec<u8>,
    digest: Vec<u8>,
}

/// What is encrypted.
struct Data {
    cipher: String,
    start: u64,
    /// To the device's end, if none.
    len: Option<u64>,
    sector: u32,
    tweak: u64,
}

impl Luks {
    /// Reads the header on `device`.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else, [`Error::Damaged`] when no copy of the header is whole,
    /// [`Error::Unsupported`] of what it asks for and is not known.
    pub fn read(device: Device) -> Result<Self> {
        let header = header::read(&device)?;
        Ok(Self { device, header })
    }

    /// 1 or 2.
    pub fn version(&self) -> u16 {
        self.header.version
    }

    /// By what it is known.
    pub fn uuid(&self) -> &str {
        &self.header.uuid
    }

    /// Its label; empty if it has none.
    pub fn label(&self) -> &str {
        &self.header.label
    }

    /// What is odd about it, in words for people.
    pub fn oddities(&self) -> &[String] {
        &self.header.oddities
    }

    /// The most bytes of memory that a try of a passphrase takes.
    pub fn memory(&self) -> u64 {
        let slots = self.header.slots.iter();
        slots.map(|slot| slot.kdf.memory()).max().unwrap_or(0)
    }

    /// Opens it with a passphrase, or all the bytes of a key file.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when no slot opens with it; [`Error::Unsupported`] when none can be tried.
    pub fn unlock(&self, secret: &[u8]) -> Result<Unlocked> {
        let mut unread = self.header.unread.clone();
        let mut tried = 0;
        for slot in &self.header.slots {
            let tried_one = self.open_slot(slot, secret);
            match tried_one {
                Ok(Some(key)) => return self.with_key(&key),
                Ok(None) => tried += 1,
                Err(Error::Unsupported(why)) => unread.push(why),
                Err(error) => return Err(error),
            }
        }
        let unread = match unread.is_empty() {
            true => String::new(),
            false => format!("; not tried: {}", unread.join(", ")),
        };
        let version = self.header.version;
        Err(match tried {
            0 => Error::Unsupported(format!("LUKS{version} without a key slot to try{unread}")),
            _ => Error::WrongKey(format!(
                "none of the {tried} key slots of this LUKS{version} opens with that passphrase or key \
                 file{unread}"
            )),
        })
    }

    /// The volume key, if the slot opens.
    fn open_slot(&self, slot: &Slot, secret: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let key = slot.open(&self.device, secret)?;
        for digest in &self.header.digests {
            if !digest.slots.contains(&slot.number) {
                continue;
            }
            let len = digest.digest.len();
            let made = digest.kdf.key(&key, &digest.salt, len);
            let made = made.map_err(|why| Error::Unsupported(format!("LUKS digest: {why}")))?;
            if *made == digest.digest {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    fn with_key(&self, key: &[u8]) -> Result<Unlocked> {
        let data = &self.header.data;
        let unknown = |why| Error::Unsupported(format!("LUKS{}: {why}", self.header.version));
        let cipher = Cipher::named(&data.cipher, key).map_err(unknown)?;
        Unlocked::new(self.device.clone(), data, cipher)
    }
}
