//! What a restore point says about its VM.
//!
//! [`Details`] is the engine's view of it, complete and checked: every index leads somewhere, and
//! parents come before their children. [`mod@format`] turns it into the manifest that the vault
//! seals and back, and computes the *identity* under which the next backup recognises a layer.

mod consistency;
pub mod format;

use disk::LayerInfo;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::finding::Finding;
use crate::outcome::Outcome;
use crate::saved_memory::SavedMemory;
use crate::source::{Checkpoint, Consistency, DiskUse, FileRole, MissingLayer, Owner, RelPath};

/// How much was asked to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As little as is safe.
    #[default]
    Auto,
    /// Everything.
    Full,
    /// What changed since the last point.
    Incremental,
    /// The same, told relative to the last full point.
    Differential,
}

/// Everything that a restore point says about its VM, besides the bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The VM's id as the source knows it.
    pub vm_id: Uuid,
    /// The VM's name.
    pub vm_name: String,
    /// Where it came from: `folder:/srv/export`.
    pub source: String,
    /// How the data was reached.
    pub mode: String,
    /// Why in this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode_reason: Option<String>,
    /// What was asked for.
    pub level: Level,
    /// How consistent the data is.
    pub consistency: Consistency,
    /// How well the backup went, the point itself being safe: ok, warning or partial.
    pub outcome: Outcome,
    /// The configuration as plain data, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
    /// The disk layers, parents before children.
    pub layers: Vec<PointLayer>,
    /// The files.
    pub files: Vec<PointFile>,
    /// Which layers the VM and its checkpoints have attached.
    pub uses: Vec<DiskUse>,
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that the VM's present state was made on, where something tells.
    pub current: Option<Uuid>,
    /// Whether the VM and each checkpoint hold saved memory; who is not listed, of that one it
    /// cannot be told.
    pub saved_memory: Vec<SavedMemory>,
    /// Layers that something needs and that are not in the point.
    pub missing: Vec<MissingLayer>,
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// What belongs to the VM and is not in the point.
    pub not_covered: Vec<String>,
}

/// A disk layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointLayer {
    /// Its place relative to the VM's root.
    pub path: RelPath,
    /// Where it was found.
    pub origin: String,
    /// What the image said about itself.
    pub info: LayerInfo,
    /// Index of its parent among the layers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<usize>,
    /// Another image named it as its parent.
    pub interior: bool,
    /// It did not hold still while it was read: parts are from different moments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moved: bool,
    /// How it was read.
    pub reading: Reading,
    /// What that took.
    pub stats: Stats,
}

/// How a layer came to be in a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Reading {
    /// Everything that it stores was read.
    Full {
        /// Why, in words.
        why: String,
    },
    /// What the source said had changed since that point was read; the rest is that point's.
    Ranges {
        /// The point, in hexadecimal.
        since: String,
        /// Bytes said to be unchanged that were read again and are.
        #[serde(default)]
        compared: u64,
    },
    /// Nothing was read for it: it is what it was in that point, provably or by the source's word.
    Reused {
        /// The point, in hexadecimal.
        since: String,
        /// The proof, in words.
        why: String,
        /// Bytes that were read again and are what they were.
        #[serde(default)]
        compared: u64,
    },
}

/// What a layer or file has in a point, and what reading and storing it took, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Bytes of data that the point has of it, whether they were read for this point or an earlier
    /// one. Pages of zeros are no data, and neither is what only its parent has.
    pub data: u64,
    /// Bytes read from the source, those that were read only to compare included.
    pub read: u64,
    /// Bytes of those that the vault did not have yet.
    pub new: u64,
}

impl Stats {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            data: self.data.saturating_add(other.data),
            read: self.read.saturating_add(other.read),
            new: self.new.saturating_add(other.new),
        }
    }
}

/// A file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointFile {
    /// Its place relative to the VM's root.
    pub path: RelPath,
    /// What it is.
    pub role: FileRole,
    /// The checkpoint it belongs to, or the VM itself.
    pub owner: Owner,
    /// Its length in bytes.
    pub len: u64,
}

impl Details {
    /// The layers of a disk from its topmost down to its base.
    pub fn chain(&self, top: usize) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut next = Some(top);
        // Ends because parents come before their children.
        while let Some(index) = next.filter(|i| *i < self.layers.len()) {
            chain.push(index);
            next = self.layers[index].parent;
        }
        chain
    }

    /// Whether the VM or a checkpoint holds saved memory; `None` if it cannot be told.
    pub fn has_memory(&self, owner: &Owner) -> Option<bool> {
        let mut all = self.saved_memory.iter();
        all.find(|m| m.owner == *owner).map(|m| m.saved)
    }

    /// Whether a chain's base stands alone: nothing below it is missing.
    pub fn complete(&self, top: usize) -> bool {
        self.chain(top)
            .last()
            .is_some_and(|base| self.layers[*base].info.parent.is_none())
    }
}

#[cfg(test)]
#[path = "point/tests.rs"]
mod tests;
