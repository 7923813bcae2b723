//! Which files a restore of disks makes, before any of them is made.
//!
//! Two ways. *Kept*: every layer becomes a file of its own format, with its own identity, naming
//! its parent where that now lies, so that the chain of checkpoints goes on living. *Flat*: each
//! attached disk becomes one file that stands alone.
//!
//! Names are the layers' own file names; on Windows made such that it can hold them. Where two would
//! collide (disks of one name from two folders), the later one gets a number; and since parent
//! links are written for the new names, a chain stays whole whatever its files are called. Names
//! are compared as Windows does, without regard to case, because that is where the files are going.

use std::collections::HashSet;

use disk::layer::{Format, VhdKind};
use disk::vhd::MAX_LEN;
use disk::{Geometry, LayerInfo};
use vmconfig::names::Names;

use crate::finding::{Code, Finding, Severity};
use crate::point::{Details, PointLayer};
use crate::source::{MissingLayer, Owner};

/// A format to restore into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiskFormat {
    /// VHDX.
    Vhdx,
    /// VHDX, all of it allocated.
    VhdxFixed,
    /// VHD.
    Vhd,
    /// VHD, all of it allocated.
    VhdFixed,
    /// The disk's bytes and nothing else.
    Raw,
    /// QCOW2, version 3.
    Qcow2,
}

impl DiskFormat {
    /// The format of a layer.
    pub fn of(format: &Format) -> Self {
        match format {
            Format::Raw => Self::Raw,
            Format::Vhd(_) => Self::Vhd,
            Format::Vhdx(_) => Self::Vhdx,
        }
    }

    /// Whether a layer as it is is a file of this format.
    fn is_that_of(self, layer: &LayerInfo) -> bool {
        match (self, &layer.format) {
            (Self::Vhdx, Format::Vhdx(_)) | (Self::Vhd, Format::Vhd(_)) => true,
            (Self::VhdxFixed, Format::Vhdx(vhdx)) => vhdx.fixed && layer.parent.is_none(),
            (Self::VhdFixed, Format::Vhd(vhd)) => vhd.kind == VhdKind::Fixed,
            (Self::Raw, Format::Raw) => true,
            _ => false,
        }
    }

    /// The usual file name extension of an image that stands alone.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Vhdx | Self::VhdxFixed => "vhdx",
            Self::Vhd | Self::VhdFixed => "vhd",
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
        }
    }
}

/// Which disks, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisksWanted {
    /// One file for each disk, even of a chain.
    pub flatten: bool,
    /// Another format than the layers' own.
    pub format: Option<DiskFormat>,
    /// As of this checkpoint; without it, the VM's present state and every checkpoint's layers.
    pub checkpoint: Option<Owner>,
    /// Only disks of which a layer has this file name or path, without regard to case; empty for
    /// all disks.
    pub disks: Vec<String>,
}

impl DisksWanted {
    /// Whether one of [`disks`](Self::disks) names this layer.
    fn names(&self, layer: &PointLayer) -> bool {
        self.disks
            .iter()
            .any(|name| same(name, layer.path.as_str()) || same(name, layer.path.file_name()))
    }

    /// Whether the chain below `top` is of a wanted disk.
    fn wants_chain(&self, details: &Details, top: usize) -> bool {
        let mut chain = details.chain(top).into_iter();
        self.disks.is_empty() || chain.any(|layer| self.names(&details.layers[layer]))
    }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// One file to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// Its name, unique in the plan.
    pub name: String,
    /// What it holds.
    pub holds: Holds,
    /// Its format.
    pub format: DiskFormat,
}

/// What a restored file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// One layer, and over which file of the plan.
    Layer {
        /// The layer's index in the point.
        layer: usize,
        /// Its parent's index in the plan.
        parent: Option<usize>,
    },
    /// A whole chain as one disk.
    Chain {
        /// The topmost layer's index in the point.
        top: usize,
    },
}

/// What will be made, and what cannot be.
#[derive(Debug, Clone, Default)]
pub struct DisksPlan {
    /// The files, parents before children.
    pub files: Vec<DiskFile>,
    /// What is wanted and not possible.
    pub findings: Vec<Finding>,
}

/// Plans a restore of disks.
pub fn plan_disks(details: &Details, wanted: &DisksWanted) -> DisksPlan {
    let mut plan = DisksPlan::default();
    let mut tops = tops(details, wanted.checkpoint.as_ref());
    tops.retain(|top| wanted.wants_chain(details, *top));
    let mut names = Names::default();
    let other_format = wanted.format.is_some_and(|format| {
        tops.iter()
            .flat_map(|top| details.chain(*top))
            .any(|layer| !format.is_that_of(&details.layers[layer].info))
    });
    if wanted.flatten || other_format {
        unnamed(details, wanted, &tops, &mut plan);
        for top in tops {
            flat(details, wanted, top, &mut names, &mut plan);
        }
    } else {
        kept(details, wanted, &tops, &mut names, &mut plan);
    }
    lost(details, wanted, &mut plan);
    plan
}

/// The topmost layers of the wanted disks, each once, in the order of attachment.
fn tops(details: &Details, checkpoint: Option<&Owner>) -> Vec<usize> {
    let owner = checkpoint.unwrap_or(&Owner::Vm);
    let mut seen = HashSet::new();
    let tops: Vec<usize> = details
        .uses
        .iter()
        .filter(|u| u.owner == *owner)
        .map(|u| u.layer)
        .filter(|layer| seen.insert(*layer))
        .collect();
    // A base whose attached layer was lost is an older state: it must not pass for the disk.
    let lost = details.missing.iter().any(|m| m.needed_by.contains(owner));
    if !tops.is_empty() || checkpoint.is_some() || lost {
        return tops;
    }
    // Nothing says what is attached: every layer that no other stands on is a disk.
    let parents: HashSet<usize> = details.layers.iter().filter_map(|l| l.parent).collect();
    (0..details.layers.len())
        .filter(|layer| !parents.contains(layer))
        .collect()
}

fn kept(
    details: &Details,
    wanted: &DisksWanted,
    tops: &[usize],
    names: &mut Names,
    plan: &mut DisksPlan,
) {
    let chosen: HashSet<usize> = match wanted.checkpoint {
        Some(_) => tops.iter().flat_map(|top| details.chain(*top)).collect(),
        // Of a wanted disk all branches: whatever stands on the same base.
        None => {
            let all = 0..details.layers.len();
            let bases: HashSet<_> = all
                .clone()
                .filter(|layer| wanted.wants_chain(details, *layer))
                .filter_map(|layer| details.chain(layer).last().copied())
                .collect();
            let base_wanted = |layer: &usize| {
                let base = details.chain(*layer).last().copied();
                base.is_some_and(|base| bases.contains(&base))
            };
            all.filter(base_wanted).collect()
        }
    };
    let mut made = vec![None; details.layers.len()];
    for (index, layer) in details.layers.iter().enumerate() {
        if !chosen.contains(&index) {
            continue;
        }
        let parent = layer.parent.and_then(|parent| made[parent]);
        if parent.is_none() && layer.info.parent.is_some() {
            plan.findings.push(
                Finding::new(
                    Code::ParentMissing,
                    Severity::Partial,
                    layer.path.as_str(),
                    "its parent is not in this restore point; the file is restored but cannot be used without it",
                )
                .hint("put the parent beside it, or restore it from another point of this VM"),
            );
        }
        made[index] = Some(plan.files.len());
        plan.files.push(DiskFile {
            name: free_name(names, layer.path.file_name()),
            holds: Holds::Layer {
                layer: index,
                parent,
            },
            format: DiskFormat::of(&layer.info.format),
        });
    }
}

fn flat(
    details: &Details,
    wanted: &DisksWanted,
    top: usize,
    names: &mut Names,
    plan: &mut DisksPlan,
) {
    let chain = details.chain(top);
    let path = &details.layers[top].path;
    if !details.complete(top) {
        plan.findings.push(
            Finding::new(
                Code::ParentMissing,
                Severity::Partial,
                path.as_str(),
                "a layer below it is not in this restore point, so it cannot become one file",
            )
            .hint("restore the layers that are there without --flatten and --format"),
        );
        return;
    }
    let format = wanted
        .format
        .unwrap_or_else(|| DiskFormat::of(&details.layers[top].info.format));
    if let Some((why, hint)) = unfit(details.layers[top].info.geometry, format) {
        plan.findings
            .push(Finding::new(Code::Failed, Severity::Partial, path.as_str(), why).hint(hint));
        return;
    }
    let stem = stem(details.layers[known_by(details, &chain)].path.file_name());
    plan.files.push(DiskFile {
        name: free_name(names, &format!("{stem}.{}", format.extension())),
        holds: Holds::Chain { top },
        format,
    });
}

/// What of a disk a format cannot hold, and what to do instead.
fn unfit(disk: Geometry, format: DiskFormat) -> Option<(String, &'static str)> {
    use DiskFormat::{Raw, Vhd, VhdFixed};
    let (len, sector) = (disk.len, disk.logical_sector);
    match format {
        Raw => None,
        _ if len == 0 || !len.is_multiple_of(sector.into()) => Some((
            format!(
                "has {len} bytes, which are no whole sectors of {sector}: neither VHDX nor VHD nor \
                 QCOW2 can hold it"
            ),
            "restore it as raw",
        )),
        Vhd | VhdFixed if sector != 512 => Some((
            format!(
                "has sectors of {sector} bytes; in a VHD, whose sectors have 512, no guest would \
                 find its partitions"
            ),
            "restore it as VHDX",
        )),
        Vhd | VhdFixed if len > MAX_LEN => Some((
            format!("has {len} bytes, and a VHD holds no more than 2040 GiB"),
            "restore it as VHDX",
        )),
        _ => None,
    }
}

/// The layer whose name a disk is known by: checkpoints come and go with theirs above it, and below
/// it there may be a master that others stand on as well.
fn known_by(details: &Details, chain: &[usize]) -> usize {
    let lasting = |layer: &&usize| {
        let name = details.layers[**layer].path.file_name().to_lowercase();
        !name.ends_with(".avhdx") && !name.ends_with(".avhd")
    };
    let found = chain.iter().find(lasting).or(chain.last());
    found.copied().unwrap_or_default()
}

/// Says which layers are in no file, although neither the VM nor a checkpoint of it has them below
/// an attached disk: nobody would miss them before they are needed.
fn unnamed(details: &Details, wanted: &DisksWanted, tops: &[usize], plan: &mut DisksPlan) {
    if wanted.checkpoint.is_some() || !wanted.disks.is_empty() {
        return;
    }
    let attached = details
        .uses
        .iter()
        .map(|u| u.layer)
        .chain(tops.iter().copied());
    let known: HashSet<usize> = attached.flat_map(|top| details.chain(top)).collect();
    let left: Vec<&str> = (0..details.layers.len())
        .filter(|layer| !known.contains(layer))
        .map(|layer| details.layers[layer].path.as_str())
        .collect();
    let hint = "without --flatten and --format all layers are restored";
    plan.findings.extend(not_restored(details, &left, hint));
}

/// Tells of disks that stay behind because no configuration names them.
pub(crate) fn not_restored(details: &Details, left: &[&str], hint: &str) -> Option<Finding> {
    let finding = Finding::new(
        Code::UnreferencedDisk,
        Severity::Warning,
        details.vm_name.clone(),
        format!(
            "no configuration names these disks, which were not restored: {}",
            left.join(", ")
        ),
    );
    (!left.is_empty()).then(|| finding.hint(hint))
}

/// Says which wanted disks the point lacks altogether.
fn lost(details: &Details, wanted: &DisksWanted, plan: &mut DisksPlan) {
    let owner = wanted.checkpoint.as_ref().unwrap_or(&Owner::Vm);
    for missing in details
        .missing
        .iter()
        .filter(|m| m.needed_by.contains(owner))
        .filter(|m| wanted.disks.is_empty() || wanted.disks.iter().any(|name| same(name, &m.name)))
    {
        plan.findings.push(not_in_point(missing));
    }
    for name in &wanted.disks {
        let here = details
            .layers
            .iter()
            .any(|layer| same(name, layer.path.as_str()) || same(name, layer.path.file_name()));
        if !here && !details.missing.iter().any(|m| same(name, &m.name)) {
            plan.findings.push(
                Finding::new(
                    Code::NothingSelected,
                    Severity::Error,
                    name.as_str(),
                    "this restore point has no disk of that name",
                )
                .hint("`hyperkeep ls POINT` lists its disks"),
            );
        }
    }
}

/// A disk that the backup did not get.
pub(crate) fn not_in_point(missing: &MissingLayer) -> Finding {
    let hint = match missing.by_choice {
        true => "a restore point that was made without --exclude may hold it",
        false => "another restore point of this VM may hold it",
    };
    Finding::new(
        Code::DiskMissing,
        Severity::Partial,
        missing.name.as_str(),
        format!("not in this restore point: {}", missing.why),
    )
    .hint(hint)
}

/// `wanted`, as far as this system can have it and nothing else in the plan has.
pub(crate) fn free_name(names: &mut Names, wanted: &str) -> String {
    match cfg!(windows) {
        true => names.file(wanted),
        false => names.plain_file(wanted),
    }
}

fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => name,
    }
}

#[cfg(test)]
#[path = "plan/tests.rs"]
mod tests;
