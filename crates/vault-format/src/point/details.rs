//! The part of a point that only readers of data can read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{Error, Result, limit};

use super::{MAX_ITEMS, Outline, check_features, distinct};

const WHAT: &str = "restore point's details";

/// Which VM it is, in its host's words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmIdentity {
    /// The VM's id, in the spelling from which its key in the vault is computed.
    pub id: String,
    /// Its name at the time.
    pub name: String,
    /// The host it was on, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A disk of the VM as it was when the point was taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskDetails {
    /// What it is called in lists; distinct within the point.
    pub name: String,
    /// The layer that the guest wrote to; its parents are below it.
    pub head: u32,
    /// Where it was attached; opaque here.
    #[serde(default)]
    pub attachment: Value,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A layer of a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerDetails {
    /// Its number, as in the outline.
    pub id: u32,
    /// The layer below it, for a layer that holds differences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Where its file lay, relative to the VM's folder, with `/` between components.
    pub path: String,
    /// What the `disk` crate knows of the file, so that it can be made again; opaque here, and
    /// specified in `docs/format/layer-info.md`.
    pub info: Value,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A file kept with the VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileDetails {
    /// Its number, as in the outline.
    pub id: u32,
    /// Where it lay, relative to the VM's folder, with `/` between components.
    pub path: String,
    /// What it is: `configuration`, `runtime-state`, `guest-state`, `saved-memory`, …
    pub role: String,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A checkpoint of the VM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id on the host; distinct within the point.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The checkpoint that it was made on, which the host may have lost: it need not be in the
    /// point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// When it was made, in milliseconds since 1970-01-01 UTC, by the host's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// The disks as they were then.
    #[serde(default)]
    pub disks: Vec<DiskDetails>,
    /// Files that belong to it, by number.
    #[serde(default)]
    pub files: Vec<u32>,
    /// Its configuration as plain data; opaque here.
    #[serde(default)]
    pub configuration: Value,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// How much a finding matters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// All data is safe; something needs attention.
    Warning,
    /// Something went wrong.
    Error,
    /// A severity of a later version.
    #[serde(untagged)]
    Other(String),
}

/// Something noticed during the backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable name for programs.
    pub code: String,
    /// What it is, for people.
    pub message: String,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Something of the VM that is not in the point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotCovered {
    /// What is missing.
    pub what: String,
    /// Why.
    pub why: String,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What restoring, browsing and reporting need of a point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Features that a reader must know.
    pub required: Vec<String>,
    /// Which VM it is.
    pub vm: VmIdentity,
    /// The VM's configuration as plain data; opaque here.
    pub configuration: Value,
    /// The disks as they were when the point was taken.
    pub disks: Vec<DiskDetails>,
    /// All layers of all disks and checkpoints.
    pub layers: Vec<LayerDetails>,
    /// All files.
    pub files: Vec<FileDetails>,
    /// The tree of checkpoints.
    #[serde(default)]
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that the running state was made on; it need not be in the point either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// How the consistency was achieved, or why no better one.
    #[serde(default)]
    pub consistency_reason: String,
    /// What was noticed.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What is not in the point.
    #[serde(default)]
    pub not_covered: Vec<NotCovered>,
    /// Members of later versions.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Details {
    /// Checks that every layer and file that is named is there, that no way from parent to
    /// parent is a circle, and that the details are those of `outline`.
    pub(super) fn check(&self, outline: &Outline) -> Result<()> {
        let bad = |why: String| Err(Error::damaged(WHAT, why));
        check_features(WHAT, &self.required)?;
        for (items, count) in [
            ("findings", self.findings.len()),
            ("items not covered", self.not_covered.len()),
        ] {
            limit(WHAT, items, count as u64, MAX_ITEMS as u64)?;
        }
        let layers = distinct(WHAT, "layers", self.layers.iter().map(|layer| layer.id))?;
        let files = distinct(WHAT, "files", self.files.iter().map(|file| file.id))?;
        distinct(
            WHAT,
            "checkpoints",
            self.checkpoints.iter().map(|c| c.id.as_str()),
        )?;
        if !layers
            .iter()
            .eq(distinct(WHAT, "layers", outline.layers.iter().map(|l| l.id))?.iter())
            || !files
                .iter()
                .eq(distinct(WHAT, "files", outline.files.iter().map(|f| f.id))?.iter())
        {
            return bad("its layers and files are not those of the outline".to_owned());
        }
        let states = self.checkpoints.iter().map(|checkpoint| &checkpoint.disks);
        for disks in states.chain([&self.disks]) {
            distinct(WHAT, "disks", disks.iter().map(|disk| disk.name.as_str()))?;
            if let Some(disk) = disks.iter().find(|disk| !layers.contains(&disk.head)) {
                return bad(format!(
                    "disk {:?} begins at layer {}, which is not there",
                    disk.name, disk.head
                ));
            }
        }
        for checkpoint in &self.checkpoints {
            if let Some(file) = checkpoint.files.iter().find(|file| !files.contains(file)) {
                return bad(format!(
                    "checkpoint {} has file {file}, which is not there",
                    checkpoint.id
                ));
            }
        }
        let orphan = self
            .layers
            .iter()
            .find(|l| l.parent.is_some_and(|p| !layers.contains(&p)));
        if let Some(layer) = orphan {
            return bad(format!("layer {} lies on one that is not there", layer.id));
        }
        check_tree(
            "layer",
            self.layers.iter().map(|layer| (layer.id, layer.parent)),
        )?;
        let parents = self
            .checkpoints
            .iter()
            .map(|c| (c.id.as_str(), c.parent.as_deref()));
        check_tree("checkpoint", parents)
    }
}

/// Checks that going from parent to parent ends: at an item without one, or at one that is not
/// there.
fn check_tree<K: Ord + Copy + std::fmt::Display>(
    what: &str,
    items: impl Iterator<Item = (K, Option<K>)>,
) -> Result<()> {
    let parents: BTreeMap<K, Option<K>> = items.collect();
    // Items from which the way up is known to end.
    let mut fine = std::collections::BTreeSet::new();
    for start in parents.keys() {
        let mut way = Vec::new();
        let mut at = Some(*start);
        while let Some(id) = at.filter(|id| !fine.contains(id)) {
            let Some(parent) = parents.get(&id) else {
                break;
            };
            way.push(id);
            if way.len() > parents.len() {
                return Err(Error::damaged(
                    WHAT,
                    format!("{what} {id} is its own ancestor"),
                ));
            }
            at = *parent;
        }
        fine.extend(way);
    }
    Ok(())
}
