//! What changed of a guest's files between two moments of a VM: restore points, or checkpoints in them.
//!
//! ```text
//! disk maps of both ─► bytes that may differ ─► the same, on a volume ─┐
//! file tables of both ─► folders side by side ─► a file in both ───────┴─► where its contents lie ─► told
//! ```
//!
//! What the maps share is not read. Of the rest, tables of files are read, and contents only where they may
//! differ. No change is missed for that: what is called unchanged is so by [evidence](Counts) that is counted.

mod change;
mod contents;
mod disks;
mod loose;
mod tally;
mod walk;

use std::sync::Arc;

use disk::{ByteRange, ByteRanges};
use guestfs::probe::What;
use guestfs::volumes::Volume;
use guestfs::{Error, FileSystem, by_path};
use serde::Serialize;
use uuid::Uuid;
use vault::Vault;

use crate::cancel::Cancel;
use crate::finding::{Code, Finding};
use crate::guest::list::unreadable;
use crate::guest::metered::Meter;
use crate::guest::restore::state;
use crate::guest::{Guest, GuestPath, Keys};
use crate::restore::Opened;
use crate::source::Owner;

pub use change::Change;
pub use tally::Counts;

use contents::Pair;
use disks::Marked;
use tally::Tally;
use walk::{Found, Walk};

/// A moment of a VM.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The restore point that has it.
    pub point: &'a Opened,
    /// The VM as it was backed up, or a checkpoint.
    pub owner: &'a Owner,
}

/// What is to be compared.
pub struct Wanted<'a> {
    /// The earlier moment.
    pub before: Side<'a>,
    /// The later one.
    pub after: Side<'a>,
    /// Only what is at and below this; its volume as either moment has it.
    pub path: Option<GuestPath>,
    /// Whether all contents are to be read.
    pub thorough: bool,
    /// What opens volumes that are encrypted.
    pub keys: &'a Keys,
    /// Whether somebody asked to stop.
    pub cancel: &'a Cancel,
}

/// Why two moments cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// They are of two VMs.
    #[error("the restore points are of two VMs: {0} ({1}) and {2} ({3})")]
    OtherVm(String, Uuid, String, Uuid),
    /// Nothing is there at either moment.
    #[error("{0} is there at neither moment")]
    NotThere(GuestPath),
}

impl DiffError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::OtherVm(..) => "`hyperkeep points` tells which restore points are of one VM",
            Self::NotThere(_) => {
                "`hyperkeep ls POINT:/` lists the volumes, and `hyperkeep ls POINT:/VOLUME` what is in one"
            }
        }
    }
}

/// A volume that is there at both moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VolumeDiff {
    /// Its name at the later moment.
    pub volume: String,
    /// Its name at the earlier one.
    pub before: String,
    /// Bytes of it.
    pub bytes: u64,
    /// Bytes that may differ, by the disk maps; nothing when these do not tell.
    pub differing: Option<u64>,
    /// Why its files were not compared, if they were not: it is the same, or is not read.
    pub not_compared: Option<String>,
}

/// What a comparison has found besides the changes, which were told one by one.
#[derive(Clone, Debug, Serialize)]
pub struct DiffReport {
    /// Numbers of what was found.
    pub counts: Counts,
    /// Each volume of both moments that was wanted.
    pub volumes: Vec<VolumeDiff>,
    /// Bytes that were read of the disks of both moments.
    pub read: u64,
    /// Bytes of the disks of the later moment.
    pub disk_bytes: u64,
    /// What could not be compared, and what is odd.
    pub findings: Vec<Finding>,
}

/// Compares two moments. Each change is told as it is found: first what differs under one name, volume by
/// volume and folder by folder, then what was removed, added and moved.
///
/// # Errors
/// When they are of two VMs, or what is wanted is nowhere.
pub fn diff(
    vault: &Vault,
    wanted: &Wanted<'_>,
    each: &mut dyn FnMut(Change),
) -> Result<DiffReport, DiffError> {
    let (before, after) = (wanted.before, wanted.after);
    let (was, is) = (&before.point.details, &after.point.details);
    if was.vm_id != is.vm_id {
        let names = (was.vm_name.clone(), is.vm_name.clone());
        return Err(DiffError::OtherVm(names.0, was.vm_id, names.1, is.vm_id));
    }
    let meter = Meter::new(u64::MAX);
    let marks = disks::compared(
        vault,
        (before.point, before.owner),
        (after.point, after.owner),
    );
    let old = Guest::open_through(
        vault,
        before.point,
        before.owner,
        wanted.keys,
        &|_, disk| meter.over(disk),
    );
    let new = Guest::open_through(vault, after.point, after.owner, wanted.keys, &|at, disk| {
        let differing = marks.get(at).cloned().flatten();
        let disk = meter.over(disk);
        Arc::new(Marked { disk, differing })
    });
    let mut run = Run {
        wanted,
        old: &old,
        new: &new,
        tally: Tally::new(each, wanted.cancel),
        volumes: Vec::new(),
        found: false,
    };
    for finding in old.findings.iter().chain(&new.findings) {
        if !run.tally.findings.contains(finding) {
            run.tally.findings.push(finding.clone());
        }
    }
    run.all();
    let Run {
        tally,
        volumes,
        found,
        ..
    } = run;
    if let Some(path) = wanted.path.as_ref().filter(|_| !found) {
        return Err(DiffError::NotThere(path.clone()));
    }
    let (counts, findings) = tally.findings();
    let layers = disks::places(after.point, after.owner).into_iter();
    let lens = layers.filter_map(|(_, top)| Some(is.layers.get(top)?.info.geometry.len));
    Ok(DiffReport {
        counts,
        volumes,
        read: meter.read(),
        disk_bytes: lens.sum(),
        findings,
    })
}

struct Run<'a, 'c> {
    wanted: &'a Wanted<'a>,
    old: &'a Guest,
    new: &'a Guest,
    tally: Tally<'c>,
    volumes: Vec<VolumeDiff>,
    /// Whether anything was there of what is wanted.
    found: bool,
}

impl Run<'_, '_> {
    fn all(&mut self) {
        let (old, new) = (self.old, self.new);
        let mut gone: Vec<&Volume> = old.volumes().iter().collect();
        for volume in new.volumes() {
            let key = key(new, volume);
            let before = gone.iter().position(|other| self::key(old, other) == key);
            let before = before.map(|at| gone.remove(at));
            let names = [Some(volume), before];
            if !self.is_wanted(&names) {
                continue;
            }
            match before {
                Some(before) => self.volume(before, volume),
                None => self.alone("added", volume),
            }
        }
        for volume in gone {
            if self.is_wanted(&[Some(volume), None]) {
                self.alone("removed", volume);
            }
        }
    }

    fn is_wanted(&self, volumes: &[Option<&Volume>; 2]) -> bool {
        let Some(path) = &self.wanted.path else {
            return true;
        };
        let mut names = volumes.iter().flatten().map(|volume| &volume.name);
        names.any(|name| *name == path.volume)
    }

    fn alone(&mut self, change: &'static str, volume: &Volume) {
        self.found = true;
        let told = Change::volume(change, &volume.name, volume.len);
        self.tally.tell(told);
    }

    /// Compares a volume.
    fn volume(&mut self, before: &Volume, after: &Volume) {
        let same_place = self.lies_the_same(before, after);
        let all = ByteRange::new(0, after.len);
        let differing = same_place.then(|| disks::differing(after.device(), all).ok());
        let differing = differing.flatten();
        let told = self.files(before, after, differing.as_ref());
        self.volumes.push(VolumeDiff {
            volume: after.name.clone(),
            before: before.name.clone(),
            bytes: after.len,
            differing: differing.map(|ranges| ranges.total()),
            not_compared: told.err(),
        });
    }

    /// Compares the files of a volume, or says why not.
    fn files(
        &mut self,
        before: &Volume,
        after: &Volume,
        differing: Option<&ByteRanges>,
    ) -> Result<(), String> {
        let names = self.wanted.path.as_ref().map(|path| path.names.as_slice());
        let names = names.unwrap_or_default();
        let same = differing.is_some_and(ByteRanges::is_empty) && !self.wanted.thorough;
        if same && names.is_empty() {
            self.found = true;
            return Err("no byte of it differs".to_owned());
        }
        let (old, new) = match (before.open(), after.open()) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(error), _) | (_, Err(error)) => {
                self.found = true;
                return Err(self.not_read(after, same, &error));
            }
        };
        for (when, fs) in [("before", &old), ("after", &new)] {
            let told = state(&format!("{} {when}", after.name), fs.as_ref());
            self.tally.findings.extend(told);
        }
        if old.about().id != new.about().id {
            let note = "another file system is on it than before: it was made anew";
            let note = Finding::note(Code::GuestVolumes, after.name.clone(), note);
            self.tally.findings.push(note);
        }
        let root = |fs: &dyn FileSystem, volume: &str| {
            let mut path = GuestPath::root(volume);
            path.names.extend_from_slice(names);
            let node = by_path(fs, names).and_then(|id| fs.node(id));
            match node {
                Ok(node) => Ok(Some(Found { path, node })),
                Err(Error::NotFound(_) | Error::WrongKind { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let roots = root(old.as_ref(), &before.name)
            .and_then(|was| Ok((was, root(new.as_ref(), &after.name)?)));
        let (was, is) = match roots {
            Ok(roots) => roots,
            Err(error) => {
                self.found = true;
                return Err(self.not_read(after, same, &error));
            }
        };
        self.found |= was.is_some() || is.is_some();
        if same && was.is_some() == is.is_some() {
            return Err("no byte of its volume differs".to_owned());
        }
        // In FAT a file is known by where its name is, and that says nothing of which one it is.
        let keeps = |fs: &dyn FileSystem| !matches!(fs.about().format, "vfat" | "exfat");
        self.tally.keeps_ids = keeps(old.as_ref()) && keeps(new.as_ref());
        let pair = Pair {
            before: old.as_ref(),
            after: new.as_ref(),
            differing,
            thorough: self.wanted.thorough,
            cancel: self.wanted.cancel,
        };
        Walk::new(pair, &mut self.tally).run(was, is);
        Ok(())
    }

    /// Why a volume's files are not compared; it is a finding unless nothing of it differs, or nobody has files
    /// there.
    fn not_read(&mut self, volume: &Volume, same: bool, error: &Error) -> String {
        let why = error.to_string();
        if same {
            return format!("no byte of it differs; {why}");
        }
        let finding = match volume.what {
            What::Swap | What::Blank | What::Lvm => {
                Finding::note(Code::GuestVolumes, volume.name.clone(), why.clone())
            }
            _ => unreadable(&volume.name, error),
        };
        self.tally.findings.push(finding);
        why
    }

    /// Whether each byte of a volume lies on the disks where it lay before.
    fn lies_the_same(&self, before: &Volume, after: &Volume) -> bool {
        let is_whole = |guest: &Guest, volume: &Volume| {
            let disk = guest.disk_of(volume);
            disk.is_some_and(|disk| disk.name == volume.name)
        };
        let kinds = [(self.old, before), (self.new, after)];
        match (&before.partition, &after.partition) {
            (Some(was), Some(is)) => was.range == is.range && was.kind == is.kind,
            (None, None) if kinds.iter().all(|(guest, one)| is_whole(guest, one)) => true,
            (None, None) if kinds.iter().all(|(guest, one)| !is_whole(guest, one)) => {
                self.groups_are_the_same()
            }
            _ => false,
        }
    }

    /// Whether volume groups are laid out as they were: the text that tells how begins within the first MiB of
    /// each physical volume, with a sector that says which text counts. Of dynamic disks nothing is known that
    /// would tell.
    fn groups_are_the_same(&self) -> bool {
        let is_dynamic = |volume: &Volume| {
            let partition = volume.partition.as_ref();
            partition.is_some_and(|one| one.kind.is_dynamic())
        };
        let mut all = self.old.volumes().iter().chain(self.new.volumes());
        if all.any(is_dynamic) {
            return false;
        }
        let members = |guest: &Guest| -> Vec<(String, String)> {
            let all = guest.volumes().iter().filter(|one| one.what == What::Lvm);
            all.map(|one| key(guest, one)).collect()
        };
        let same = |one: &Volume| {
            let mut old = self.old.volumes().iter();
            let was = old.find(|other| key(self.old, other) == key(self.new, one));
            let head = ByteRange::new(0, one.len.min(1 << 20));
            was.is_some_and(|was| {
                let ranges = [was, one].map(|one| one.partition.as_ref().map(|part| part.range));
                ranges[0] == ranges[1]
            }) && disks::differing(one.device(), head).is_ok_and(|ranges| ranges.is_empty())
        };
        let mut now = self
            .new
            .volumes()
            .iter()
            .filter(|one| one.what == What::Lvm);
        members(self.old) == members(self.new) && now.all(same)
    }
}

/// By what a volume is known at both moments: where its disk is attached and what of the disk it is, or the name
/// of a logical volume.
fn key(guest: &Guest, volume: &Volume) -> (String, String) {
    let disk = guest.disk_of(volume);
    let of_disk = disk.filter(|disk| volume.partition.is_some() || volume.name == disk.name);
    match of_disk {
        None => (String::new(), volume.name.clone()),
        Some(disk) => {
            let place = match disk.slot.is_empty() {
                true => disk.name.clone(),
                false => disk.slot.clone(),
            };
            let part = volume.name.strip_prefix(disk.name.as_str());
            (place, part.unwrap_or(&volume.name).to_owned())
        }
    }
}
