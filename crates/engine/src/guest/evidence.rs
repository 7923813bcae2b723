//! What is known of how consistent the volumes of a guest are in a restore point.
//!
//! It is read when it is asked for, out of the vault: of each volume what says in which state its file system
//! was, its journal included, and none of its files. No more than [`MOST`] bytes are read of one VM or checkpoint;
//! what does not fit is told as not looked at, and never as well.

use std::collections::HashMap;

use guestfs::probe::What;
use guestfs::volumes::Volume;
use guestfs::{Error, How, State};
use serde::Serialize;
use vault::{NodeId, Vault};

use super::metered::Meter;
use super::{Guest, Keys, tops};
use crate::finding::Finding;
use crate::restore::Opened;
use crate::source::Owner;

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
    known: HashMap<Vec<(String, Vec<NodeId>)>, Evidence>,
}

impl<'a> Evidences<'a> {
    /// Out of this vault.
    pub fn new(vault: &'a Vault) -> Self {
        Self {
            vault,
            known: HashMap::new(),
        }
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
        let key: Vec<(String, Vec<NodeId>)> = key.collect();
        if let Some(known) = self.known.get(&key) {
            return Evidence {
                owner,
                checkpoint,
                ..known.clone()
            };
        }
        let evidence = read(self.vault, point, owner, checkpoint);
        self.known.insert(key, evidence.clone());
        evidence
    }
}

fn read(vault: &Vault, point: &Opened, owner: Owner, checkpoint: Option<String>) -> Evidence {
    let meter = Meter::new(MOST);
    let guest = Guest::open_through(vault, point, &owner, &Keys::default(), &|_, disk| {
        meter.over(disk)
    });
    let volumes = guest.volumes().iter().map(|one| volume(&guest, one));
    Evidence {
        checkpoint,
        volumes: volumes.collect(),
        read: meter.read().min(MOST),
        findings: guest.findings.clone(),
        owner,
    }
}

fn volume(guest: &Guest, volume: &Volume) -> VolumeEvidence {
    let disk = guest.disk_of(volume);
    let mut evidence = VolumeEvidence {
        volume: volume.name.clone(),
        slot: disk.map(|disk| disk.slot.clone()).unwrap_or_default(),
        bytes: volume.len,
        what: volume.what.name().to_owned(),
        id: String::new(),
        verdict: Verdict::Unknown,
        unproven: Vec::new(),
        notes: Vec::new(),
    };
    match volume.open() {
        Ok(fs) => {
            let about = fs.about();
            evidence.what = about.format.to_owned();
            evidence.id.clone_from(&about.id);
            evidence.verdict = verdict(&about.state);
            evidence.notes.clone_from(&about.state.notes);
            evidence.unproven = unproven(about.format, about.state.how);
        }
        Err(error) => {
            evidence.verdict = match (&error, volume.what) {
                (Error::Disk(_), _) => Verdict::NotLookedAt,
                (Error::Damaged { .. } | Error::NotThis(_), _) => Verdict::Damaged,
                _ if volume
                    .partition
                    .as_ref()
                    .is_some_and(|one| one.kind.is_dynamic()) =>
                {
                    Verdict::NoFiles
                }
                (_, What::BitLocker | What::Luks(_)) => Verdict::Encrypted,
                (_, What::Swap | What::Blank | What::Lvm) => Verdict::NoFiles,
                _ => Verdict::Unknown,
            };
            evidence.notes.push(error.to_string());
            evidence.unproven.extend(unproven_name(volume));
        }
    }
    evidence
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

/// What the verdict rests on that nobody has shown to be right.
fn unproven(format: &str, how: How) -> Vec<String> {
    let mut all = Vec::new();
    if how == How::NotReplayed {
        all.push("that its journal can be replayed, which was not tried here".to_owned());
    }
    if format == "ntfs" {
        all.push(
            "how Windows leaves its log, and what it compresses itself (CompactOS): volumes that it wrote were not \
             at hand"
                .to_owned(),
        );
    }
    all
}

/// The same, of what is named by its signatures and not read.
fn unproven_name(volume: &Volume) -> Option<String> {
    let dynamic = volume.partition.as_ref();
    let dynamic = dynamic.is_some_and(|one| one.kind.is_dynamic());
    let name = match volume.what {
        _ if dynamic => "a part of a dynamic disk",
        What::BitLocker | What::Refs | What::StorageSpaces | What::MdRaid => volume.what.name(),
        _ => return None,
    };
    Some(format!(
        "that it is {name}: it is told by what is documented of it, and none was at hand"
    ))
}

/// A volume through the points of a VM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Its name in the newest point that has it.
    pub volume: String,
    /// Where its disk is attached.
    pub slot: String,
    /// How it was found in the newest point that has it.
    pub verdict: Verdict,
    /// The oldest point from which on it was found so without a break.
    pub since: String,
    /// When that was taken, in seconds since 1970.
    pub since_taken: u64,
    /// The newest point in which it was found clean, or in need of a replay and nothing worse.
    pub last_good: Option<String>,
    /// When that was taken.
    pub last_good_taken: Option<u64>,
}

/// One point for [`courses`].
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    /// Its id.
    pub point: &'a str,
    /// When it was taken.
    pub taken: u64,
    /// What is known of its volumes.
    pub evidence: &'a [Evidence],
}

/// How each volume of a VM as it was backed up fared through points in their order. A volume is known by where its
/// disk is attached, and what of the disk it is.
pub fn courses(stages: &[Stage<'_>]) -> Vec<Course> {
    let mut all: Vec<(String, Course)> = Vec::new();
    for stage in stages {
        let of_vm = stage.evidence.iter().filter(|one| one.owner == Owner::Vm);
        for volume in of_vm.flat_map(|one| &one.volumes) {
            let key = key(volume);
            let now = Course {
                volume: volume.volume.clone(),
                slot: volume.slot.clone(),
                verdict: volume.verdict,
                since: stage.point.to_owned(),
                since_taken: stage.taken,
                last_good: None,
                last_good_taken: None,
            };
            let at = match all.iter().position(|(known, _)| *known == key) {
                Some(at) => at,
                None => {
                    all.push((key, now.clone()));
                    all.len() - 1
                }
            };
            let Some((_, course)) = all.get_mut(at) else {
                continue;
            };
            if course.verdict != now.verdict {
                (course.since, course.since_taken) = (now.since, now.since_taken);
            }
            (course.volume, course.verdict) = (now.volume, now.verdict);
            if matches!(volume.verdict, Verdict::Clean | Verdict::NeedsReplay) {
                course.last_good = Some(stage.point.to_owned());
                course.last_good_taken = Some(stage.taken);
            }
        }
    }
    all.into_iter().map(|(_, course)| course).collect()
}

/// A disk's number counts only where it is attached nowhere.
fn key(volume: &VolumeEvidence) -> String {
    let numbered = volume.volume.strip_prefix('d');
    let rest = numbered.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    match rest {
        Some(rest) if !volume.slot.is_empty() && (rest.is_empty() || rest.starts_with('p')) => {
            format!("{} {rest}", volume.slot)
        }
        _ => format!(" {}", volume.volume),
    }
}
