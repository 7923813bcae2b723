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
//! a derivation that asks for more than 4 GiB of memory is refused, and what all slots together ask for is done
//! for some minutes and no longer.
//!
//! Sources: the LUKS1 and LUKS2 on-disk format specifications of the cryptsetup project.

mod header;
mod json;
mod slot;
mod two;
mod unlocked;

use std::collections::BTreeSet;

use zeroize::Zeroizing;

pub use self::unlocked::Unlocked;

use self::slot::{NotTried, Slot};
use crate::cipher::{Cipher, Effort, Kdf};
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
    /// [`Error::WrongKey`] when no slot opens with it; [`Error::Unsupported`] when none can be tried, or one asks
    /// for more work than is done.
    pub fn unlock(&self, secret: &[u8]) -> Result<Unlocked> {
        self.unlock_any(&[secret])
    }

    /// Opens it with one of several spellings of a secret, which take no more work than one may.
    ///
    /// # Errors
    /// As [`unlock`](Self::unlock).
    pub fn unlock_any(&self, secrets: &[&[u8]]) -> Result<Unlocked> {
        let mut unread: BTreeSet<String> = self.header.unread.iter().cloned().collect();
        let (mut tried, mut too_much) = (BTreeSet::new(), BTreeSet::new());
        let mut effort = Effort::new();
        for secret in secrets {
            for slot in &self.header.slots {
                match self.open_slot(slot, secret, &mut effort) {
                    Ok(Some(key)) => return self.with_key(&key),
                    Ok(None) => _ = tried.insert(slot.number),
                    Err(NotTried::TooMuch(why)) => _ = too_much.insert(why),
                    Err(NotTried::Unknown(why)) => _ = unread.insert(why),
                    Err(NotTried::Failed(error)) => return Err(error),
                }
            }
        }
        let version = self.header.version;
        let list = |all: BTreeSet<String>| all.into_iter().collect::<Vec<_>>().join(", ");
        let unread = match unread.is_empty() {
            true => String::new(),
            false => format!("; not tried: {}", list(unread)),
        };
        let wrong = format!(
            "none of the {} key slots of this LUKS{version} opens with that passphrase or key file",
            tried.len()
        );
        if !too_much.is_empty() {
            let known = if tried.is_empty() { "" } else { wrong.as_str() };
            let and = if tried.is_empty() { "" } else { ", and " };
            return Err(Error::Unsupported(format!(
                "{known}{and}what it asks for takes more than the memory or the minutes that are spent on a key \
                 ({}){unread}: restore the disk, and open it with cryptsetup",
                list(too_much)
            )));
        }
        Err(match tried.is_empty() {
            true => Error::Unsupported(format!("LUKS{version} without a key slot to try{unread}")),
            false => Error::WrongKey(format!("{wrong}{unread}")),
        })
    }

    /// The volume key, if the slot opens.
    fn open_slot(
        &self,
        slot: &Slot,
        secret: &[u8],
        effort: &mut Effort,
    ) -> std::result::Result<Option<Zeroizing<Vec<u8>>>, NotTried> {
        let key = slot.open(&self.device, secret, effort)?;
        for digest in &self.header.digests {
            if !digest.slots.contains(&slot.number) {
                continue;
            }
            let len = digest.digest.len();
            let made = digest.kdf.key(&key, &digest.salt, len, effort);
            if *made.map_err(|why| slot.no_key(why))? == digest.digest {
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
