//! The disks of a checkpoint.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cim::CimSession;
use cim::job::Pace;
use disk::resolve::{Found, resolve};
use disk::{BlockRead, ByteRanges, Chain, Format};
use uuid::Uuid;

use crate::files::{FrozenFile, HostFiles, HostFinder, HostPath};
use crate::inventory::Medium;
use crate::tracking::changes;

/// How long a file may be held by somebody else: virus scanners and merges are done by then. It counts
/// for all disks of a VM together, which wait at the same time: its checkpoint stays as long.
const MOST_WAIT: Duration = Duration::from_secs(90);
/// How long to wait before it is tried again.
const WAIT: Duration = Duration::from_secs(5);

/// A frozen disk.
pub struct FrozenDisk {
    /// What the host calls it.
    pub medium: Medium,
    /// Its files as the host spells them, youngest first.
    pub files: Vec<String>,
    /// The disk's id; a VHD has none.
    pub disk_id: Option<Uuid>,
    /// Its layers, youngest first, with their paths.
    pub layers: Vec<Found>,
    /// All of its layers as one disk.
    pub chain: Chain,
    /// What of it is to be read.
    pub reading: Reading,
}

/// What of a disk is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// These bytes changed since the token.
    Changed(ByteRanges),
    /// Everything, and why.
    Full(String),
}

/// A disk that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostDisk {
    /// What the host calls it.
    pub medium: Medium,
    /// Why.
    pub why: String,
}

impl FrozenDisk {
    /// Its size in bytes.
    pub fn len(&self) -> u64 {
        self.chain.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks the host what changed; whatever is wrong with the answer means all of it.
    pub(super) fn ask(&self, session: &dyn CimSession, pace: &dyn Pace, since: &str) -> Reading {
        match changes(session, pace, &self.medium.path, since, self.len()) {
            Ok(ranges) => Reading::Changed(ranges),
            Err(error) => Reading::Full(error.to_string()),
        }
    }
}

/// Opens a disk with its parents; what is in use for the moment is waited for. The VM's files are what
/// they are since `begun`.
pub(crate) fn open(
    pace: &dyn Pace,
    files: &dyn HostFiles,
    medium: Medium,
    begun: Duration,
) -> Result<(FrozenDisk, Vec<Arc<FrozenFile>>), LostDisk> {
    let path = match HostPath::parse(&medium.path) {
        Ok(path) => path,
        Err(error) => {
            let why = error.to_string();
            return Err(LostDisk { medium, why });
        }
    };
    loop {
        let finder = HostFinder::new(files);
        let found = resolve(&finder, &HostFinder::path(&path));
        let layers = found.and_then(|layers| {
            let chain = layers
                .iter()
                .map(|found| Arc::clone(&found.layer))
                .collect();
            Ok((Chain::new(chain)?, layers))
        });
        let late = pace.now().saturating_sub(begun) >= MOST_WAIT;
        if layers.is_err() && finder.was_held() && !late && !pace.cancelled() {
            pace.sleep(WAIT);
            continue;
        }
        return match layers {
            Ok((chain, layers)) => {
                let disk = FrozenDisk {
                    files: layers.iter().map(|found| spelled(&found.path)).collect(),
                    disk_id: layers.first().and_then(disk_id),
                    reading: Reading::Full("changes are not tracked".to_owned()),
                    medium,
                    layers,
                    chain,
                };
                // What was merely looked at in search of a parent may be written to.
                let mut opened = finder.opened();
                opened.retain(|file| disk.files.contains(&file.path().to_string()));
                Ok((disk, opened))
            }
            Err(error) => {
                let why = error.to_string();
                Err(LostDisk { medium, why })
            }
        };
    }
}

/// A path as the search spells it, as the host does.
fn spelled(path: &Path) -> String {
    let text = path.to_string_lossy();
    HostPath::parse(&text).map_or_else(|_| text.into_owned(), |path| path.to_string())
}

fn disk_id(found: &Found) -> Option<Uuid> {
    match &found.layer.info().format {
        Format::Vhdx(vhdx) => Some(vhdx.disk_id),
        Format::Vhd(_) | Format::Raw => None,
    }
}
