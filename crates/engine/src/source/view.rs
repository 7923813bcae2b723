//! What a frozen VM consists of.

use std::fmt;
use std::sync::Arc;

use disk::layer::LayerInfo;
use disk::{BlockRead, ReadAt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::Changed;
use crate::finding::{Code, Finding};

/// Everything that there is to read of a frozen VM.
pub struct FrozenView {
    /// The VM's identity, as listed.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// How the data was reached: `folder`, `cbt`, `standard`…
    pub mode: String,
    /// Why in this way, where there was a choice.
    pub mode_reason: Option<String>,
    /// How consistent the data is: what was achieved.
    pub consistency: Consistency,
    /// The configuration as plain data, where it could be read.
    pub config: Option<serde_json::Value>,
    /// Configuration, saved state and other files that are saved as they are.
    pub files: Vec<FrozenFile>,
    /// The disk layers, parents before children.
    pub layers: Vec<FrozenLayer>,
    /// Which layers the VM and its checkpoints have attached.
    pub uses: Vec<DiskUse>,
    /// The checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// The checkpoint that the VM's present state was made on, where something tells.
    pub current: Option<Uuid>,
    /// Layers that something needs and that are not among [`layers`](Self::layers).
    pub missing: Vec<MissingLayer>,
    /// What was noticed. Also says in words what `missing` and `not_covered` say as data.
    pub findings: Vec<Finding>,
    /// What belongs to the VM and is not part of the view, by design: pass-through disks and such.
    pub not_covered: Vec<String>,
}

/// How consistent frozen data is, worst first.
///
/// Whether memory was saved along with the disks is told by the files of the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// Files changed while they were read: parts are from different moments.
    Torn,
    /// As after a power cut.
    Crash,
    /// The guest's file systems were flushed.
    FileSystem,
    /// The guest's applications took part.
    Application,
    /// Nothing was running: an exported or switched-off VM.
    Offline,
}

impl Consistency {
    /// The word itself.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Crash => "crash",
            Self::FileSystem => "file-system",
            Self::Application => "application",
            Self::Offline => "offline",
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a file is to its VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileRole {
    /// Configuration (`.vmcx`, `.xml`).
    Configuration,
    /// Runtime state (`.vmrs`), saved device state (`.vsv`).
    RuntimeState,
    /// Saved memory (`.bin`).
    SavedMemory,
    /// Firmware variables, virtual TPM (`.vmgs`).
    GuestState,
    /// Something else that lies with the VM.
    Other,
}

/// A file that is saved as it is.
pub struct FrozenFile {
    /// Where it lies relative to the VM's root.
    pub path: RelPath,
    /// What it is.
    pub role: FileRole,
    /// The checkpoint it belongs to, or the VM itself.
    pub owner: Owner,
    /// Its bytes.
    pub data: Arc<dyn ReadAt>,
}

/// One image file, alone: where a differencing layer stores nothing, it says
/// [`Hole`](disk::Content::Hole) and leaves the answer to its parent.
pub struct FrozenLayer {
    /// Where it lies relative to the VM's root; a layer from elsewhere is given a place there.
    pub path: RelPath,
    /// Where the source found it, as a person would say it.
    pub origin: String,
    /// The file of the host that it is read from, where that is not the origin: a copy.
    pub read_from: Option<String>,
    /// What names its place from one backup to the next, where that is not the origin.
    pub place: Option<String>,
    /// What the image says about itself.
    pub info: LayerInfo,
    /// Index of its parent among [`FrozenView::layers`]; smaller than its own.
    pub parent: Option<usize>,
    /// Some other image of this view or outside names it as its parent, so that a sane host has
    /// not written to it since that image was made. A leaf is not frozen.
    pub interior: bool,
    /// What changed since the request's token.
    pub changed: Changed,
    /// Its bytes and extents.
    pub data: Arc<dyn BlockRead>,
}

impl FrozenLayer {
    /// What names its place from one backup to the next.
    pub fn place(&self) -> &str {
        self.place.as_deref().unwrap_or(&self.origin)
    }

    /// The file that it is read from.
    pub fn file(&self) -> &str {
        self.read_from.as_deref().unwrap_or(&self.origin)
    }
}

/// A layer that something needs and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingLayer {
    /// The name under which it was looked for.
    pub name: String,
    /// What was in the way.
    pub why: String,
    /// Whose disk it is, or a part of it.
    pub needed_by: Vec<Owner>,
    /// Somebody wanted it left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_choice: bool,
}

impl FrozenView {
    /// Whether it has no disk since somebody wanted each of them left out.
    pub(crate) fn is_left_out(&self) -> bool {
        let missing = self.missing.iter();
        self.layers.is_empty()
            && !self.missing.is_empty()
            && missing.into_iter().all(|missing| missing.by_choice)
    }

    /// Tells of a disk that somebody wanted left out.
    pub(crate) fn leave_out(&mut self, owner: Owner, slot: &str, name: &str) {
        let known = self.missing.iter_mut();
        let mut known = known.filter(|missing| missing.by_choice && missing.name == name);
        if let Some(missing) = known.next() {
            if !missing.needed_by.contains(&owner) {
                missing.needed_by.push(owner);
            }
            return;
        }
        self.missing.push(MissingLayer {
            name: name.to_owned(),
            why: format!("the disk at {slot} is excluded by choice"),
            needed_by: vec![owner],
            by_choice: true,
        });
        self.findings.push(Finding::note(
            Code::Excluded,
            name,
            format!("the disk at {slot} is excluded by choice and not in the restore point"),
        ));
    }
}

/// The VM as it is, or one of its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "of", content = "id")]
pub enum Owner {
    /// The VM's present state.
    Vm,
    /// The checkpoint with this id.
    Checkpoint(Uuid),
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id.
    pub id: Uuid,
    /// Its name, where the configuration tells one.
    pub name: String,
    /// When it was taken, seconds since 1970, where something tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// The checkpoint it was taken after.
    pub parent: CheckpointParent,
    /// Its configuration as plain data, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<serde_json::Value>,
}

/// What a checkpoint was taken after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "id")]
pub enum CheckpointParent {
    /// Nothing: it is the first of its branch.
    Root,
    /// Another checkpoint.
    After(Uuid),
    /// Nothing tells.
    Unknown,
}

/// A disk attached to a VM or to one of its checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskUse {
    /// Whose disk.
    pub owner: Owner,
    /// Where it is attached: `SCSI 0:1`, `IDE 0:0`.
    pub slot: String,
    /// Index of its topmost layer.
    pub layer: usize,
    /// How consistent the disk by itself is: never better than what is known of it, and nothing
    /// where nothing is. A layer has no such thing, as each disk above it is of another moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
}

/// A relative path of plain components, safe to create below any folder: no empty component, no
/// `.` or `..`, no separator or NUL inside a component. Compared and shown with `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

/// A path that could lead out of the folder it is put into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a plain relative path")]
pub struct RelPathError(pub String);

impl RelPath {
    /// Checks `path`, whose components are separated by `/`.
    ///
    /// # Errors
    /// When a component is empty, `.`, `..`, or holds a NUL, `\` or a Windows drive's `:`.
    pub fn new(path: impl Into<String>) -> Result<Self, RelPathError> {
        let path = path.into();
        let fine = path
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\', ':']));
        if fine {
            Ok(Self(path))
        } else {
            Err(RelPathError(path))
        }
    }

    /// The text, components separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path as the host writes it, below `root`.
    pub fn below(&self, root: &std::path::Path) -> std::path::PathBuf {
        let mut path = root.to_path_buf();
        path.extend(self.components());
        path
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for RelPath {
    type Error = RelPathError;

    fn try_from(path: String) -> Result<Self, RelPathError> {
        Self::new(path)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_lead_out_is_refused() {
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "C:", "a\0b", "x:y",
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        for good in [
            "a",
            "Virtual Machines/x.vmcx",
            "数据/💾 & “q”.vhdx",
            "...",
            "a b",
        ] {
            let path = RelPath::new(good).unwrap();
            assert_eq!(path.components().count(), good.split('/').count());
        }
    }
}
