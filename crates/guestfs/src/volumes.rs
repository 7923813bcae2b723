//! The volumes on the disks of a VM: partitions, and disks without any.
//!
//! Each has a short name, made of the name that its disk is given: of a disk `d0`, `d0p2` is partition 2, and
//! `d0` the whole.

use std::sync::Arc;

use disk::{BlockRead, ByteRange};

use crate::error::{Error, Result};
use crate::fs::{Device, FileSystem};
use crate::part::Part;
use crate::partitions::{self, Oddity, Table};
use crate::probe::{self, What};

/// A volume.
pub struct Volume {
    /// Its short name.
    pub name: String,
    /// The disk that it is on, by its place among them.
    pub disk: usize,
    /// Its partition; `None` if it is the whole disk.
    pub partition: Option<partitions::Partition>,
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

    /// Its file system.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what is recognised and not read; and what is wrong with it.
    pub fn open(&self) -> Result<Box<dyn FileSystem>> {
        open(&self.device, self.what)
    }
}

/// The file system that was found on a device.
fn open(_device: &Device, what: What) -> Result<Box<dyn FileSystem>> {
    Err(Error::Unsupported(format!(
        "{} is recognised and not read",
        what.name()
    )))
}

/// What was found on some disks.
#[derive(Default)]
pub struct Found {
    /// By disk, and in the order of their numbers.
    pub volumes: Vec<Volume>,
    /// What is odd about the partitions of a disk.
    pub oddities: Vec<(usize, Oddity)>,
    /// Disks, and volumes by their names, that could not be looked at.
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
    found
}

impl Found {
    fn take(&mut self, at: usize, (disk_name, disk): (&str, &Device), table: Table) {
        let oddities = table.oddities.iter().map(|odd| (at, *odd));
        self.oddities.extend(oddities);
        if table.partitions.is_empty() {
            let all = ByteRange::new(0, disk.len());
            self.add(disk_name.to_owned(), at, None, (disk, all));
        }
        for partition in table.partitions {
            let name = format!("{disk_name}p{}", partition.number);
            let range = partition.range;
            self.add(name, at, Some(partition), (disk, range));
        }
    }

    fn add(
        &mut self,
        name: String,
        disk: usize,
        partition: Option<partitions::Partition>,
        (device, range): (&Device, ByteRange),
    ) {
        let device: Device = Arc::new(Part::new(Arc::clone(device), range));
        match probe::what(&device) {
            Ok(what) => self.volumes.push(Volume {
                name,
                disk,
                partition,
                len: device.len(),
                what,
                device,
            }),
            Err(error) => self.unreadable.push((name, error)),
        }
    }
}
