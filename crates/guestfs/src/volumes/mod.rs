//! The volumes on the disks of a VM: partitions, disks without any, and LVM2's logical volumes over all of
//! them.
//!
//! ```text
//! disk ─► partitions ─┬─────────────────► what is on it ─► file system
//!                     ├─► opened by a key ─► the same, under the same name
//!                     └─► LVM2 over all of them ─► logical volumes, which may be encrypted again
//! ```
//!
//! Each has a short name. Of a disk that is given as `d0`, `d0p2` is partition 2, and `d0` the whole. A logical
//! volume is `group-volume`, as Linux' device-mapper names it: a hyphen within a name is doubled. Whether a
//! volume is opened by a key does not change its name.
//!
//! Invariants:
//!
//! - A key is tried on the volume that it was given for, and on no other.
//! - Nothing is left out: what is not read is there, and [`Volume::obstacle`] says why; what could not even be
//!   looked at is in [`Found::unreadable`].
//! - No part of something larger is opened as if it were the whole: members of RAIDs, pools and dynamic disks
//!   are named and not read.

mod gather;
mod keys;
mod lock;
mod noted;

use std::io;
use std::sync::Arc;

use crate::btrfs::Btrfs;
use crate::error::{Error, Result};
use crate::exfat::ExFat;
use crate::ext::Ext;
use crate::fat::Fat;
use crate::fs::{Device, FileSystem};
use crate::ntfs::Ntfs;
use crate::partitions::{self, Oddity};
use crate::probe::What;
use crate::xfs::Xfs;

use self::gather::Gather;
pub use self::keys::{Key, Keys};
use self::noted::Noted;

/// A volume.
pub struct Volume {
    /// Its short name. No two have the same.
    pub name: String,
    /// The disk that it is on, by its place among them; of a logical volume the first one.
    pub disk: usize,
    /// Its partition; `None` if it is the whole disk, or a logical volume.
    pub partition: Option<partitions::Partition>,
    /// Where it is, for people: “disk 0, partition 2”.
    pub place: String,
    /// Bytes of it.
    pub len: u64,
    /// What is on it; within what it is encrypted by, once that is open.
    pub what: What,
    /// By what it is encrypted, whether it is open or not.
    pub encrypted: Option<What>,
    /// Why it is not open, if it is encrypted and not open.
    shut: Option<Shut>,
    /// What is odd about what it is in, in words for people.
    notes: Vec<String>,
    /// Whether it is one of dynamic disks.
    dynamic: bool,
    device: Device,
}

/// Why an encrypted volume is not open.
enum Shut {
    /// No key was given; what would open it.
    NoKey(String),
    Refused(Error),
}

impl Volume {
    /// Whether it is encrypted and not open.
    pub fn is_locked(&self) -> bool {
        self.shut.is_some()
    }

    /// Why it is not open, if that is not for want of a key.
    pub fn refused(&self) -> Option<&Error> {
        match &self.shut {
            Some(Shut::Refused(error)) => Some(error),
            _ => None,
        }
    }

    /// Its bytes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Whether it may lie on other disks than [`disk`](Self::disk) too: a logical volume, or one of dynamic
    /// disks.
    pub fn is_over_disks(&self) -> bool {
        self.partition.is_none() && self.name != format!("d{}", self.disk)
    }

    /// Whether it is a volume of dynamic disks of Windows, and no partition.
    pub fn is_of_dynamic_disks(&self) -> bool {
        self.dynamic
    }

    /// Why there are no files to be had of it, and what to do; `None` if they can be read.
    pub fn obstacle(&self) -> Option<String> {
        // What such a partition begins with may be the first part of a volume over several disks.
        if self
            .partition
            .as_ref()
            .is_some_and(|one| one.kind.is_dynamic())
        {
            let why =
                "it is a part of a dynamic disk of Windows, whose volumes stand for themselves";
            return Some(why.to_owned());
        }
        let name = self.what.name();
        match &self.shut {
            Some(Shut::NoKey(opens)) => return Some(locked(self.what, opens)),
            Some(Shut::Refused(error)) => return Some(error.to_string()),
            None => {}
        }
        Some(match self.what {
            What::Ntfs | What::Fat | What::ExFat | What::Ext | What::Xfs | What::Btrfs => {
                return None;
            }
            What::BitLocker | What::Luks(_) => {
                format!(
                    "it is encrypted by {name} again: restore the disk, and unlock it in the guest"
                )
            }
            What::Lvm => {
                "it is a part of a volume group, whose volumes stand for themselves".to_owned()
            }
            What::MdRaid | What::StorageSpaces | What::Bcache => {
                format!("it is a part of {name}: restore all disks, and read it in the guest")
            }
            What::Swap => "it is swap space, which has no files".to_owned(),
            What::Blank => "there is nothing on it".to_owned(),
            What::Unknown => "nothing that is known is on it: restore the disk".to_owned(),
            _ => format!(
                "it is {name}, which is not read: restore the disk, and read it in the guest"
            ),
        })
    }

    /// Its file system.
    ///
    /// # Errors
    /// [`Error::Locked`] for what is encrypted when no key was given for it, [`Error::WrongKey`] when that was
    /// another one; [`Error::Unsupported`] for what is recognised and not read; and what is wrong with it.
    pub fn open(&self) -> Result<Box<dyn FileSystem>> {
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", self.name);
        match (&self.shut, self.obstacle()) {
            (None, None) => {
                let fs = open(&self.device, self.what)?;
                Ok(match self.notes.is_empty() {
                    true => fs,
                    false => Box::new(Noted::new(fs, &self.notes)),
                })
            }
            (Some(Shut::NoKey(opens)), _) => Err(Error::Locked {
                volume: self.name.clone(),
                why: locked(self.what, opens),
            }),
            // What was not read is not told of as what is not understood.
            (Some(Shut::Refused(Error::Disk(error))), _) => Err(Error::Disk(disk::Error::Io {
                what: "reading what opens it",
                source: io::Error::other(named(error)),
            })),
            (Some(Shut::Refused(Error::WrongKey(why))), _) => Err(Error::WrongKey(named(why))),
            (Some(Shut::Refused(Error::Damaged { structure, why })), _) => {
                Err(Error::damaged(named(structure), why.clone()))
            }
            (Some(Shut::Refused(Error::Unsupported(why))), _) => {
                Err(Error::Unsupported(named(why)))
            }
            (Some(Shut::Refused(error)), _) => Err(Error::Unsupported(named(error))),
            (None, Some(why)) => Err(Error::Unsupported(named(&why))),
        }
    }
}

fn locked(what: What, opens: &str) -> String {
    format!("it is encrypted by {}: {opens} opens it", what.name())
}

/// The file system that was found on a device. What is added here is no [`Volume::obstacle`] any more.
fn open(device: &Device, what: What) -> Result<Box<dyn FileSystem>> {
    let device = Arc::clone(device);
    Ok(match what {
        What::Ntfs => Box::new(Ntfs::open(device)?),
        What::Fat => Box::new(Fat::open(device)?),
        What::ExFat => Box::new(ExFat::open(device)?),
        What::Ext => Box::new(Ext::open(device)?),
        What::Xfs => Box::new(Xfs::open(device)?),
        What::Btrfs => Box::new(Btrfs::open(device)?),
        what => {
            let why = format!("{} is recognised and not read", what.name());
            return Err(Error::Unsupported(why));
        }
    })
}

/// What was found on some disks.
#[derive(Default)]
pub struct Found {
    /// By disk, and in the order of their numbers; logical volumes behind all others.
    pub volumes: Vec<Volume>,
    /// What is odd about the partitions of a disk.
    pub oddities: Vec<(usize, Oddity)>,
    /// Disks, and volumes by their names, that could not be looked at; and volume groups of which something is
    /// missing.
    pub unreadable: Vec<(String, Error)>,
}

/// Finds the volumes on disks. One that cannot be read does not hide the others.
pub fn find(disks: &[(String, Device)]) -> Found {
    find_with(disks, &Keys::default())
}

/// Finds the volumes on disks, and opens the encrypted ones for which there is a key.
pub fn find_with(disks: &[(String, Device)], keys: &Keys) -> Found {
    let mut gather = Gather::new(keys);
    for (at, (name, disk)) in disks.iter().enumerate() {
        gather.disk(at, name, disk);
    }
    gather.all()
}
