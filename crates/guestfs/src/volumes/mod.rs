//! The volumes on the disks of a VM: partitions, disks without any, and LVM2's logical volumes over all of
//! them.
//!
//! Each has a short name. Of a disk that is given as `d0`, `d0p2` is partition 2, and `d0` the whole. A logical
//! volume is `group-volume`, as Linux' device-mapper names it: a hyphen within a name is doubled.
//!
//! Invariants:
//!
//! - Nothing is left out: what is not read is there, and [`Volume::obstacle`] says why; what could not even be
//!   looked at is in [`Found::unreadable`].
//! - No part of something larger is opened as if it were the whole: members of RAIDs, pools and dynamic disks
//!   are named and not read.

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::{BlockRead, ByteRange};

use crate::btrfs::Btrfs;
use crate::error::{Error, Result};
use crate::exfat::ExFat;
use crate::ext::Ext;
use crate::fat::Fat;
use crate::fs::{Device, FileSystem};
use crate::lvm::{self, PhysicalVolume};
use crate::ntfs::Ntfs;
use crate::part::Part;
use crate::partitions::{self, Oddity, Table};
use crate::probe::{self, What};
use crate::xfs::Xfs;

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
    /// What is on it.
    pub what: What,
    device: Device,
}

impl Volume {
    /// Its bytes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Why there are no files to be had of it, and what to do; `None` if they can be read.
    pub fn obstacle(&self) -> Option<String> {
        // What such a partition begins with may be the first part of a volume over several disks.
        if self
            .partition
            .as_ref()
            .is_some_and(|one| one.kind.is_dynamic())
        {
            let why = "it is a part of a dynamic disk of Windows: restore all disks, and read it in the guest";
            return Some(why.to_owned());
        }
        let name = self.what.name();
        Some(match self.what {
            What::Ntfs | What::Fat | What::ExFat | What::Ext | What::Xfs | What::Btrfs => {
                return None;
            }
            What::BitLocker | What::Luks(_) => {
                format!("it is encrypted by {name}: restore the disk, and unlock it in the guest")
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
    /// [`Error::Unsupported`] for what is recognised and not read; and what is wrong with it.
    pub fn open(&self) -> Result<Box<dyn FileSystem>> {
        match self.obstacle() {
            None => open(&self.device, self.what),
            Some(why) => Err(Error::Unsupported(format!("{}: {why}", self.name))),
        }
    }
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
    let mut found = Found::default();
    for (at, (name, disk)) in disks.iter().enumerate() {
        match Table::read(disk) {
            Ok(table) => found.take(at, (name, disk), table),
            Err(error) => found.unreadable.push((name.clone(), error.into())),
        }
    }
    found.logical();
    found.name_apart();
    found
}

impl Found {
    fn take(&mut self, at: usize, (disk_name, disk): (&str, &Device), table: Table) {
        let oddities = table.oddities.iter().map(|odd| (at, *odd));
        self.oddities.extend(oddities);
        if table.partitions.is_empty() {
            let all = ByteRange::new(0, disk.len());
            self.part(disk_name.to_owned(), at, None, (disk, all));
        }
        for partition in table.partitions {
            let name = format!("{disk_name}p{}", partition.number);
            let range = partition.range;
            self.part(name, at, Some(partition), (disk, range));
        }
    }

    fn part(
        &mut self,
        name: String,
        disk: usize,
        partition: Option<partitions::Partition>,
        (device, range): (&Device, ByteRange),
    ) {
        let device: Device = Arc::new(Part::new(Arc::clone(device), range));
        let place = match &partition {
            Some(partition) => format!("disk {disk}, partition {}", partition.number),
            None => format!("disk {disk}"),
        };
        self.add(name, disk, partition, place, device);
    }

    fn add(
        &mut self,
        name: String,
        disk: usize,
        partition: Option<partitions::Partition>,
        place: String,
        device: Device,
    ) {
        let kind = partition.as_ref().map(|one| one.kind);
        match probe::what(&device) {
            Ok(what) => self.volumes.push(Volume {
                name,
                disk,
                partition,
                place,
                len: device.len(),
                what: match kind {
                    Some(kind) if kind.is_storage_spaces() => What::StorageSpaces,
                    _ => what,
                },
                device,
            }),
            Err(error) => self.unreadable.push((name, error)),
        }
    }

    /// Takes in the logical volumes that lie on what was found. A group within one of them is named, and not
    /// looked into.
    fn logical(&mut self) {
        let (mut physical, mut disks) = (Vec::new(), Vec::new());
        for volume in self.volumes.iter().filter(|one| one.what == What::Lvm) {
            match PhysicalVolume::open(Arc::clone(&volume.device)) {
                Ok(one) => {
                    physical.push(one);
                    disks.push(volume.disk);
                }
                Err(error) => self.unreadable.push((volume.name.clone(), error)),
            }
        }
        for group in lvm::groups(&physical) {
            for note in group.notes {
                let error = Error::Unsupported(format!("volume group {}: {note}", group.name));
                self.unreadable.push((doubled(&group.name), error));
            }
            for one in group.volumes {
                let name = format!("{}-{}", doubled(&group.name), doubled(&one.name));
                let first = one.physical.first().and_then(|at| disks.get(*at));
                let kinds: Vec<_> = one.kinds.into_iter().collect();
                let kinds = kinds.join(" and ");
                let place = format!("volume group {}, {kinds} volume {}", group.name, one.name);
                match one.device {
                    Ok(device) => self.add(name, first.copied().unwrap_or(0), None, place, device),
                    Err(error) => self.unreadable.push((name, error)),
                }
            }
        }
    }

    /// Two groups may have one name, and a disk may be called like a volume. Who comes later gets a number.
    fn name_apart(&mut self) {
        let mut taken = BTreeSet::new();
        for volume in &mut self.volumes {
            let plain = volume.name.clone();
            let mut number = 1_u32;
            while !taken.insert(volume.name.clone()) {
                number += 1;
                volume.name = format!("{plain}~{number}");
            }
        }
    }
}

fn doubled(name: &str) -> String {
    name.replace('-', "--")
}
