//! What is known of how consistent the volumes of a guest are in a restore point.
//!
//! It is read when it is asked for, out of the vault: of each volume what says in which state its file system
//! was, its journal included, and none of its files. No more than [`MOST`] bytes are read of one VM or checkpoint;
//! what does not fit, or cannot be read, is told as not looked at: neither as well nor as damaged.

mod courses;
#[cfg(test)]
mod tests;
mod unproven;

use std::collections::HashMap;
use std::sync::Arc;

use guestfs::probe::What;
use guestfs::volumes::Volume;
use guestfs::{Device, Error, How, State};
use serde::Serialize;
use vault::{NodeId, Vault};

use super::metered::Meter;
use super::{Guest, Keys, keys, lacking, tops};
use crate::finding::Finding;
use crate::restore::Opened;
use crate::restore::layer::open_chain;
use crate::source::Owner;

pub use courses::{Course, Stage, courses};

/// Bytes that are read of all disks of a VM or checkpoint at most.
pub const MOST: u64 = 256 << 20;

/// How a volume was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Its file system was closed, or had written all: nothing is to be replayed.
    Clean,
    /// It has no files: swap space, nothing, or a part of a volume group or dynamic disk.
    NoFiles,
    /// Its journal is not empty: the guest replays it, as after a power cut.
    NeedsReplay,
    /// Its guest is asleep, or was shut down for a fast start: what it had in memory may be missing in files.
    Hibernated,
    /// It was in use and has no journal, its guest has marked it to be checked, or nobody can replay its journal.
    Dirty,
    /// It is encrypted: nothing is known of what is in it.
    Encrypted,
    /// It is not read: nothing is known of it.
    Unknown,
    /// It could not be read out of the vault, or not within the bound.
    NotLookedAt,
    /// The guest, or the reader here, has found it damaged.
    Damaged,
}

impl Verdict {
    /// Whether it is worse than what a power cut leaves, of what is known.
    pub fn wants_care(self) -> bool {
        matches!(self, Self::Hibernated | Self::Dirty | Self::Damaged)
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::NoFiles => "no-files",
            Self::NeedsReplay => "needs-replay",
            Self::Hibernated => "hibernated",
            Self::Dirty => "dirty",
            Self::Encrypted => "encrypted",
            Self::Unknown => "unknown",
            Self::NotLookedAt => "not-looked-at",
            Self::Damaged => "damaged",
        }
    }
}

/// What is known of a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VolumeEvidence {
    /// Its name, with which paths in it begin.
    pub volume: String,
    /// Where the disk that it begins on is attached.
    pub slot: String,
    /// Bytes of it.
    pub bytes: u64,
    /// What is on it, in few words: `ext4`, `BitLocker`.
    pub what: String,
    /// By what it is encrypted, whether it was opened or not.
    pub encrypted: Option<String>,
    /// By what the file system is known, as its own tools print it; empty if it has nothing.
    pub id: String,
    /// How it was found.
    pub verdict: Verdict,
    /// What the verdict does not prove.
    pub unproven: Vec<String>,
    /// What is odd, and why it is not read.
    pub notes: Vec<String>,
}

/// What is known of the volumes of a VM, or of one of its checkpoints.
#[derive(Clone, Debug, Serialize)]
pub struct Evidence {
    /// Of whom.
    pub owner: Owner,
    /// The checkpoint's name; nothing for the VM itself.
    pub checkpoint: Option<String>,
    /// Each of its volumes.
    pub volumes: Vec<VolumeEvidence>,
    /// Bytes that were read for it.
    pub read: u64,
    /// Disks that could not be looked at, and what is odd about them.
    pub findings: Vec<Finding>,
}

/// Reads evidence out of a vault. What two points share is read once.
pub struct Evidences<'a> {
    vault: &'a Vault,
    keys: &'a Keys,
    known: HashMap<Known, Evidence>,
}

/// Disks by where they are and the maps of their layers, and what is told to be missing or torn of them.
type Known = (Vec<(String, Vec<NodeId>)>, Vec<String>);

impl<'a> Evidences<'a> {
    /// Out of this vault, with keys for volumes that are encrypted.
    pub fn new(vault: &'a Vault, keys: &'a Keys) -> Self {
        Self {
            vault,
            keys,
            known: HashMap::new(),
        }
    }

    /// Keys for volumes that none of these has.
    pub fn needless(&self, all: &[&Evidence]) -> Vec<Finding> {
        let volumes = || all.iter().flat_map(|one| &one.volumes);
        let is_nowhere = |name: &&str| volumes().all(|volume| volume.volume != **name);
        let names = self.keys.volumes().filter(is_nowhere);
        names.map(keys::nowhere).collect()
    }

    /// Of the VM of a point, and of each of its checkpoints that has disks.
    pub fn of(&mut self, point: &Opened) -> Vec<Evidence> {
        let checkpoints = point.details.checkpoints.iter();
        let names = checkpoints.map(|one| (Owner::Checkpoint(one.id), Some(one.name.clone())));
        let owners = std::iter::once((Owner::Vm, None)).chain(names);
        let owners = owners.filter(|(owner, _)| !tops(point, owner).is_empty());
        owners
            .map(|(owner, name)| self.one(point, owner, name))
            .collect()
    }

    /// Of the VM, or of one checkpoint.
    fn one(&mut self, point: &Opened, owner: Owner, checkpoint: Option<String>) -> Evidence {
        let disks = tops(point, &owner).into_iter();
        let key = disks.map(|(slot, top)| {
            let chain = point.details.chain(top).into_iter();
            let roots = chain.filter_map(|layer| point.layer_roots.get(layer).copied());
            (slot, roots.collect())
        });
        let lacking = lacking(&point.details, &owner).map(|one| one.to_string());
        let key: Known = (key.collect(), lacking.collect());
        if let Some(known) = self.known.get(&key) {
            return Evidence {
                owner,
                checkpoint,
                ..known.clone()
            };
        }
        let evidence = read(point, owner, checkpoint, self.keys, MOST, &|top| {
            let (details, roots) = (&point.details, &point.layer_roots);
            let chain = open_chain(self.vault, details, roots, top)?;
            Ok(Arc::new(chain))
        });
        self.known.insert(key, evidence.clone());
        evidence
    }
}

/// Opens the disk with this topmost layer.
type Open<'a> = dyn Fn(usize) -> disk::Result<Device> + 'a;

fn read(
    point: &Opened,
    owner: Owner,
    checkpoint: Option<String>,
    given: &Keys,
    most: u64,
    open: &Open<'_>,
) -> Evidence {
    let meter = Meter::new(most);
    let guest = Guest::open_by(point, &owner, given, &|_, top| Ok(meter.over(open(top)?)));
    let volumes = guest.volumes().iter();
    // Another moment may have the volume for which a key was given.
    let findings = guest.findings.iter().filter(|one| !keys::is_nowhere(one));
    Evidence {
        checkpoint,
        volumes: volumes.map(|one| volume(&guest, &meter, one)).collect(),
        read: meter.read().min(most),
        findings: findings.cloned().collect(),
        owner,
    }
}

fn volume(guest: &Guest, meter: &Meter, volume: &Volume) -> VolumeEvidence {
    let disk = guest.disk_of(volume);
    let mut evidence = VolumeEvidence {
        volume: volume.name.clone(),
        slot: disk.map(|disk| disk.slot.clone()).unwrap_or_default(),
        bytes: volume.len,
        what: volume.what.name().to_owned(),
        encrypted: volume.encrypted.map(|by| by.name().to_owned()),
        id: String::new(),
        verdict: Verdict::Unknown,
        unproven: Vec::new(),
        notes: Vec::new(),
    };
    // What failed before was told by who asked for it.
    meter.has_failed();
    let opened = volume.open();
    let how = match opened {
        Ok(fs) => {
            let about = fs.about();
            evidence.what = about.format.to_owned();
            evidence.id.clone_from(&about.id);
            evidence.verdict = verdict(&about.state);
            evidence.notes.clone_from(&about.state.notes);
            Some((about.format, about.state.how))
        }
        Err(error) => {
            evidence.verdict = without(volume, &error);
            evidence.notes.push(error.to_string());
            None
        }
    };
    evidence.unproven = unproven::of(volume, how);
    // Of what a reader does without, nobody knows what it would have said.
    if meter.has_failed() {
        evidence.verdict = Verdict::NotLookedAt;
    }
    evidence
}

/// The verdict on what has no files to be had.
fn without(volume: &Volume, error: &Error) -> Verdict {
    let partition = volume.partition.as_ref();
    let part_of_dynamic = partition.is_some_and(|one| one.kind.is_dynamic());
    match (error, volume.what) {
        (Error::Disk(_), _) => Verdict::NotLookedAt,
        (Error::Damaged { .. } | Error::NotThis(_), _) => Verdict::Damaged,
        _ if part_of_dynamic => Verdict::NoFiles,
        (_, What::BitLocker | What::Luks(_)) => Verdict::Encrypted,
        (_, What::Swap | What::Blank | What::Lvm) => Verdict::NoFiles,
        _ => Verdict::Unknown,
    }
}

fn verdict(state: &State) -> Verdict {
    match state.how {
        How::Clean => Verdict::Clean,
        How::Replayed | How::NotReplayed => Verdict::NeedsReplay,
        How::Hibernated => Verdict::Hibernated,
        How::InUse | How::Dirty => Verdict::Dirty,
        How::Damaged => Verdict::Damaged,
    }
}
