//! BitLocker, of Windows 7 and newer: an encrypted volume as a device again.
//!
//! ```text
//! recovery password, passphrase ─► protector ─► volume master key ─► volume key ─► sectors
//! ```
//!
//! [`BitLocker::read`] tells how a volume is protected, [`BitLocker::unlock`] takes a [`Secret`] and gives a
//! [`BlockRead`](disk::BlockRead).
//!
//! Invariant: no key is used that is not authenticated by the one before it.
//!
//! Sources: the description of the format by the libbde project; N. Ferguson, “AES-CBC + Elephant diffuser”
//! (2006); `docs/guest-disks.md` on what of it was shown.

mod ccm;
mod elephant;
mod entry;
mod metadata;
mod secret;
mod unlocked;

use zeroize::Zeroizing;

pub use self::secret::Secret;
pub use self::unlocked::Unlocked;

use self::entry::{Kind, Protector};
use self::metadata::Metadata;
use crate::error::{Error, Result};
use crate::fs::Device;

/// A volume key's bytes.
type Key = Zeroizing<Vec<u8>>;

/// A volume that BitLocker has encrypted, or is about to.
pub struct BitLocker {
    device: Device,
    metadata: Metadata,
}

impl BitLocker {
    /// Reads what the volume on `device` says of itself.
    ///
    /// # Errors
    /// [`Error::NotThis`] of anything else, [`Error::Damaged`] when none of the three copies of the metadata is
    /// whole, [`Error::Unsupported`] of what is not read.
    pub fn read(device: Device) -> Result<Self> {
        let metadata = Metadata::read(&device)?;
        Ok(Self { device, metadata })
    }

    /// By what it is known.
    pub fn id(&self) -> String {
        self.metadata.id.to_string()
    }

    /// How it is protected, in words for people.
    pub fn protectors(&self) -> Vec<String> {
        let protectors = self.metadata.protectors.iter();
        protectors.map(|one| one.kind.to_string()).collect()
    }

    /// What is odd about it, in words for people.
    pub fn oddities(&self) -> &[String] {
        &self.metadata.oddities
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`Error::WrongKey`] when no protector opens with what was given; [`Error::Unsupported`] when there is
    /// none that it could open.
    pub fn unlock(&self, secret: &Secret) -> Result<Unlocked> {
        let wanted = secret.kind();
        let mut fitting = self
            .metadata
            .protectors
            .iter()
            .filter(|one| one.kind == wanted);
        let Some(first) = fitting.next() else {
            let there = self.protectors().join(", ");
            return Err(Error::Unsupported(format!(
                "BitLocker without a {wanted}: it is protected by {there}"
            )));
        };
        for protector in std::iter::once(first).chain(fitting) {
            if let Some(master) = open(protector, secret) {
                return self.with_master(&master);
            }
        }
        Err(Error::WrongKey(format!(
            "BitLocker does not open with that {wanted}"
        )))
    }

    fn with_master(&self, master: &[u8]) -> Result<Unlocked> {
        let key = ccm::key(master, &self.metadata.volume_key);
        let bad = || {
            Error::damaged(
                "BitLocker volume key",
                "it does not open with the master key",
            )
        };
        Unlocked::new(self.device.clone(), &self.metadata, &key.ok_or_else(bad)?)
    }
}

/// The volume master key, if the protector opens.
fn open(protector: &Protector, secret: &Secret) -> Option<Key> {
    let key = match protector.kind {
        Kind::Clear => Zeroizing::new(protector.clear.clone()),
        _ => secret.stretched(&protector.salt),
    };
    ccm::key(&key, &protector.sealed)
}
