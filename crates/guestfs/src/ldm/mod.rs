//! Dynamic disks of Windows (LDM): volumes over one disk or several, out of the database that each of the disks
//! has.
//!
//! ```text
//! disk ─► private header ─► table of contents ─► database ─┐
//! disk ─► private header ─► table of contents ─► database ─┴► newest database of each group ─► volumes
//! ```
//!
//! Read are simple and spanned volumes. Striped and mirrored ones and RAID-5 are named and not read: which half of
//! a mirror is the newer one is told by records that nobody has described.
//!
//! Invariants:
//!
//! - A volume has a device only if all of its parts are there, lie one behind the other and within what their disks
//!   say belongs to volumes.
//! - At most [`head::MOST`] bytes of a database are looked at.
//!
//! **No disk that Windows has written was at hand.** This was written from a description, and shown on what the
//! tests make from the same description and another program reads.
//!
//! Source: the LDM documentation of the Linux-NTFS project.

mod database;
mod head;
mod record;

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::ByteRange;

use self::database::Database;
pub use self::head::DynamicDisk;
use self::record::{Component, Layout, Part, Volume as Record};
use crate::error::{Error, Result};
use crate::fs::Device;
use crate::lvm::{Mapped, Segment};

/// Bytes of the sectors in which everything counts.
const SECTOR: u64 = 512;

/// A group of disks.
pub struct Group {
    /// Its name.
    pub name: String,
    /// What is odd about it, such as disks that are missing.
    pub notes: Vec<String>,
    /// Its volumes.
    pub volumes: Vec<Volume>,
}

/// A volume.
pub struct Volume {
    /// Its name.
    pub name: String,
    /// “simple”, “spanned”, “striped”, “mirrored” or “RAID-5”.
    pub kind: &'static str,
    /// The disks that are there and that it lies on, by their places among all of them.
    pub disks: Vec<usize>,
    /// The volume, or why it is not to be had.
    pub device: Result<Device>,
}

/// Puts groups together out of all dynamic disks of a machine.
pub fn groups(disks: &[DynamicDisk]) -> Vec<Group> {
    let mut newest: BTreeMap<&str, &DynamicDisk> = BTreeMap::new();
    for disk in disks {
        let known = newest.entry(&disk.group).or_insert(disk);
        if disk.database.sequence > known.database.sequence {
            *known = disk;
        }
    }
    newest.values().map(|one| group(one, disks)).collect()
}

fn group(newest: &DynamicDisk, all: &[DynamicDisk]) -> Group {
    let database = &newest.database;
    let mut notes = database.notes.clone();
    let mut disks = BTreeMap::new();
    for (id, record) in &database.disks {
        let mut here = all
            .iter()
            .enumerate()
            .filter(|(_, disk)| disk.group == newest.group && disk.id == record.disk);
        match (here.next(), here.next()) {
            (Some(one), None) => {
                if one.1.database.sequence != database.sequence {
                    let name = &record.name;
                    notes.push(format!("{name} has an older database than other disks"));
                }
                disks.insert(*id, one);
            }
            (Some(_), Some(_)) => notes.push(format!("two disks are its {}", record.name)),
            (None, _) => notes.push(format!(
                "its disk {} ({}) is missing",
                record.name, record.disk
            )),
        }
    }
    let volumes = database.volumes.iter();
    let volumes = volumes.map(|(id, one)| volume(database, *id, one, &disks));
    Group {
        name: database.group.clone(),
        notes,
        volumes: volumes.collect(),
    }
}

type Disks<'a> = BTreeMap<u64, (usize, &'a DynamicDisk)>;

fn volume(database: &Database, id: u64, volume: &Record, disks: &Disks<'_>) -> Volume {
    let components = database.components.iter();
    let components: Vec<_> = components.filter(|(_, one)| one.volume == id).collect();
    let parts = |component: u64| {
        let parts = database.parts.iter();
        let mut parts: Vec<&Part> = parts.filter(|one| one.component == component).collect();
        parts.sort_by_key(|one| one.offset);
        parts
    };
    let all = components.iter().flat_map(|(id, _)| parts(**id));
    let mut on = Vec::new();
    for part in all {
        if let Some((at, _)) = disks.get(&part.disk)
            && !on.contains(at)
        {
            on.push(*at);
        }
    }
    let (kind, device) = match components.as_slice() {
        [(id, component)] => {
            let parts = parts(**id);
            let kind = kind(component, &parts);
            (kind, device(volume, component, &parts, disks))
        }
        [] => {
            let what = format!("dynamic volume {}", volume.name);
            let why = Error::damaged(what, "it has no component");
            ("unknown", Err(why))
        }
        _ => ("mirrored", Err(not_read(volume, "mirrored"))),
    };
    Volume {
        name: volume.name.clone(),
        kind,
        disks: on,
        device,
    }
}

fn kind(component: &Component, parts: &[&Part]) -> &'static str {
    match (component.layout, parts.len()) {
        (Layout::Striped, _) => "striped",
        (Layout::Raid, _) => "RAID-5",
        (Layout::Concatenated, 0 | 1) => "simple",
        (Layout::Concatenated, _) => "spanned",
    }
}

fn not_read(volume: &Record, kind: &str) -> Error {
    Error::Unsupported(format!(
        "dynamic volume {} is {kind}, which is not read here: restore its disks, and read it in the guest",
        volume.name
    ))
}

/// The parts one behind the other.
fn device(
    volume: &Record,
    component: &Component,
    parts: &[&Part],
    disks: &Disks<'_>,
) -> Result<Device> {
    if component.layout != Layout::Concatenated {
        return Err(not_read(volume, kind(component, parts)));
    }
    let damaged = |why: String| Error::damaged(format!("dynamic volume {}", volume.name), why);
    if component.parts != parts.len() as u64 {
        let (are, should) = (parts.len(), component.parts);
        return Err(damaged(format!(
            "{are} of its {should} parts are in the database"
        )));
    }
    let mut segments = Vec::new();
    let mut end = 0_u64;
    for part in parts {
        let Some((_, disk)) = disks.get(&part.disk) else {
            let what = format!("a disk on which dynamic volume {} lies", volume.name);
            return Err(Error::NotFound(what));
        };
        let bytes = |sectors: u64| sectors.checked_mul(SECTOR).filter(|bytes| *bytes < 1 << 62);
        let numbers = [part.offset, part.len, part.start].map(bytes);
        let [Some(offset), Some(len), Some(start)] = numbers else {
            return Err(damaged("a part of it is larger than any disk".to_owned()));
        };
        let fits = start
            .checked_add(len)
            .is_some_and(|end| end <= disk.data.len());
        if offset != end || len == 0 || !fits {
            let name = &part.name;
            return Err(damaged(format!("its part {name} lies where it cannot")));
        }
        end = offset.saturating_add(len);
        segments.push(Segment {
            range: ByteRange::new(offset, end),
            stripes: vec![(Arc::clone(&disk.data), start)],
            stripe: len,
        });
    }
    // What the volume says of itself may leave out a rest of its last part.
    let len = volume.len.checked_mul(SECTOR);
    if len.is_none_or(|len| len == 0 || len > end) {
        let (says, are) = (volume.len, end / SECTOR);
        return Err(damaged(format!(
            "it has {says} sectors, and its parts have {are}"
        )));
    }
    let name = volume.name.clone();
    Ok(Arc::new(Mapped::new(name, segments)))
}
