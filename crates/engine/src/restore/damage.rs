//! Restoring what is left of a disk of which something is lost: zeros are in its place, and beside the
//! image is a map that says where, and which files of the guest are affected.
//!
//! The map is durable before the image has its name: no image with such zeros is without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use disk::{BlockRead, ByteRange, ByteRanges};
use serde::Serialize;
use vault::{Losses, Lost};

use crate::finding::{Code, Finding, Severity};
use crate::guest::lost::{LostDisk, LostFile, LostFiles, LostRange, lost_files};
use crate::guest::{Guest, Keys};
use crate::restore::layer::open_chain;
use crate::restore::plan::{DiskFile, Holds};
use crate::restore::target::{NewFile, TargetError};
use crate::restore::{Opened, Task};
use crate::source::Owner;

/// How the name of a damage map ends, which begins with that of its image.
pub const DAMAGE_SUFFIX: &str = ".damage.json";
/// More names are not tried.
const MOST_BESIDE: u32 = 1000;

/// What of one image is lost, as plain data.
#[derive(Debug, Serialize)]
struct DamageMap<'a> {
    kind: &'static str,
    version: u32,
    point: &'a str,
    vm_name: &'a str,
    /// The image's name.
    image: String,
    /// The path of its topmost layer in the point.
    disk: &'a str,
    disk_bytes: u64,
    lost_bytes: u64,
    lost: Vec<LostRange>,
    reasons: &'a [String],
    files: Vec<LostFile>,
    not_named: Vec<String>,
}

/// What of a restored image is zeros for want of the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Bytes.
    pub lost: u64,
    /// Files of the guest that are affected and could be named.
    pub files: usize,
    /// The map; none of a restore that was simulated.
    pub map: Option<String>,
}

impl Damage {
    /// That something is lost.
    pub(crate) fn finding(&self, path: &str) -> Finding {
        let (lost, files) = (self.lost, self.files);
        let message = match &self.map {
            Some(map) => format!(
                "{lost} bytes of it could not be read from the vault and are zeros; {map} says where, and \
                 names {files} files of the guest that are affected"
            ),
            None => format!("{lost} bytes of it cannot be read from the vault and would be zeros"),
        };
        Finding::new(Code::ContentsLost, Severity::Partial, path, message)
            .hint("have the guest check its file systems, and restore the affected files from another point")
    }
}

/// Writes the map of an image that is about to get its name. None, if nothing is lost.
pub(crate) fn tell(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    (image, disk): (&Path, &dyn BlockRead),
    losses: &Losses,
    keys: &Keys,
) -> Result<Option<Damage>, TargetError> {
    let lost = losses.take();
    if lost.ranges.is_empty() {
        return Ok(None);
    }
    let ranges = ranges(&lost);
    let named = names(task, point, file, &ranges, keys);
    let top = top_of(file.holds);
    let path = point.details.layers.get(top).map(|l| l.path.as_str());
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let files = named.files.len();
    let map = DamageMap {
        kind: "damage-map",
        version: 1,
        point: &point.id,
        vm_name: &point.details.vm_name,
        image: name.clone().into_owned(),
        disk: path.unwrap_or_default(),
        disk_bytes: disk.len(),
        lost_bytes: ranges.total(),
        lost: ranges.iter().map(LostRange::from).collect(),
        reasons: &lost.reasons,
        files: named.files,
        not_named: named.not_named,
    };
    let failed = |e: serde_json::Error| TargetError::io(image, "writing its damage map", e.into());
    let mut text = serde_json::to_vec_pretty(&map).map_err(failed)?;
    text.push(b'\n');
    let place = place(image, &name, &text)?;
    Ok(Some(Damage {
        lost: ranges.total(),
        files,
        map: Some(place.display().to_string()),
    }))
}

/// What a simulated restore met.
pub(crate) fn met(losses: &Losses) -> Option<Damage> {
    let lost = ranges(&losses.take()).total();
    (lost > 0).then_some(Damage {
        lost,
        files: 0,
        map: None,
    })
}

/// Takes the map of an image away that did not get its name.
pub(crate) fn take_back(damage: &Damage) {
    if let Some(map) = &damage.map {
        // Nothing is lost if it stays: it names an image that is not there.
        let _ = fs::remove_file(map);
    }
}

fn ranges(lost: &Lost) -> ByteRanges {
    let ranges = lost.ranges.iter();
    ranges.map(|r| ByteRange::new(r.start, r.end)).collect()
}

/// Makes the map beside its image, under a name that is free.
fn place(image: &Path, name: &str, text: &[u8]) -> Result<PathBuf, TargetError> {
    let mut number = 1;
    loop {
        let path = image.with_file_name(match number {
            1 => format!("{name}{DAMAGE_SUFFIX}"),
            _ => format!("{name} ({number}){DAMAGE_SUFFIX}"),
        });
        let made = NewFile::create(&path).and_then(|new| {
            let written = new.file().write_all_at(text, 0);
            written.map_err(|e| TargetError::io(&path, "writing it", e))?;
            new.place()
        });
        match made {
            Ok(()) => return Ok(path),
            Err(TargetError::Exists(_)) if number < MOST_BESIDE => number += 1,
            Err(error) => return Err(error),
        }
    }
}

fn top_of(holds: Holds) -> usize {
    match holds {
        Holds::Chain { top } => top,
        Holds::Layer { layer, .. } => layer,
    }
}

/// The files of the guest that lie on what is lost of this image; of encrypted volumes with their keys.
fn names(
    task: &Task<'_>,
    point: &Opened,
    file: &DiskFile,
    lost: &ByteRanges,
    keys: &Keys,
) -> LostFiles {
    let details = &point.details;
    let layer = top_of(file.holds);
    let holds = |top: usize| details.chain(top).contains(&layer);
    // The VM as it was, if it stands on it, or else a checkpoint.
    let mut uses: Vec<_> = details.uses.iter().filter(|u| holds(u.layer)).collect();
    uses.sort_by_key(|one| one.owner != Owner::Vm);
    let owner = uses.first().map_or(Owner::Vm, |one| one.owner.clone());
    let contents = Arc::new(AtomicBool::new(false));
    let (lost, nothing) = (Arc::new(lost.clone()), Arc::<ByteRanges>::default());
    let guest = Guest::open_by(point, &owner, keys, &|_, top| {
        let chain = open_chain(task.vault, details, &point.layer_roots, top)?;
        let lost = match holds(top) {
            true => Arc::clone(&lost),
            false => Arc::clone(&nothing),
        };
        Ok(Arc::new(LostDisk::new(chain, lost, Arc::clone(&contents))))
    });
    let on_it = |path: &str| {
        let mut layers = details.layers.iter();
        let top = layers.position(|layer| layer.path.as_str() == path);
        top.is_some_and(holds)
    };
    match guest.disks.iter().position(|disk| on_it(&disk.path)) {
        Some(disk) => lost_files(&guest, disk, &contents, task.cancel),
        None => LostFiles {
            files: Vec::new(),
            not_named: vec![
                "no VM or checkpoint of the point has this disk attached, or it cannot be opened"
                    .to_owned(),
            ],
        },
    }
}
