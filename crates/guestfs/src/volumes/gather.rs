//! Finding volumes: disk by disk first, then what lies over several of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::{BlockRead as _, ByteRange};

use super::lock::{self, Lock, Opened};
use super::{Found, Keys, Shut, Volume};
use crate::error::Error;
use crate::fs::Device;
use crate::ldm::{self, DynamicDisk};
use crate::lvm::{self, PhysicalVolume};
use crate::part::Part;
use crate::partitions::{Partition, Table};
use crate::probe::{self, What};

/// So often volume groups are looked for within encrypted volumes of other groups.
const ROUNDS: usize = 4;

/// What is told of volumes of dynamic disks.
const UNPROVEN: &str = "it is read by a description of dynamic disks: none that Windows has written was at hand when \
                        this reader was made";

/// What is found so far.
pub(super) struct Gather<'a> {
    keys: &'a Keys,
    found: Found,
    dynamic: Vec<(usize, DynamicDisk)>,
    names: BTreeSet<String>,
}

/// Where something that may be a volume is.
struct Place {
    name: String,
    disk: usize,
    partition: Option<Partition>,
    /// For people.
    words: String,
    /// What there is to say of it, whatever it holds.
    notes: Vec<String>,
    /// Whether it is one of dynamic disks.
    dynamic: bool,
}

impl<'a> Gather<'a> {
    pub(super) fn new(keys: &'a Keys) -> Self {
        Self {
            keys,
            found: Found::default(),
            dynamic: Vec::new(),
            names: BTreeSet::new(),
        }
    }

    /// Takes in a disk by its name.
    pub(super) fn disk(&mut self, at: usize, name: &str, disk: &Device) {
        let table = match Table::read(disk) {
            Ok(table) => table,
            Err(error) => {
                self.found.unreadable.push((name.to_owned(), error.into()));
                return;
            }
        };
        if table.is_dynamic() {
            match DynamicDisk::open(disk, &table) {
                Ok(dynamic) => self.dynamic.push((at, dynamic)),
                Err(error) => self.found.unreadable.push((name.to_owned(), error)),
            }
        }
        let oddities = table.oddities.iter().map(|odd| (at, *odd));
        self.found.oddities.extend(oddities);
        if table.partitions.is_empty() {
            let place = Place {
                name: name.to_owned(),
                disk: at,
                partition: None,
                words: format!("disk {at}"),
                notes: Vec::new(),
                dynamic: false,
            };
            let all = ByteRange::new(0, disk.len());
            self.part(place, disk, all);
        }
        for partition in table.partitions {
            let range = partition.range;
            let place = Place {
                name: format!("{name}p{}", partition.number),
                disk: at,
                words: format!("disk {at}, partition {}", partition.number),
                notes: Vec::new(),
                dynamic: false,
                partition: Some(partition),
            };
            self.part(place, disk, range);
        }
    }

    /// All of them, with those that lie over several.
    pub(super) fn all(mut self) -> Found {
        self.dynamic_volumes();
        let mut looked_at = 0;
        for _ in 0..ROUNDS {
            let from = std::mem::replace(&mut looked_at, self.found.volumes.len());
            if from == looked_at {
                break;
            }
            self.logical(from);
        }
        self.found
    }

    fn part(&mut self, place: Place, disk: &Device, range: ByteRange) {
        let part: Device = Arc::new(Part::new(Arc::clone(disk), range));
        self.add(place, part);
    }

    fn add(&mut self, place: Place, device: Device) {
        let kind = place.partition.as_ref().map(|one| one.kind);
        let what = match probe::what(&device) {
            Ok(_) if kind.is_some_and(|kind| kind.is_storage_spaces()) => What::StorageSpaces,
            Ok(what) => what,
            Err(error) => {
                self.found.unreadable.push((place.name, error));
                return;
            }
        };
        let name = self.own_name(place.name);
        let mut volume = Volume {
            disk: place.disk,
            partition: place.partition,
            place: place.words,
            len: device.len(),
            what,
            encrypted: None,
            shut: None,
            notes: place.notes,
            dynamic: place.dynamic,
            device,
            name,
        };
        // A part of a dynamic disk is not the start of what it seems to be.
        if !kind.is_some_and(|kind| kind.is_dynamic()) {
            self.unlock(&mut volume);
        }
        self.found.volumes.push(volume);
    }

    /// Opens what is encrypted, if its key is there.
    fn unlock(&self, volume: &mut Volume) {
        let keys = self.keys.of(&volume.name);
        let Some(lock) = lock::of(volume.what, &volume.device, keys) else {
            return;
        };
        volume.encrypted = Some(volume.what);
        let opened = match lock {
            Lock::Open(opened) => probe::what(&opened.device).map(|what| (what, opened)),
            Lock::Shut(opens) => {
                volume.shut = Some(Shut::NoKey(opens));
                return;
            }
            Lock::Refused(error) => Err(error),
        };
        match opened {
            Ok((what, Opened { device, notes })) => {
                (volume.what, volume.device) = (what, device);
                volume.notes.extend(notes);
            }
            Err(error) => volume.shut = Some(Shut::Refused(error)),
        }
    }

    /// Takes in the volumes of dynamic disks.
    fn dynamic_volumes(&mut self) {
        let (places, disks): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.dynamic).into_iter().unzip();
        for group in ldm::groups(&disks) {
            for note in group.notes {
                let error = Error::Unsupported(format!("dynamic disks {}: {note}", group.name));
                self.found.unreadable.push((doubled(&group.name), error));
            }
            for one in group.volumes {
                let first = one.disks.first().and_then(|at| places.get(*at));
                let place = Place {
                    name: format!("{}-{}", doubled(&group.name), doubled(&one.name)),
                    disk: first.copied().unwrap_or(0),
                    partition: None,
                    words: format!(
                        "dynamic disks {}, {} volume {}",
                        group.name, one.kind, one.name
                    ),
                    notes: vec![UNPROVEN.to_owned()],
                    dynamic: true,
                };
                match one.device {
                    Ok(device) => self.add(place, device),
                    Err(error) => self.found.unreadable.push((place.name, error)),
                }
            }
        }
    }

    /// Takes in the logical volumes that lie on what was found from a place on. A group within a logical volume
    /// is named and not looked into, unless that was encrypted.
    fn logical(&mut self, from: usize) {
        let (mut physical, mut disks) = (Vec::new(), Vec::new());
        let found = self.found.volumes.iter().skip(from);
        let of_lvm = found.filter(|one| {
            one.what == What::Lvm && one.shut.is_none() && (from == 0 || one.encrypted.is_some())
        });
        for volume in of_lvm {
            match PhysicalVolume::open(Arc::clone(&volume.device)) {
                Ok(one) => {
                    physical.push(one);
                    disks.push(volume.disk);
                }
                Err(error) => self.found.unreadable.push((volume.name.clone(), error)),
            }
        }
        for group in lvm::groups(&physical) {
            for note in group.notes {
                let error = Error::Unsupported(format!("volume group {}: {note}", group.name));
                let name = doubled(&group.name);
                self.found.unreadable.push((name, error));
            }
            for one in group.volumes {
                let name = format!("{}-{}", doubled(&group.name), doubled(&one.name));
                let first = one.physical.first().and_then(|at| disks.get(*at));
                let kinds: Vec<_> = one.kinds.into_iter().collect();
                let kinds = kinds.join(" and ");
                let words = format!("volume group {}, {kinds} volume {}", group.name, one.name);
                let place = Place {
                    name,
                    disk: first.copied().unwrap_or(0),
                    partition: None,
                    words,
                    notes: Vec::new(),
                    dynamic: false,
                };
                match one.device {
                    Ok(device) => self.add(place, device),
                    Err(error) => self.found.unreadable.push((place.name, error)),
                }
            }
        }
    }

    /// Two groups may have one name, and a disk may be called like a volume. Who comes later gets a number.
    fn own_name(&mut self, plain: String) -> String {
        let mut name = plain.clone();
        let mut number = 1_u32;
        while !self.names.insert(name.clone()) {
            number += 1;
            name = format!("{plain}~{number}");
        }
        name
    }
}

fn doubled(name: &str) -> String {
    name.replace('-', "--")
}
