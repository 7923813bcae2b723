//! What is in a guest: the file systems on the disks of a restore point, without restoring them.
//!
//! ```text
//! point ─► the VM as it was, or a checkpoint ─► its disks, each a chain of layers in the vault
//!       ─► volumes ─► file system ─► list, walk, restore
//! ```
//!
//! Nothing is staged and nothing is mounted: chunks are read as they are needed, and none is read twice in
//! a short time. What a volume holds that is not understood is named and never shown as empty.

pub mod browse;
pub mod diff;
pub mod evidence;
mod keys;
pub mod list;
pub(crate) mod lost;
mod metered;
pub mod path;
pub mod restore;
pub mod walk;

use std::sync::Arc;

use guestfs::partitions::Oddity;
use guestfs::volumes::{self, Volume};
pub use guestfs::volumes::{Key, Keys};
use guestfs::{Device, FileSystem};
use serde::Serialize;
use vault::Vault;

use crate::finding::{Code, Finding, Severity};
use crate::point::Details;
use crate::restore::Opened;
use crate::restore::layer::open_chain;
use crate::restore::plan::not_in_point;
use crate::source::Owner;

pub use path::GuestPath;
pub use walk::{Found, Met, Next, Pattern, PatternError, walk};

/// The guest as it was when a VM was backed up, or at one of its checkpoints.
pub struct Guest {
    /// Its disks, in the order of their places.
    pub disks: Vec<GuestDisk>,
    volumes: Vec<Volume>,
    /// What could not be looked at, and what is odd.
    pub findings: Vec<Finding>,
}

/// A disk of a guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GuestDisk {
    /// What its volumes are named after: `d0` for the first.
    pub name: String,
    /// Where it is attached: `SCSI 0:1`.
    pub slot: String,
    /// The path of its topmost file in the point.
    pub path: String,
}

impl Guest {
    /// Looks at the disks that a VM or checkpoint has in a restore point. A disk that cannot be opened does
    /// not hide the others.
    pub fn open(vault: &Vault, point: &Opened, owner: &Owner) -> Self {
        Self::open_with(vault, point, owner, &Keys::default())
    }

    /// The same, with keys for volumes that are encrypted. A key that does not open its volume is told.
    pub fn open_with(vault: &Vault, point: &Opened, owner: &Owner, keys: &Keys) -> Self {
        Self::open_through(vault, point, owner, keys, &|_, disk| disk)
    }

    /// The same, with what `through` makes of each disk, of which it is told the number, in the disk's place.
    pub(crate) fn open_through(
        vault: &Vault,
        point: &Opened,
        owner: &Owner,
        keys: &Keys,
        through: &dyn Fn(usize, Device) -> Device,
    ) -> Self {
        let (details, roots) = (&point.details, &point.layer_roots);
        Self::open_by(point, owner, keys, &|at, top| {
            let chain = open_chain(vault, details, roots, top)?;
            Ok(through(at, Arc::new(chain)))
        })
    }

    /// The same, with disks that `open` finds by their numbers and those of their topmost layers.
    pub(crate) fn open_by(
        point: &Opened,
        owner: &Owner,
        keys: &Keys,
        open: &dyn Fn(usize, usize) -> disk::Result<Device>,
    ) -> Self {
        let details = &point.details;
        let mut guest = Self {
            disks: Vec::new(),
            volumes: Vec::new(),
            findings: Vec::new(),
        };
        let mut devices: Vec<(String, Device)> = Vec::new();
        let known = |layer: usize| details.layers.get(layer).map(|l| l.path.to_string());
        for (at, (slot, layer)) in tops(point, owner).into_iter().enumerate() {
            let path = known(layer).unwrap_or_default();
            match open(at, layer) {
                Ok(device) => {
                    // One that cannot be opened keeps its number.
                    let name = format!("d{at}");
                    devices.push((name.clone(), device));
                    guest.disks.push(GuestDisk { name, slot, path });
                }
                Err(error) => guest.findings.push(unreadable(path, error.to_string())),
            }
        }
        guest.findings.extend(lacking(details, owner));
        let found = volumes::find_with(&devices, keys);
        for (name, error) in found.unreadable {
            let why = error.to_string();
            guest.findings.push(match error {
                guestfs::Error::Disk(_) => unreadable(name, why),
                // All of it was read, and is not understood here.
                _ => {
                    let hint = "restore its disks, and read it in the guest";
                    Finding::new(Code::GuestVolumes, Severity::Partial, name, why).hint(hint)
                }
            });
        }
        for (disk, oddity) in found.oddities {
            let disk = guest.disks.get(disk).map(|disk| disk.path.clone());
            let note = format!("its partition table is odd: {oddity}");
            // Partitions may be there that nobody sees.
            let severity = match oddity {
                Oddity::BrokenChain | Oddity::TooMany | Oddity::Outside(_) | Oddity::GptLost => {
                    Severity::Partial
                }
                _ => Severity::Info,
            };
            let finding =
                Finding::new(Code::GuestVolumes, severity, disk.unwrap_or_default(), note);
            let hint = "restore the disk, and have the guest's own tools look at it";
            guest.findings.push(finding.hint(hint));
        }
        guest.findings.extend(keys::told(&found.volumes, keys));
        guest.volumes = found.volumes;
        guest
    }

    /// Its volumes, by their disks.
    pub fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// The disk that a volume begins on.
    pub fn disk_of(&self, volume: &Volume) -> Option<&GuestDisk> {
        self.disks.get(volume.disk)
    }

    /// A volume by its name.
    pub fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.iter().find(|volume| volume.name == name)
    }

    /// The file system of the volume that a path is in.
    ///
    /// # Errors
    /// When there is no such volume, or it is not understood.
    pub fn file_system(&self, volume: &str) -> Result<Box<dyn FileSystem>, guestfs::Error> {
        match self.volume(volume) {
            Some(volume) => volume.open(),
            None => {
                let names: Vec<&str> = self.volumes.iter().map(|v| v.name.as_str()).collect();
                let there = match names.is_empty() {
                    true => "there is none".to_owned(),
                    false => format!("there are {}", names.join(", ")),
                };
                let what = format!("the volume “{volume}” ({there})");
                Err(guestfs::Error::NotFound(what))
            }
        }
    }
}

/// The disks of a VM or checkpoint in the order of their places: where each is, and its topmost layer.
pub(crate) fn tops(point: &Opened, owner: &Owner) -> Vec<(String, usize)> {
    let uses = point.details.uses.iter();
    let mut uses: Vec<_> = uses.filter(|one| one.owner == *owner).collect();
    uses.sort_by_key(|one| place(&one.slot));
    let tops = uses.iter().map(|one| (one.slot.clone(), one.layer));
    match uses.is_empty() && *owner == Owner::Vm {
        // A bunch of disks without a VM has no places.
        true => whole(point).map(|top| (String::new(), top)).collect(),
        false => tops.collect(),
    }
}

/// What the point has not got of the disks of a VM or checkpoint, and what is torn of them.
fn lacking<'a>(details: &'a Details, owner: &'a Owner) -> impl Iterator<Item = Finding> + 'a {
    let missing = details.missing.iter();
    let missing = missing.filter(|one| one.needed_by.contains(owner));
    let uses = details.uses.iter().filter(|one| one.owner == *owner);
    let torn = uses.filter_map(|one| torn(details, one.layer));
    missing.map(not_in_point).chain(torn)
}

/// That a disk did not hold still while it was read.
fn torn(details: &Details, top: usize) -> Option<Finding> {
    let mut layers = details.chain(top).into_iter();
    let moved = layers.any(|at| details.layers.get(at).is_some_and(|layer| layer.moved));
    let path = details.layers.get(top)?.path.to_string();
    let message = "the disk changed while it was backed up: parts of it are from different moments";
    let finding = Finding::new(Code::ChangedDuringBackup, Severity::Warning, path, message);
    moved.then(|| finding.hint("an earlier or later restore point may hold it whole"))
}

/// Layers on which nothing stands, of a point that is of disks alone.
fn whole(point: &Opened) -> impl Iterator<Item = usize> + '_ {
    let layers = &point.details.layers;
    let stands = |at: usize| layers.iter().any(|layer| layer.parent == Some(at));
    (0..layers.len()).filter(move |at| !stands(*at))
}

/// Numbers in the name of a place count as numbers: `SCSI 0:10` is behind `SCSI 0:9`.
fn place(slot: &str) -> (String, Vec<u64>) {
    let kind = slot.chars().take_while(|c| !c.is_ascii_digit()).collect();
    let numbers = slot.split(|c: char| !c.is_ascii_digit());
    (kind, numbers.filter_map(|n| n.parse().ok()).collect())
}

fn unreadable(object: String, why: String) -> Finding {
    Finding::new(Code::DiskUnreadable, Severity::Partial, object, why)
        .hint("`hyperkeep check --read-data` shows what of the vault is damaged")
}
